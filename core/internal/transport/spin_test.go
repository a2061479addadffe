package transport

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// polled says whether a wait in which nothing comes polls.
func polled(s *Spin) bool {
	looks := 0
	s.Poll(time.Hour, func() bool { looks++; return false })
	return looks > 0
}

func TestSpinBecomesRare(t *testing.T) {
	s := Spin{Limit: 10 * time.Microsecond}
	attempts, waits := 0, 4<<maxSpinMisses
	for range waits {
		if s.missed != 0 {
			s.missed = 1<<63 - 1 // no sleep was long
		}
		if polled(&s) {
			attempts++
		}
	}
	require.Greater(t, attempts, maxSpinMisses)
	require.Less(t, attempts, maxSpinMisses+8, "one in 2^maxSpinMisses waits")

	// What is there at the first look says nothing about polling.
	s.skip, s.missed = 0, 0
	require.True(t, s.Poll(time.Hour, func() bool { return true }))
	require.Equal(t, uint32(maxSpinMisses), s.miss)

	// After a long sleep one wait polls. Where that is in vain, too, it is as rare as before.
	require.True(t, polled(&s))
	require.Equal(t, uint32(1<<maxSpinMisses-1), s.skip)
	s.missed = 1
	require.True(t, polled(&s))
	require.Equal(t, uint32(1<<maxSpinMisses-1), s.skip)

	// What polling sees makes it frequent again.
	s.missed, s.skip = 0, 0
	looks := 0
	require.True(t, s.Poll(time.Hour, func() bool { looks++; return looks > 1 }))
	require.Zero(t, s.miss)
	require.True(t, polled(&s))
	require.Equal(t, uint32(1), s.skip)
}

func TestNoSpin(t *testing.T) { require.False(t, polled(&Spin{})) }
