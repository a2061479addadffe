package core

import (
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/rpc"
	"dcf/core/status"
	"dcf/udf"
)

// Queue is a set of calls under way. One goroutine polls a queue; any may submit and cancel.
type Queue struct {
	worker *Worker
	event  int        // an eventfd: readable while done is not empty and nobody polls
	reader rpc.Reader // of calls that are one request each

	mu      sync.Mutex
	closed  bool
	going   []*running // that were not given back, in no order
	done    []*Call
	ended   []uint64    // tickets that are to be given up
	spare   []*running  // that nobody uses
	mine    []*running  // wait for the polling thread, which alone may run them
	lit     bool        // event is readable
	awake   bool        // the polling goroutine looks at done before it sleeps
	alarm   *time.Timer // for the first deadline
	alarmAt int64       // 0: not set
	ready   sync.Cond   // going, mine or closed changed
}

// OpenQueue makes a queue.
func (w *Worker) OpenQueue() (*Queue, error) {
	if w.closing.Load() {
		return nil, errClosed()
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, status.Errorf(status.Exhausted, "no descriptor for a queue: %w", os.NewSyscallError("eventfd", err))
	}
	q := &Queue{worker: w, event: fd}
	q.ready.L = &q.mu
	w.mu.Lock()
	w.queues[q] = struct{}{}
	w.mu.Unlock()
	return q, nil
}

// Submit starts calls and writes each one's ticket. Either all are taken or none.
func (q *Queue) Submit(calls []*Call) error { return q.SubmitThen(calls, func() {}) }

// SubmitThen is Submit, and runs taken once the tickets are written and before any call ends: from
// then on the calls are the worker's.
func (q *Queue) SubmitThen(calls []*Call, taken func()) error {
	w := q.worker
	if w.closing.Load() {
		return errClosed()
	}
	for _, c := range calls {
		c.clearResults()
		if err := w.checkCall(c); err != nil {
			return err
		}
	}
	b := batches.Get().(*batch)
	defer b.close()
	q.mu.Lock()
	err := q.admit(len(calls))
	if err == nil {
		q.giveUp()
		err = b.number(w, calls)
	}
	if err == nil {
		q.enter(b, calls)
		taken()
		q.start(b)
	}
	q.mu.Unlock()
	if err != nil {
		return err
	}
	q.reader.Flush() // what is elsewhere leaves in one write
	for _, r := range b.aside {
		go r.run()
	}
	return nil
}

// admit says whether so many calls more may be taken; the caller holds mu.
func (q *Queue) admit(n int) error {
	switch {
	case q.closed:
		return status.Errorf(status.BadHandle, "the queue is closed")
	case len(q.going)+n > MaxQueued:
		return status.Errorf(status.Exhausted,
			"the queue has %d calls under way (MaxQueued): poll some first", MaxQueued)
	}
	return nil
}

// running gives memory for a call under way; the caller holds mu.
func (q *Queue) running() *running {
	last := len(q.spare) - 1
	if last < 0 {
		return new(running)
	}
	r := q.spare[last]
	q.spare[last] = nil
	q.spare = q.spare[:last]
	return r
}

// enter makes calls the queue's; the caller holds mu.
func (q *Queue) enter(b *batch, calls []*Call) {
	now := clock.Now()
	for i, c := range calls {
		r := q.running()
		c.Ticket = b.tickets[i]
		r.queue, r.caller, r.ticket, r.late, r.unwanted = q, c, c.Ticket, false, false
		r.deadline = now + int64(max(c.Timeout, 0))
		if c.Timeout == 0 {
			r.deadline = now + int64(q.worker.timeout(0))
		}
		if i == 0 || r.deadline < b.first {
			b.first = r.deadline
		}
		r.at = len(q.going)
		q.going = append(q.going, r)
		b.entered = append(b.entered, r)
	}
}

