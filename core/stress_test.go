package core

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/status"
	"dcf/udf"
)

// Clients submit everything at once to their queues while connections break and queues are closed:
// each call comes back once, with its own answer or with an error that it can have, and each update
// was applied as often as its effects say.

const (
	stressRounds = 40
	stressBatch  = 12
)

// fate is one call of the stress test, and what is known about it.
type fate struct {
	Call
	number    int64    // its argument
	want      int64    // of a read
	fails     bool     // its function does
	waits     bool     // its function does not return before it is asked to
	counter   *counter // of an update
	short     bool     // its deadline may pass
	cancelled atomic.Bool
	retried   bool // under its ticket
	back      atomic.Int32
	round     *sync.WaitGroup
	last      bool // of its queue
}

// counter is a vertex that is counted up.
type counter struct {
	at      *Vertex // at its owner
	applied atomic.Int64
	unknown atomic.Int64
}

func stressed() []udf.Definition {
	return append(common(),
		goFunction("plus", udf.Short|udf.Commutative, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in)+get(in.Arguments.Bytes))
				return nil
			}}),
		goFunction("long_plus", udf.Commutative, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in)+get(in.Arguments.Bytes))
				return nil
			}}),
		goFunction("fails", udf.Short, udf.Func{Calculate: func(in *udf.Input, _ *udf.Output) error {
			return fmt.Errorf("number %d fails", get(in.Arguments.Bytes))
		}}),
		goFunction("waits", 0, udf.Func{Calculate: func(in *udf.Input, _ *udf.Output) error {
			for in.Cancelled.Load() == 0 {
				runtime.Gosched()
			}
			return fmt.Errorf("asked to stop")
		}}))
}

// stress is one client of the test.
type stress struct {
	t        *testing.T
	w        *Worker
	udfs     map[string]*UDF
	values   []*Vertex // which hold 1000, 2000, ...
	counters []*counter
	handles  []*Vertex // to counters
	cuts     bool      // connections may break
	number   atomic.Int64
}

func TestStressOfQueues(t *testing.T) {
	for _, scheme := range []string{"tcp", "inproc"} {
		t.Run(scheme, func(t *testing.T) {
			random := seeded(t)
			var address string
			var cut func()
			owners := make([]*Worker, 2)
			if scheme == "tcp" {
				p := newProxy(t, func() int { return math.MaxInt })
				owners[0] = behind(t, p, stressed)
				address, cut = p.address(), p.cut
			} else {
				owners[0] = open(t, Options{NodeID: 1, Listen: []string{"inproc://" + t.Name()}, UDFs: stressed()})
				address = owners[0].Addresses()[0]
			}
			listen := "tcp://127.0.0.1:0"
			if scheme == "inproc" {
				listen = "inproc://" + t.Name() + "-2"
			}
			owners[1] = open(t, Options{NodeID: 2, Listen: []string{listen}, Join: owners[0].Addresses(),
				UDFs: stressed()})
			var counters []*counter
			for i, o := range owners {
				put(t, o, fmt.Sprint("value", i), int64(i+1)*1000)
				counters = append(counters, &counter{at: put(t, o, fmt.Sprint("counter", i), 0)})
			}
			clients := make([]*stress, 2)
			for i := range clients {
				clients[i] = newStress(t, open(t, Options{Join: []string{address}, UDFs: stressed()}), counters)
				clients[i].cuts = cut != nil
			}
			runStress(t, random, clients, cut)
			for i, c := range counters {
				got, applied := number(t, owners[i], "value", c.at), c.applied.Load()
				t.Logf("counter %d: %d, %d applied, %d unknown", i, got, applied, c.unknown.Load())
				require.GreaterOrEqual(t, got, applied, "an update that was answered is lost")
				require.LessOrEqual(t, got, applied+c.unknown.Load(), "an update was applied twice")
			}
			for _, s := range clients {
				s.settled()
			}
		})
	}
}

// newStress opens what a client calls: vertices of owners, and some of its own.
func newStress(t *testing.T, w *Worker, counters []*counter) *stress {
	s := &stress{t: t, w: w, udfs: map[string]*UDF{}}
	for _, name := range []string{"plus", "long_plus", "fails", "waits", "increment"} {
		s.udfs[name] = function(t, w, name)
	}
	opened := func(name string) *Vertex {
		v, err := w.OpenName(name)
		require.NoError(t, err)
		t.Cleanup(v.Release)
		return v
	}
	for i, c := range counters {
		s.values = append(s.values, opened(fmt.Sprint("value", i)))
		s.counters, s.handles = append(s.counters, c), append(s.handles, opened(fmt.Sprint("counter", i)))
	}
	s.values = append(s.values, put(t, w, "", int64(len(counters)+1)*1000))
	own := &counter{at: put(t, w, "", 0)}
	s.counters, s.handles = append(s.counters, own), append(s.handles, own.at)
	return s
}

