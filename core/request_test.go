package core

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/internal/exec"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// far gives two workers, a vertex of the second one seen from the first, and a queue of the first.
func far(t *testing.T, scheme string, udfs func() []udf.Definition) (*Worker, *Worker, *Vertex, *Queue) {
	workers := members(t, 2, scheme, udfs)
	put(t, workers[1], "there", 20)
	there, err := workers[0].OpenName("there")
	require.NoError(t, err)
	t.Cleanup(there.Release)
	return workers[0], workers[1], there, queue(t, workers[0])
}

// Requests that come together are served in one go; what is unlike the others, fails or spawns must
// not change what those come to.
func TestCallsThatComeTogether(t *testing.T) {
	mixed := func() []udf.Definition {
		return append(common(),
			goFunction("odd", udf.Short|udf.Commutative, udf.Func{Merge: addUp,
				Calculate: func(in *udf.Input, out *udf.Output) error {
					switch n := in.Arguments.Bytes[0]; n % 4 {
					case 0:
						return fmt.Errorf("number %d fails", n)
					case 1:
						reply(out, int64(n))
						return spawn(out, []vertex.ID{in.Vertex}, udf.Spawn{UDF: "value"})
					case 2:
						return nil
					default:
						reply(out, int64(n))
						return nil
					}
				}}))
	}
	for _, scheme := range []string{"tcp", "inproc"} {
		t.Run(scheme, func(t *testing.T) {
			w, _, there, q := far(t, scheme, mixed)
			odd, value, increment := function(t, w, "odd"), function(t, w, "value"), function(t, w, "increment")
			calls := make([]*Call, 300)
			for i := range calls {
				u := odd
				if i%7 == 0 {
					u = value
				}
				calls[i] = &Call{UDF: u, Targets: []*Vertex{there}, Buffer: make([]byte, 8), Tag: i,
					Arguments: udf.Value{Bytes: []byte{byte(i)}}}
			}
			require.NoError(t, q.Submit(calls))
			for _, c := range drain(t, q, len(calls)) {
				i := c.Tag.(int)
				n := int64(byte(i))
				switch {
				case i%7 == 0:
					require.Nil(t, c.Err)
					require.Equal(t, int64(20), get(c.Result.Bytes))
				case n%4 == 0:
					requireCode(t, status.UDFFailed, c.Err, fmt.Sprintf("number %d fails", n))
				case n%4 == 1:
					require.Nil(t, c.Err)
					require.Equal(t, n+20, get(c.Result.Bytes))
				case n%4 == 2:
					require.Nil(t, c.Err)
					require.Nil(t, c.Result.Bytes)
				default:
					require.Nil(t, c.Err)
					require.Equal(t, n, get(c.Result.Bytes))
				}
				require.Zero(t, c.Ticket)
				c.Clear()
			}
			require.NoError(t, q.Submit(submitted(increment, 50, there)))
			for _, c := range drain(t, q, 50) {
				require.Nil(t, c.Err)
				require.Equal(t, EffectsComplete, c.Effects)
				c.Clear()
			}
			require.Equal(t, int64(70), number(t, w, "value", there), "each update once")
			require.Zero(t, outstanding(w), "every sequence is finished")
		})
	}
}

// sorts are functions that make more of a call than an answer of its own.
func sorts() []udf.Definition {
	told := goFunction("told", udf.Short|udf.Commutative, udf.Func{Merge: addUp,
		Calculate: func(in *udf.Input, out *udf.Output) error {
			if in.Deadline == 0 {
				return fmt.Errorf("there is no deadline")
			}
			reply(out, valueOf(in)+get(in.Arguments.Bytes)+int64(len(in.Auxiliary)))
			return nil
		}})
	told.Auxiliary = []byte("five!")
	return append(common(), told,
		goFunction("doubled", udf.Short|udf.Commutative, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in))
				return nil
			},
			Finish: func(in *udf.MergeInput, out *udf.Output) error {
				reply(out, 2*get(in.Parts[0].Bytes))
				return nil
			}}),
		goFunction("batch", udf.Short, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
			out.Batch(vertex.Int64Batch("x", valueOf(in)))
			return nil
		}}),
		goFunction("twice", udf.Short, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
			reply(out, valueOf(in))
			return spawn(out, []vertex.ID{in.Vertex}, udf.Spawn{UDF: "parts"})
		}}),
		goFunction("meddles", udf.Short, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
			return out.SetValue(vertex.Int64Batch("x", -1))
		}}),
		goFunction("half", udf.Short|udf.Updates, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
			if err := spawn(out, []vertex.ID{vertex.NameID("nowhere")}, udf.Spawn{}); err != nil {
				return err
			}
			return out.SetValue(vertex.Int64Batch("x", valueOf(in)))
		}}))
}

