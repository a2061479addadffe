package rpc

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/invariant"
	"dcf/core/status"
	"dcf/udf"
	"dcf/wire"
)

// held is a server whose requests wait until they are released.
type held struct {
	*handler
	requests chan *Request
}

func newHeld() *held {
	h := &held{requests: make(chan *Request, 1<<14)}
	h.handler = newHandler(func(r *Request) {
		r.Detach()
		h.requests <- r
	})
	return h
}

func TestDeadline(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := newHeld()
		_, address := listening(t, scheme, h)
		_, p := dialled(t, address, nil)
		var reply Reply
		defer reply.Clear()
		err := p.Do(operationFrame(1, nil), &reply, clock.Now()-1)
		requireCode(t, err, status.Timeout)
		require.False(t, Sent(err))
		for _, wait := range []time.Duration{time.Millisecond, 2 * transport.Slice} {
			started := clock.Now()
			wait, err = untilSent(wait, func(deadline int64) error {
				return p.Do(operationFrame(2, nil), &reply, deadline)
			})
			requireCode(t, err, status.Timeout)
			require.ErrorContains(t, err, "node 1 did not answer in time")
			require.True(t, Sent(err))
			require.GreaterOrEqual(t, clock.Now()-started, int64(wait))
			r := <-h.requests
			require.Positive(t, r.Deadline)
			require.LessOrEqual(t, r.Deadline, clock.After(wait))
			cancelled := make(chan bool)
			go r.OnCancel(cancelFunc(func() { close(cancelled) }))
			<-cancelled
			r.Reply(&wire.Reply{}) // comes too late, and harms nobody
		}
		late := make(chan error, 1)
		_, err = untilSent(time.Millisecond, func(deadline int64) error {
			return start(p, operationFrame(3, nil), deadline, func(_ *Reply, err error) { late <- err })
		})
		require.NoError(t, err)
		p.Flush()
		requireCode(t, <-late, status.Timeout)
		(<-h.requests).Reply(&wire.Reply{})
		go func() { (<-h.requests).Reply(&wire.Reply{Version: 4}) }()
		require.NoError(t, p.Do(operationFrame(4, nil), &reply, soon()))
		require.Equal(t, uint64(4), reply.Version)
	})
}

// untilSent tries with ever more time, until the request is sent before its time is over, and gives
// how much it had.
func untilSent(wait time.Duration, try func(deadline int64) error) (time.Duration, error) {
	for ; ; wait *= 2 {
		err := try(clock.After(wait))
		if err == nil || Sent(err) || status.Of(err) != status.Timeout {
			return wait, err
		}
	}
}

func TestInterrupt(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := newHeld()
		_, address := listening(t, scheme, h)
		var interrupt atomic.Bool
		_, p := dialled(t, address, func(c *Config) { c.Interrupt = interrupt.Load })
		ended := make(chan error)
		for range 3 { // a leader and followers
			go func() {
				var reply Reply
				ended <- p.Do(operationFrame(1, nil), &reply, 0)
			}()
		}
		for range 3 {
			r := <-h.requests
			defer r.Reply(&wire.Reply{})
		}
		interrupt.Store(true)
		for range 3 {
			requireCode(t, <-ended, status.Interrupted)
		}
	})
}

// A table in flight does not delay a call.
func TestBulkDoesNotDelayCalls(t *testing.T) {
	value := bytes.Repeat([]byte("x"), 32<<20)
	_, address := listening(t, "tcp", newHandler(func(r *Request) {
		if r.Operation.Op == wire.OpFetch {
			r.Reply(&wire.Reply{HasValue: true, Value: udf.Value{Bytes: value}})
			return
		}
		echo(r)
	}))
	_, p := dialled(t, address, nil)
	// The answer is too much for the socket, and nobody reads it yet.
	var pending Pending
	fetch := &wire.Frame{Message: &wire.Operation{Op: wire.OpFetch}}
	require.NoError(t, p.Send(fetch, &pending, soon()))
	p.Flush()
	var reply Reply
	defer reply.Clear()
	for i := range uint64(100) {
		require.NoError(t, p.Do(operationFrame(i, nil), &reply, soon()))
		require.Equal(t, i, reply.Version)
	}
	require.NoError(t, pending.Wait(&reply))
	require.Len(t, reply.Value.Bytes, len(value))
}

// Many answers that nobody takes are bounded, and so are requests that nobody answers.
func TestTooManyRequests(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := newHeld()
		_, address := listening(t, scheme, h)
		_, p := dialled(t, address, nil)
		var ended sync.WaitGroup
		for range MaxOutstanding {
			ended.Add(1)
			require.NoError(t, start(p, operationFrame(1, nil), soon(), func(_ *Reply, err error) {
				check(t, err)
				ended.Done()
			}))
		}
		p.Flush()
		var reply Reply
		defer reply.Clear()
		err := p.Do(operationFrame(1, nil), &reply, soon())
		requireCode(t, err, status.Exhausted)
		require.False(t, Sent(err))
		for range MaxOutstanding {
			(<-h.requests).Reply(&wire.Reply{})
		}
		ended.Wait()
		go func() { (<-h.requests).Reply(&wire.Reply{}) }()
		require.NoError(t, p.Do(operationFrame(1, nil), &reply, soon()))
	})
}

