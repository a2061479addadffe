package core

import (
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/internal/rpc"
	"dcf/core/internal/sched"
	"dcf/core/status"
	"dcf/udf"
	"dcf/wire"
)

// A call with one target that is elsewhere is one request: it needs no task, no goroutine and no
// copy, and whoever reads its reply writes the result. What turns out to need more goes on from
// there as a task.

var _ rpc.Completion = (*running)(nil)

// queueGrace is how much later than a call's own deadline a queue gives up waiting for whoever runs
// it.
const queueGrace = 20 * time.Millisecond

// route is where the last call went: the calls of one submit often go the same way.
type route struct {
	target *Vertex
	owner  wire.Identity
	peer   *rpc.Peer // nil: it may have to be asked for, or connected, which takes time
}

// find finds the owner of a vertex that is elsewhere, without waiting.
func (to *route) find(v *Vertex) {
	w := v.worker
	to.target, to.peer = v, nil
	if v.record.Load() != nil || w.here(v) {
		return
	}
	owner, known := w.knownOwner(v.id)
	if !known {
		return
	}
	if p := w.peer(owner); p.Connected() {
		to.owner, to.peer = owner, p
	}
}

// here says whether a vertex is in this worker's store.
func (w *Worker) here(v *Vertex) bool {
	pin, err := w.store.Pin()
	if err != nil {
		return true
	}
	defer w.store.Unpin(pin)
	return w.store.Find(v.id) != nil
}

// address says where a call can be made as one request.
func (to *route) address(c *Call) bool {
	fn := c.UDF.function
	if len(c.Targets) != 1 || c.TargetArguments != nil || c.Flags&Timed != 0 || fn.Finishing ||
		c.Arguments.Batch != nil || len(c.Arguments.Bytes) > wire.MaxInlineBytes {
		return false
	}
	if c.Targets[0] != to.target {
		to.find(c.Targets[0])
	}
	return to.peer != nil && to.target.worker.pick(c.Flags, fn, to.owner) != sched.Here
}

// ask runs a call as one request and waits for its reply. It is false, and nothing was done, where
// the call needs a task.
func (c *Call) ask(w *Worker) bool {
	if c.UDF == nil || len(c.Targets) != 1 || c.Targets[0] == nil || c.Timeout < 0 || c.Ticket != 0 ||
		c.Targets[0].record.Load() != nil {
		return false
	}
	c.clearResults()
	var to route
	if w.checkCall(c) != nil || w.closing.Load() || !to.address(c) {
		return false
	}
	deadline, done := c.askLane(w, &to)
	if done {
		return true
	}
	sequence, floor, err := w.number()
	if err != nil {
		return false // the task says so
	}
	c.rare = true
	w.counts.tasks.Add(1)
	f := w.newFrame(to.owner)
	f.peer = to.peer
	f.one(c, sequence, floor)
	if deadline == 0 {
		deadline = clock.After(w.timeout(c.Timeout))
	}
	if f.err = f.peer.Send(&f.request, &f.pending, deadline); f.err == nil {
		f.err = f.pending.Await(c.cancel)
	}
	c.asked(f, sequence, deadline)
	return true
}

// asked takes in how the only request of a call ended.
func (c *Call) asked(f *frame, sequence uint64, deadline int64) {
	var reply *wire.Reply
	var received int64
	w, err := f.worker, f.err
	if err == nil {
		reply, received, err = f.pending.Peek()
	}
	if f.needsMore(reply, err) && clock.Until(deadline) > 0 {
		t := w.taskAfter(c, f, sequence)
		t.Deadline = deadline
		c.task, c.later = t, true
		w.land(c)
		return
	}
	c.conclude(f, reply, received, err)
	if f.err == nil {
		f.pending.Discard()
	}
	f.release()
	w.settle(c, sequence)
}

// conclude makes the result of a call that was one request of its reply, or of why there is none.
func (c *Call) conclude(f *frame, reply *wire.Reply, received int64, err error) {
	c.rare = true
	if err == nil {
		c.answer(f, reply, received)
		return
	}
	c.fail(f.named(err))
	c.Effects = Effects(f.unanswered(c.UDF.function.Flags&udf.Updates == 0, err))
}

// address makes a call a request of the batch, or says that it is none. The caller holds mu.
func (q *Queue) address(r *running, to *route, b *batch) bool {
	c, w := r.caller, q.worker
	if !to.address(c) {
		return false
	}
	if to.peer != b.peer {
		q.send(b)
		b.peer = to.peer
	}
	f := &r.space
	f.begin(w, to.owner)
	f.peer, f.lent = to.peer, true
	f.one(c, r.ticket, b.floor)
	r.request = f
	b.starts = append(b.starts, rpc.Start{Request: &f.request, Pending: &f.pending, Deadline: r.deadline,
		Done: r})
	return true
}

// send sends the requests of the batch. The caller holds mu.
func (q *Queue) send(b *batch) {
	if len(b.starts) == 0 {
		return
	}
	q.reader.Start(b.peer, b.starts)
	sent := int64(len(b.starts))
	for i := range b.starts {
		if err := b.starts[i].Err; err != nil {
			sent--
			q.unsent(b, b.starts[i].Done.(*running), err)
		}
	}
	q.worker.running.Add(sent)
	q.worker.counts.tasks.Add(sent)
	clear(b.starts)
	b.starts = b.starts[:0]
}

