package core

import (
	"sync"

	"dcf/core/internal/clock"
	"dcf/core/internal/cluster"
	"dcf/core/internal/exec"
	"dcf/core/internal/rpc"
	"dcf/core/internal/store"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// Serve is called by rpc with requests of other workers, on the goroutine that read them. Short work
// is done at once; what may take long or has to wait gets a goroutine of its own.
func (w *Worker) Serve(requests []*rpc.Request) {
	if w.closing.Load() {
		for _, req := range requests {
			refuse(req, status.Errorf(status.Unavailable, "node %d is closing", w.self.Node))
		}
		return
	}
	if w.serveWave(requests) {
		return
	}
	for _, req := range requests {
		w.serve(req)
	}
}

func (w *Worker) serve(req *rpc.Request) {
	switch {
	case req.Call != nil:
		w.serveCall(req)
	case cluster.Handles(req.Operation.Op):
		w.serveDirectory(req)
	case quick(req.Operation.Op):
		w.serveOperation(req)
	default:
		w.aside(req, false, func() { w.serveOperation(req) })
	}
}

func refuse(req *rpc.Request, err *status.Error) { req.Reply(&wire.Reply{Error: err}) }

// aside runs f on a goroutine of its own, or refuses the request when too many have one already.
// Requests inside a tree may take all places, new ones half, so that trees come to their end.
func (w *Worker) aside(req *rpc.Request, inTree bool, f func()) bool {
	limit := int64(MaxTasks / 2)
	if inTree {
		limit = MaxTasks
	}
	if w.serving.Add(1) > limit {
		w.serving.Add(-1)
		refuse(req, status.Errorf(status.Exhausted, "node %d serves %d calls (MaxTasks): try again later",
			w.self.Node, limit))
		return false
	}
	w.running.Add(1)
	req.Detach()
	go func() {
		defer w.running.Add(-1)
		defer w.serving.Add(-1)
		f()
	}()
	return true
}

// served is one call of another worker that runs as a task.
type served struct {
	worker *Worker
	req    *rpc.Request
	task   *exec.Task
	timed  bool
	reply  wire.Reply
	parts  [4]wire.Part
	runs   [4]wire.NodeRuns
}

var servedPool = sync.Pool{New: func() any { return new(served) }}

var _ rpc.Canceller = (*served)(nil)

// Cancel is called while the request is not answered, when its caller gives it up.
func (s *served) Cancel() { s.task.Cancel() }

// end frees the task. The request was answered.
func (s *served) end() {
	s.worker.endTask(s.task)
	s.task, s.req = nil, nil
	servedPool.Put(s)
}

// serveCall runs a call frame: at once if its functions are known to be short, else aside.
func (w *Worker) serveCall(req *rpc.Request) {
	c := req.Call
	if c.Depth > MaxFrameDepth {
		refuse(req, status.Errorf(status.Exhausted, "the call went through %d workers (MaxFrameDepth)",
			MaxFrameDepth))
		return
	}
	s := w.newServed(req)
	short, missing := s.addTargets(c)
	if missing != 0 {
		req.Reply(&wire.Reply{Missing: missing})
		s.end()
		return
	}
	w.raise(c)
	req.OnCancel(s)
	if short {
		started := clock.Now()
		if s.task.RunHere() {
			s.measure(started)
			s.finish()
			return
		}
	}
	s.aside()
}

// aside runs the rest of the task on a goroutine of its own.
func (s *served) aside() {
	if !s.worker.aside(s.req, s.task.Depth > 1, s.finish) {
		s.end()
	}
}

// newServed makes the task of a call frame, without anything to calculate yet.
func (w *Worker) newServed(req *rpc.Request) *served {
	c := req.Call
	s := servedPool.Get().(*served)
	t := exec.NewTask(w.engine)
	s.worker, s.req, s.task, s.timed = w, req, t, c.Flags&wire.CallTimed != 0
	t.Phase = w.tasks.begin()
	t.Foreign, t.Resent = true, c.Flags&wire.CallRetry != 0
	t.Origin = exec.Origin{Node: c.Root.Node, Incarnation: c.Root.Incarnation, Sequence: c.Sequence,
		Floor: c.Floor}
	t.ReadOnly = c.Flags&wire.CallReadOnly != 0
	t.Depth, t.Budget, t.Arguments = c.Depth, c.SpawnBudget, c.Arguments
	t.Deadline, t.TraceID = w.deadlineOf(req), req.Header.TraceID
	return s
}

// addTargets gives the task what the frame asks for. It says whether all its functions are known to
// be short, and which one, counted from 1, is not here.
func (s *served) addTargets(c *wire.Call) (short bool, missing uint32) {
	t := s.task
	known := s.worker.functions.Load()
	t.Called = known.byHash[exec.Hash(c.UDFs[0].Hash)]
	short = true
	for i := range c.Targets {
		target := &c.Targets[i]
		ref := &c.UDFs[target.UDF]
		fn := known.byHash[exec.Hash(ref.Hash)]
		if ref.Hash == (exec.Hash{}) { // the sender knows it by name only
			fn = known.byName[ref.Name]
		}
		if fn == nil || fn.Gone() || fn.Flags&udf.CallerThread != 0 {
			return false, target.UDF + 1
		}
		cost := fn.Cost()
		short = short && (fn.Flags&udf.Short != 0 || cost > 0 && cost*int64(len(c.Targets)) < InlineCost)
		item := exec.Item{Function: fn, Target: target.ID, Birth: target.Birth, Once: target.Once, Prefix: target.Path,
			Own: target.HasArguments, Value: target.Arguments}
		target.Arguments = udf.Value{} // a batch belongs to the item now
		t.Add(item)
	}
	return short, 0
}

// deadlineOf gives when a request is to be answered: as its caller said, or after the default.
func (w *Worker) deadlineOf(req *rpc.Request) int64 {
	if req.Deadline != 0 {
		return req.Deadline
	}
	return clock.After(w.timeout(0))
}

// measure keeps what the calculates of a task cost.
func (s *served) measure(started int64) {
	if t := s.task; t.Called != nil && t.Calculates > 0 && t.Err == nil {
		t.Called.Measured(int(t.Calculates), clock.Now()-started)
	}
}

// finish runs the task to its end and replies.
func (s *served) finish() {
	t, w := s.task, s.worker
	started := clock.Now()
	before := t.Calculates
	t.Finish()
	if before == 0 && len(t.Ran) == 0 {
		s.measure(started)
	}
	w.counts.served.Add(1)
	w.counts.calculates.Add(int64(t.Calculates))
	reply := &s.reply
	reply.Error, reply.Effects, reply.Version, reply.ServedNs = t.Err, uint16(t.Effects), t.Version, 0
	reply.SpawnsLeft, reply.BytesMoved, reply.Parts = t.Budget, t.Moved, s.parts[:0]
	reply.How = t.How
	if reply.Error != nil && reply.Error.Node == 0 {
		reply.Error.Node = w.self.Node
	}
	if reply.Error == nil {
		for i := range t.Parts {
			p := &t.Parts[i]
			reply.Parts = append(reply.Parts, wire.Part{Path: p.Path, Value: p.Value})
			p.Value.Batch = nil // the reply owns it
		}
	}
	if s.timed {
		reply.ServedNs = clock.Now() - started
	}
	reply.Ran = append(s.runs[:0], wire.NodeRuns{Node: w.self.Node, Runs: t.Calculates})
	for _, r := range t.Ran {
		reply.Ran = append(reply.Ran, wire.NodeRuns(r))
	}
	s.req.Reply(reply)
	s.end()
}

// raise forgets what the caller of a frame has finished: at once before an update, which may need
// the room, and now and then else.
func (w *Worker) raise(c *wire.Call) {
	lag := uint64(floorLag)
	if c.Flags&wire.CallReadOnly == 0 {
		lag = 0
	}
	if c.Floor > lag && w.floors.raise(c.Root, c.Floor, c.Floor-lag) {
		w.engine.Finished(c.Root, c.Floor)
	}
}

// floorLag is how far what is remembered of a caller that only reads may be behind it.
const floorLag = 1024

// serveDirectory answers what the directory is asked.
func (w *Worker) serveDirectory(req *rpc.Request) {
	actions := w.step(cluster.Request{From: req.From, Operation: req.Operation})
	rest := actions[:0]
	var answer *wire.Reply
	for _, action := range actions {
		if a, ok := action.(cluster.Answer); ok {
			answer = a.Reply
			continue
		}
		rest = append(rest, action)
	}
	w.defers(rest)
	if answer == nil {
		answer = &wire.Reply{Error: status.Errorf(status.Unsupported,
			"node %d knows no operation %d", w.self.Node, req.Operation.Op)}
	}
	req.Reply(answer)
}

// quick says which operations never wait.
func quick(op wire.Op) bool {
	switch op {
	case wire.OpFetch, wire.OpEdges, wire.OpInfo, wire.OpStats:
		return true
	}
	return false
}

// serveOperation answers an operation on this worker's vertices.
func (w *Worker) serveOperation(req *rpc.Request) {
	reply, err := w.operation(req)
	if err != nil {
		e := cloneError(status.From(err))
		if e.Node == 0 {
			e.Node = w.self.Node
		}
		reply = &wire.Reply{Error: e}
		if owner, known := w.elsewhere(req.Operation.ID); known && e.Code == status.NotFound {
			reply.Identity = owner
		}
	}
	req.Reply(reply)
}

func (w *Worker) operation(req *rpc.Request) (*wire.Reply, error) {
	op := req.Operation
	switch op.Op {
	case wire.OpFetch, wire.OpInfo, wire.OpEdges:
		return w.readFor(op)
	case wire.OpStats:
		return &wire.Reply{Stats: statsOnWire(w.Stats())}, nil
	case wire.OpList:
		own, err := w.ownVertices(op.Name)
		return &wire.Reply{Vertices: own}, err
	case wire.OpSet, wire.OpLink, wire.OpUnlink, wire.OpDrop, wire.OpCreate:
		origin := exec.Origin{Node: req.From.Node, Incarnation: req.From.Incarnation,
			Sequence: op.Sequence, Floor: op.Floor}
		deadline := w.deadlineOf(req)
		answer, err := w.engine.Exactly(origin, op.ID, func() (any, error) {
			return w.updateFor(op, deadline)
		})
		if err != nil {
			return nil, err
		}
		reply := answer.(wire.Reply)
		return &reply, nil
	}
	return nil, status.Errorf(status.Unsupported, "node %d knows no operation %d: is the peer newer?",
		w.self.Node, op.Op)
}

// meant gives the vertex that an operation means, with a reference for the caller.
func (w *Worker) meant(op *wire.Operation) (*store.Record, error) {
	r := w.store.Open(op.ID)
	switch {
	case r == nil:
		return nil, notFound(op.ID)
	case !r.Is(op.Birth):
		w.store.Release(r)
		return nil, exec.Gone(op.ID)
	}
	return r, nil
}

// readFor answers an operation that reads one vertex.
func (w *Worker) readFor(op *wire.Operation) (reply *wire.Reply, err error) {
	r, err := w.meant(op)
	if err != nil {
		return nil, err
	}
	defer w.store.Release(r)
	err = w.read(r, func(version *store.Version) {
		reply = &wire.Reply{Version: version.Number(), Group: version.Group()}
		switch op.Op {
		case wire.OpInfo:
			reply.Vertices = []wire.VertexInfo{w.describe(r, version)}
		case wire.OpEdges:
			reply.IDs = edgesOf(r, version, op.Direction)
		case wire.OpFetch:
			reply.IDs = edgesOf(r, version, edgesChildren)
			if b := version.Batch(); b != nil {
				reply.HasValue, reply.Value = true, udf.Value{Batch: b.Retain()}
			}
		}
	})
	return reply, err
}

// updateFor does an operation that changes a vertex. Its answer is kept for a request that is sent
// again, so it holds no batches.
func (w *Worker) updateFor(op *wire.Operation, deadline int64) (wire.Reply, error) {
	if op.Op == wire.OpCreate {
		return w.createFor(op, deadline)
	}
	r, err := w.meant(op)
	if err != nil {
		return wire.Reply{}, err
	}
	defer w.store.Release(r)
	reply := wire.Reply{Effects: uint16(EffectsComplete)}
	switch op.Op {
	case wire.OpSet:
		value := op.Value.Batch
		reply.Version, err = w.apply(r, op.Expected, store.Change{SetValue: true, Value: value}, deadline)
		if err == nil {
			op.Value.Batch = nil
		}
	case wire.OpDrop:
		err = w.drop(r, deadline)
	default:
		if len(op.IDs) != 1 {
			return wire.Reply{}, status.Errorf(status.InvalidArgument, "one child is linked at a time, "+
				"not %d", len(op.IDs))
		}
		reply.Version, err = w.changeEdge(r, op.Op, op.IDs[0], deadline)
	}
	return reply, err
}

// createFor makes a vertex that another worker puts here.
func (w *Worker) createFor(op *wire.Operation, deadline int64) (wire.Reply, error) {
	c := creation{name: op.Name, value: op.Value.Batch, group: op.Group, replace: op.Replace,
		children: append([]vertex.ID(nil), op.IDs...)}
	v, err := w.create(c, deadline)
	if err != nil {
		return wire.Reply{}, err
	}
	defer v.Release()
	op.Value.Batch = nil
	return wire.Reply{Effects: uint16(EffectsComplete),
		Vertices: []wire.VertexInfo{{ID: v.id, Birth: v.birth, Name: c.name, Owner: w.self.Node}}}, nil
}
