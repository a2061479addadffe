package core

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/status"
	"dcf/udf"
)

func queue(t *testing.T, w *Worker) *Queue {
	t.Helper()
	q, err := w.OpenQueue()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

// drain polls until so many calls came back.
func drain(t *testing.T, q *Queue, n int) []*Call {
	t.Helper()
	var all []*Call
	done := make([]*Call, 7)
	for len(all) < n {
		got, err := q.Poll(done, patience)
		require.NoError(t, err)
		require.NotZero(t, got, "%d of %d calls came back", len(all), n)
		all = append(all, done[:got]...)
	}
	return all
}

func submitted(u *UDF, n int, v *Vertex) []*Call {
	calls := make([]*Call, n)
	for i := range calls {
		calls[i] = &Call{UDF: u, Targets: []*Vertex{v}, Buffer: make([]byte, 8), Tag: i,
			Arguments: udf.Value{Bytes: []byte{1, 2, 3}}}
	}
	return calls
}

func TestQueueGivesEachCallBackOnce(t *testing.T) {
	workers := members(t, 2, "tcp", common)
	put(t, workers[1], "there", 20)
	there, err := workers[0].OpenName("there")
	require.NoError(t, err)
	defer there.Release()
	here := put(t, workers[0], "here", 10)
	q := queue(t, workers[0])
	for _, v := range []*Vertex{here, there} {
		want, err := v.Info()
		require.NoError(t, err)
		calls := submitted(function(t, workers[0], "value"), 100, v)
		require.NoError(t, q.Submit(calls))
		seen := map[any]bool{}
		for _, c := range drain(t, q, 100) {
			require.Nil(t, c.Err)
			require.False(t, seen[c.Tag])
			seen[c.Tag] = true
			require.Equal(t, number(t, workers[0], "value", v), get(c.Result.Bytes))
			require.Equal(t, want.Version, c.Version)
			require.Zero(t, c.Ticket)
			c.Clear()
		}
	}
	got, err := q.Poll(make([]*Call, 1), -1)
	require.NoError(t, err)
	require.Zero(t, got)
}

func TestQueueDescriptor(t *testing.T) {
	w := open(t, Options{UDFs: common()})
	v := put(t, w, "v", 1)
	q := queue(t, w)
	require.False(t, readable(t, q, 0))
	require.NoError(t, q.Submit(submitted(function(t, w, "value"), 3, v)))
	require.True(t, readable(t, q, patience))
	drain(t, q, 3)
	require.False(t, readable(t, q, 0), "nothing is left to poll")
}

// readable says whether a queue's descriptor is, or becomes so in time.
func readable(t *testing.T, q *Queue, wait time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(q.FD()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(wait.Milliseconds()))
	require.NoError(t, err)
	return n == 1
}

func TestQueueRefusals(t *testing.T) {
	w := open(t, Options{UDFs: common()})
	v := put(t, w, "v", 1)
	q := queue(t, w)
	u := function(t, w, "value")
	calls := submitted(u, 2, v)
	calls[1].Targets = nil
	requireCode(t, status.InvalidArgument, q.Submit(calls), "no target")
	got, err := q.Poll(make([]*Call, 1), -1)
	require.NoError(t, err)
	require.Zero(t, got, "a refused submit takes none")
	requireCode(t, status.Exhausted, q.Submit(submitted(u, MaxQueued+1, v)), "MaxQueued")
	requireCode(t, status.NotFound, q.Cancel(12345), "12345")
	require.Equal(t, int64(1), number(t, w, "value", v))

	closed, err := w.OpenQueue()
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	require.NoError(t, closed.Close(), "twice is fine")
	requireCode(t, status.BadHandle, closed.Submit(submitted(u, 1, v)), "closed")
	_, err = closed.Poll(make([]*Call, 1), -1)
	requireCode(t, status.BadHandle, err, "closed")
}

// late gives what submits a call with a timeout, and has it back.
func late(t *testing.T, q *Queue, u *UDF, v *Vertex) func(timeout time.Duration) *Call {
	return func(timeout time.Duration) *Call {
		calls := submitted(u, 1, v)
		calls[0].Timeout = timeout
		require.NoError(t, q.Submit(calls))
		c := drain(t, q, 1)[0]
		require.Same(t, calls[0], c)
		return c
	}
}

// A call whose function never returns comes back at its deadline, one that looks at its flag when it
// is cancelled; what they use is not freed under them.
func TestQueueDeadlineAndCancel(t *testing.T) {
	s, entered := newStuck(t), make(chan struct{})
	w := open(t, Options{UDFs: []udf.Definition{
		goFunction("stuck", udf.Commutative, udf.Func{Calculate: s.calculate}),
		goFunction("polite", udf.Commutative, udf.Func{Calculate: func(in *udf.Input, _ *udf.Output) error {
			entered <- struct{}{}
			for in.Cancelled.Load() == 0 {
				runtime.Gosched()
			}
			return fmt.Errorf("asked to stop")
		}}),
	}})
	v := put(t, w, "v", 1)
	q := queue(t, w)
	c := s.timesOut(t, late(t, q, function(t, w, "stuck"), v))
	requireCode(t, status.Timeout, c.Err, "still runs")
	c.Clear()

	polite := submitted(function(t, w, "polite"), 1, v)
	require.NoError(t, q.Submit(polite))
	<-entered
	require.NoError(t, q.Cancel(polite[0].Ticket))
	requireCode(t, status.UDFFailed, drain(t, q, 1)[0].Err, "asked to stop")
	s.let()
}

// A function that only its caller's thread may run is run by the thread that polls.
func TestQueueRunsCallersFunctionsInPoll(t *testing.T) {
	thread := make(chan int, 10)
	def := goFunction("mine", udf.CallerThread, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
		thread <- unix.Gettid()
		reply(out, 5)
		return nil
	}})
	w := open(t, Options{UDFs: []udf.Definition{def}})
	v := put(t, w, "v", 1)
	q := queue(t, w)
	require.NoError(t, q.Submit(submitted(function(t, w, "mine"), 2, v)))
	require.Empty(t, thread, "nobody polled yet")
	for range 2 {
		require.True(t, readable(t, q, 0), "there is one to run")
		c := drain(t, q, 1)[0]
		require.Nil(t, c.Err)
		require.Equal(t, int64(5), get(c.Result.Bytes))
	}
	require.Len(t, thread, 2)
	require.False(t, readable(t, q, 0))
}

