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
	"dcf/vertex"
	"dcf/wire"
)

// Close delivers what was sent, also what the peer had not taken yet.
func testCloseDelivers(t *testing.T, s Subject) {
	near, far := connect(t, s)
	value := bytes.Repeat([]byte("x"), 1<<20)
	const frames = 20
	for i := range uint64(frames) {
		send(t, near, frame(i, wire.Operation{HasValue: true, Value: udf.Value{Bytes: value}}))
	}
	closed := make(chan error, 1)
	go func() { closed <- near.Close(soon()) }()
	var in transport.Inbound
	defer in.Clear()
	for i := range uint64(frames) {
		receive(t, far, &in, i)
	}
	require.NoError(t, <-closed)
	requireEnd(t, far)
	requireEnd(t, near)
}

// Close does not wait for a peer that takes nothing longer than it is told.
func testCloseGivesUp(t *testing.T, s Subject) {
	near, far := connect(t, s)
	value := bytes.Repeat([]byte("x"), 64<<20)
	send(t, near, frame(1, wire.Operation{HasValue: true, Value: udf.Value{Bytes: value}}))
	require.NoError(t, near.Close(clock.After(time.Millisecond)))
	requireEnd(t, near)
	requireEnd(t, far)
}

// A connection that is finished gives what came, and whoever waits for more goes on.
func testFinish(t *testing.T, s Subject) {
	for name, wait := range map[string]func(c transport.Conn) error{
		"nobody waits": nil,
		"in Next":      func(c transport.Conn) error { _, err := await(c); return err },
		"in Park":      transport.Conn.Park,
	} {
		t.Run(name, func(t *testing.T) {
			c, other := connect(t, s)
			if wait == nil {
				for i := range uint64(3) {
					send(t, other, frame(i, wire.Operation{}))
				}
				require.NoError(t, other.Flush())
				var in transport.Inbound
				receive(t, c, &in, 0) // and with it perhaps others
				in.Clear()
				c.Finish(status.Errorf(status.Unavailable, "finished"))
				receive(t, c, &in, 1)
				in.Clear()
				receive(t, c, &in, 2)
				in.Clear()
			} else {
				ended := start(func() error { return wait(c) })
				c.Finish(status.Errorf(status.Unavailable, "finished"))
				if err := <-ended; err != nil {
					require.ErrorContains(t, err, "finished")
				}
			}
			_, err := await(c)
			require.ErrorContains(t, err, "finished")
			c.Abort(status.Errorf(status.Unavailable, "aborted"))
			requireEnd(t, c)
			requireEnd(t, other)
		})
	}
}

// A frame that was announced when its receiver aborted is taken whole, or not at all.
func testAbortBeforeTake(t *testing.T, s Subject) {
	near, far := connect(t, s)
	send(t, near, frame(1, wire.Operation{Name: "it"}))
	require.NoError(t, near.Flush())
	next(t, far)
	far.Abort(status.Errorf(status.Unavailable, "enough"))
	var in transport.Inbound
	defer in.Clear()
	if err := far.Take(&in); err != nil {
		require.ErrorIs(t, err, status.Unavailable)
	} else {
		require.Equal(t, "it", in.Frame.Message.(*wire.Operation).Name)
	}
	requireEnd(t, far)
}