// While one request holds the goroutine that reads a connection, others are served.
func TestOverrun(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		latch := make(chan bool)
		cancelled := make(chan bool, 1)
		server, address := listening(t, scheme, newHandler(func(r *Request) {
			if r.Operation.Expected == 13 {
				r.OnCancel(cancelFunc(func() { cancelled <- true }))
				<-latch
			}
			echo(r)
		}))
		_, p := dialled(t, address, nil)
		stuck := make(chan error, 1)
		go func() {
			var reply Reply
			stuck <- p.Do(operationFrame(13, nil), &reply, soon())
			reply.Clear()
		}()
		require.Eventually(t, func() bool { return server.watch.overrun.Load() == 1 }, patience, tick)
		var reply Reply
		defer reply.Clear()
		for i := range uint64(10) {
			require.NoError(t, p.Do(operationFrame(i, nil), &reply, soon()))
		}
		// A request that is held can be given up.
		var second Pending
		require.NoError(t, p.Send(operationFrame(13, nil), &second, soon()))
		p.Flush()
		require.Eventually(t, func() bool { return server.watch.overrun.Load() == 2 }, patience, tick)
		second.Cancel()
		<-cancelled
		close(latch)
		require.NoError(t, <-stuck)
		require.Eventually(t, func() bool { return server.watch.overrun.Load() == 0 }, patience, tick)
	})
}

// A reply that cannot be encoded becomes an error for its requester.
func TestReplyThatCannotBeSent(t *testing.T) {
	_, address := listening(t, "tcp", newHandler(func(r *Request) {
		r.Reply(&wire.Reply{Vertices: []wire.VertexInfo{{Name: strings.Repeat("x", 300)}}})
	}))
	_, p := dialled(t, address, nil)
	var reply Reply
	defer reply.Clear()
	require.NoError(t, p.Do(operationFrame(1, nil), &reply, soon()))
	require.Equal(t, status.InvalidArgument, reply.Error.Code)
	bad := &wire.Frame{Message: &wire.Operation{Name: strings.Repeat("x", 300)}}
	err := p.Do(bad, &reply, soon())
	requireCode(t, err, status.InvalidArgument)
	require.False(t, Sent(err))
}

func TestDoDoesNotAllocate(t *testing.T) {
	for _, scheme := range []string{"tcp", "unix"} {
		t.Run(scheme, func(t *testing.T) {
			answer := &wire.Reply{Parts: []wire.Part{{Value: udf.Value{Bytes: make([]byte, 8)}}}}
			_, address := listening(t, scheme, newHandler(func(r *Request) { r.Reply(answer) }))
			_, p := dialled(t, address, nil)
			request := callFrame(make([]byte, 16))
			var reply Reply
			defer reply.Clear()
			deadline := soon()
			if invariant.Enabled {
				return // pools drop what they are given, under the race detector
			}
			require.Zero(t, testing.AllocsPerRun(500, func() {
				if err := p.Do(request, &reply, deadline); err != nil {
					t.Fatal(err)
				}
			}))
			var pending [16]Pending
			require.Zero(t, testing.AllocsPerRun(100, func() {
				for i := range pending {
					if err := p.Send(request, &pending[i], deadline); err != nil {
						t.Fatal(err)
					}
				}
				p.Flush()
				for i := range pending {
					if err := pending[i].Wait(&reply); err != nil {
						t.Fatal(err)
					}
				}
			}))
		})
	}
}

// A caller may give a request up by a flag, which somebody else sets.
func TestWaitUntil(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := newHeld()
		_, address := listening(t, scheme, h)
		_, p := dialled(t, address, nil)
		var pending Pending
		var reply Reply
		defer reply.Clear()
		require.NoError(t, p.Send(operationFrame(1, nil), &pending, soon()))
		var flag atomic.Uint32
		ended := make(chan error, 1)
		go func() { ended <- pending.WaitUntil(&reply, &flag) }()
		r := <-h.requests
		cancelled := make(chan bool)
		r.OnCancel(cancelFunc(func() { close(cancelled) }))
		flag.Store(1)
		err := <-ended
		requireCode(t, err, status.Cancelled)
		require.True(t, Sent(err))
		<-cancelled
		r.Reply(&wire.Reply{})
	})
}

// An answer that comes when its connection has long been idle leaves by itself.
func TestLateAnswer(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := newHeld()
		cfg := config(1, h)
		cfg.Timing.IdleAfter = time.Nanosecond
		server := open(t, cfg)
		address, err := server.Listen(anyAddress(t, scheme))
		require.NoError(t, err)
		_, p := dialled(t, address, nil)
		var pending Pending
		require.NoError(t, p.Send(operationFrame(1, nil), &pending, soon()))
		p.Flush()
		r := <-h.requests
		require.Eventually(t, func() bool {
			server.watch.mu.Lock()
			defer server.watch.mu.Unlock()
			return len(server.watch.active) == 0
		}, patience, tick)
		r.Reply(&wire.Reply{Version: 5})
		var reply Reply
		defer reply.Clear()
		require.NoError(t, pending.Wait(&reply))
		require.Equal(t, uint64(5), reply.Version)
	})
}

// A node that is closed without time answers nothing any more, also what it was about to.
func TestCloseAtOnce(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := newHeld()
		server, address := listening(t, scheme, h)
		_, p := dialled(t, address, nil)
		var pending Pending
		var reply Reply
		require.NoError(t, p.Send(operationFrame(1, nil), &pending, soon()))
		p.Flush()
		r := <-h.requests
		_ = server.Close(clock.Now()) // whether it was done in no time or not
		r.Reply(&wire.Reply{})
		requireCode(t, pending.Wait(&reply), status.Unavailable)
	})
}
