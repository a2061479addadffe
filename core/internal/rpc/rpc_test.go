package rpc

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

func TestDo(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		_, address := listening(t, scheme, newHandler(echo))
		_, p := dialled(t, address, nil)
		require.Equal(t, uint64(1), p.Identity().Node)
		require.True(t, p.Hello().Member)
		var reply Reply
		for i := range 100 {
			arguments := fmt.Appendf(nil, "argument %d", i)
			require.NoError(t, p.Do(callFrame(arguments), &reply, soon()))
			require.Len(t, reply.Parts, 1)
			require.Equal(t, arguments, reply.Parts[0].Value.Bytes)
			require.Positive(t, reply.Received)
		}
		require.Equal(t, uint64(100), p.Counters().Requests)
		reply.Clear()
	})
}

// Large values take the bulk connection where there is one, both ways.
func TestLargeValues(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		_, address := listening(t, scheme, newHandler(echo))
		_, p := dialled(t, address, nil)
		var reply Reply
		defer reply.Clear()
		for _, size := range []int{0, 1, BulkBytes, BulkBytes + 1, 1 << 20, 24 << 20} {
			value := bytes.Repeat([]byte{byte(size), 1, 2, 3}, size/4)
			require.NoError(t, p.Do(operationFrame(uint64(size), value), &reply, soon()))
			require.Nil(t, reply.Error)
			require.Equal(t, uint64(size), reply.Version)
			require.True(t, bytes.Equal(value, reply.Value.Bytes), "%d bytes differ", size)
		}
	})
}

// A small request with a large answer has to be told that the answer comes elsewhere.
func TestLargeAnswer(t *testing.T) {
	large := bytes.Repeat([]byte("large"), 1<<20)
	batch := vertex.Int64Batch("n", make([]int64, 1<<18)...)
	defer batch.Release()
	h := newHandler(func(r *Request) {
		reply := wire.Reply{HasValue: true, Value: udf.Value{Bytes: large}}
		if r.Operation.Expected == 1 {
			reply.Value = udf.Value{Batch: batch.Retain()}
		}
		r.Reply(&reply)
	})
	eachScheme(t, func(t *testing.T, scheme string) {
		_, address := listening(t, scheme, h)
		_, p := dialled(t, address, nil)
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				var reply Reply
				defer reply.Clear()
				for range 5 {
					if !check(t, p.Do(operationFrame(0, nil), &reply, soon())) {
						return
					}
					if !bytes.Equal(large, reply.Value.Bytes) {
						t.Error("the bytes differ")
					}
					if !check(t, p.Do(operationFrame(1, nil), &reply, soon())) {
						return
					}
					if reply.Value.Batch == nil || reply.Value.Batch.Rows() != 1<<18 {
						t.Error("no batch came")
					}
				}
			})
		}
		callers.Wait()
		answers := make(chan int, 8)
		for range 8 {
			require.NoError(t, start(p, operationFrame(0, nil), soon(), func(r *Reply, err error) {
				check(t, err)
				answers <- len(r.Value.Bytes)
			}))
		}
		p.Flush()
		for range 8 {
			require.Equal(t, len(large), <-answers)
		}
	})
}

func check(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

func TestManyCallers(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		_, address := listening(t, scheme, newHandler(echo))
		_, p := dialled(t, address, nil)
		var callers sync.WaitGroup
		for c := range 64 {
			callers.Go(func() {
				var reply Reply
				defer reply.Clear()
				for i := range 50 {
					arguments := fmt.Appendf(nil, "%d of %d", i, c)
					if !check(t, p.Do(callFrame(arguments), &reply, soon())) {
						return
					}
					if !bytes.Equal(arguments, reply.Parts[0].Value.Bytes) {
						t.Error("somebody else's reply")
					}
				}
			})
		}
		callers.Wait()
	})
}

func TestSendManyThenWait(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		_, address := listening(t, scheme, newHandler(echo))
		_, p := dialled(t, address, nil)
		var pending [64]Pending
		var reply Reply
		defer reply.Clear()
		for round := range 20 {
			for i := range pending {
				number := uint64(round*len(pending) + i)
				require.NoError(t, p.Send(operationFrame(number, nil), &pending[i], soon()))
			}
			p.Flush()
			for i := range pending {
				require.NoError(t, pending[i].Wait(&reply))
				require.Equal(t, uint64(round*len(pending)+i), reply.Version)
			}
		}
	})
}