// Calls of every sort on vertices everywhere, in one submit: each comes to the same as by Run.
func TestQueueGivesWhatRunGives(t *testing.T) {
	for _, scheme := range []string{"tcp", "inproc"} {
		t.Run(scheme, func(t *testing.T) {
			workers := members(t, 3, scheme, sorts)
			w := workers[0]
			targets := make([]*Vertex, len(workers))
			for i, owner := range workers {
				put(t, owner, fmt.Sprint("v", i), int64(i+1)*100)
				var err error
				targets[i], err = w.OpenName(fmt.Sprint("v", i))
				require.NoError(t, err)
				t.Cleanup(targets[i].Release)
			}
			table := putTable(t, workers[1], "table", 10, 3)
			group, err := w.Open(table.ID())
			require.NoError(t, err)
			t.Cleanup(group.Release)
			argument := func(n byte) udf.Value { return udf.Value{Bytes: []byte{n, 0, 0, 0, 0, 0, 0, 0}} }
			var want []string
			var calls []*Call
			add := func(name, comes string, c Call) {
				c.UDF, c.Tag, c.Buffer, c.Timeout = function(t, w, name), len(calls), make([]byte, 8), patience
				if c.Arguments.Bytes == nil {
					c.Arguments = argument(byte(len(calls)))
				}
				calls, want = append(calls, &c), append(want, name+" "+comes)
			}
			for i := range 5 * len(targets) { // the place changes from each call to the next
				v, x := targets[i%3:i%3+1], int64(i%3+1)*100
				n := func(x int64) string { return fmt.Sprintf("gives %d [] DCF_OK", x) }
				add("told", n(x+5+7), Call{Targets: v, Arguments: argument(7)})
				add("told", n(x+5+9), Call{Targets: v, Arguments: argument(7), TargetArguments: []udf.Value{argument(9)}})
				add("told", n(x+5+int64(len(calls))), Call{Targets: v, Flags: Timed})
				add("doubled", n(2*x), Call{Targets: v})
				add("batch", n(x), Call{Targets: v})
				add("twice", fmt.Sprintf("gives - [%d %d] DCF_OK", x, x), Call{Targets: v})
				add("meddles", "gives - [] DCF_UDF_FAILED", Call{Targets: v})
				add("half", "gives - [] DCF_NOT_FOUND", Call{Targets: v})
				add("value", n(45), Call{Targets: []*Vertex{group}})
				add("value", n(600), Call{Targets: targets})
			}
			comes := func(c *Call) string {
				result := "-"
				switch {
				case c.Result.Batch != nil:
					result = fmt.Sprint(c.Result.Batch.Int64(0)[0])
				case c.Result.Bytes != nil:
					result = fmt.Sprint(get(c.Result.Bytes))
				}
				parts := []int64{}
				for _, p := range c.Parts {
					parts = append(parts, get(p.Bytes))
				}
				return fmt.Sprintf("%s gives %s %v %v", c.UDF.Name(), result, parts, status.Of(c.Failure()))
			}
			type rest struct {
				effects Effects
				by      uint64
				timed   bool
			}
			restOf := func(c *Call) rest {
				return rest{c.Effects, c.ServedBy, c.ServedFor > 0}
			}
			var run []rest
			for i, c := range calls {
				one := []Call{*c}
				require.NoError(t, w.Run(one))
				require.Equal(t, want[i], comes(&one[0]))
				run = append(run, restOf(&one[0]))
				one[0].Clear()
			}
			q := queue(t, w)
			require.NoError(t, q.Submit(calls))
			for _, c := range drain(t, q, len(calls)) {
				i := c.Tag.(int)
				require.Equal(t, want[i], comes(c))
				require.Equal(t, run[i], restOf(c), "%s on %v", want[i], c.Targets[0].id)
				c.Clear()
			}
		})
	}
}