// settled looks whether a client is as if nothing had happened.
func (s *stress) settled() {
	own := s.counters[len(s.counters)-1]
	got, applied := number(s.t, s.w, "value", own.at), own.applied.Load()
	require.GreaterOrEqual(s.t, got, applied)
	require.LessOrEqual(s.t, got, applied+own.unknown.Load())
	require.Eventually(s.t, func() bool {
		return outstanding(s.w) == 0 && s.w.overdue.Load() == 0 && s.w.running.Load() == 0
	}, patience, time.Millisecond, "calls are left behind")
	for i, v := range s.values {
		require.Equal(s.t, int64(i+1)*1000+5, get(call(s.t, s.w, Call{UDF: s.udfs["plus"], Targets: []*Vertex{v},
			Buffer: make([]byte, 8), Arguments: argument(5)}).Result.Bytes))
	}
}

func argument(n int64) udf.Value {
	return udf.Value{Bytes: binary.LittleEndian.AppendUint64(nil, uint64(n))}
}

// invent makes a call up.
func (s *stress) invent(r *rand.Rand, round *sync.WaitGroup) *fate {
	f := &fate{round: round, number: s.number.Add(1)}
	f.Call = Call{Buffer: make([]byte, 8), Arguments: argument(f.number), Tag: f}
	one := r.IntN(len(s.values))
	f.UDF, f.Targets = s.udfs["plus"], s.values[one:one+1]
	f.want = int64(one+1)*1000 + f.number
	if f.short = r.IntN(10) == 0; f.short {
		f.Timeout = time.Duration(1 + r.IntN(3_000_000))
	}
	switch r.IntN(20) {
	case 0, 1, 2, 3:
		f.UDF = s.udfs["long_plus"]
	case 4, 5:
		f.Targets, f.want = nil, 0
		for range 2 + r.IntN(2) {
			at := r.IntN(len(s.values))
			f.Targets, f.want = append(f.Targets, s.values[at]), f.want+int64(at+1)*1000+f.number
		}
	case 6:
		f.TargetArguments, f.Arguments = []udf.Value{f.Arguments}, argument(-1)
	case 7, 8:
		f.UDF, f.fails = s.udfs["fails"], true
	case 9:
		f.UDF, f.waits = s.udfs["waits"], true
	case 10, 11, 12, 13, 14:
		at := r.IntN(len(s.handles))
		f.UDF, f.Targets, f.counter = s.udfs["increment"], s.handles[at:at+1], s.counters[at]
	}
	return f
}

// submit submits calls that it makes up, and cancels some, all those among them that nothing else ends.
// It gives what the queue took.
func (s *stress) submit(r *rand.Rand, q *Queue, round *sync.WaitGroup) []*fate {
	fates, calls := make([]*fate, 1+r.IntN(stressBatch)), []*Call(nil)
	for i := range fates {
		fates[i] = s.invent(r, round)
		calls = append(calls, &fates[i].Call)
		// Before it may come back, and known to be cancelled before it is.
		fates[i].cancelled.Store(r.IntN(12) == 0 || fates[i].waits && !fates[i].short)
	}
	round.Add(len(fates))
	tickets := make([]uint64, len(calls))
	err := q.SubmitThen(calls, func() {
		for i, c := range calls {
			tickets[i] = c.Ticket
		}
	})
	if err != nil {
		round.Add(-len(fates))
		assert.Equal(s.t, status.BadHandle, status.Of(err), "%v", err)
		return nil
	}
	for i, f := range fates {
		if f.cancelled.Load() {
			if err := q.Cancel(tickets[i]); err != nil && status.Of(err) != status.BadHandle {
				assert.Equal(s.t, status.NotFound, status.Of(err), "%v", err)
			}
		}
	}
	return fates
}

// poll takes what comes back, until the last call does.
func (s *stress) poll(q *Queue, byDescriptor bool) {
	done := make([]*Call, 5)
	for last := false; !last; {
		wait := patience
		if byDescriptor {
			fds := []unix.PollFd{{Fd: int32(q.FD()), Events: unix.POLLIN}}
			_, err := unix.Poll(fds, int(patience.Milliseconds()))
			if err == unix.EINTR {
				continue
			}
			wait = -1
		}
		n, err := q.Poll(done, wait)
		if !assert.NoError(s.t, err) || !byDescriptor && !assert.NotZero(s.t, n, "nothing comes back") {
			return
		}
		for _, c := range done[:n] {
			last = s.take(q, c.Tag.(*fate)) || last
		}
	}
}

// take judges a call that came back, and makes it again where nobody knows what it did.
func (s *stress) take(q *Queue, f *fate) (last bool) {
	assert.Equal(s.t, int32(1), f.back.Add(1), "a call came back twice")
	s.judge(f)
	if f.counter != nil && f.Effects == EffectsUnknown && f.Ticket != 0 && !f.retried {
		f.retried, f.Timeout = true, 0
		f.back.Store(0)
		if assert.NoError(s.t, q.Submit([]*Call{&f.Call})) {
			return false
		}
	}
	if f.counter != nil {
		f.counted()
	}
	f.Clear()
	f.round.Done()
	return f.last
}

