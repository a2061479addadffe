package exec

import (
	"slices"

	"dcf/core/internal/store"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// local calculates what is ready and here; what is not here moves to away. It ends early when the
// call failed, or when it would have to block and must not.
func (t *Task) local() {
	for len(t.ready) > 0 && !t.blocked && !t.stopped() {
		t.step()
	}
}

// step takes items of one function from the end of ready and calculates them as one wave, or one
// item that updates.
func (t *Task) step() {
	pin, err := t.Engine.Store.Pin()
	if err != nil {
		t.fail(status.From(err))
		return
	}
	frame := t.Engine.Frames.At(pin)
	n := 0
	var update *store.Record
	for n < WaveSize && len(t.ready) > 0 && t.Err == nil {
		last := len(t.ready) - 1
		it := &t.ready[last]
		if n > 0 && (it.Function != t.wave[0].Function || it.Function.Flags&udf.Updates != 0) {
			break
		}
		t.wave[n] = *it
		*it = Item{}
		t.ready = t.ready[:last]
		record, isReady := t.look(&t.wave[n], frame, n)
		if record != nil {
			update = record
			break
		}
		if isReady {
			n++
		} else {
			t.wave[n].Release() // nothing where the item went somewhere else
			t.wave[n] = Item{}
		}
	}
	if n > 0 && t.Err == nil {
		fn := t.wave[0].Function
		frame.Prepare(fn, n)
		fn.Program.Calculate(&frame.Wave)
		t.Calculates += uint64(n)
		t.collect(frame, n)
		frame.Scratch.Reset()
	}
	for i := range n {
		t.wave[i].Release()
		t.wave[i] = Item{}
	}
	t.Engine.Store.Unpin(pin)
	if update != nil {
		t.update(update)
	}
	t.foldSome(FoldSize)
}

// look finds an item's vertex. It fills the input and says true where the item is ready to run; it
// gives the record, with a handle, where the item updates it; else the item went somewhere else.
func (t *Task) look(it *Item, frame *Frame, at int) (*store.Record, bool) {
	if b := it.Brought; b != nil {
		return nil, t.brought(it, b, frame, at)
	}
	s := t.Engine.Store
	r := s.Find(it.Target)
	var v *store.Version
	if r != nil {
		v = r.Current()
	}
	if v == nil {
		t.sendOff(it)
		return nil, false
	}
	if !r.Is(it.Birth) {
		t.fail(Gone(it.Target))
		return nil, false
	}
	if v.Group() {
		t.expand(it, v.Children())
		*it = Item{}
		return nil, false
	}
	if it.Function == nil {
		t.fail(NoFunction(it.Name).WithVertex(it.Target))
		return nil, false
	}
	if it.Once && t.Nameless {
		t.sendOff(it)
		return nil, false
	}
	if it.Once && !t.first(it) {
		it.Release()
		*it = Item{}
		return nil, false
	}
	if it.Function.Flags&udf.Updates != 0 {
		if !s.Retain(r) {
			t.sendOff(it)
			return nil, false
		}
		return r, false
	}
	t.fill(it, frame, at, v.State())
	return nil, true
}

// sendOff leaves an item to another worker.
func (t *Task) sendOff(it *Item) {
	t.away = append(t.away, *it)
	*it = Item{}
}

// Gone is the error of what means a vertex that was dropped.
func Gone(id vertex.ID) *status.Error {
	return status.Errorf(status.NotFound, "vertex %v was dropped", id).WithVertex(id)
}

// NoFunction is the error of a worker that does not have a function.
func NoFunction(name string) *status.Error {
	return status.Errorf(status.NotFound,
		"no function %q is registered here: register it, or check its name", name)
}

func (t *Task) fill(it *Item, frame *Frame, at int, state *udf.State) {
	frame.Fill(at, state)
	frame.Inputs[at].Arguments = t.arguments(it)
	frame.Hurry(at, it.Function, t.Deadline, t.cancelled)
	t.Version = state.Version
}

func (t *Task) brought(it *Item, b *Brought, frame *Frame, at int) bool {
	switch {
	case b.Group:
		t.expand(it, b.Children)
		*it = Item{}
		return false
	case it.Function == nil:
		t.fail(NoFunction(it.Name).WithVertex(it.Target))
		return false
	case it.Function.Flags&udf.Updates != 0:
		t.fail(status.Errorf(status.Unsupported, "function %q updates its vertex, whose owner does "+
			"not have it: register it there under the same name and version", it.Function.Name).
			WithVertex(it.Target))
		return false
	}
	b.Vertex, b.Remote = it.Target, true
	t.fill(it, frame, at, &b.State)
	return true
}

func (t *Task) arguments(it *Item) udf.Value {
	if it.Own {
		return it.Value
	}
	return t.Arguments
}

// collect takes in the outputs of a wave.
func (t *Task) collect(frame *Frame, n int) {
	for i := range n {
		it, out := &t.wave[i], &frame.Outputs[i]
		refuseEffects(out)
		t.take(it, out)
		out.Clear()
	}
}

// Take goes on from an output of a calculate that ran outside a task and had no effects applied.
func (t *Task) Take(it *Item, out *udf.Output) {
	t.Calculates++
	refuseEffects(out)
	t.take(it, out)
}

func refuseEffects(out *udf.Output) {
	if len(out.Effects) > 0 && out.Failure == nil {
		out.FailWith(status.Errorf(status.UDFFailed, "it changes its vertex, but was not registered "+
			"with the flag for updates (DCF_UDF_UPDATES)"))
	}
}

// take takes in one output whose effects are dealt with.
func (t *Task) take(it *Item, out *udf.Output) {
	if out.Failure != nil {
		t.fail(Blame(out.Failure, it.Function.Name, it.Target))
		return
	}
	if out.HasPart {
		t.addPart(it, &out.Part)
	}
	t.spawn(it, out.Spawns)
}

// Blame says which function failed on which vertex.
func Blame(err *status.Error, function string, target vertex.ID) *status.Error {
	named := status.Errorf(err.Code, "function %q: %w", function, textOf(err))
	named.Detail, named.OS, named.Node = err.Detail, err.OS, err.Node
	return named.WithVertex(target)
}

// textOf is an error's message without its code's name, which the outer error has too.
func textOf(err *status.Error) error { return &plain{err} }

type plain struct{ err *status.Error }

func (p *plain) Error() string { return p.err.Message }
func (p *plain) Unwrap() error { return p.err }

// addPart keeps a part of an output: a batch moves, bytes are copied.
func (t *Task) addPart(it *Item, value *udf.Value) {
	if len(t.Parts) >= MaxParts {
		t.fail(status.Errorf(status.Exhausted, "the call has more than %d parts (MaxParts): give its "+
			"function a merge that is commutative, or call it on fewer vertices", MaxParts))
		return
	}
	p := Part{Value: *value}
	if value.Batch == nil {
		p.Value = t.keep(0, value.Bytes)
	}
	*value = udf.Value{}
	if t.Called.Ordered() {
		p.Path = it.Indexes()
	}
	t.Parts = append(t.Parts, p)
}

// keep copies bytes into one of the task's scratches.
func (t *Task) keep(scratch int, bytes []byte) udf.Value {
	kept := sliceAt(t.scratch[scratch].Alloc(len(bytes)), len(bytes))
	copy(kept, bytes)
	return udf.Value{Bytes: kept, OffHeap: true}
}

// foldSome folds parts into one when there are at least so many and their order does not matter.
func (t *Task) foldSome(atLeast int) {
	if t.Err == nil && len(t.Parts) >= max(atLeast, 2) && !t.Called.Ordered() {
		t.merge()
	}
}

// fold makes the parts what the task answers with: one where they can be folded here, else all of
// them in depth-first order.
func (t *Task) fold() {
	t.foldSome(2)
	if t.Err != nil || !t.Called.Ordered() {
		return
	}
	slices.SortStableFunc(t.Parts, func(a, b Part) int { return slices.Compare(a.Path, b.Path) })
	if t.Called.Merges() && t.Depth == 0 && len(t.Parts) > 1 {
		t.merge()
	}
}

// merge folds all parts into one.
func (t *Task) merge() {
	pin, err := t.Engine.Store.Pin()
	if err != nil {
		t.fail(status.From(err))
		return
	}
	frame := t.Engine.Frames.At(pin)
	defer t.Engine.Store.Unpin(pin)
	in, out := &frame.Fold, &frame.Final
	in.Parts = frame.Parts[:0]
	for i := range t.Parts {
		in.Parts = append(in.Parts, t.Parts[i].Value)
	}
	in.Arguments, in.Auxiliary = t.Arguments, t.Called.Auxiliary
	frame.function = t.Called
	t.Called.Program.Merge(in, out)
	t.replaceParts(out)
	out.Clear()
	clear(in.Parts)
	in.Parts, in.Arguments = nil, udf.Value{}
	frame.Scratch.Reset()
}

// replaceParts makes the output of a merge the only part.
func (t *Task) replaceParts(out *udf.Output) {
	if out.Failure != nil {
		t.fail(status.Errorf(out.Failure.Code, "merge of function %q: %s", t.Called.Name,
			out.Failure.Message).WithDetail(out.Failure.Detail))
		return
	}
	for i := range t.Parts {
		if b := t.Parts[i].Value.Batch; b != nil {
			b.Release()
		}
	}
	clear(t.Parts)
	t.Parts = t.Parts[:0]
	if out.HasPart {
		p := Part{Value: out.Part}
		if out.Part.Batch == nil {
			p.Value = t.keep(1, out.Part.Bytes)
		}
		out.Part = udf.Value{}
		t.Parts = append(t.Parts, p)
	}
	t.scratch[0].Reset()
	t.scratch[0], t.scratch[1] = t.scratch[1], t.scratch[0]
}
