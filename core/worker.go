// Package core is the one door to dcf for Go programs: a Worker holds vertices, runs functions on
// them, and reaches the vertices of other workers. libdcf and dcfnode are thin shells around it.
package core

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/internal/once"
	"dcf/core/internal/rpc"
	"dcf/core/internal/store"
	"dcf/core/status"
	"dcf/udf"
	"dcf/udf/builtin"
	"dcf/vertex"
	"dcf/wire"
)

// Worker holds vertices and functions, and channels to other workers. It is safe for concurrent use.
type Worker struct {
	self    wire.Identity
	options Options
	log     *slog.Logger
	store   *store.Store
	engine  *exec.Engine
	ids     *vertex.Source

	functions  atomic.Pointer[functions]
	registered atomic.Uint64 // functions without a version so far

	builders      atomic.Int64 // that are open
	builderMemory atomic.Int64 // bytes that they have reserved

	closing atomic.Bool
	tasks   taskCount
	running atomic.Int64 // calls of queues and of other workers under way
	overdue atomic.Int64 // functions that did not return in time
	serving atomic.Int64 // calls of other workers that hold a goroutine

	mu        sync.Mutex
	queues    map[*Queue]struct{} // under mu
	sequences once.Sequences      // under sequence
	sequence  sync.Mutex

	rpc     *rpc.Node
	view    clusterView
	missing missing
	floors  floors
	counts  counts
}

// Open opens a worker: it makes the vertices and functions that the options name, then listens,
// then joins.
func Open(options Options) (*Worker, error) {
	if options.NodeID > vertex.MaxNodeID {
		return nil, status.Errorf(status.InvalidArgument, "node id %d is over the largest, %d",
			options.NodeID, vertex.MaxNodeID)
	}
	w := &Worker{options: options, log: options.Log, queues: map[*Queue]struct{}{}}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.self = wire.Identity{Node: options.NodeID, Incarnation: vertex.NewIncarnation()}
	if w.self.Node == 0 {
		w.self.Node = rand.Uint64N(vertex.MaxNodeID) + 1
	}
	limit := options.MemoryLimit
	if limit == 0 {
		limit = halfOfMemory()
	}
	if limit < 0 {
		return nil, status.Errorf(status.InvalidArgument, "the memory limit is negative: %d", limit)
	}
	w.ids = vertex.NewSource(w.self.Node, w.self.Incarnation)
	w.store = store.Open(limit)
	w.engine = exec.NewEngine(w.store, w, w.ids, options.Log)
	w.functions.Store(&functions{map[string]*exec.Function{}, map[exec.Hash]*exec.Function{}})
	if err := w.open(); err != nil {
		_ = w.Close(time.Second)
		return nil, err
	}
	return w, nil
}

// open does what can fail.
func (w *Worker) open() error {
	for _, def := range builtin.Definitions() {
		if _, err := w.Register(def); err != nil {
			return err
		}
	}
	for _, def := range w.options.UDFs {
		if _, err := w.Register(def); err != nil {
			return err
		}
	}
	deadline := clock.After(w.timeout(0))
	if err := w.connect(deadline); err != nil {
		return err
	}
	for _, l := range w.options.Load {
		v, err := w.create(creation{name: l.Name, value: l.Value, children: l.Children}, deadline)
		if err != nil {
			return err
		}
		v.Release()
	}
	return nil
}

// halfOfMemory is the default limit for vertex data.
func halfOfMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 1 << 30
	}
	return int64(info.Totalram) * int64(info.Unit) / 2
}

// NodeID gives the worker's id in its cluster.
func (w *Worker) NodeID() uint64 { return w.self.Node }

// timeout gives how long something waits: what was asked for, or the default.
func (w *Worker) timeout(asked time.Duration) time.Duration {
	switch {
	case asked > 0:
		return asked
	case w.options.Timeout > 0:
		return w.options.Timeout
	}
	return DefaultTimeout
}

// Direct gives the address by which C pins what it reads of the worker's vertices, a dcf_epochs.
// The memory outlives the worker. Whoever pins looks afterwards whether the worker was closed.
func (w *Worker) Direct() unsafe.Pointer { return w.store.Epochs() }

// Reclaim frees what waited for its readers. C calls it where it gave a pin back and much waits.
func (w *Worker) Reclaim() { w.store.Reclaim() }

// Close stops taking calls, waits for those under way, ends the rest with status.Cancelled, and
// frees everything. Functions that do not return in time are left behind, with what they hold, and
// the error says so.
func (w *Worker) Close(timeout time.Duration) error {
	if w.closing.Swap(true) {
		return nil
	}
	deadline := clock.After(w.timeout(timeout))
	w.leave(deadline)
	w.mu.Lock()
	queues := make([]*Queue, 0, len(w.queues))
	for q := range w.queues {
		queues = append(queues, q)
	}
	w.mu.Unlock()
	for _, q := range queues {
		_ = q.close(deadline)
	}
	w.idle(deadline)
	w.disconnect(deadline)
	// Calls whose connection ended meanwhile became tasks, which end now.
	if !w.quiesce(deadline) || !w.idle(deadline) {
		return status.Errorf(status.Timeout, "functions still run on node %d: what they hold is left "+
			"behind", w.self.Node)
	}
	for _, f := range w.functions.Swap(&functions{}).byName {
		w.free(f)
	}
	w.engine.Close()
	w.store.Close()
	return nil
}

