package lane

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/cdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// world is both ends of lanes, in one process.
type world struct {
	caller *Caller
	server *Server
	memory []byte
	woken  atomic.Int64
	asleep uint32
}

func newWorld(t testing.TB) *world {
	words := make([]uint64, Bytes/8+7)
	start := -uintptr(unsafe.Pointer(&words[0])) & 63
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&words[start/8])), Bytes)
	w := &world{memory: memory}
	w.caller = NewCaller(memory, &w.asleep, -1, func() { w.woken.Add(1) })
	w.server = NewServer(memory)
	w.server.Serve(true)
	w.caller.Serves(42, func() {})
	w.caller.SetSpin(100 * time.Microsecond)
	t.Cleanup(func() {
		w.caller.End()
		if t.Failed() {
			return // a lane may not be left
		}
		w.caller.Close()
	})
	return w
}

// serve answers calls until the test ends.
func (w *world) serve(t testing.TB, answer func(*Call, *Answer)) {
	var over atomic.Bool
	var work sync.WaitGroup
	work.Go(func() {
		var calls [MaxTogether]Call
		var answers [MaxTogether]Answer
		for !over.Load() {
			n, err := w.server.Take(calls[:])
			if err != nil {
				panic(err)
			}
			if n == 0 {
				time.Sleep(time.Microsecond)
			}
			for i := range n {
				answers[i].Clear()
				answer(&calls[i], &answers[i])
			}
			w.server.Answer(calls[:n], answers[:n])
		}
	})
	t.Cleanup(func() {
		over.Store(true)
		work.Wait()
	})
}

// await waits for the answer to the call that was asked.
func (w *world) await(t testing.TB, at int) *Answer {
	here := w.caller.Poll(at)
	for until := time.Now().Add(patience); !here; here = w.caller.Sleep(at, 50*time.Millisecond) {
		require.True(t, time.Now().Before(until), "no answer")
	}
	answer, err := w.caller.Reply(at)
	require.NoError(t, err)
	return answer
}

func (w *world) take(t testing.TB) int {
	at, ok := w.caller.Take()
	require.True(t, ok)
	return at
}

func echo(c *Call, a *Answer) { a.Give(c.Birth+1, c.Arguments, true) }

func TestCallsArriveWhole(t *testing.T) {
	w := newWorld(t)
	var seen Call
	w.serve(t, func(c *Call, a *Answer) {
		seen = *c
		seen.Arguments = bytes.Clone(c.Arguments)
		echo(c, a)
	})
	var sent, received uint64
	for size := range MaxArguments + 1 {
		for _, budget := range []int64{0, 77} {
			request := Request{Vertex: vertex.NameID(fmt.Sprint(size)), Birth: uint64(size), Function: [16]byte{byte(size)},
				Budget: budget, Arguments: bytes.Repeat([]byte{byte(size)}, size)}
			at := w.take(t)
			w.caller.Ask(at, &request)
			answer := w.await(t, at)
			require.True(t, answer.Ran && answer.HasPart && answer.Failure == nil)
			require.Equal(t, uint64(size)+1, answer.Version)
			require.Equal(t, request.Arguments, append([]byte{}, answer.Part...))
			extra := uint64(0)
			if budget > 0 {
				extra = budgetBytes
			}
			require.Equal(t, requestBytes+replyBytes+2*uint64(size)+extra, w.caller.Exchanged(at))
			sent, received = sent+requestBytes+uint64(size)+extra, received+replyBytes+uint64(size)
			w.caller.Leave(at)
			require.Equal(t, request, Request{seen.Vertex, seen.Birth, seen.Function, seen.Budget,
				append([]byte{}, seen.Arguments...)})
		}
	}
	c, s := w.caller.Traffic(), w.server.Traffic()
	require.Equal(t, uint64(2*(MaxArguments+1)), c.Calls)
	require.Equal(t, [3]uint64{c.Calls, sent, received}, [3]uint64{s.Calls, s.Received, s.Sent})
	require.Equal(t, [2]uint64{sent, received}, [2]uint64{c.Sent, c.Received})
}