// unsent goes on with a call whose request was not sent. The caller holds mu.
func (q *Queue) unsent(b *batch, r *running, err error) {
	r.request.release()
	r.request = nil
	if lost(err) {
		r.own()
		b.aside = append(b.aside, r)
		return
	}
	r.caller.fail(err)
	q.answered(r)
}

// one fills a frame with a call that starts here on one vertex.
func (f *frame) one(c *Call, sequence, floor uint64) {
	fn, m := c.UDF.function, &f.call
	m.Root, m.Sequence, m.Floor = f.worker.self, sequence, floor
	m.Depth, m.SpawnBudget, m.Arguments, m.Flags = 1, exec.DefaultSpawnBudget, c.Arguments, wire.CallTree
	f.budget = exec.DefaultSpawnBudget
	if fn.Flags&udf.Updates == 0 {
		m.Flags |= wire.CallReadOnly
	}
	f.paths = append(f.paths, 0)
	m.UDFs = append(m.UDFs, wire.UDFRef{Name: fn.Name, Hash: fn.Hash})
	m.Targets = append(m.Targets, wire.Target{ID: c.Targets[0].id, Birth: c.Targets[0].birth, Path: f.paths})
	f.request.Header = wire.SessionHeader{Kind: wire.KindCall, TraceID: traceOf(f.worker.self, sequence)}
	f.request.Message = m
}

// Completed is called by rpc when the request has ended, on the goroutine that read the reply.
func (r *running) Completed(p *rpc.Pending) {
	reply, received, err := p.Peek()
	q := r.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	f := r.request
	r.request = nil
	if !r.late && !q.closed && clock.Until(r.deadline) > 0 && f.needsMore(reply, err) {
		r.own()
		q.arm(r.deadline)
		go r.goOn(f)
		return
	}
	q.worker.running.Add(-1)
	if r.late {
		p.Discard()
		f.release()
		r.abandon()
		return
	}
	r.caller.conclude(f, reply, received, err)
	p.Discard()
	f.release()
	q.answered(r)
}

// answered gives a call back whose request has ended; the caller holds mu.
func (q *Queue) answered(r *running) {
	r.caller.Ticket = 0
	if r.caller.Effects == EffectsUnknown {
		r.caller.Ticket = r.ticket
	} else {
		q.end(r.ticket)
	}
	q.giveBack(r)
	r.free()
}

// needsMore says whether a request is to be sent again, somewhere else or as something else, or its
// answer is to be folded.
func (f *frame) needsMore(reply *wire.Reply, err error) bool {
	switch {
	case err != nil:
		return lost(err)
	case reply.Error != nil:
		return reply.Error.Code == status.NotFound && reply.Error.Vertex == f.call.Targets[0].ID
	}
	return reply.Missing != 0 || len(reply.Parts) > 1
}

// goOn goes on from the end of the request with a task.
func (r *running) goOn(f *frame) {
	w, c := r.queue.worker, &r.call[0]
	defer w.running.Add(-1)
	c.task = w.taskAfter(c, f, r.ticket)
	c.task.Deadline = r.deadline - int64(queueGrace)
	w.land(c)
	r.end()
}

// taskAfter makes a call a task that goes on from the end of its only request.
func (w *Worker) taskAfter(c *Call, f *frame, sequence uint64) *exec.Task {
	f.call.Arguments = c.Arguments
	item := exec.Item{Function: c.UDF.function, Target: c.Targets[0].id, Birth: c.Targets[0].birth}
	f.items = append(f.items, item)
	t := w.newTask(c)
	t.Origin.Sequence, t.Origin.Floor, t.TraceID = sequence, f.call.Floor, f.request.Header.TraceID
	t.Budget = 0 // it travels with the frame
	t.Adopt(f)
	return t
}

// cancel asks a call to end, and gives the request that the caller is to end without mu.
func (r *running) cancel() (request rpc.Handle) {
	r.unwanted = true
	if r.flag != nil {
		r.flag.Store(1)
	}
	if r.request != nil {
		request = r.request.pending.Handle()
	}
	return request
}

// answer takes in the reply to a call that was one request. It has at most one part.
func (c *Call) answer(f *frame, reply *wire.Reply, received int64) {
	w := f.worker
	c.Version, c.Effects = reply.Version, Effects(reply.Effects)
	c.BytesMoved = uint64(f.pending.SentBytes()+received) + reply.BytesMoved
	c.ServedBy, c.ServedHow = w.self.Node, InProcess
	for _, runs := range reply.Ran {
		c.Ran = append(c.Ran, NodeRuns(runs))
		c.ServedHow = f.how(reply)
	}
	if len(c.Ran) == 1 {
		c.ServedBy = c.Ran[0].Node
	}
	switch {
	case reply.Error != nil:
		failure := cloneError(reply.Error)
		if failure.Node == 0 {
			failure.Node = f.owner.Node
		}
		if c.Effects == EffectsComplete {
			c.Effects = EffectsUnknown // some were applied, not all
		}
		c.fail(failure)
	case len(reply.Parts) == 1:
		c.setResult(&reply.Parts[0].Value)
	}
}

// traceOf gives a call that starts at a worker the id that its frames carry.
func traceOf(self wire.Identity, sequence uint64) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio: spreads neighbours (Knuth, 6.4)
	return ((self.Node<<32|uint64(self.Incarnation))*odd ^ sequence) | 1
}
