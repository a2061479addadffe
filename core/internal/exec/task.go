package exec

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"dcf/core/internal/clock"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// Origin names the call that a task belongs to in the whole cluster.
type Origin struct {
	Node        uint64
	Incarnation uint32
	Sequence    uint64
	Floor       uint64 // every sequence of this worker below it is finished
}

// Task is a call, or the part of one that came to this worker in one frame: what is still to be
// calculated, what is under way elsewhere, and the parts so far. One goroutine runs it.
type Task struct {
	Engine    *Engine
	Origin    Origin
	Resent    bool      // its frame may have come before
	Foreign   bool      // it came from another process: updates are applied exactly once
	Nameless  bool      // what came does not say of which call it is: ONCE spawns cannot run
	Called    *Function // whose merge folds; nil: parts go home as they are
	Arguments udf.Value // of the call, borrowed until the task ends
	Deadline  int64     // CLOCK_MONOTONIC
	Depth     uint32    // frames between the call and this one
	Place     uint32    // core's business: where the caller wants it to run
	Budget    uint64    // spawns that are left
	TraceID   uint64
	ReadOnly  bool   // the called function does not update: nothing in its tree may
	Started   int64  // CLOCK_MONOTONIC; whoever wants it sets it
	Phase     uint32 // core's business

	// Results.
	Err        *status.Error
	Effects    Effects
	Parts      []Part // folded, or in depth-first order
	Version    uint64 // of the last vertex that was read or made
	Calculates uint64 // that ran here
	Ran        []Runs // elsewhere
	How        uint16 // as core.ServedHow: how far away the furthest of those ran
	Moved      uint64
	Fetched    uint64

	own       *atomic.Uint32 // the flag that belongs to the task
	cancelled *atomic.Uint32 // the flag in use
	ready     []Item
	away      []Item
	pending   []Pending
	scratch   [2]udf.Scratch  // the first holds the bytes of parts, the second those of the next fold
	wave      *[WaveSize]Item // whose inputs and outputs stand in the frame; empty between waves
	mayBlock  bool
	blocked   bool // RunHere met something that would block
}

// idleTasks are tasks that nobody uses. They hold memory outside the Go heap, so it is not left to
// the collector to drop them.
type idleTasks struct {
	mu    sync.Mutex
	tasks []*Task // under mu
}

// NewTask gives an empty task; Close gives it back.
func NewTask(e *Engine) *Task {
	p := &e.idle
	p.mu.Lock()
	var t *Task
	if n := len(p.tasks); n > 0 {
		t = p.tasks[n-1]
		p.tasks = p.tasks[:n-1]
	}
	p.mu.Unlock()
	if t == nil {
		t = &Task{own: NewFlag(), wave: new([WaveSize]Item)}
		t.cancelled = t.own
	}
	t.Engine, t.Budget = e, DefaultSpawnBudget
	return t
}

// Close frees everything in the task's results that was not taken out. The task may be another
// one's at once.
func (t *Task) Close() {
	for i := range t.Parts {
		if b := t.Parts[i].Value.Batch; b != nil {
			b.Release()
		}
	}
	t.discard()
	t.scratch[0].Reset()
	t.scratch[1].Reset()
	clear(t.Parts)
	p := &t.Engine.idle
	*t = Task{own: t.own, cancelled: t.own, scratch: t.scratch, wave: t.wave, ready: kept(t.ready), away: kept(t.away),
		pending: t.pending[:0], Parts: kept(t.Parts), Ran: kept(t.Ran)}
	t.own.Store(0)
	p.mu.Lock()
	keep := len(p.tasks) < MaxIdleTasks
	if keep {
		p.tasks = append(p.tasks, t)
	}
	p.mu.Unlock()
	if !keep {
		t.free()
	}
}

// kept gives a slice back for reuse, unless it grew large.
func kept[T any](s []T) []T {
	if cap(s) > maxKeptItems {
		return nil
	}
	return s[:0]
}

// free frees the memory outside the Go heap.
func (t *Task) free() {
	t.scratch[0].Close()
	t.scratch[1].Close()
	FreeFlag(t.own)
}

func (p *idleTasks) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tasks {
		t.free()
	}
	p.tasks = nil
}

