package core

import (
	"sync/atomic"
	"time"
	"unsafe"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/internal/lane"
	"dcf/core/internal/store"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/udf"
)

// Small calls are those of one short function that reads one vertex. To a worker with which this one
// shares memory they go over a lane (core/internal/lane): no frame, no request, no task. Where either
// side finds that a call takes more than that, it is asked as a frame, as if there were no lanes.

// ---- The serving side ------------------------------------------------------

// A wave takes as many calls as come over lanes in one go.
const _ = uint(exec.WaveSize - lane.MaxTogether)

// Answer is called by rpc with calls that came over lanes. Those of one function that follow each other run
// in one go.
func (w *Worker) Answer(calls []lane.Call, answers []lane.Answer) {
	if w.closing.Load() {
		return
	}
	pin, err := w.store.Pin()
	if err != nil {
		return
	}
	frame := w.engine.Frames.At(pin)
	var trees []tree // few calls make one
	for len(calls) > 0 {
		n := 1
		for n < len(calls) && calls[n].Function == calls[0].Function {
			n++
		}
		trees = w.answer(frame, calls[:n], answers[:n], trees)
		calls, answers = calls[n:], answers[n:]
	}
	w.store.Unpin(pin)
	for i := range trees {
		w.grow(&trees[i])
	}
}

// answer runs calls of one function in a frame, and adds those that spawned to trees. The caller holds its pin.
func (w *Worker) answer(frame *exec.Frame, calls []lane.Call, answers []lane.Answer, trees []tree) []tree {
	fn := w.functions.Load().byHash[exec.Hash(calls[0].Function)]
	if fn == nil || fn.Gone() { // looked at under the pin: whoever drops it waits for those that were held then
		return trees
	}
	if !small(fn) {
		for i := range answers {
			answers[i].Never = true
		}
		return trees
	}
	n := 0
	var last *store.Record
	for i := range calls {
		if last = w.target(&calls[i], last); last == nil {
			continue
		}
		version := last.Current()
		if version == nil || version.Group() {
			continue
		}
		frame.Fill(n, version.State())
		if budget := calls[i].Budget; budget > 0 {
			frame.Hurry(n, fn, clock.After(time.Duration(budget)), nil)
		}
		frame.Inputs[n].Arguments = udf.Value{Bytes: calls[i].Arguments}
		frame.Tags[n] = uint32(i)
		n++
	}
	if n == 0 {
		return trees
	}
	frame.Prepare(fn, n)
	fn.Program.Calculate(&frame.Wave)
	for i := range n {
		at, in, out := frame.Tags[i], &frame.Inputs[i], &frame.Outputs[i]
		if out.AskedForMore() {
			if t := w.plant(&calls[at], fn, in, out); t != nil {
				trees = append(trees, tree{t, &answers[at]})
				out.Clear()
				continue
			}
		}
		if !give(&answers[at], fn, &calls[at], in, out) {
			w.counts.served.Add(-1) // it counts when it comes as a frame
		}
	}
	frame.Scratch.Reset()
	w.counts.small.Add(int64(n))
	return trees
}

// tree is a call that came over a lane and whose function spawned.
type tree struct {
	task   *exec.Task
	answer *lane.Answer
}

// maxTreeSpawns is how many calculates one such call may spawn: it holds up the others.
const maxTreeSpawns = 256

// plant makes a task of a call whose calculate spawned, where that may be answered over a lane. The caller holds a
// pin.
func (w *Worker) plant(call *lane.Call, fn *exec.Function, in *udf.Input, out *udf.Output) *exec.Task {
	if out.Failure != nil || len(out.Spawns) == 0 || len(out.Effects) > 0 || fn.Ordered() {
		return nil
	}
	t := exec.NewTask(w.engine)
	t.Phase = w.tasks.begin()
	t.Foreign, t.Nameless, t.ReadOnly, t.Depth, t.Budget = true, true, true, 1, maxTreeSpawns
	t.Called, t.Arguments, t.Version = fn, udf.Value{Bytes: call.Arguments}, in.Version
	if call.Budget > 0 {
		t.Deadline = in.Deadline
	}
	t.Take(&exec.Item{Function: fn, Target: in.Vertex}, out)
	return t
}

