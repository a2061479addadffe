package core

import (
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/status"
	"dcf/udf"
)

// Run runs the calls and returns when all are done; each call's Err says how it went, and the error
// says that the worker itself cannot run any. The calling goroutine runs what is here itself, all
// calls of one function in one go, and waits itself for what is elsewhere.
func (w *Worker) Run(calls []Call) error {
	if len(calls) == 1 && (calls[0].simple(w) && w.runSimple(calls) || calls[0].ask(w)) {
		return nil
	}
	pin, err := w.store.Pin()
	if err != nil {
		return err
	}
	if w.closing.Load() {
		w.store.Unpin(pin)
		return errClosed()
	}
	later := w.runAtOnce(w.engine.Frames.At(pin), calls)
	w.store.Count(pin, len(calls)-later)
	w.store.Unpin(pin)
	if later > 0 {
		w.runLater(calls)
	}
	return nil
}

// simple says that a call asks for nothing but a calculate on one vertex, as most do, and that
// nothing is left of an earlier run.
func (c *Call) simple(w *Worker) bool {
	return c.UDF != nil && c.UDF.worker == w && len(c.Targets) == 1 && c.Targets[0] != nil &&
		c.Targets[0].worker == w && c.Flags <= Here && c.Ticket == 0 && c.TargetArguments == nil &&
		c.Timeout <= 0 && c.cancel == nil && !c.rare
}

// runSimple does for one simple call what is done for any, with less to look at, to store and to
// call: that is most of what a short function costs. It is false, and nothing was done, where the
// worker, the vertex or the function asks for more.
func (w *Worker) runSimple(calls []Call) bool {
	c := &calls[0]
	pin, ok := w.store.PinHome()
	if !ok {
		return false
	}
	frame, fn, version := w.engine.Frames.Made(pin), c.UDF.function, c.Targets[0].current()
	if frame == nil || version == nil || version.Group() || !fn.Plain() || w.closing.Load() {
		w.store.Unpin(pin)
		return false
	}
	in, out := &frame.Inputs[0], &frame.Outputs[0]
	frame.Runs(fn)
	frame.Fill(0, version.State())
	in.Arguments = c.Arguments
	fn.Program.Calculate(&frame.One)
	later := 0
	if part := out.Part.Bytes; out.Plain() && out.HasPart && len(part) <= len(c.Buffer) {
		c.Version, c.ServedBy, c.later = version.Number(), w.self.Node, false
		c.giveBytes(part)
		out.Clear()
	} else if w.conclude(c, in, out) {
		later = 1
	}
	frame.Scratch.Reset()
	w.store.Count(pin, 1-later)
	if w.store.UnpinHome(pin) {
		w.store.Reclaim()
	}
	if later > 0 {
		w.runLater(calls)
	}
	return true
}

// runAtOnce runs the calls that need nothing but a vertex which is here, and gives how many are
// left. The caller holds the frame's pin.
func (w *Worker) runAtOnce(frame *exec.Frame, calls []Call) (later int) {
	for i := range calls {
		calls[i].clearResults()
		calls[i].later = true
	}
	for i := range calls {
		switch c := &calls[i]; {
		case !c.later || c.task != nil: // it ran already; what it spawned goes on later
		case c.UDF == nil:
			later++
		default:
			later += w.runFrom(frame, calls, i)
		}
	}
	return later
}

// runFrom gathers the calls from i on that have the same function as call i, and runs them in one
// wave. It gives 1 where call i itself is to be run later, and how many of the others spawned.
func (w *Worker) runFrom(frame *exec.Frame, calls []Call, i int) (later int) {
	fn := calls[i].UDF.function
	n := 0
	for j := i; j < min(len(calls), i+gatherWindow) && n < exec.WaveSize; j++ {
		c := &calls[j]
		if c.later && c.task == nil && c.UDF != nil && c.UDF.function == fn && w.input(frame, c, n) {
			frame.Tags[n] = uint32(j)
			n++
		} else if j == i {
			return 1
		}
	}
	return w.runWave(frame, calls, fn, n)
}

// input fills an input for a call that can run at once; false for any other.
func (w *Worker) input(frame *exec.Frame, c *Call, at int) bool {
	c.later = true
	if c.UDF == nil || len(c.Targets) != 1 || c.Flags > Here || c.Ticket != 0 ||
		c.TargetArguments != nil {
		return false
	}
	fn, v := c.UDF.function, c.Targets[0]
	if v == nil || v.worker != w || c.UDF.worker != w || fn.Flags&udf.Updates != 0 || fn.Gone() {
		return false
	}
	version := v.current()
	if version == nil || version.Group() {
		return false
	}
	frame.Fill(at, version.State())
	frame.Inputs[at].Arguments = c.Arguments
	if c.Timeout > 0 {
		frame.Hurry(at, fn, clock.After(c.Timeout), c.cancel)
	} else if c.cancel != nil {
		frame.Hurry(at, fn, 0, c.cancel)
	}
	return true
}