// An update that does not return may still be applied; when it has returned its thread counts no more.
func TestQueueLeavesAnUpdateBehind(t *testing.T) {
	s := newStuck(t)
	w := open(t, Options{UDFs: []udf.Definition{goFunction("stuck", udf.Updates, udf.Func{Calculate: s.calculate})}})
	v := put(t, w, "v", 1)
	q := queue(t, w)
	c := s.timesOut(t, late(t, q, function(t, w, "stuck"), v))
	requireCode(t, status.Timeout, c.Err, "still runs")
	require.Equal(t, EffectsUnknown, c.Effects)
	c.Clear()
	overdue := func() int64 { return stat(w, "calls.overdue") }
	require.Positive(t, overdue())
	s.let()
	require.Eventually(t, func() bool { return overdue() == 0 }, patience, time.Millisecond)
}

// A function whose call was given back at its deadline is told, as it is when another worker runs it.
func TestQueueTellsWhatItLeavesBehind(t *testing.T) {
	w := open(t, Options{UDFs: []udf.Definition{goFunction("patient", udf.Commutative, udf.Func{
		Calculate: func(in *udf.Input, _ *udf.Output) error {
			for in.Cancelled.Load() == 0 {
				runtime.Gosched()
			}
			return fmt.Errorf("asked to stop")
		}})}})
	v := put(t, w, "v", 1)
	q := queue(t, w)
	c := late(t, q, function(t, w, "patient"), v)(10 * time.Millisecond)
	requireCode(t, status.Timeout, c.Err, "still runs")
	require.Eventually(t, func() bool { return w.overdue.Load() == 0 }, patience, time.Millisecond)
}