// A function of another worker that never returns: the call comes back at its deadline, or when it
// is cancelled, and calls that come behind it are served.
func TestQueueLeavesTheOwnerBehind(t *testing.T) {
	s, update := newStuck(t), newStuck(t)
	both := func() []udf.Definition {
		return append(common(), goFunction("stuck", udf.Short, udf.Func{Calculate: s.calculate}),
			goFunction("stuck_update", udf.Updates, udf.Func{Calculate: update.calculate}))
	}
	w, _, there, q := far(t, "tcp", both)
	c := s.timesOut(t, late(t, q, function(t, w, "stuck"), there))
	require.Zero(t, c.Ticket, "it only reads")
	cancelled := submitted(function(t, w, "stuck"), 1, there)
	require.NoError(t, q.Submit(cancelled))
	<-s.entered
	require.NoError(t, q.Submit(submitted(function(t, w, "value"), 1, there)))
	require.Nil(t, drain(t, q, 1)[0].Err)
	require.NoError(t, q.Cancel(cancelled[0].Ticket))
	requireCode(t, status.Cancelled, drain(t, q, 1)[0].Err)
	requireCode(t, status.NotFound, q.Cancel(cancelled[0].Ticket), "under way")
	c = update.timesOut(t, late(t, q, function(t, w, "stuck_update"), there))
	require.Equal(t, EffectsUnknown, c.Effects)
	require.NotZero(t, c.Ticket)
	require.Equal(t, 1, outstanding(w), "it may be made again")
	c.Clear()
	require.Zero(t, outstanding(w))
	s.let()
	update.let()
}

// outstanding gives how many sequences of a worker are not finished.
func outstanding(w *Worker) int {
	w.sequence.Lock()
	defer w.sequence.Unlock()
	return w.sequences.Outstanding()
}

// Whoever waits for the descriptor and not in Poll is told of answers from elsewhere.
func TestQueueDescriptorForCallsElsewhere(t *testing.T) {
	w, _, there, q := far(t, "tcp", common)
	fds := []unix.PollFd{{Fd: int32(q.FD()), Events: unix.POLLIN}}
	for range 20 {
		require.NoError(t, q.Submit(submitted(function(t, w, "value"), 5, there)))
		for got := 0; got < 5; {
			n, err := unix.Poll(fds, int(patience.Milliseconds()))
			require.NoError(t, err)
			require.Equal(t, 1, n)
			done := make([]*Call, 2)
			n, err = q.Poll(done, -1)
			require.NoError(t, err)
			got += n
		}
	}
	n, err := unix.Poll(fds, 0)
	require.NoError(t, err)
	require.Zero(t, n, "nothing is left to poll")
}

// A poll that waited reads answers itself, and nobody is signalled for them: what it leaves makes the
// descriptor readable all the same, and so does what ends after it.
func TestQueueDescriptorAfterAPollThatWaited(t *testing.T) {
	w, _, there, q := far(t, "tcp", common)
	for left := 0; left == 0; { // what is read in one go is a matter of luck
		require.NoError(t, q.Submit(submitted(function(t, w, "value"), 5, there)))
		n, err := q.Poll(make([]*Call, 1), patience)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		q.mu.Lock()
		left = len(q.done)
		q.mu.Unlock()
		if left > 0 {
			require.True(t, readable(t, q, 0), "%d are left to poll", left)
		}
		drain(t, q, 4)
	}
	n, err := q.Poll(make([]*Call, 1), -1)
	require.NoError(t, err)
	require.Zero(t, n)
	require.False(t, readable(t, q, 0))
	for _, v := range []*Vertex{there, put(t, w, "here", 1)} {
		require.NoError(t, q.Submit(submitted(function(t, w, "value"), 1, v)))
		require.True(t, readable(t, q, patience))
		drain(t, q, 1)
	}
}

// An owner that does not have the function: the data comes here, from a queue too.
func TestQueueFallsBackToTheData(t *testing.T) {
	workers := members(t, 2, "tcp", nil)
	put(t, workers[1], "there", 20)
	there, err := workers[0].OpenName("there")
	require.NoError(t, err)
	defer there.Release()
	for _, def := range common() {
		_, err := workers[0].Register(def)
		require.NoError(t, err)
	}
	q := queue(t, workers[0])
	require.NoError(t, q.Submit(submitted(function(t, workers[0], "value"), 3, there)))
	for _, c := range drain(t, q, 3) {
		require.Nil(t, c.Err)
		require.Equal(t, int64(20), get(c.Result.Bytes))
		c.Clear()
	}
}

// Calls whose owner goes away end.
func TestQueueWhenTheOwnerGoes(t *testing.T) {
	s := newStuck(t)
	both := func() []udf.Definition {
		return append(common(), goFunction("stuck", udf.Short|udf.Updates, udf.Func{Calculate: s.calculate}))
	}
	w, owner, there, q := far(t, "tcp", both)
	calls := submitted(function(t, w, "stuck"), 1, there)
	require.NoError(t, q.Submit(calls))
	<-s.entered
	owner.kill()
	c := drain(t, q, 1)[0]
	require.NotNil(t, c.Err)
	require.Equal(t, EffectsUnknown, c.Effects)
	require.NotZero(t, c.Ticket)
	c.Clear()
	s.let()
}