func TestAnswers(t *testing.T) {
	long := bytes.Repeat([]byte("x"), MaxPart)
	failure := status.Errorf(status.UDFFailed, "no such luck")
	for _, test := range []struct {
		name  string
		give  func(*Answer)
		check func(*testing.T, *Answer)
	}{
		{"nothing", func(a *Answer) { a.Give(3, nil, false) },
			func(t *testing.T, a *Answer) { require.True(t, a.Ran && !a.HasPart && a.Version == 3) }},
		{"no bytes", func(a *Answer) { a.Give(3, nil, true) },
			func(t *testing.T, a *Answer) { require.True(t, a.Ran && a.HasPart && len(a.Part) == 0) }},
		{"most bytes", func(a *Answer) { a.Give(3, long, true) },
			func(t *testing.T, a *Answer) { require.Equal(t, long, a.Part) }},
		{"failure", func(a *Answer) { a.Fail(3, failure) }, func(t *testing.T, a *Answer) {
			require.False(t, a.Ran || a.Never)
			require.Equal(t, failure.Message, a.Failure.Message)
			require.Equal(t, failure.Code, a.Failure.Code)
			require.Equal(t, uint64(3), a.Version)
			require.Equal(t, uint64(42), a.Failure.Node)
		}},
		{"a tree", func(a *Answer) { a.Give(3, []byte("part"), true); a.Runs = 14 }, func(t *testing.T, a *Answer) {
			require.True(t, a.Ran && a.HasPart && a.Runs == 14 && string(a.Part) == "part" && a.Version == 3)
		}},
		{"a tree of nothing", func(a *Answer) { a.Give(3, nil, false); a.Runs = 2 },
			func(t *testing.T, a *Answer) { require.True(t, a.Ran && !a.HasPart && a.Runs == 2) }},
		{"largest tree", func(a *Answer) { a.Give(3, long[:MaxTreePart], true); a.Runs = 2 },
			func(t *testing.T, a *Answer) { require.Equal(t, long[:MaxTreePart], a.Part) }},
		{"long failure", func(a *Answer) { a.Fail(3, status.Errorf(status.UDFFailed, "%s", long)) },
			func(t *testing.T, a *Answer) { require.True(t, !a.Ran && !a.Never && a.Failure == nil) }},
		{"detailed failure", func(a *Answer) { a.Fail(3, status.Errorf(status.UDFFailed, "x").WithDetail("y")) },
			func(t *testing.T, a *Answer) { require.True(t, !a.Ran && !a.Never && a.Failure == nil) }},
		{"as a frame", func(*Answer) {},
			func(t *testing.T, a *Answer) { require.True(t, !a.Ran && !a.Never && a.Failure == nil) }},
		{"never", func(a *Answer) { a.Never = true },
			func(t *testing.T, a *Answer) { require.True(t, !a.Ran && a.Never && a.Failure == nil) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.serve(t, func(_ *Call, a *Answer) { test.give(a) })
			for range 2 { // the second one finds what the first left
				at := w.take(t)
				w.caller.Ask(at, &Request{Arguments: []byte("12345678")})
				test.check(t, w.await(t, at))
				w.caller.Leave(at)
			}
		})
	}
}

// Each caller gets the answer to its own call, also where there are more of them than lanes.
func TestManyCallers(t *testing.T) {
	w := newWorld(t)
	w.serve(t, echo)
	const callers, calls = 2 * Watched, 500
	var work sync.WaitGroup
	var refused atomic.Int64
	for i := range callers {
		work.Go(func() {
			for j := 0; j < calls; {
				at, ok := w.caller.Take()
				if !ok {
					refused.Add(1)
					time.Sleep(time.Microsecond)
					continue
				}
				arguments := binary.LittleEndian.AppendUint64(nil, uint64(i*calls+j))
				w.caller.Ask(at, &Request{Arguments: arguments})
				if answer := w.await(t, at); !bytes.Equal(answer.Part, arguments) {
					panic(fmt.Sprintf("asked %x, answered %x", arguments, answer.Part))
				}
				w.caller.Leave(at)
				j++
			}
		})
	}
	work.Wait()
	require.Equal(t, uint64(callers*calls), w.caller.Traffic().Calls)
	require.Equal(t, uint64(callers*calls), w.server.Traffic().Calls)
	t.Logf("found no lane %d times", refused.Load())
}

func TestLanesAreTakenOnce(t *testing.T) {
	w := newWorld(t)
	for i := range Watched {
		require.Equal(t, i, w.take(t))
	}
	_, ok := w.caller.Take()
	require.False(t, ok, "all are taken")
	w.caller.Leave(3)
	require.Equal(t, 3, w.take(t))
	// A call that was given up keeps its lane from others until it is answered.
	w.caller.Ask(3, &Request{})
	w.caller.Leave(3)
	_, ok = w.caller.Take()
	require.False(t, ok)
	w.answerOne(t)
	require.Equal(t, 3, w.take(t))
	for i := range Watched {
		w.caller.Leave(i)
	}
	w.server.Serve(false)
	_, ok = w.caller.Take()
	require.False(t, ok, "nobody serves")
}

