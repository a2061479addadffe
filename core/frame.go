package core

import (
	"slices"
	"sync"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/internal/rpc"
	"dcf/core/status"
	"dcf/udf"
	"dcf/wire"
)

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
	resends int
	err     error // of sending
	lent    bool  // its memory is not the pool's
}

var framePool = sync.Pool{New: func() any { return new(frame) }}

func (w *Worker) newFrame(owner wire.Identity) *frame {
	f := framePool.Get().(*frame)
	f.begin(w, owner)
	return f
}

func (f *frame) begin(w *Worker, owner wire.Identity) {
	f.worker, f.owner, f.resends, f.err = w, owner, 0, nil
	f.items, f.paths = f.items[:0], f.paths[:0]
	f.call.UDFs, f.call.Targets = f.call.UDFs[:0], f.call.Targets[:0]
}

func (w *Worker) addTo(frames []*frame, owner wire.Identity, item *exec.Item) []*frame {
	for _, f := range frames {
		if f.owner == owner {
			f.items = append(f.items, *item)
			return frames
		}
	}
	f := w.newFrame(owner)
	f.items = append(f.items, *item)
	return append(frames, f)
}

// sendFrame builds a frame's request and hands it to the connection; it leaves with the next flush.
func (w *Worker) sendFrame(t *exec.Task, f *frame) {
	f.peer = w.peer(f.owner)
	c := &f.call
	c.Root = wire.Identity{Node: t.Origin.Node, Incarnation: t.Origin.Incarnation}
	c.Sequence, c.Floor = t.Origin.Sequence, t.Origin.Floor
	c.Depth, c.SpawnBudget, c.Arguments = t.Depth+1, f.budget, t.Arguments
	c.Flags = wire.CallTree
	if t.ReadOnly {
		c.Flags |= wire.CallReadOnly
	}
	c.UDFs = append(c.UDFs, refOf(t.Called, "", exec.Hash{}))
	for i := range f.items {
		it := &f.items[i]
		start := len(f.paths)
		f.paths = it.AppendIndexes(f.paths)
		c.Targets = append(c.Targets, wire.Target{ID: it.Target, Birth: it.Birth, UDF: f.udf(it), Once: it.Once,
			HasArguments: it.Own, Arguments: it.Value,
			Path: f.paths[start:len(f.paths):len(f.paths)]})
	}
	f.request.Header, f.request.Message = wire.SessionHeader{Kind: wire.KindCall, TraceID: t.TraceID}, c
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
	if !f.lent {
		framePool.Put(f)
	}
}

// Wait waits for the frame's reply. The first frame of a call is sent again where its connection
// broke: what it updated is remembered by its owner and not done twice.
func (f *frame) Wait(t *exec.Task) (a exec.Answer) {
	defer f.release()
	w := f.worker
	err := f.err
	for {
		if err == nil {
			err = f.receive(t)
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
		a.Err = f.named(err)
		a.Effects = f.unanswered(t.ReadOnly, err)
		return a
	}
	a = f.answer(t)
	f.pending.Discard()
	return a
}

// receive waits for the reply, which stays where it lies until Discard.
func (f *frame) receive(t *exec.Task) error {
	err := f.pending.Await(t.Cancelled())
	if err != nil {
		return err
	}
	if _, _, err = f.pending.Peek(); err != nil {
		f.pending.Discard()
	}
	return err
}

// named says of a frame that was not answered in time what it asked for: that function may hang.
func (f *frame) named(err error) *status.Error {
	e := status.From(err)
	if e.Code != status.Timeout {
		return e
	}
	e = status.Errorf(status.Timeout, "function %q: %s", f.call.UDFs[0].Name, e.Message)
	e.Node = f.owner.Node
	return e
}

// unanswered gives the effects of a frame whose reply did not come.
func (f *frame) unanswered(readOnly bool, err error) exec.Effects {
	if readOnly || f.resends == 0 && !rpc.Sent(err) {
		return exec.EffectsNone
	}
	return exec.EffectsUnknown
}

// answer turns a reply into what the task takes in.
func (f *frame) answer(t *exec.Task) (a exec.Answer) {
	r, received, _ := f.pending.Peek()
	a.Effects = exec.Effects(r.Effects)
	a.Moved = uint64(f.pending.SentBytes()+received) + r.BytesMoved
	a.SpawnsLeft, a.Version = r.SpawnsLeft, r.Version
	for _, runs := range r.Ran {
		t.AddRuns(exec.Runs(runs))
	}
	a.How = uint16(f.how(r))
	if r.Missing != 0 && int(r.Missing) <= len(f.call.UDFs) {
		return f.fallBack(t, a, f.call.UDFs[r.Missing-1])
	}
	if r.Error != nil {
		if f.moved(t, r) {
			a.How, a.SpawnsLeft = uint16(InProcess), f.budget
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

// how says how far a frame went that was answered: the way to its owner, or further from there.
func (f *frame) how(r *wire.Reply) ServedHow {
	if f.pending.Scheme() == sharedMemory {
		return max(SharedMem, min(ServedHow(r.How), Network))
	}
	return Network
}

// fallBack deals with an owner that does not have a function which this worker has: the data of its
// targets is brought here instead. Nothing of the frame ran.
func (f *frame) fallBack(t *exec.Task, a exec.Answer, ref wire.UDFRef) exec.Answer {
	w := f.worker
	w.missing.add(f.owner, exec.Hash(ref.Hash))
	a.How, a.SpawnsLeft = uint16(InProcess), f.budget
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
func (f *frame) moved(t *exec.Task, r *wire.Reply) bool {
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
func (f *frame) Flush() { f.pending.Flush() }

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

// lost says that a request ended because its connection broke.
func lost(err error) bool { return status.Of(err) == status.Unavailable }
