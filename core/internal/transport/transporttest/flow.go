package transporttest

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/udf"
	"dcf/wire"
)

// Next gives up in time, and Ready tells what it would find.
func testWaits(t *testing.T, s Subject) {
	near, far := connect(t, s)
	for _, wait := range []time.Duration{0, time.Millisecond, transport.Slice} {
		started := clock.Now()
		_, err := far.Next(wait)
		require.ErrorIs(t, err, transport.ErrAgain)
		require.GreaterOrEqual(t, time.Duration(clock.Now()-started), wait*9/10)
	}
	require.False(t, far.Ready())
	send(t, near, frame(1, wire.Operation{}))
	send(t, near, frame(2, wire.Operation{}))
	require.NoError(t, near.Flush())
	next(t, far)
	require.Equal(t, uint64(1), next(t, far).CallID, "Next does not take")
	var in transport.Inbound
	receive(t, far, &in, 1)
	next(t, far)
	require.True(t, far.Ready())
	receive(t, far, &in, 2)
	require.False(t, far.Ready())
}

// Park ends with the first frame, and never misses one.
func testPark(t *testing.T, s Subject) {
	near, far := connect(t, s)
	const rounds = 200
	failure := make(chan error, 1)
	go func() {
		failure <- func() error {
			for i := range uint64(rounds) {
				if err := far.Park(); err != nil {
					return err
				}
				if _, err := await(far); err != nil {
					return err
				}
				far.Skip()
				if _, _, err := far.Send(frame(i, wire.Operation{})); err != nil {
					return err
				}
				if err := far.Flush(); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	var in transport.Inbound
	for i := range uint64(rounds) {
		send(t, near, frame(i, wire.Operation{}))
		require.NoError(t, near.Flush())
		receive(t, near, &in, i)
	}
	require.NoError(t, <-failure)
}

// A receiver that takes nothing never blocks the sender, and loses nothing.
func testBackPressure(t *testing.T, s Subject) {
	near, far := connect(t, s)
	value := bytes.Repeat([]byte("x"), 1<<20)
	sent := uint64(0)
	for near.Queued() <= transport.MaxQueuedBytes {
		send(t, near, frame(sent, wire.Operation{HasValue: true, Value: udf.Value{Bytes: value}}))
		require.NoError(t, near.Flush())
		sent++
	}
	for range 100 { // small ones queue behind
		send(t, near, frame(sent, wire.Operation{}))
		require.NoError(t, near.Flush())
		sent++
	}
	require.ErrorIs(t, near.WaitRoom(clock.After(time.Millisecond)), status.Timeout)
	room := make(chan error, 1)
	go func() { room <- near.WaitRoom(soon()) }()
	var in transport.Inbound
	defer in.Clear()
	for i := range sent {
		receive(t, far, &in, i)
	}
	require.NoError(t, <-room)
	require.LessOrEqual(t, near.Queued(), int64(transport.MaxQueuedBytes/2))
}

// Written tells which frames did not leave.
func testWritten(t *testing.T, s Subject) {
	near, far := connect(t, s)
	require.Zero(t, near.Written())
	size, first, err := near.Send(frame(1, wire.Operation{Name: "a"}))
	require.NoError(t, err)
	require.GreaterOrEqual(t, size, int64(0))
	require.Less(t, near.Written(), first)
	require.NoError(t, near.Flush())
	var in transport.Inbound
	receive(t, far, &in, 1)
	require.GreaterOrEqual(t, near.Written(), first)
	_, second, err := near.Send(frame(2, wire.Operation{}))
	require.NoError(t, err)
	require.Greater(t, second, first)
	near.Abort(status.Errorf(status.Unavailable, "cut"))
	require.Less(t, near.Written(), second)
}

func testCounters(t *testing.T, s Subject) {
	near, far := connect(t, s)
	value := bytes.Repeat([]byte("x"), 1000)
	var bytes int64
	for i := range uint64(10) {
		size, _, err := near.Send(frame(i, wire.Operation{HasValue: true,
			Value: udf.Value{Bytes: value}}))
		require.NoError(t, err)
		require.GreaterOrEqual(t, size, int64(1000))
		bytes += size
	}
	require.NoError(t, near.Flush())
	var in transport.Inbound
	var received int64
	for i := range uint64(10) {
		receive(t, far, &in, i)
		received += in.Bytes
	}
	require.Equal(t, bytes, received)
	out, got := near.Counters(), far.Counters()
	require.Equal(t, uint64(10), out.FramesSent)
	require.Equal(t, uint64(bytes), out.BytesSent)
	require.Zero(t, out.FramesReceived)
	require.Equal(t, uint64(10), got.FramesReceived)
	require.Equal(t, uint64(bytes), got.BytesReceived)
}