func TestStart(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		_, address := listening(t, scheme, newHandler(echo))
		_, p := dialled(t, address, nil)
		const starts = 200
		answers := make(chan uint64, starts)
		var reply Reply
		defer reply.Clear()
		for i := range starts {
			require.NoError(t, start(p, operationFrame(uint64(i), nil), soon(),
				func(r *Reply, err error) {
					check(t, err)
					answers <- r.Version
				}))
			if i%10 == 0 { // callers who wait come between
				require.NoError(t, p.Do(operationFrame(7, nil), &reply, soon()))
				require.Equal(t, uint64(7), reply.Version)
			}
		}
		p.Flush()
		seen := map[uint64]bool{}
		for range starts {
			seen[<-answers] = true
		}
		require.Len(t, seen, starts)
		requireNothingOpen(t, p)
	})
}

// What cannot be sent fails by itself, and is not counted as under way.
func TestStartOfWhatCannotBeSent(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := newHeld()
		_, address := listening(t, scheme, h)
		_, p := dialled(t, address, nil)
		var r Reader
		r.Eager.Store(true)
		var ended sync.WaitGroup
		good := func(_ *Reply, err error) {
			check(t, err)
			ended.Done()
		}
		bad := func(*Reply, error) { t.Error("what was not sent ended") }
		all := make([]Start, MaxOutstanding+3)
		noRequest, tooLate, tooMany := 1, 2, len(all)-2 // the last two: all before have a place, but tooLate
		for i := range all {
			c := &callback{done: good}
			if i == noRequest || i == tooLate || i >= tooMany {
				c.done = bad
			} else {
				ended.Add(1)
			}
			all[i] = Start{Request: operationFrame(1, nil), Pending: &c.Pending, Deadline: soon(), Done: c}
		}
		all[noRequest].Request = &wire.Frame{}
		all[tooLate].Deadline = clock.Now()
		r.Start(p, all)
		r.Flush()
		refused := 0
		for i := range all {
			switch {
			case i == noRequest:
				requireCode(t, all[i].Err, status.Internal)
			case i == tooLate:
				requireCode(t, all[i].Err, status.Timeout)
			case i >= tooMany:
				requireCode(t, all[i].Err, status.Exhausted)
			default:
				require.NoError(t, all[i].Err, "request %d", i)
				continue
			}
			refused++
		}
		for range len(all) - refused {
			(<-h.requests).Reply(&wire.Reply{})
		}
		ended.Wait()
		requireNothingOpen(t, p)
	})
}

// requireNothingOpen says that no asynchronous request is counted as under way. All have ended, and
// each is uncounted before its user is told.
func requireNothingOpen(t *testing.T, p *Peer) {
	t.Helper()
	for _, l := range p.connected().links {
		require.Zero(t, l.async.open.Load(), "requests under way")
		require.Zero(t, l.async.eager.Load(), "of those, eager ones")
	}
}

func TestNotify(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := newHandler(echo)
		got := make(chan uint64, 10)
		h.notify = func(from wire.Identity, op *wire.Operation) {
			got <- op.View + from.Node
		}
		server, address := listening(t, scheme, h)
		guest := newHandler(echo)
		guest.notify = h.notify
		_, p := dialled(t, address, func(c *Config) { c.Handler = guest })
		require.NoError(t, p.Notify(&wire.Operation{Op: wire.OpView, View: 40}))
		require.Equal(t, uint64(42), <-got)
		h.expect(t, "up 2")
		// A guest is reached over the connection that it opened.
		back := server.Peer(wire.Identity{Node: 2, Incarnation: 1}, nil)
		require.NoError(t, back.Notify(&wire.Operation{Op: wire.OpView, View: 50}))
		require.Equal(t, uint64(51), <-got)
		var reply Reply
		defer reply.Clear()
		require.NoError(t, back.Do(operationFrame(9, []byte("x")), &reply, soon()))
		require.Equal(t, uint64(9), reply.Version)
	})
}