// idle waits until no call is under way; false if some are by the deadline.
func (w *Worker) idle(deadline int64) bool {
	for w.running.Load() != 0 || !w.tasks.idle() {
		if clock.Until(deadline) <= 0 {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// quiesce waits until everything that runs now has ended; false if it does not by the deadline.
func (w *Worker) quiesce(deadline int64) bool {
	late := func() bool { return clock.Until(deadline) < 0 }
	return w.store.Quiesce(late) && w.tasks.quiesce(late)
}

// taskCount counts tasks in two halves, so that a drop can wait for those that began before it
// while new ones begin (as sleepable RCU does; McKenney, 2006).
type taskCount struct {
	turn  sync.Mutex
	phase atomic.Uint32
	going [2]atomic.Int64
}

// begin counts a task and gives the half that end takes.
func (c *taskCount) begin() uint32 {
	for {
		phase := c.phase.Load() & 1
		c.going[phase].Add(1)
		if c.phase.Load()&1 == phase {
			return phase
		}
		c.going[phase].Add(-1)
	}
}

func (c *taskCount) end(phase uint32) { c.going[phase].Add(-1) }

func (c *taskCount) idle() bool { return c.going[0].Load()+c.going[1].Load() == 0 }

func (c *taskCount) quiesce(late func() bool) bool {
	c.turn.Lock()
	defer c.turn.Unlock()
	old := (c.phase.Add(1) - 1) & 1
	for c.going[old].Load() != 0 {
		if late() {
			return false
		}
		time.Sleep(200 * time.Microsecond)
	}
	return true
}

// newTask makes the task of a call that starts here.
func (w *Worker) newTask(c *Call) *exec.Task {
	t := exec.NewTask(w.engine)
	t.Phase = w.tasks.begin()
	t.Called, t.Arguments = c.UDF.function, c.Arguments
	t.ReadOnly = t.Called.Flags&udf.Updates == 0
	t.Place = uint32(c.Flags)
	t.Origin.Node, t.Origin.Incarnation = w.self.Node, w.self.Incarnation
	t.Origin.Sequence = c.Ticket
	if c.cancel != nil {
		t.UseFlag(c.cancel)
	}
	now := clock.Now()
	t.Started = now
	w.counts.tasks.Add(1)
	switch {
	case c.Timeout < 0:
		t.Deadline = now
	default:
		t.Deadline = now + int64(w.timeout(c.Timeout))
	}
	return t
}

func (w *Worker) endTask(t *exec.Task) {
	phase := t.Phase
	t.Close()
	w.tasks.end(phase)
}

// Number gives a task's call a sequence, by which other workers know it.
func (w *Worker) Number(t *exec.Task) {
	if t.Origin.Sequence != 0 {
		return
	}
	sequence, floor, err := w.number()
	if err != nil {
		t.Fail(err)
		return
	}
	t.Origin.Sequence, t.Origin.Floor = sequence, floor
	if t.TraceID == 0 {
		t.TraceID = traceOf(w.self, sequence)
	}
}

// number gives a call's sequence, and the floor of all.
func (w *Worker) number() (sequence, floor uint64, err error) {
	w.sequence.Lock()
	defer w.sequence.Unlock()
	sequence, err = w.sequences.Begin()
	return sequence, w.sequences.Floor(), err
}

// unfinished says whether a ticket belongs to a call that may be made again.
func (w *Worker) unfinished(ticket uint64) bool {
	w.sequence.Lock()
	defer w.sequence.Unlock()
	return w.sequences.Unfinished(ticket)
}

// settle ends a call's sequence, or makes it the call's ticket if its effects are unknown.
func (w *Worker) settle(c *Call, sequence uint64) {
	c.Ticket = 0
	if sequence == 0 {
		return
	}
	if c.Effects == EffectsUnknown {
		c.Ticket = sequence
		return
	}
	w.giveUp(sequence)
}

// giveUp says that sequences are not used again.
func (w *Worker) giveUp(sequences ...uint64) {
	w.sequence.Lock()
	for _, sequence := range sequences {
		w.sequences.Finish(sequence)
	}
	w.sequence.Unlock()
	for _, sequence := range sequences {
		w.engine.Forget(w.self, sequence)
	}
}

var interrupt atomic.Pointer[func() bool]

// SetInterrupt gives a function that is asked about every 50 ms by a goroutine that waits; true
// ends the wait with status.Interrupted. It is for the whole process; nil removes it.
func SetInterrupt(check func() bool) {
	if check == nil {
		interrupt.Store(nil)
		return
	}
	interrupt.Store(&check)
}

func interrupted() bool {
	check := interrupt.Load()
	return check != nil && (*check)()
}

func errClosed() error { return status.Errorf(status.BadHandle, "the worker is closed") }

// LoadFile reads an Arrow IPC file into one batch, for Options.Load.
func LoadFile(path string) (*vertex.Batch, error) {
	schema, batches, err := wire.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, b := range batches {
			b.Release()
		}
	}()
	return joined(schema, batches)
}
