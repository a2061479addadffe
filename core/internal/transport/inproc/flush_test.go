package inproc

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/wire"
)

// Readers flush before they wait. If that woke the other end although nothing was sent, two idle
// ends would keep each other awake for ever.
func TestFlushOfNothingWakesNobody(t *testing.T) {
	transport := New()
	l, err := transport.Listen("inproc://flush", false)
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	here, err := transport.Dial("inproc://flush", clock.After(time.Minute))
	require.NoError(t, err)
	accepted, err := l.Accept()
	require.NoError(t, err)
	there := accepted.(*conn)

	left := make(chan error)
	go func() { left <- there.Park() }()
	require.Eventually(t, there.inbox.parked.Load, time.Minute, time.Millisecond)
	require.NoError(t, here.Flush())
	require.True(t, there.inbox.parked.Load(), "woken for nothing")

	_, _, err = here.Send(&wire.Frame{Header: wire.SessionHeader{Kind: wire.KindPing}})
	require.NoError(t, err)
	require.NoError(t, here.Flush())
	require.NoError(t, <-left)
	here.Abort(nil)
	for {
		if _, err := there.Next(0); err != nil {
			break
		}
		there.Skip()
	}
}