// No lane waits for long while others are busy.
func TestServerIsFair(t *testing.T) {
	w := newWorld(t)
	for range Watched {
		w.take(t)
	}
	for i := range Watched {
		w.caller.Ask(i, &Request{})
	}
	served := map[int]int{}
	for range 10 * Watched {
		at := w.answerOne(t)
		served[at]++
		w.caller.Ask(at, &Request{})
	}
	for i := range Watched {
		require.Equal(t, 10, served[i])
	}
	for i := range Watched {
		w.caller.Leave(i)
	}
}

// answerOne answers a call that is here, and gives its lane.
func (w *world) answerOne(t testing.TB) (at int) {
	var calls [1]Call
	n, err := w.server.Take(calls[:])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	w.server.Answer(calls[:], make([]Answer, 1))
	return calls[0].lane
}

// Calls on belled lanes are seen when their bell rings, as many at a time as the server takes.
func TestBell(t *testing.T) {
	w := newWorld(t)
	a := area(w.memory)
	for i := Watched; i < cdata.MaxLanes; i++ {
		pair := &a.Lanes[i]
		binary.LittleEndian.PutUint64(pair.Request.Data[:], uint64(i))
		pair.Request.Word.Store(word(1, cdata.LanePatient, 8))
	}
	require.False(t, w.server.Ready())
	a.Bell.Store(1<<Belled - 1)
	var calls [MaxTogether]Call
	answers := make([]Answer, MaxTogether)
	for i := Watched; i < cdata.MaxLanes; i += MaxTogether {
		require.True(t, w.server.Ready())
		n, err := w.server.Take(calls[:])
		require.NoError(t, err)
		require.Equal(t, MaxTogether, n)
		for j := range n {
			require.Equal(t, binary.LittleEndian.AppendUint64(nil, uint64(i+j)), calls[j].Arguments)
			echo(&calls[j], &answers[j])
		}
		w.server.Answer(calls[:], answers)
		for j := range n {
			require.Equal(t, word(1, cdata.LaneBytes, 8), a.Lanes[i+j].Reply.Word.Load())
		}
	}
	a.Bell.Store(1<<Belled - 1) // for nothing
	n, err := w.server.Take(calls[:])
	require.NoError(t, err)
	require.Zero(t, n)
	require.False(t, w.server.Ready())
}

func TestServerIsWoken(t *testing.T) {
	w := newWorld(t)
	at := w.take(t)
	w.asleep = cdata.LaneInFutex + 1
	w.caller.Ask(at, &Request{})
	require.Equal(t, int64(1), w.woken.Load())
	require.Equal(t, uint32(cdata.LaneAwake), w.asleep)
	w.caller.Wake()
	require.Equal(t, int64(1), w.woken.Load(), "it is awake")
	w.caller.Leave(at)
}

func TestEndWakesAndCloseWaits(t *testing.T) {
	w := newWorld(t)
	at := w.take(t)
	w.caller.Ask(at, &Request{})
	_, number := w.caller.Direct()
	began, left := make(chan struct{}), make(chan bool)
	go func() {
		close(began)
		for !w.caller.Ended() {
			w.caller.Sleep(at, patience)
		}
		here := w.caller.Answered(at)
		w.caller.Leave(at)
		left <- here
	}()
	<-began
	w.caller.End()
	require.False(t, <-left)
	_, ok := w.caller.Take()
	require.False(t, ok)

	other := newWorld(t)
	at = other.take(t)
	closed := make(chan struct{})
	go func() {
		other.caller.End()
		other.caller.Close()
		close(closed)
	}()
	for !other.caller.Ended() {
		time.Sleep(time.Millisecond)
	}
	select {
	case <-closed:
		require.Fail(t, "closed under a thread that has a lane")
	case <-time.After(10 * leaveWait):
	}
	home := other.caller.c
	other.caller.Leave(at)
	<-closed
	require.Nil(t, At(home.Index))

	// What was closed is used again, under another number: the old one takes nothing.
	next := NewCaller(other.memory, &other.asleep, -1, nil)
	require.Same(t, home, next.c)
	require.Same(t, next, At(home.Index))
	_, newer := next.Direct()
	require.NotEqual(t, number, newer)
	_, ok = other.caller.Take()
	require.False(t, ok)
	next.End()
	other.caller = next // for the cleanup to close
}

// exchange gives what makes one call, from the taking of its lane on, and answers it.
func (w *world) exchange() func() {
	var calls [1]Call
	var answers [1]Answer
	request := Request{Arguments: make([]byte, 16)}
	return func() {
		at, _ := w.caller.Take()
		w.caller.Ask(at, &request)
		_, _ = w.server.Take(calls[:])
		answers[0].Clear()
		echo(&calls[0], &answers[0])
		w.server.Answer(calls[:], answers[:])
		w.caller.Poll(at)
		_, _ = w.caller.Reply(at)
		w.caller.Leave(at)
	}
}