// Whatever an end is doing when it or the other one vanishes: it learns of it, and nothing is left.
func testAbortInAnyState(t *testing.T, s Subject) {
	batch := vertex.Int64Batch("n", make([]int64, 4<<20)...)
	defer batch.Release()
	states := map[string]func(t *testing.T, c, other transport.Conn) (ended chan error){
		"idle": func(t *testing.T, c, other transport.Conn) chan error { return nil },
		"waiting": func(t *testing.T, c, other transport.Conn) chan error {
			return start(func() error { _, err := await(c); return err })
		},
		"parked": func(t *testing.T, c, other transport.Conn) chan error {
			return start(func() error {
				if err := c.Park(); err != nil {
					return err
				}
				_, err := await(c)
				return err
			})
		},
		"sending": func(t *testing.T, c, other transport.Conn) chan error {
			send(t, c, frame(1, wire.Operation{HasValue: true, Value: udf.Value{Batch: batch}}))
			return start(func() error {
				for {
					if _, _, err := c.Send(frame(2, wire.Operation{})); err != nil {
						return err
					}
					if err := c.Flush(); err != nil {
						return err
					}
				}
			})
		},
		"short of room": func(t *testing.T, c, other transport.Conn) chan error {
			for c.Queued() <= transport.MaxQueuedBytes {
				send(t, c, frame(1, wire.Operation{HasValue: true, Value: udf.Value{Batch: batch}}))
			}
			return start(func() error { return c.WaitRoom(soon()) })
		},
		"receiving": func(t *testing.T, c, other transport.Conn) chan error {
			send(t, other, frame(1, wire.Operation{HasValue: true, Value: udf.Value{Batch: batch}}))
			_, _ = c.Next(0) // begins to receive the body
			return nil
		},
	}
	for name, state := range states {
		for _, who := range []string{"itself", "the other"} {
			t.Run(name+" cut by "+who, func(t *testing.T) {
				c, other := connect(t, s)
				ended := state(t, c, other)
				if who == "itself" {
					c.Abort(status.Errorf(status.Unavailable, "cut"))
				} else {
					other.Abort(status.Errorf(status.Unavailable, "cut"))
				}
				if ended != nil {
					require.ErrorIs(t, <-ended, status.Unavailable)
				}
				requireEnd(t, c)
				requireEnd(t, other)
			})
		}
	}
}

func start(f func() error) chan error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	return ended
}

func testFirstReasonCounts(t *testing.T, s Subject) {
	near, _ := connect(t, s)
	near.Abort(status.Errorf(status.Unavailable, "the first reason"))
	near.Abort(status.Errorf(status.Unavailable, "the second reason"))
	_, err := await(near)
	require.ErrorContains(t, err, "the first reason")
	_, _, err = near.Send(frame(1, wire.Operation{}))
	require.ErrorContains(t, err, "the first reason")
	require.NoError(t, near.Close(soon()))
	require.ErrorContains(t, near.Flush(), "the first reason")
}

func testListen(t *testing.T, s Subject) {
	tr := open(t, s)
	_, err := tr.Listen(s.Wrong, false)
	require.ErrorIs(t, err, status.InvalidArgument)
	require.ErrorContains(t, err, s.Wrong)
	l, err := tr.Listen(s.Address(t), false)
	require.NoError(t, err)
	_, err = open(t, s).Listen(l.Address(), false)
	require.ErrorIs(t, err, status.AlreadyExists)
	require.ErrorContains(t, err, l.Address())
	require.NoError(t, l.Close())
	require.NoError(t, l.Close(), "closing twice is fine")
	again, err := tr.Listen(l.Address(), false)
	require.NoError(t, err, "the address is free again")
	require.NoError(t, again.Close())
}

func testDial(t *testing.T, s Subject) {
	tr := open(t, s)
	_, err := tr.Dial(s.Wrong, soon())
	require.ErrorIs(t, err, status.InvalidArgument)
	_, err = tr.Dial(s.Nobody, soon())
	require.ErrorIs(t, err, status.Unavailable)
	require.ErrorContains(t, err, s.Nobody)
}

// Close ends Accept, and leaves connections alone.
func testCloseListener(t *testing.T, s Subject) {
	tr := open(t, s)
	l, err := tr.Listen(s.Address(t), false)
	require.NoError(t, err)
	near, err := tr.Dial(l.Address(), soon())
	require.NoError(t, err)
	far, err := l.Accept()
	require.NoError(t, err)
	accepted := start(func() error { _, err := l.Accept(); return err })
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-accepted, status.Unavailable)
	_, err = l.Accept()
	require.ErrorIs(t, err, status.Unavailable)
	send(t, near, frame(1, wire.Operation{}))
	require.NoError(t, near.Flush())
	var in transport.Inbound
	receive(t, far, &in, 1)
	end(near)
	end(far)
}