// A connection breaks between a cancel and its request's end: the call ends, and is not sent again.
func TestCancelOfARequestThatIsLost(t *testing.T) {
	s := newStuck(t)
	both := func() []udf.Definition {
		return append(common(), goFunction("stuck", 0, udf.Func{Calculate: s.calculate}))
	}
	p := newProxy(t, func() int { return math.MaxInt })
	owner := behind(t, p, both)
	put(t, owner, "there", 0)
	client := open(t, Options{Join: []string{p.address()}, UDFs: both()})
	there, err := client.OpenName("there")
	require.NoError(t, err)
	defer there.Release()
	require.Zero(t, number(t, client, "value", there)) // its owner is known from here on
	q := queue(t, client)
	require.NoError(t, q.Submit(submitted(function(t, client, "stuck"), 1, there)))
	<-s.entered
	q.mu.Lock()
	request := q.going[0].cancel()
	q.mu.Unlock()
	p.cut()
	c := drain(t, q, 1)[0]
	requireCode(t, status.Cancelled, c.Err)
	request.End(errCancelled()) // which has ended
	c.Clear()
	s.let()
}

// Whoever runs a queue's request is told when it is cancelled, or its deadline passes.
func TestOwnerIsToldThatARequestIsNotWanted(t *testing.T) {
	for _, scheme := range []string{"tcp", "inproc"} {
		s, told := newStuck(t), make(chan bool, 100)
		waiting := func() []udf.Definition {
			return append(common(), goFunction("waiting", 0, udf.Func{
				Calculate: func(in *udf.Input, _ *udf.Output) error {
					s.entered <- struct{}{}
					limit := time.Now().Add(patience)
					for in.Cancelled.Load() == 0 && time.Now().Before(limit) {
						runtime.Gosched()
					}
					told <- in.Cancelled.Load() != 0
					return nil
				}}))
		}
		w, _, there, q := far(t, scheme, waiting)
		calls := submitted(function(t, w, "waiting"), 1, there)
		require.NoError(t, q.Submit(calls))
		<-s.entered
		require.NoError(t, q.Cancel(calls[0].Ticket))
		requireCode(t, status.Cancelled, drain(t, q, 1)[0].Err)
		require.True(t, <-told, "%s: it was cancelled", scheme)

		s.timesOut(t, late(t, q, function(t, w, "waiting"), there))
		require.True(t, <-told, "%s: its time is over", scheme)
	}
}

// Connections break in the middle of replies to a queue's updates: each is applied once, or reported
// as unknown and applied at most once.
func TestCutRepliesToAQueue(t *testing.T) {
	var armed atomic.Bool
	cut := func() int {
		if !armed.Load() {
			return math.MaxInt
		}
		return 450 // a Hello, and part of what a few calls come to
	}
	p := newProxy(t, cut)
	owner := behind(t, p, common)
	v := put(t, owner, "counter", 0)
	client := open(t, Options{Join: []string{p.address()}, UDFs: common()})
	remote, err := client.OpenName("counter")
	require.NoError(t, err)
	defer remote.Release()
	require.Equal(t, int64(0), number(t, client, "value", remote)) // its owner is known from here on
	armed.Store(true)
	p.cut()
	q := queue(t, client)
	applied, unknown := int64(0), int64(0)
	for range 20 {
		require.NoError(t, q.Submit(submitted(function(t, client, "increment"), 8, remote)))
		for _, c := range drain(t, q, 8) {
			switch {
			case c.Err == nil:
				applied++
			case c.Effects == EffectsUnknown:
				unknown++
			default:
				require.Equal(t, EffectsNone, c.Effects)
			}
			c.Clear()
		}
	}
	got := number(t, owner, "value", v)
	t.Logf("%d applied, %d unknown, counter %d", applied, unknown, got)
	require.GreaterOrEqual(t, got, applied, "an update that was answered is lost")
	require.LessOrEqual(t, got, applied+unknown, "an update was applied twice")
	require.Greater(t, applied, int64(80))
}

func TestDepthIsLimited(t *testing.T) {
	endless := func() []udf.Definition {
		return []udf.Definition{goFunction("endless", udf.Short|udf.Commutative, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, 1)
				return spawn(out, []vertex.ID{in.Vertex}, udf.Spawn{})
			}})}
	}
	w, _, there, _ := far(t, "tcp", endless)
	here := put(t, w, "here", 1)
	for _, v := range []*Vertex{here, there} {
		c := call(t, w, Call{UDF: function(t, w, "endless"), Targets: []*Vertex{v}})
		requireCode(t, status.Exhausted, c.Err, fmt.Sprint(exec.MaxDepth), "MaxDepth")
	}
}