// start starts calls: those that are one request each are sent, others get a goroutine each, or
// wait for the thread that polls. The caller holds mu: nothing ends before all have begun.
func (q *Queue) start(b *batch) {
	var to route
	for _, r := range b.entered {
		switch c := r.caller; {
		case c.UDF.function.Flags&udf.CallerThread != 0:
			r.own()
			q.mine = append(q.mine, r)
		case !q.address(r, &to, b):
			r.own()
			b.aside = append(b.aside, r)
		}
	}
	q.send(b)
	if len(q.mine) > 0 {
		q.signal()
	}
	q.worker.running.Add(int64(len(b.aside)))
	q.arm(b.first)
}

// arm sets the alarm, unless it is set to an earlier time already; the caller holds mu.
func (q *Queue) arm(at int64) {
	if at == 0 || q.alarmAt != 0 && q.alarmAt <= at {
		return
	}
	q.alarmAt = at
	if q.alarm == nil {
		q.alarm = time.AfterFunc(clock.Until(at), q.overdue)
	} else {
		q.alarm.Reset(clock.Until(at))
	}
}

// overdue ends the calls whose deadline has passed.
func (q *Queue) overdue() {
	q.mu.Lock()
	q.alarmAt = 0
	now, next := clock.Now(), int64(0)
	var requests []rpc.Handle
	for _, r := range slices.Backward(q.going) { // one that is given back makes way for a later one
		switch {
		case r.deadline > now:
			if next == 0 || r.deadline < next {
				next = r.deadline
			}
		case r.request != nil:
			requests = append(requests, r.request.pending.Handle())
		default:
			q.writeOff(r)
		}
	}
	q.arm(next)
	q.mu.Unlock()
	for _, h := range requests {
		h.Expire()
	}
}

// writeOff gives a call back whose function does not return: it is told that it is no longer wanted,
// and the goroutine that runs it is left behind. The caller holds mu.
func (q *Queue) writeOff(r *running) {
	r.cancel()
	q.worker.overdue.Add(1)
	r.late = true
	r.caller.Ticket = 0
	if at := slices.Index(q.mine, r); at >= 0 {
		q.mine = slices.Delete(q.mine, at, at+1)
		r.caller.fail(status.Errorf(status.Timeout, "the queue was not polled in time, and function %q "+
			"runs in the thread that polls only", r.call[0].UDF.Name()))
		q.giveBack(r)
		r.abandon()
		return
	}
	r.caller.fail(status.Errorf(status.Timeout, "the call did not end in time, and function %q still "+
		"runs: its thread is left behind", r.call[0].UDF.Name()))
	if r.call[0].UDF.function.Flags&udf.Updates != 0 {
		r.caller.Effects = EffectsUnknown
	}
	q.giveBack(r)
}

// giveBack makes a call pollable; the caller holds mu.
func (q *Queue) giveBack(r *running) {
	q.forget(r)
	q.done = append(q.done, r.caller)
	q.signal()
}

// forget takes a call out of those under way; the caller holds mu.
func (q *Queue) forget(r *running) {
	last := len(q.going) - 1
	moved := q.going[last]
	q.going[r.at], q.going[last] = moved, nil
	moved.at, r.at = r.at, -1
	q.going = q.going[:last]
	if q.closed || len(q.going) == len(q.mine) {
		q.ready.Broadcast()
	}
}

// end gives a ticket up, together with others; the caller holds mu.
func (q *Queue) end(ticket uint64) {
	q.ended = append(q.ended, ticket)
	if q.closed || len(q.ended) >= maxEnded {
		q.giveUp()
	}
}

// giveUp gives up the tickets of calls that have ended; the caller holds mu.
func (q *Queue) giveUp() {
	if len(q.ended) > 0 {
		q.worker.giveUp(q.ended...)
		q.ended = q.ended[:0]
	}
}