// UseFlag makes the task watch a flag of its caller's, outside the Go heap, instead of its own.
func (t *Task) UseFlag(flag *atomic.Uint32) { t.cancelled = flag }

// Cancel asks the task to end early; from any goroutine, before Close.
func (t *Task) Cancel() { t.cancelled.Store(1) }

// Cancelled is the word that Cancel raises. It lies outside the Go heap.
func (t *Task) Cancelled() *atomic.Uint32 { return t.cancelled }

// Add gives the task something to calculate.
func (t *Task) Add(item Item) { t.ready = append(t.ready, item) }

// RunHere calculates everything whose data is here, without ever blocking, and reports whether the
// task is done. If it is not, Finish goes on; that may block.
func (t *Task) RunHere() bool {
	t.mayBlock, t.blocked = false, false
	t.local()
	return t.Err != nil || len(t.ready)+len(t.away)+len(t.pending) == 0
}

// Launch runs what is here and starts what is elsewhere, without waiting for it.
func (t *Task) Launch() {
	t.mayBlock, t.blocked = true, false
	t.local()
	if t.Err == nil && len(t.away) > 0 {
		t.send()
	}
}

// Flush makes everything that was started elsewhere leave at once.
func (t *Task) Flush() {
	for _, p := range t.pending {
		p.Flush()
	}
}

// Progress takes in what came from elsewhere, without waiting, and says whether Finish would not
// have to wait or to run anything more: only to fold.
func (t *Task) Progress() bool {
	t.mayBlock = true
	for t.Err == nil && len(t.pending) > 0 && t.pending[0].Ready() {
		t.wait()
	}
	return t.Err != nil || len(t.pending)+len(t.ready)+len(t.away) == 0
}

// Waiting says whether the task can do nothing but wait for another worker.
func (t *Task) Waiting() bool {
	return t.Err == nil && len(t.pending) > 0 && len(t.ready)+len(t.away) == 0
}

// Poll waits for another worker's answer for a while.
func (t *Task) Poll(d time.Duration) { t.pending[0].Poll(d) }

// Fail ends the task with an error, unless it failed already.
func (t *Task) Fail(err error) { t.fail(status.From(err)) }

// Finish runs the task to its end.
func (t *Task) Finish() {
	t.mayBlock, t.blocked = true, false
	for t.Err == nil {
		t.local()
		if t.Err == nil && len(t.away) > 0 {
			t.send()
			t.Flush()
		}
		if t.Err != nil || len(t.pending) == 0 && len(t.ready) == 0 {
			break
		}
		if len(t.ready) == 0 {
			t.wait()
		}
	}
	if t.Err != nil {
		t.discard()
		if t.Effects == EffectsComplete {
			t.Effects = EffectsUnknown // some were applied, not all
		}
		return
	}
	t.fold()
}

// send hands what is not here to the network.
func (t *Task) send() {
	items := t.away
	t.away = nil
	var err error
	t.pending, err = t.Engine.Network.Away(t, items, t.pending)
	if err != nil {
		t.fail(status.From(err))
	}
	t.away = items[:0]
}

// wait takes in the oldest answer.
func (t *Task) wait() {
	p := t.pending[0]
	t.pending = append(t.pending[:0], t.pending[1:]...)
	a := p.Wait(t)
	t.How = max(t.How, a.How)
	t.Moved += a.Moved
	t.Fetched += a.Fetched
	t.Budget += a.SpawnsLeft
	t.Effects = t.Effects.Join(a.Effects)
	t.Version = max(t.Version, a.Version)
	t.ready = append(t.ready, a.Items...)
	if a.Err != nil {
		t.fail(a.Err)
		return
	}
	t.foldSome(FoldSize)
}

// Adopt makes the task wait for something that was started elsewhere before it began.
func (t *Task) Adopt(p Pending) { t.pending = append(t.pending, p) }

// AddRuns counts calculates that ran on another node.
func (t *Task) AddRuns(r Runs) {
	for i := range t.Ran {
		if t.Ran[i].Node == r.Node {
			t.Ran[i].Runs += r.Runs
			return
		}
	}
	t.Ran = append(t.Ran, r)
}

