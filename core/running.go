package core

import (
	"sync"
	"sync/atomic"

	"dcf/core/internal/exec"
	"dcf/core/internal/rpc"
	"dcf/udf"
)

// running is a call of a queue under way. Its fields are under the queue's mu, but for call, which
// belongs to the goroutine that runs it.
type running struct {
	queue    *Queue
	caller   *Call
	ticket   uint64
	deadline int64 // CLOCK_MONOTONIC
	at       int   // its place in the queue's going; -1: the caller has it back
	late     bool  // it was given back before it ended
	unwanted bool  // its caller cancelled it

	request *frame // it is one request, which is under way; nil: it runs here
	space   frame  // for that
	// What runs here is a copy, so that the caller's can be given back while a function that never
	// returns still uses it.
	call [1]Call
	flag *atomic.Uint32 // raised by cancel
}

// batch is what one Submit needs.
type batch struct {
	tickets []uint64
	floor   uint64
	first   int64 // deadline
	entered []*running
	aside   []*running  // that get a goroutine each
	starts  []rpc.Start // that go to one peer
	peer    *rpc.Peer
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// number gives each call that has none a ticket.
func (b *batch) number(w *Worker, calls []*Call) error {
	w.sequence.Lock()
	defer w.sequence.Unlock()
	for _, c := range calls {
		ticket, err := c.Ticket, error(nil) // checkCall looked at one that it had
		if ticket == 0 {
			ticket, err = w.sequences.Begin()
		}
		if err != nil {
			for k, begun := range b.tickets {
				if calls[k].Ticket == 0 {
					w.sequences.Finish(begun)
				}
			}
			return err
		}
		b.tickets = append(b.tickets, ticket)
	}
	b.floor = w.sequences.Floor()
	return nil
}

func (b *batch) close() {
	clear(b.entered)
	clear(b.aside)
	b.peer = nil
	b.tickets, b.entered, b.aside = b.tickets[:0], b.entered[:0], b.aside[:0]
	if cap(b.tickets) <= maxKeptBatch {
		batches.Put(b)
	}
}

const (
	// maxKeptBatch is how large a Submit may be whose memory is kept for the next.
	maxKeptBatch = 4096
	// maxEnded is how many tickets of calls that ended wait to be given up together.
	maxEnded = 64
)

// own copies the caller's call, and leaves time to whoever runs it to notice its deadline.
func (r *running) own() {
	c := r.caller
	if r.flag = exec.NewFlag(); r.unwanted { // its request was to be ended, and had just failed
		r.flag.Store(1)
	}
	r.call[0] = Call{cancel: r.flag, UDF: c.UDF, Flags: c.Flags, Targets: append([]*Vertex(nil), c.Targets...),
		TargetIDs: append(c.TargetIDs[:0:0], c.TargetIDs...), Arguments: ownValue(c.Arguments),
		Timeout: c.Timeout, Ticket: r.ticket, Buffer: noRoom}
	for _, arguments := range c.TargetArguments {
		r.call[0].TargetArguments = append(r.call[0].TargetArguments, ownValue(arguments))
	}
	r.deadline += int64(queueGrace)
}

// noRoom is an empty buffer: it tells an empty result from none.
var noRoom = []byte{}

// ownValue makes a value that does not depend on its caller's memory.
func ownValue(v udf.Value) udf.Value {
	if v.Batch != nil {
		return udf.Value{Batch: v.Batch.Retain()}
	}
	if len(v.Bytes) == 0 {
		return udf.Value{}
	}
	return keepBytes(v.Bytes)
}

// run runs the copy to its end.
func (r *running) run() {
	w := r.queue.worker
	defer w.running.Add(-1)
	if err := w.Run(r.call[:]); err != nil {
		r.call[0].fail(err)
	}
	r.end()
}

// end gives the call back, unless its deadline did so before.
func (r *running) end() {
	q := r.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.late {
		r.abandon()
		return
	}
	r.handBack()
	q.giveBack(r)
	r.free()
}

// handBack copies the results to the caller's call: a small one into its buffer.
func (r *running) handBack() {
	c, from := r.caller, &r.call[0]
	c.rare = true
	c.Err, c.Effects, c.Version, c.Parts = from.Err, from.Effects, from.Version, from.Parts
	c.ServedBy, c.ServedHow, c.ServedFor = from.ServedBy, from.ServedHow, from.ServedFor
	c.BytesMoved, c.BytesFetched, c.Ran = from.BytesMoved, from.BytesFetched, from.Ran
	c.Ticket, c.ResultSize = from.Ticket, from.ResultSize
	from.Parts, from.Ran = nil, nil
	if b := from.Result; b.Batch == nil && len(b.Bytes) <= len(c.Buffer) {
		c.Result = udf.Value{}
		if b.Bytes != nil {
			c.Result.Bytes = append(c.Buffer[:0:len(c.Buffer)], b.Bytes...)
		}
		freeValue(&from.Result)
	} else {
		c.Result, from.Result = b, udf.Value{}
	}
}

// abandon ends a call that the caller has back already. It holds mu.
func (r *running) abandon() {
	r.call[0].freeResults()
	r.queue.worker.overdue.Add(-1)
	r.queue.end(r.ticket)
	r.free()
}

// free frees what the copy of a call owns. Nobody refers to r any more. The caller holds mu.
func (r *running) free() {
	c := &r.call[0]
	freeValue(&c.Arguments)
	for i := range c.TargetArguments {
		freeValue(&c.TargetArguments[i])
	}
	if r.flag != nil {
		exec.FreeFlag(r.flag)
		*c = Call{}
	}
	q := r.queue
	r.flag, r.caller, r.queue = nil, nil, nil
	if !q.closed && len(q.spare) < maxKeptBatch {
		q.spare = append(q.spare, r)
	}
}