// grow runs a task to its end and answers with what it came to, where all of it is here and that is small.
func (w *Worker) grow(g *tree) {
	t := g.task
	defer w.endTask(t)
	here := t.RunHere()
	if here {
		t.Finish()
	}
	var part udf.Value
	if len(t.Parts) > 0 {
		part = t.Parts[0].Value
	}
	if !here || t.Err != nil || len(t.Parts) > 1 || part.Batch != nil || len(part.Bytes) > lane.MaxTreePart {
		g.answer.Never = t.Err == nil // of an error the frame says all
		w.counts.served.Add(-1)       // it counts when it comes as a frame
		return
	}
	g.answer.Give(t.Version, part.Bytes, len(t.Parts) > 0)
	g.answer.Runs = uint32(t.Calculates)
	w.counts.calculates.Add(int64(t.Calculates) - 1)
}

// target gives the vertex that a call means, or nil. Calls often mean the same: last is the one before, if
// any.
func (w *Worker) target(call *lane.Call, last *store.Record) *store.Record {
	if last == nil || last.ID() != call.Vertex {
		last = w.store.Find(call.Vertex)
	}
	if last == nil || !last.Is(call.Birth) {
		return nil
	}
	return last
}

// give makes an output the answer, or says that it is to be asked as a frame.
func give(answer *lane.Answer, fn *exec.Function, call *lane.Call, in *udf.Input, out *udf.Output) (answered bool) {
	answered = true
	switch part := &out.Part; {
	case out.Failure != nil:
		answered = answer.Fail(in.Version, exec.Blame(out.Failure, fn.Name, call.Vertex))
	case out.AskedForMore() || part.Batch != nil || len(part.Bytes) > lane.MaxPart:
		answered, answer.Never = false, true // it is asked again, and from then on at once as a frame
	default:
		answer.Give(in.Version, part.Bytes, out.HasPart)
	}
	out.Clear()
	return answered
}

// fits says whether a call with these arguments may go over a lane, for all that is known so far.
func fits(fn *exec.Function, arguments *udf.Value) bool {
	return arguments.Batch == nil && len(arguments.Bytes) <= lane.MaxArguments && !fn.Large.Load() && small(fn)
}

// small says whether calls of a function may go over lanes.
func small(fn *exec.Function) bool {
	const flags = udf.Short | udf.CallerThread | udf.Updates
	return fn.Flags&flags == udf.Short && fn.Shared && !fn.Finishing && !fn.Gone()
}

// ---- The calling side ------------------------------------------------------

// Lane is how C makes small calls to the owner of a vertex.
type Lane struct {
	Lanes  unsafe.Pointer // dcf_lanes
	Number uint64         // of the connection
	Birth  uint64         // of the vertex; 0: not known
}

// Lane gives the lanes to the owner of a vertex that is elsewhere, if there are any.
func (v *Vertex) Lane() (l Lane, ok bool) {
	var to route
	if v.worker.rpc == nil || v.released.Load() {
		return l, false
	}
	if to.find(v); to.peer == nil {
		return l, false
	}
	caller := to.peer.Lanes()
	if caller == nil {
		return l, false
	}
	l.Birth = v.birth
	l.Lanes, l.Number = caller.Direct()
	return l, true
}

// Small gives the identity by which calls of the function go over lanes, if they do.
func (u *UDF) Small() (hash [16]byte, ok bool) {
	return u.function.Hash, small(u.function) && !u.function.Large.Load()
}

// Small says that the last run of the call went over a lane.
func (c *Call) Small() bool { return c.small }

// askLane runs a call over a lane. It is not done, and there is no result, where the call is to be asked as
// a frame: by that deadline, where it is not 0.
func (c *Call) askLane(w *Worker, to *route) (deadline int64, done bool) {
	fn, arguments := c.UDF.function, c.Arguments.Bytes
	framed := c.framed
	c.framed = false
	if framed || !fits(fn, &c.Arguments) {
		return 0, false
	}
	caller := to.peer.Lanes()
	if caller == nil {
		return 0, false
	}
	at, ok := caller.Take()
	if !ok {
		return 0, false
	}
	request := lane.Request{Vertex: to.target.id, Birth: to.target.birth, Function: fn.Hash,
		Budget: int64(c.Timeout), Arguments: arguments}
	caller.Ask(at, &request)
	if !caller.Poll(at) {
		deadline = clock.After(w.timeout(c.Timeout))
	}
	return deadline, c.endLane(w, caller, at, deadline, false)
}