// AddPart takes in a part of another worker: a batch moves, bytes and the path are copied.
func (t *Task) AddPart(path []uint32, value udf.Value) {
	if value.Batch == nil {
		value = t.keep(0, value.Bytes)
	}
	p := Part{Value: value}
	if len(path) > 0 {
		p.Path = unsafe.Slice((*uint32)(t.scratch[0].Alloc(4*len(path))), len(path))
		copy(p.Path, path)
	}
	t.Parts = append(t.Parts, p)
}

// fail keeps the first failure.
func (t *Task) fail(err *status.Error) {
	if t.Err == nil {
		t.Err = err
	}
}

// stopped says whether the task must start nothing new, and records why.
func (t *Task) stopped() bool {
	if t.Err == nil && t.cancelled.Load() != 0 {
		t.fail(status.Errorf(status.Cancelled, "the call was cancelled"))
	}
	if t.Err == nil && t.Deadline != 0 && clock.Now() > t.Deadline {
		t.fail(Late(t.Deadline))
	}
	return t.Err != nil
}

// Late is the error of a call whose deadline passed.
func Late(deadline int64) *status.Error {
	return status.Errorf(status.Timeout, "the call's deadline passed %v ago: give it a longer timeout",
		(-clock.Until(deadline)).Round(time.Microsecond))
}

// discard gives up all that is not done.
func (t *Task) discard() {
	for _, p := range t.pending {
		p.Drop()
	}
	for i := range t.ready {
		t.ready[i].Release()
	}
	for i := range t.away {
		t.away[i].Release()
	}
	clear(t.ready)
	clear(t.away)
	clear(t.pending)
	t.ready, t.away, t.pending = t.ready[:0], t.away[:0], t.pending[:0]
}

// spawn turns what a calculate asked for into items, depth first: they run before what was there.
func (t *Task) spawn(it *Item, spawns []udf.Spawn) {
	if len(spawns) == 0 {
		return
	}
	if t.Budget < uint64(len(spawns)) {
		t.fail(status.Errorf(status.Exhausted, "the call spawned more often than its budget of %d "+
			"allows (DefaultSpawnBudget): does a function spawn without end?", DefaultSpawnBudget).
			WithVertex(it.Target))
		return
	}
	up := t.below(it)
	if up == nil {
		return
	}
	t.Budget -= uint64(len(spawns))
	for i := range spawns {
		s := &spawns[i]
		next := Item{Function: it.Function, Target: s.Target, Own: true, Value: s.Arguments,
			Once: s.Once, Up: up, Index: uint32(i)}
		s.Arguments = udf.Value{}
		if s.UDF != "" && s.UDF != it.Function.Name {
			next.Function, next.Name = t.Engine.Network.Function(s.UDF), s.UDF
		}
		if t.ReadOnly && next.Function != nil && next.Function.Flags&udf.Updates != 0 {
			t.fail(status.Errorf(status.InvalidArgument, "function %q does not update, so it must not "+
				"spawn %q, which does: register it with the flag for updates (DCF_UDF_UPDATES)",
				t.calledName(), next.Function.Name).WithVertex(it.Target))
		}
		t.ready = append(t.ready, next)
	}
}

// below gives the place of what hangs below an item, or fails the task where that is too deep.
func (t *Task) below(it *Item) *Path {
	up := it.path()
	if up.depth >= MaxDepth {
		t.fail(status.Errorf(status.Exhausted, "spawns are nested more than %d deep (MaxDepth)",
			MaxDepth).WithVertex(it.Target))
		return nil
	}
	return up
}

// expand replaces a group by its children.
func (t *Task) expand(it *Item, children []vertex.ID) {
	up := t.below(it)
	if up == nil {
		it.Release()
		return
	}
	for i, child := range children {
		next := *it
		next.Target, next.Birth, next.Brought = child, 0, nil
		next.Up, next.Index, next.Prefix = up, uint32(i), nil
		if b := next.Value.Batch; b != nil {
			b.Retain()
		}
		t.ready = append(t.ready, next)
	}
	it.Release()
}

func (t *Task) calledName() string {
	if t.Called == nil {
		return ""
	}
	return t.Called.Name
}