// runWave calculates n inputs and hands their outputs to the calls that the frame's tags name. It
// gives how many calls go on as tasks.
func (w *Worker) runWave(frame *exec.Frame, calls []Call, fn *exec.Function, n int) (later int) {
	frame.Prepare(fn, n)
	fn.Program.Calculate(&frame.Wave)
	for i := range n {
		if w.conclude(&calls[frame.Tags[i]], &frame.Inputs[i], &frame.Outputs[i]) {
			later++
		}
	}
	frame.Scratch.Reset()
	return later
}

// conclude hands the output of a calculate to its call; true where the call goes on as a task.
func (w *Worker) conclude(c *Call, in *udf.Input, out *udf.Output) (later bool) {
	c.later, c.Version, c.ServedBy = false, in.Version, w.self.Node
	switch {
	case out.AskedForMore():
		later = w.unusual(c, in, out)
	case !out.HasPart:
		c.Result.Bytes, c.ResultSize = nil, 0
	case c.UDF.function.Finishing:
		w.finish(c, out.Part)
	default:
		c.setResult(&out.Part)
	}
	out.Clear()
	return later
}

// Resume goes on with a call whose only calculate was run by C, on a local vertex of that version,
// under the pin that C holds, which it gives back. It has take fill in what the calculate answered.
func (w *Worker) Resume(pin int, c *[1]Call, version uint64, take func(out *udf.Output)) {
	held := w.store.Held(pin)
	frame := w.engine.Frames.At(held)
	c[0].clearResults()
	frame.Prepare(c[0].UDF.function, 1)
	in, out := &frame.Inputs[0], &frame.Outputs[0]
	frame.Ran.Vertex, frame.Ran.Version = c[0].Targets[0].id, version
	frame.Fill(0, &frame.Ran)
	take(out)
	later := w.conclude(&c[0], in, out)
	if !later {
		w.store.Count(held, 1)
	}
	w.store.Unpin(held)
	if later {
		w.runLater(c[:])
	}
}

// unusual deals with an output that failed, has effects or spawned; true where the call goes on as
// a task.
func (w *Worker) unusual(c *Call, in *udf.Input, out *udf.Output) bool {
	c.rare = true
	c.Result.Bytes, c.ResultSize = nil, 0
	item := exec.Item{Function: c.UDF.function, Target: in.Vertex}
	t := w.newTask(c)
	t.Take(&item, out)
	if t.Err != nil {
		c.Err = t.Err
		w.endTask(t)
		return false
	}
	c.task, c.later = t, true
	return true
}

// finish makes a call's result of its only part.
func (w *Worker) finish(c *Call, part udf.Value) {
	if err := w.engine.Finish(c.UDF.function, c.Arguments, part, c.setResult); err != nil {
		c.fail(err)
	}
}

// runLater runs the calls that did not run at once. What they send leaves together, before the
// first of them is waited for.
func (w *Worker) runLater(calls []Call) {
	growStack()
	for i := range calls {
		if c := &calls[i]; c.later {
			w.launch(c)
		}
	}
	for i := range calls {
		if c := &calls[i]; c.later {
			c.task.Flush()
		}
	}
	for i := range calls {
		if c := &calls[i]; c.later {
			w.land(c)
		}
	}
}

// launch starts a call as a task: what is here runs, what is elsewhere is sent.
func (w *Worker) launch(c *Call) {
	c.rare = true
	if c.task == nil {
		c.Result.Bytes, c.ResultSize, c.Version, c.ServedBy = nil, 0, 0, 0
		if err := w.checkCall(c); err != nil {
			c.fail(err)
			c.later = false
			return
		}
		c.task = w.newTask(c)
		if c.UDF.function.Gone() { // looked at again: whoever drops it waits for tasks that began
			c.task.Fail(status.Errorf(status.NotFound, "function %q was dropped", c.UDF.Name()))
		} else {
			w.addTargets(c.task, c)
		}
	}
	c.task.Launch()
}

