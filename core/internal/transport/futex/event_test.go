package futex

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEventIsTakenOnce(t *testing.T) {
	var e Event
	require.False(t, e.Take())
	require.False(t, e.Wait(time.Nanosecond))
	e.Set()
	e.Set()
	require.True(t, e.Wait(0))
	require.False(t, e.Take(), "two sets are one event")
}

func TestEventWakesSleeper(t *testing.T) {
	var ping, pong Event
	done := make(chan struct{})
	const rounds = 2000
	go func() {
		defer close(done)
		for range rounds {
			for !ping.Wait(time.Second) {
			}
			pong.Set()
		}
	}()
	for range rounds {
		ping.Set()
		for !pong.Wait(time.Second) {
		}
	}
	<-done
	require.False(t, ping.Take())
	require.False(t, pong.Take())
}

func TestEventDoesNotAllocate(t *testing.T) {
	var e Event
	require.Zero(t, testing.AllocsPerRun(100, func() {
		e.Set()
		e.Wait(time.Second)
		e.Wait(time.Microsecond)
	}))
}