func TestCallsDoNotAllocate(t *testing.T) {
	w := newWorld(t)
	require.Zero(t, testing.AllocsPerRun(100, w.exchange()))
}

func TestImpossibleMessagesAreRefused(t *testing.T) {
	w := newWorld(t)
	at := w.take(t)
	pair := &area(w.memory).Lanes[at]
	var calls [1]Call
	for _, bad := range []uint64{word(1, cdata.LanePatient, cdata.LaneRequestBytes+1), word(1, 255, 0),
		word(1, cdata.LaneHurried, budgetBytes-1)} {
		pair.Request.Word.Store(bad)
		n, err := w.server.Take(calls[:])
		require.Zero(t, n)
		require.ErrorIs(t, err, status.Corrupt)
		require.Regexp(t, `^a call of kind \d+ has \d+ bytes`, err.Error()[len("DCF_CORRUPT: "):])
	}
	for _, bad := range []uint64{word(0, cdata.LaneBytes, cdata.LaneReplyBytes+1), word(0, 0, 0), word(0, 200, 8),
		word(0, cdata.LaneFailed, codeBytes-1), word(0, cdata.LaneElsewhere, 2)} {
		pair.Reply.Word.Store(bad)
		_, err := w.caller.Reply(at)
		require.ErrorIs(t, err, status.Corrupt)
	}
	w.caller.Leave(at)
}

// FuzzServer has a caller write what it likes.
func FuzzServer(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0}, uint16(0), uint64(1)<<16|16)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint16(256), uint64(1)<<16|255)
	f.Fuzz(func(t *testing.T, garbage []byte, at uint16, request uint64) {
		w := newWorld(t)
		copy(w.memory[int(at)%Bytes:], garbage)
		a := area(w.memory)
		a.Used.Or(1)
		a.Lanes[0].Request.Word.Store(request)
		var calls [MaxTogether]Call
		answers := make([]Answer, MaxTogether)
		for range 2 * cdata.MaxLanes {
			n, err := w.server.Take(calls[:])
			if err != nil {
				require.ErrorIs(t, err, status.Corrupt)
				return
			}
			if n == 0 {
				return
			}
			for i := range n {
				require.LessOrEqual(t, len(calls[i].Arguments), cdata.LaneRequestBytes)
			}
			w.server.Answer(calls[:n], answers[:n])
		}
		require.Fail(t, "it never ends", "lanes %b", a.Used.Load())
	})
}

// FuzzCaller has a server write what it likes.
func FuzzCaller(f *testing.F) {
	f.Add(uint64(1)<<16|cdata.LaneBytes<<8|8, []byte("12345678"))
	f.Add(uint64(1)<<16|cdata.LaneFailed<<8|255, []byte{})
	f.Fuzz(func(t *testing.T, reply uint64, data []byte) {
		w := newWorld(t)
		at := w.take(t)
		w.caller.Ask(at, &Request{})
		pair := &area(w.memory).Lanes[at]
		copy(pair.Reply.Data[:], data)
		pair.Reply.Word.Store(reply)
		if w.caller.Answered(at) {
			if answer, err := w.caller.Reply(at); err != nil {
				require.ErrorIs(t, err, status.Corrupt)
			} else {
				require.LessOrEqual(t, len(answer.Part), MaxPart)
			}
		}
		w.caller.Leave(at)
	})
}

func BenchmarkCall(b *testing.B) {
	w := newWorld(b)
	exchange := w.exchange()
	for b.Loop() {
		exchange()
	}
}

// Where polling sees nothing it becomes rare, and only what it sees makes it frequent again.
func TestPollingBecomesRare(t *testing.T) {
	w := newWorld(t)
	w.caller.SetSpin(time.Microsecond)
	at := w.take(t)
	w.caller.Ask(at, &Request{})
	polled := 0
	for range 4 << maxMissed {
		if w.caller.c.Skip.Load() == 0 {
			polled++
		}
		require.False(t, w.caller.Poll(at))
	}
	require.Greater(t, polled, maxMissed)
	require.Less(t, polled, maxMissed+8)

	w.caller.Sleep(at, 10*time.Millisecond) // long: one call polls
	require.Zero(t, w.caller.c.Skip.Load())
	require.False(t, w.caller.Poll(at))
	require.Equal(t, uint32(1<<maxMissed-1), w.caller.c.Skip.Load())

	w.answerOne(t)
	require.True(t, w.caller.Poll(at)) // at the first look: the server ran in the caller's place, perhaps
	require.Equal(t, uint32(maxMissed), w.caller.c.Missed.Load())
	w.caller.Leave(at)
}
