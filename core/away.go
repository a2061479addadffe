package core

import (
	"slices"
	"sync"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/cluster"
	"dcf/core/internal/exec"
	"dcf/core/internal/rpc"
	"dcf/core/internal/sched"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// Function finds a function by name, for a spawn.
func (w *Worker) Function(name string) *exec.Function { return w.functions.Load().byName[name] }

// Away starts what a task has to do elsewhere: one frame for each destination, and a request for
// each vertex whose data is brought here. What it takes to know who owns a vertex it waits for.
func (w *Worker) Away(t *exec.Task, items []exec.Item, pending []exec.Pending) ([]exec.Pending, error) {
	w.Number(t)
	var space [4]*frame
	frames := space[:0]
	var failure error
	for i := range items {
		if failure != nil {
			items[i].Release()
			continue
		}
		owner, err := w.ownerOf(items[i].Target, t.Deadline)
		if err != nil {
			items[i].Release()
			failure = err
			continue
		}
		if w.pick(t, &items[i], owner) == sched.Here {
			pending = append(pending, w.bring(t, items[i], owner))
			continue
		}
		frames = addTo(frames, owner, items[i])
	}
	if failure != nil {
		for _, f := range frames {
			f.release()
		}
		return pending, failure
	}
	share := t.Budget / uint64(max(len(frames), 1))
	for _, f := range frames {
		t.Budget -= share
		f.budget = share
		w.sendFrame(t, f)
		pending = append(pending, f)
	}
	return pending, nil
}

// pick decides for one item whether the function travels or the data.
func (w *Worker) pick(t *exec.Task, it *exec.Item, owner wire.Identity) sched.Choice {
	call := sched.Call{AtOwner: CallFlags(t.Place)&AtOwner != 0, Here: CallFlags(t.Place)&Here != 0,
		HaveIt: it.Function != nil}
	if it.Function != nil {
		call.Private = !it.Function.Shared
		call.Missing = it.Function.Shared && w.missing.known(owner, it.Function.Hash)
	}
	return sched.Pick(call)
}

// ownerOf gives the owner of a vertex that is not in this worker's store: from what is known, or by
// asking.
func (w *Worker) ownerOf(id vertex.ID, deadline int64) (wire.Identity, error) {
	v := &w.view
	if w.clustered() {
		v.mu.Lock()
		owner, known := v.node.Owner(id)
		v.mu.Unlock()
		if known && owner != w.self {
			return owner, nil
		}
	}
	return w.locate(id, deadline)
}

// frame is what one task asks of one other worker, in one request.
type frame struct {
	worker  *Worker
	peer    *rpc.Peer
	owner   wire.Identity
	items   []exec.Item
	paths   []uint32 // of the items, one after another
	budget  uint64
	call    wire.Call
	request wire.Frame
	pending rpc.Pending
	reply   rpc.Reply
	resends int
	err     error // of sending
}

var framePool = sync.Pool{New: func() any { return new(frame) }}

func addTo(frames []*frame, owner wire.Identity, item exec.Item) []*frame {
	for _, f := range frames {
		if f.owner == owner {
			f.items = append(f.items, item)
			return frames
		}
	}
	f := framePool.Get().(*frame)
	f.owner = owner
	f.items = append(f.items[:0], item)
	return append(frames, f)
}

// sendFrame builds a frame's request and hands it to the connection; it leaves with the next flush.
func (w *Worker) sendFrame(t *exec.Task, f *frame) {
	f.worker, f.peer, f.resends, f.err = w, w.peer(f.owner), 0, nil
	c := &f.call
	c.Root = wire.Identity{Node: t.Origin.Node, Incarnation: t.Origin.Incarnation}
	c.Sequence, c.Floor = t.Origin.Sequence, t.Origin.Floor
	c.Depth, c.SpawnBudget, c.Arguments = t.Depth+1, f.budget, t.Arguments
	c.Flags = wire.CallTree
	if t.ReadOnly {
		c.Flags |= wire.CallReadOnly
	}
	c.UDFs, c.Targets = c.UDFs[:0], c.Targets[:0]
	c.UDFs = append(c.UDFs, refOf(t.Called, "", exec.Hash{}))
	f.paths = f.paths[:0]
	for i := range f.items {
		it := &f.items[i]
		start := len(f.paths)
		f.paths = it.AppendIndexes(f.paths)
		c.Targets = append(c.Targets, wire.Target{ID: it.Target, UDF: f.udf(it), Once: it.Once,
			HasArguments: it.Own, Arguments: it.Value,
			Path: f.paths[start:len(f.paths):len(f.paths)]})
	}
	f.request = wire.Frame{Header: wire.SessionHeader{Kind: wire.KindCall, TraceID: t.TraceID}, Message: c}
	f.err = f.peer.Send(&f.request, &f.pending, t.Deadline)
}

func refOf(fn *exec.Function, name string, hash exec.Hash) wire.UDFRef {
	if fn != nil {
		return wire.UDFRef{Name: fn.Name, Hash: fn.Hash}
	}
	return wire.UDFRef{Name: name, Hash: hash}
}

// udf gives the index of an item's function in the frame's list.
func (f *frame) udf(it *exec.Item) uint32 {
	ref := refOf(it.Function, it.Name, it.Hash)
	for i := range f.call.UDFs {
		if f.call.UDFs[i] == ref {
			return uint32(i)
		}
	}
	f.call.UDFs = append(f.call.UDFs, ref)
	return uint32(len(f.call.UDFs) - 1)
}

func (f *frame) release() {
	for i := range f.items {
		f.items[i].Release()
	}
	clear(f.items)
	clear(f.call.Targets)
	f.call.Arguments = udf.Value{}
	f.request.Message = nil
	framePool.Put(f)
}

// Wait waits for the frame's reply. The first frame of a call is sent again where its connection
// broke: what it updated is remembered by its owner and not done twice.
func (f *frame) Wait(t *exec.Task) (a exec.Answer) {
	defer f.release()
	w := f.worker
	err := f.err
	for {
		if err == nil {
			err = f.pending.WaitUntil(&f.reply, t.Cancelled())
		}
		if err == nil || t.Depth > 0 || f.resends >= MaxResends || !lost(err) ||
			clock.Until(t.Deadline) <= 0 {
			break
		}
		pauseBefore(f.resends, t.Deadline)
		f.resends++
		f.call.Flags |= wire.CallRetry
		w.counts.resends.Add(1)
		err = f.peer.Send(&f.request, &f.pending, t.Deadline)
	}
	if err != nil {
		a.Err = status.From(err)
		a.Effects = f.unanswered(t, err)
		return a
	}
	return f.answer(t)
}

// unanswered gives the effects of a frame whose reply did not come.
func (f *frame) unanswered(t *exec.Task, err error) exec.Effects {
	if t.ReadOnly || f.resends == 0 && !rpc.Sent(err) {
		return exec.EffectsNone
	}
	return exec.EffectsUnknown
}

// answer turns a reply into what the task takes in.
func (f *frame) answer(t *exec.Task) (a exec.Answer) {
	r := &f.reply
	defer r.Clear()
	a.Effects = exec.Effects(r.Effects)
	a.Moved = uint64(r.Sent+r.Received) + r.BytesMoved
	a.SpawnsLeft, a.Version = r.SpawnsLeft, r.Version
	for _, runs := range r.Ran {
		t.AddRuns(exec.Runs(runs))
	}
	if r.Missing != 0 && int(r.Missing) <= len(f.call.UDFs) {
		return f.fallBack(t, a)
	}
	if r.Error != nil {
		if f.moved(t, r) {
			a.SpawnsLeft = f.budget
			a.Items = f.again()
			return a
		}
		a.Err = cloneError(r.Error)
		if a.Err.Node == 0 {
			a.Err.Node = f.owner.Node
		}
		return a
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		t.AddPart(p.Path, p.Value)
		p.Value = udf.Value{}
	}
	return a
}

// fallBack deals with an owner that does not have a function which this worker has: the data of its
// targets is brought here instead. Nothing of the frame ran.
func (f *frame) fallBack(t *exec.Task, a exec.Answer) exec.Answer {
	w := f.worker
	ref := f.call.UDFs[f.reply.Missing-1]
	w.missing.add(f.owner, exec.Hash(ref.Hash))
	a.SpawnsLeft = f.budget
	if CallFlags(t.Place)&AtOwner != 0 || w.functions.Load().byHash[exec.Hash(ref.Hash)] == nil {
		a.Err = exec.NoFunction(ref.Name)
		a.Err.Node = f.owner.Node
		return a
	}
	a.Items = f.again()
	return a
}

// again gives the frame's items back, to be placed anew.
func (f *frame) again() []exec.Item {
	items := slices.Clone(f.items)
	f.items = f.items[:0]
	for i := range items {
		items[i].Prefix = items[i].Indexes()
	}
	return items
}

// moved says whether the frame's only vertex turned out to be somewhere else than it was thought,
// so that nothing of it ran.
func (f *frame) moved(t *exec.Task, r *rpc.Reply) bool {
	if r.Error.Code != status.NotFound || len(f.items) != 1 || r.Error.Vertex != f.items[0].Target {
		return false
	}
	for _, runs := range r.Ran {
		if runs.Runs > 0 {
			return false
		}
	}
	owner, err := f.worker.missed(f.items[0].Target, f.owner, t.Deadline)
	return err == nil && owner != f.owner && owner != f.worker.self
}

// Flush makes the request leave.
func (f *frame) Flush() { f.peer.Flush() }

// Ready says whether the reply is here.
func (f *frame) Ready() bool { return f.err != nil || f.pending.Ready() }

// Poll waits for it for a while.
func (f *frame) Poll(d time.Duration) { f.pending.Poll(d) }

// Drop gives the frame up: its worker is told to stop.
func (f *frame) Drop() {
	if f.err == nil {
		f.pending.Cancel()
	}
	f.release()
}

// brought is a vertex on its way here.
type brought struct {
	worker  *Worker
	item    exec.Item
	peer    *rpc.Peer
	op      wire.Operation
	request wire.Frame
	pending rpc.Pending
	reply   rpc.Reply
	err     error
}

// bring asks for a vertex's data.
func (w *Worker) bring(t *exec.Task, item exec.Item, owner wire.Identity) *brought {
	b := &brought{worker: w, item: item}
	b.op = wire.Operation{Op: wire.OpFetch, ID: item.Target}
	b.request = wire.Frame{Header: wire.SessionHeader{Kind: wire.KindOperation, TraceID: t.TraceID},
		Message: &b.op}
	b.peer = w.peer(owner)
	b.err = b.peer.Send(&b.request, &b.pending, t.Deadline)
	return b
}

// Wait gives the item back, with its data.
func (b *brought) Wait(t *exec.Task) (a exec.Answer) {
	err := b.err
	if err == nil {
		err = b.pending.WaitUntil(&b.reply, t.Cancelled())
	}
	r := &b.reply
	if err == nil && r.Error != nil {
		err = cloneError(r.Error)
	}
	if err != nil {
		b.item.Release()
		a.Err = status.From(err)
		return a
	}
	defer r.Clear()
	data := &exec.Brought{Version: r.Version, Group: r.Group, Batch: r.Value.Batch}
	r.Value.Batch = nil
	data.Children = append(data.Children, r.IDs...)
	b.item.Prefix, b.item.Brought = b.item.Indexes(), data
	a.Items = []exec.Item{b.item}
	a.Moved = uint64(r.Sent + r.Received)
	if data.Batch != nil {
		a.Fetched = uint64(r.Received)
	}
	a.Version = r.Version
	return a
}

// Flush makes the request leave.
func (b *brought) Flush() { b.peer.Flush() }

// Ready says whether the data is here.
func (b *brought) Ready() bool { return b.err != nil || b.pending.Ready() }

// Poll waits for it for a while.
func (b *brought) Poll(d time.Duration) { b.pending.Poll(d) }

// Drop gives the data up.
func (b *brought) Drop() {
	if b.err == nil {
		b.pending.Cancel()
	}
	b.item.Release()
}

// Claim makes a name of a child known before the child exists.
func (w *Worker) Claim(t *exec.Task, id vertex.ID, name string) error {
	if !w.member() {
		return nil
	}
	_, err := w.claim(id, name, false, t.Deadline)
	return err
}

// Linked tells the owners of children about their parent. It is an index that may lag: nobody
// waits for it, and what does not arrive is missing from it.
func (w *Worker) Linked(parent vertex.ID, children []vertex.ID, present bool) {
	direction := uint32(edgesChildren)
	if !present {
		direction = edgesParents
	}
	for _, child := range children {
		if r := w.store.Open(child); r != nil {
			w.store.SetParents(child, []vertex.ID{parent}, present)
			w.store.Release(r)
			continue
		}
		if !w.clustered() {
			continue
		}
		owner, err := w.ownerOf(child, clock.After(backgroundTimeout))
		if err != nil {
			continue // a child that does not exist yet, or no longer
		}
		op := &wire.Operation{Op: wire.OpParents, ID: child, IDs: []vertex.ID{parent}, Direction: direction}
		if err := w.peer(owner).Notify(op); err != nil {
			w.log.Debug("a parent was not announced", "child", child.String(), "error", err)
		}
	}
}

// operate sends an operation and waits for its reply, whose error becomes the error.
func (w *Worker) operate(peer *rpc.Peer, op *wire.Operation, deadline int64) (*rpc.Reply, error) {
	request := wire.Frame{Header: wire.SessionHeader{Kind: wire.KindOperation}, Message: op}
	reply := new(rpc.Reply)
	if err := peer.Do(&request, reply, deadline); err != nil {
		return nil, err
	}
	if reply.Error != nil {
		err := cloneError(reply.Error)
		if err.Node == 0 {
			err.Node = peer.Identity().Node
		}
		reply.Clear()
		return nil, err
	}
	return reply, nil
}

// operateOnce sends an update and, where its connection breaks, sends it again under the same
// sequence: it is applied once.
func (w *Worker) operateOnce(peer *rpc.Peer, op *wire.Operation, deadline int64) (reply *rpc.Reply, err error) {
	w.sequence.Lock()
	op.Sequence, err = w.sequences.Begin()
	op.Floor = w.sequences.Floor()
	w.sequence.Unlock()
	if err != nil {
		return nil, err
	}
	defer w.giveUp(op.Sequence)
	for try := 0; ; try++ {
		reply, err = w.operate(peer, op, deadline)
		if err == nil || try >= MaxResends || !lost(err) || clock.Until(deadline) <= 0 {
			return reply, err
		}
		pauseBefore(try, deadline)
		w.counts.resends.Add(1)
	}
}

// pauseBefore waits before a request is sent again: 1, 2, 4 ms and so on.
func pauseBefore(resend int, deadline int64) {
	time.Sleep(min(time.Millisecond<<resend, max(clock.Until(deadline), 0)))
}

// ask sends an operation on the handle's vertex to its owner. An owner that has it no longer is
// looked up anew, once.
func (v *Vertex) ask(op *wire.Operation, timeout time.Duration) (*rpc.Reply, error) {
	return v.send(op, timeout, v.worker.operate)
}

// update does the same for an operation that changes the vertex, exactly once.
func (v *Vertex) update(op *wire.Operation) (uint64, error) {
	reply, err := v.send(op, 0, v.worker.operateOnce)
	if err != nil {
		return 0, err
	}
	defer releaseReply(reply)
	return reply.Version, nil
}

func (v *Vertex) send(op *wire.Operation, timeout time.Duration,
	send func(*rpc.Peer, *wire.Operation, int64) (*rpc.Reply, error)) (*rpc.Reply, error) {
	w := v.worker
	op.ID = v.id
	deadline := clock.After(w.timeout(timeout))
	owner, err := w.ownerOf(v.id, deadline)
	if err != nil {
		return nil, err
	}
	reply, err := send(w.peer(owner), op, deadline)
	if status.Of(err) != status.NotFound {
		return reply, err
	}
	if moved, lookErr := w.missed(v.id, owner, deadline); lookErr == nil && moved != owner {
		return send(w.peer(moved), op, deadline)
	}
	return nil, err
}

func releaseReply(r *rpc.Reply) {
	if r != nil {
		r.Clear()
	}
}

// cloneError copies an error out of a reply's memory.
func cloneError(e *status.Error) *status.Error {
	c := *e
	return &c
}

// missing remembers for a while which functions other workers do not have.
type missing struct {
	mu   sync.Mutex
	seen map[missingKey]int64 // under mu: until when
}

type missingKey struct {
	node wire.Identity
	hash exec.Hash
}

func (m *missing) add(node wire.Identity, hash exec.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || len(m.seen) >= MaxMissing {
		m.seen = map[missingKey]int64{}
	}
	m.seen[missingKey{node, hash}] = clock.After(MissingFor)
}

func (m *missing) known(node wire.Identity, hash exec.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.seen[missingKey{node, hash}]
	if ok && clock.Until(until) < 0 {
		delete(m.seen, missingKey{node, hash})
		return false
	}
	return ok
}

func (m *missing) forget(node wire.Identity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.seen {
		if key.node == node {
			delete(m.seen, key)
		}
	}
}

// missed looks a vertex up again after a node that was taken for its owner did not have it.
func (w *Worker) missed(id vertex.ID, by wire.Identity, deadline int64) (wire.Identity, error) {
	done := w.drive(cluster.Missed{ID: id, By: by}, deadline)
	if done.Err != nil {
		return wire.Identity{}, done.Err
	}
	return done.Owner, nil
}

// lost says that a request ended because its connection broke.
func lost(err error) bool { return status.Of(err) == status.Unavailable }