// land waits for a call that was launched and makes its result.
func (w *Worker) land(c *Call) {
	t := c.task
	t.Finish()
	w.counts.calculates.Add(int64(t.Calculates))
	c.Version, c.Effects = t.Version, Effects(t.Effects)
	c.BytesMoved, c.BytesFetched = t.Moved, t.Fetched
	c.ServedBy, c.ServedHow = w.self.Node, ServedHow(t.How)
	if t.Calculates > 0 {
		c.Ran = append(c.Ran, NodeRuns{w.self.Node, t.Calculates})
	}
	for _, r := range t.Ran {
		c.Ran = append(c.Ran, NodeRuns(r))
	}
	if len(c.Ran) == 1 {
		c.ServedBy = c.Ran[0].Node
	}
	if c.Flags&Timed != 0 {
		c.ServedFor = time.Duration(clock.Now() - t.Started)
	}
	if c.Err = t.Err; c.Err == nil {
		w.deliver(c, t)
	}
	w.settle(c, t.Origin.Sequence)
	c.task, c.later = nil, false
	w.endTask(t)
}

// deliver makes the result of a task's parts.
func (w *Worker) deliver(c *Call, t *exec.Task) {
	fn := c.UDF.function
	switch {
	case len(t.Parts) == 0:
	case len(t.Parts) == 1 && fn.Finishing:
		w.finish(c, t.Parts[0].Value)
	case len(t.Parts) == 1:
		c.setResult(&t.Parts[0].Value)
	case fn.Finishing:
		c.fail(status.Errorf(status.InvalidArgument, "function %q has a finish but no merge, and the "+
			"call came to %d parts: give it a merge, or call it on one vertex", fn.Name, len(t.Parts)))
	default:
		for i := range t.Parts {
			value := t.Parts[i].Value
			if value.Batch == nil {
				value = keepBytes(value.Bytes)
			}
			t.Parts[i].Value = udf.Value{}
			c.Parts = append(c.Parts, value)
		}
	}
}

// checkCall refuses a call that could not run anywhere.
func (w *Worker) checkCall(c *Call) error {
	targets := len(c.Targets)
	switch {
	case c.UDF == nil:
		return status.Errorf(status.InvalidArgument, "a call needs a function")
	case c.UDF.worker != w:
		return status.Errorf(status.BadHandle,
			"function %q is registered with another worker: register it with this one", c.UDF.Name())
	case c.UDF.function.Gone():
		return status.Errorf(status.NotFound, "function %q was dropped", c.UDF.Name())
	case c.Flags&^(AtOwner|Here|Timed) != 0:
		return status.Errorf(status.InvalidArgument, "call flags %#x are not known", uint32(c.Flags))
	case c.Flags&(AtOwner|Here) == AtOwner|Here:
		return status.Errorf(status.InvalidArgument,
			"AT_OWNER and HERE exclude each other: choose one, or neither")
	}
	if c.Ticket != 0 && !w.unfinished(c.Ticket) {
		return status.Errorf(status.InvalidArgument, "ticket %d belongs to no call whose effects are "+
			"unknown: set it to 0 for a new call", c.Ticket)
	}
	for _, v := range c.Targets {
		switch {
		case v == nil:
			return status.Errorf(status.InvalidArgument, "a target is no vertex")
		case v.worker != w:
			return status.Errorf(status.BadHandle,
				"vertex %v was opened by another worker: open it with this one", v.id)
		case v.released.Load():
			return status.Errorf(status.BadHandle, "the handle on vertex %v was released", v.id)
		}
	}
	if targets == 0 {
		targets = len(c.TargetIDs)
	}
	if targets == 0 {
		return status.Errorf(status.InvalidArgument, "the call of %q has no target: name a vertex",
			c.UDF.Name())
	}
	if c.TargetArguments != nil && len(c.TargetArguments) != targets {
		return status.Errorf(status.InvalidArgument, "the call has %d targets and %d target arguments",
			targets, len(c.TargetArguments))
	}
	return nil
}

// addTargets gives a task the calculates that a call asks for.
func (w *Worker) addTargets(t *exec.Task, c *Call) {
	add := func(i int, item exec.Item) {
		item.Function, item.Index = c.UDF.function, uint32(i)
		if c.TargetArguments != nil {
			item.Own, item.Value = true, c.TargetArguments[i]
			if item.Value.Batch != nil {
				item.Value.Batch.Retain()
			}
		}
		t.Add(item)
	}
	for i, v := range c.Targets {
		if record := v.record.Load(); record != nil && record.Current() == nil {
			t.Fail(exec.Gone(v.id))
			return
		}
		add(i, exec.Item{Target: v.id, Birth: v.birth})
	}
	if len(c.Targets) == 0 {
		for i, id := range c.TargetIDs {
			add(i, exec.Item{Target: id})
		}
	}
}