// signal makes the descriptor readable, if nobody looks anyway; the caller holds mu.
func (q *Queue) signal() {
	if !q.lit && !q.awake && !q.closed {
		q.lit = true
		_, _ = unix.Write(q.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// Poll takes up to len(done) finished calls and waits for the first: for the worker's default where
// timeout is 0, not at all where it is negative. It gives 0 when none finished in time. What is under
// way elsewhere it reads itself, and functions that only their caller's thread may run it runs.
func (q *Queue) Poll(done []*Call, timeout time.Duration) (int, error) {
	deadline := int64(0) // the clock starts at the first wait
	for looked := false; ; looked = true {
		n, mine, err := q.take(done)
		if mine != nil {
			q.worker.running.Add(1)
			mine.run()
			continue
		}
		if n > 0 || err != nil {
			return n, err
		}
		left := time.Duration(0)
		if timeout >= 0 {
			if deadline == 0 {
				deadline = clock.After(q.worker.timeout(timeout))
			}
			left = max(clock.Until(deadline), 0)
		}
		if looked && left == 0 {
			return 0, nil
		}
		if interrupted() {
			return 0, status.Errorf(status.Interrupted, "interrupted while it polled a queue")
		}
		q.reader.Wait(q.event, min(left, interruptSlice), q.rise)
	}
}

// rise says that the polling goroutine is awake.
func (q *Queue) rise() {
	q.mu.Lock()
	q.awake = true
	q.mu.Unlock()
}

// take takes what is finished, or a call that the polling thread is to run.
func (q *Queue) take(done []*Call) (int, *running, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.awake = false
	q.giveUp()
	if q.closed {
		return 0, nil, status.Errorf(status.BadHandle, "the queue is closed")
	}
	n := copy(done, q.done)
	rest := copy(q.done, q.done[n:])
	clear(q.done[rest:])
	q.done = q.done[:rest]
	var mine *running
	if n == 0 && len(q.mine) > 0 {
		mine, q.mine = q.mine[0], q.mine[1:]
	}
	switch {
	case rest+len(q.mine) > 0:
		q.signal()
	case q.lit:
		q.lit = false
		var word [8]byte
		_, _ = unix.Read(q.event, word[:])
	}
	return n, mine, nil
}

// FD gives a descriptor that is readable while Poll has something. The queue owns it. From now on
// somebody may wait for it and not in Poll.
func (q *Queue) FD() int {
	q.reader.Eager.Store(true)
	return q.event
}

// Cancel asks a call to end early; it still comes back from Poll.
func (q *Queue) Cancel(ticket uint64) error {
	q.mu.Lock()
	for _, r := range q.going {
		if r.ticket != ticket {
			continue
		}
		request := r.cancel()
		q.mu.Unlock()
		request.End(errCancelled())
		return nil
	}
	q.mu.Unlock()
	return status.Errorf(status.NotFound, "no call with ticket %d is under way in this queue", ticket)
}

func errCancelled() error { return status.Errorf(status.Cancelled, "the call was cancelled") }

// Close cancels what is under way and waits for it for the worker's default timeout. Afterwards the
// queue refers to no call.
func (q *Queue) Close() error { return q.close(clock.After(q.worker.timeout(0))) }

func (q *Queue) close(deadline int64) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	var requests []rpc.Handle
	for _, r := range q.going {
		requests = append(requests, r.cancel())
	}
	q.mu.Unlock()
	for _, h := range requests {
		h.End(errCancelled())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	stop := time.AfterFunc(clock.Until(deadline), q.ready.Broadcast)
	for len(q.going) > len(q.mine) && clock.Until(deadline) > 0 {
		q.ready.Wait()
	}
	stop.Stop()
	left := len(q.going) - len(q.mine)
	for _, r := range q.going {
		r.at, r.late = -1, true
	}
	q.worker.overdue.Add(int64(len(q.going)))
	for _, r := range q.mine {
		r.abandon()
	}
	q.closed = true
	q.giveUp()
	q.going, q.mine, q.done, q.spare = nil, nil, nil, nil
	if q.alarm != nil {
		q.alarm.Stop()
	}
	_ = unix.Close(q.event)
	q.worker.mu.Lock()
	delete(q.worker.queues, q)
	q.worker.mu.Unlock()
	if left > 0 {
		return status.Errorf(status.Timeout, "%d calls of the queue still run: they are left behind", left)
	}
	return nil
}