// The call with the first deadline is the first to come back, in whatever order they are submitted.
func TestQueueMindsTheFirstDeadline(t *testing.T) {
	s := newStuck(t)
	w := open(t, Options{UDFs: []udf.Definition{goFunction("stuck", udf.Commutative, udf.Func{Calculate: s.calculate})}})
	v := put(t, w, "v", 1)
	for name, splits := range map[string][]int{"one submit": {0, 3}, "one each": {0, 1, 2, 3}} {
		q := queue(t, w)
		calls := submitted(function(t, w, "stuck"), 3, v)
		calls[0].Timeout, calls[1].Timeout, calls[2].Timeout = time.Hour, time.Millisecond, time.Hour
		for i := range splits[1:] {
			require.NoError(t, q.Submit(calls[splits[i]:splits[i+1]]), name)
		}
		require.Same(t, calls[1], drain(t, q, 1)[0])
		requireCode(t, status.Timeout, calls[1].Err)
		for _, c := range []*Call{calls[0], calls[2]} { // their function is told, and does not listen
			require.NoError(t, q.Cancel(c.Ticket))
		}
	}
	s.let()
	require.Eventually(t, func() bool { return w.overdue.Load() == 0 && outstanding(w) == 0 }, patience, time.Millisecond)
}

// A call that only the polling thread may run, and that is not polled in time, leaves nothing behind.
func TestQueueThatIsNotPolledInTime(t *testing.T) {
	w := open(t, Options{UDFs: []udf.Definition{goFunction("mine", udf.CallerThread, udf.Func{
		Calculate: func(*udf.Input, *udf.Output) error { panic("its call is over") }})}})
	v := put(t, w, "v", 1)
	q := queue(t, w)
	calls := submitted(function(t, w, "mine"), 2, v)
	calls[0].Timeout, calls[1].Timeout = time.Millisecond, time.Millisecond
	require.NoError(t, q.Submit(calls))
	require.Eventually(t, func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.done) == 2
	}, patience, time.Millisecond)
	for _, c := range drain(t, q, 2) {
		requireCode(t, status.Timeout, c.Err, "not polled in time")
	}
	require.Zero(t, outstanding(w))
	require.Zero(t, w.overdue.Load())
}

// Close ends what another worker runs, and leaves behind here what does not return.
func TestQueueClosedWithCallsUnderWay(t *testing.T) {
	s, mine := newStuck(t), newStuck(t)
	both := func() []udf.Definition {
		return append(common(), goFunction("stuck", udf.Commutative, udf.Func{Calculate: s.calculate}),
			goFunction("stuck_here", udf.Commutative, udf.Func{Calculate: mine.calculate}))
	}
	w, _, there, _ := far(t, "tcp", both)
	stuck := function(t, w, "stuck")
	q, err := w.OpenQueue()
	require.NoError(t, err)
	require.NoError(t, q.Submit(submitted(stuck, 3, there)))
	require.NoError(t, q.close(clock.After(time.Hour)), "the owner is told, and not waited for")
	require.Zero(t, outstanding(w))

	q, err = w.OpenQueue()
	require.NoError(t, err)
	calls := submitted(function(t, w, "stuck_here"), 2, put(t, w, "here", 1))
	require.NoError(t, q.Submit(calls))
	<-mine.entered
	<-mine.entered // what has not begun would end at once
	requireCode(t, status.Timeout, q.close(clock.Now()), "2 calls", "left behind")
	require.Equal(t, int64(2), w.overdue.Load())
	require.Equal(t, 2, outstanding(w))
	s.let()
	mine.let()
	require.Eventually(t, func() bool { return w.overdue.Load() == 0 && outstanding(w) == 0 }, patience, time.Millisecond)
	for _, c := range calls {
		require.Nil(t, c.Result.Bytes, "the call is its caller's again")
	}
}