// AwaitLane goes on with a call that C has asked over a lane, which it holds and gives up, and for which it
// has waited since began, a time of CLOCK_MONOTONIC; 0: not yet. It is false where the call is to be run, with
// the Timeout that it has then.
func (c *Call) AwaitLane(w *Worker, lanes uint32, at int, began int64) bool {
	c.clearResults()
	caller := lane.At(lanes)
	if caller == nil {
		return false
	}
	caller.Held(at)
	deadline := clock.After(w.timeout(c.Timeout))
	if began != 0 {
		deadline -= clock.Now() - began
	}
	if c.endLane(w, caller, at, deadline, began != 0) {
		return true
	}
	c.Timeout, c.framed = max(clock.Until(deadline), 1), true
	return false
}

// LeaveLane gives a lane up that C holds.
func LeaveLane(lanes uint32, at int) {
	if caller := lane.At(lanes); caller != nil {
		caller.Leave(at)
	}
}

// endLane waits for the answer to a call over a lane, makes its result of it, and gives the lane up.
// Deadline 0: the answer is here. It is false, and the call not counted, as askLane is.
func (c *Call) endLane(w *Worker, caller *lane.Caller, at int, deadline int64, slept bool) bool {
	held, err := true, error(nil)
	if deadline != 0 {
		wait := laneWait{caller, at, c.UDF.function.Name, c.cancel}
		held, err = wait.sleep(deadline, slept)
	}
	if held {
		defer caller.Leave(at)
	}
	switch {
	case err != nil:
		c.fail(err)
		return true
	case !held || !caller.Answered(at) || !c.takeLane(caller, at):
		w.counts.tasks.Add(-1) // it counts where it is asked as a frame
		return false
	}
	return true
}

// laneWait is a wait for the answer to a call over a lane.
type laneWait struct {
	caller   *lane.Caller
	at       int
	function string
	cancel   *atomic.Uint32 // turns non-zero: end early; nil: nobody can ask for that
}

// sleep waits until the answer is here, the connection has ended, or it fails. It does not hold the
// lane any more where another call may be on it, or none.
func (l *laneWait) sleep(deadline int64, slept bool) (held bool, err error) {
	caller, at := l.caller, l.at
	for held = true; held && !caller.Answered(at) && !caller.Ended(); slept = true {
		if slept && interrupt.Load() != nil {
			// What is asked may take long, and close the worker: that waits until all have left.
			end := false
			if held = caller.Without(at, func() { end = interrupted() }); end {
				return held, status.Errorf(status.Interrupted, "the wait for a reply was interrupted")
			} else if !held {
				break
			}
		}
		wait := min(transport.Slice, clock.Until(deadline))
		switch {
		case l.cancel != nil && l.cancel.Load() != 0:
			return held, status.Errorf(status.Cancelled, "the call was cancelled")
		case wait <= 0:
			late := status.Errorf(status.Timeout, "function %q: node %d did not answer in time", l.function,
				caller.Node())
			late.Node = caller.Node()
			return held, late
		}
		caller.Sleep(at, wait)
	}
	return held, nil
}

// takeLane makes the answer the call's result. It is false where the answer is that it wants a frame.
func (c *Call) takeLane(caller *lane.Caller, at int) bool {
	reply, err := caller.Reply(at)
	if err != nil {
		c.fail(err)
		return true
	}
	if !reply.Ran && reply.Failure == nil {
		if reply.Never {
			c.UDF.function.Large.Store(true)
		}
		return false
	}
	c.rare, c.small = true, true
	c.BytesMoved = caller.Exchanged(at)
	c.ServedBy, c.ServedHow = caller.Node(), SharedMem
	c.Ran = append(c.Ran, NodeRuns{Node: c.ServedBy, Runs: uint64(max(reply.Runs, 1))})
	c.Version = reply.Version
	if reply.Failure != nil {
		reply.Failure.Vertex = c.Targets[0].id
		c.fail(reply.Failure)
	} else if reply.HasPart {
		c.setResult(&udf.Value{Bytes: reply.Part})
	}
	return true
}
