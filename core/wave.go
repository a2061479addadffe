package core

import (
	"sync"

	"dcf/core/internal/exec"
	"dcf/core/internal/rpc"
	"dcf/core/internal/store"
	"dcf/udf"
	"dcf/wire"
)

// A wave takes as many requests as rpc serves in one go.
const _ = uint(exec.WaveSize - rpc.MaxTogether)

// wave is what answering calls that run at once needs beside a frame. Waves are reused.
type wave struct {
	reply wire.Reply
	part  [1]wire.Part
	runs  [1]wire.NodeRuns
	more  []*served // calls that spawned, or failed: they go on as tasks
}

var waves = sync.Pool{New: func() any { return new(wave) }}

// Together is asked by rpc whether next may wait for first and be served in one go with it. Both are
// calls of one function on one vertex each, which was registered as short: one that is only known to
// have been short so far might make the others wait.
func (w *Worker) Together(first, next *rpc.Request) bool {
	a, b := first.Call, next.Call
	if a == nil || b == nil || !simple(a) || !simple(b) || a.UDFs[0].Hash != b.UDFs[0].Hash {
		return false
	}
	return w.shortFunction(a) != nil
}

// simple says whether a call frame reads one vertex.
func simple(c *wire.Call) bool {
	return len(c.Targets) == 1 && len(c.UDFs) == 1 && !c.Targets[0].Once && c.Depth <= MaxFrameDepth &&
		c.Flags&(wire.CallReadOnly|wire.CallTimed) == wire.CallReadOnly
}

// shortFunction gives the function of a simple frame, if it may run at once.
func (w *Worker) shortFunction(c *wire.Call) *exec.Function {
	fn := w.functions.Load().byHash[exec.Hash(c.UDFs[0].Hash)]
	if fn == nil || fn.Flags&(udf.Short|udf.CallerThread|udf.Updates) != udf.Short || fn.Gone() {
		return nil
	}
	return fn
}

// serveWave runs calls of one short function that need nothing but a vertex which is here, in one
// go and without a task. It does so for all of them, or for none.
func (w *Worker) serveWave(requests []*rpc.Request) bool {
	first := requests[0].Call
	if first == nil || !simple(first) {
		return false
	}
	fn := w.shortFunction(first)
	if fn == nil {
		return false
	}
	pin, err := w.store.Pin()
	if err != nil {
		return false
	}
	if fn.Gone() { // looked at again: whoever drops it waits for the pins that were held then
		w.store.Unpin(pin)
		return false
	}
	frame := w.engine.Frames.At(pin)
	var last *store.Record
	for i, req := range requests {
		if last = w.inputOf(frame, fn, req, i, last); last == nil {
			w.store.Unpin(pin)
			return false
		}
	}
	w.raise(requests[len(requests)-1].Call)
	frame.Prepare(fn, len(requests))
	fn.Program.Calculate(&frame.Wave)
	answers := waves.Get().(*wave)
	for i, req := range requests {
		w.answerWave(answers, fn, req, &frame.Inputs[i], &frame.Outputs[i])
		frame.Outputs[i].Clear()
	}
	frame.Scratch.Reset()
	w.store.Unpin(pin)
	served := int64(len(requests) - len(answers.more)) // a task counts itself
	w.counts.served.Add(served)
	w.counts.calculates.Add(served)
	for i, s := range answers.more {
		answers.more[i] = nil
		s.goOn()
	}
	answers.more = answers.more[:0]
	waves.Put(answers)
	return true
}

// inputOf fills an input for a request that can run at once, and gives the vertex, or nil. The
// requests of one wave often mean the same vertex: last is the one before, if any.
func (w *Worker) inputOf(frame *exec.Frame, fn *exec.Function, req *rpc.Request, at int,
	last *store.Record) *store.Record {
	c := req.Call
	target := &c.Targets[0]
	record := last
	if record == nil || record.ID() != target.ID {
		record = w.store.Find(target.ID)
	}
	if record == nil || !record.Is(target.Birth) {
		return nil
	}
	version := record.Current()
	if version == nil || version.Group() {
		return nil
	}
	frame.Fill(at, version.State())
	frame.Hurry(at, fn, req.Deadline, nil)
	if in := &frame.Inputs[at]; target.HasArguments {
		in.Arguments = target.Arguments
	} else {
		in.Arguments = c.Arguments
	}
	return record
}

// answerWave replies with what one calculate came to, or makes a task of it where it spawned.
func (w *Worker) answerWave(a *wave, fn *exec.Function, req *rpc.Request, in *udf.Input, out *udf.Output) {
	c, r := req.Call, &a.reply
	if out.AskedForMore() {
		s := w.newServed(req)
		s.task.Called = fn
		item := exec.Item{Function: fn, Target: in.Vertex, Prefix: c.Targets[0].Path}
		s.task.Version = in.Version
		s.task.Take(&item, out)
		a.more = append(a.more, s)
		return
	}
	r.Version, r.SpawnsLeft, r.Parts = in.Version, c.SpawnBudget, nil
	a.runs[0] = wire.NodeRuns{Node: w.self.Node, Runs: 1}
	r.Ran = a.runs[:]
	if out.HasPart {
		p := &a.part[0]
		p.Path, p.Value = nil, out.Part
		if fn.Ordered() {
			p.Path = c.Targets[0].Path
		}
		r.Parts = a.part[:]
		out.Part.Batch = nil // it belongs to the reply
	}
	req.Reply(r)
}

// goOn runs the rest of a task on the goroutine that read its request, or aside.
func (s *served) goOn() {
	s.req.OnCancel(s)
	if s.task.RunHere() {
		s.finish()
	} else {
		s.aside()
	}
}