// counted adds an update that ended to those of its counter. What was made again under its ticket and
// failed may have been applied before.
func (f *fate) counted() {
	switch {
	case f.Err == nil:
		f.counter.applied.Add(1)
	case f.retried || f.Effects != EffectsNone:
		f.counter.unknown.Add(1)
	}
}

// judge says whether a call may have ended as it did.
func (s *stress) judge(f *fate) {
	if f.Effects != EffectsUnknown {
		assert.Zero(s.t, f.Ticket)
	}
	if f.Err != nil {
		assert.True(s.t, s.explained(f), "%v of call %d", f.Err, f.number)
		assert.NotEqual(s.t, EffectsComplete, f.Effects)
		assert.True(s.t, f.counter != nil || f.Effects == EffectsNone, "it only reads")
		return
	}
	assert.False(s.t, f.fails || f.waits, "it has no answer to give")
	if !assert.Len(s.t, f.Result.Bytes, 8) {
		return
	}
	assert.Same(s.t, &f.Buffer[0], &f.Result.Bytes[0], "the answer lies elsewhere")
	if f.counter != nil {
		assert.Equal(s.t, EffectsComplete, f.Effects)
		assert.Positive(s.t, get(f.Result.Bytes))
		return
	}
	assert.Equal(s.t, f.want, get(f.Result.Bytes), "the answer of another call")
	assert.Equal(s.t, EffectsNone, f.Effects)
}

// explained says whether a call's error is one that it can have.
func (s *stress) explained(f *fate) bool {
	switch f.Err.Code {
	case status.UDFFailed:
		return f.waits || f.fails && strings.HasSuffix(f.Err.Message, fmt.Sprintf("number %d fails", f.number))
	case status.Timeout:
		return f.short
	case status.Cancelled:
		return f.cancelled.Load()
	case status.Unavailable:
		return s.cuts
	}
	return false
}

// closes opens queues and closes them in the middle of calls, and of another goroutine's submitting.
// Who closes a queue does not learn what its calls did.
func (s *stress) closes(r *rand.Rand) {
	for range stressRounds / 4 {
		q, err := s.w.OpenQueue()
		if !assert.NoError(s.t, err) {
			return
		}
		var round sync.WaitGroup
		fates := s.submit(r, q, &round)
		var more []*fate
		var other sync.WaitGroup
		second := rand.New(rand.NewPCG(r.Uint64(), 0))
		other.Go(func() { more = s.submit(second, q, &round) })
		done := make([]*Call, 3)
		n, err := q.Poll(done, time.Duration(r.IntN(1_000_000))-1)
		assert.NoError(s.t, err)
		for _, c := range done[:n] {
			f := c.Tag.(*fate)
			assert.Equal(s.t, int32(1), f.back.Add(1))
			s.judge(f)
			if f.counter != nil {
				f.counted()
			}
			f.Clear()
		}
		assert.NoError(s.t, q.Close())
		other.Wait()
		for _, f := range append(fates, more...) {
			if f.back.Load() > 0 {
				continue
			}
			if f.counter != nil {
				f.counter.unknown.Add(1)
			}
			f.Clear()
			clear(f.Buffer) // it is the caller's: the race detector sees who else writes it
		}
	}
}

// runStress has each client use two queues, of which one is polled by its descriptor, and close more.
func runStress(t *testing.T, random *rand.Rand, clients []*stress, cut func()) {
	var submitting, polling sync.WaitGroup
	var queues []*Queue
	for _, s := range clients {
		for i := range 2 {
			q := queue(t, s.w)
			queues = append(queues, q)
			polling.Go(func() { s.poll(q, i == 1) })
			for range 2 {
				r := rand.New(rand.NewPCG(random.Uint64(), 0))
				submitting.Go(func() {
					var round sync.WaitGroup
					for range stressRounds {
						s.submit(r, q, &round)
						if r.IntN(3) == 0 {
							round.Wait()
						}
						if cut != nil && r.IntN(20) == 0 {
							cut()
						}
					}
					round.Wait()
				})
			}
		}
		r := rand.New(rand.NewPCG(random.Uint64(), 0))
		submitting.Go(func() { s.closes(r) })
	}
	submitting.Wait()
	var end sync.WaitGroup
	for i, q := range queues {
		s := clients[i/2]
		f := &fate{round: &end, last: true, number: 1, want: 3001}
		f.Call = Call{UDF: s.udfs["plus"], Targets: s.values[2:3], Buffer: make([]byte, 8), Arguments: argument(1), Tag: f}
		end.Add(1)
		require.NoError(t, q.Submit([]*Call{&f.Call}))
	}
	polling.Wait()
}
