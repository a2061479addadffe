package core

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/status"
	"dcf/udf"
)

// Queue is a set of calls under way. One goroutine polls a queue; any may submit and cancel.
type Queue struct {
	worker *Worker
	event  int // an eventfd: readable while done is not empty

	mu     sync.Mutex
	closed bool
	going  map[uint64]*running // by ticket
	done   []*Call
	mine   []*running // wait for the polling thread, which alone may run them
	ready  sync.Cond  // done, mine or closed changed
}

// running is a call under way: a copy, so that the caller's can be given back while a function that
// never returns still uses it.
type running struct {
	queue  *Queue
	caller *Call
	call   [1]Call
	flag   *atomic.Uint32 // raised by Cancel
	ticket uint64
	timer  *time.Timer
	ended  bool // under the queue's mu: the caller has it back
	late   bool // end found that it was given back before
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
	q := &Queue{worker: w, event: fd, going: map[uint64]*running{}}
	q.ready.L = &q.mu
	w.mu.Lock()
	w.queues[q] = struct{}{}
	w.mu.Unlock()
	return q, nil
}

// Submit starts calls and writes each one's ticket. Either all are taken or none.
func (q *Queue) Submit(calls []*Call) error { return q.SubmitThen(calls, func() {}) }

// SubmitThen is Submit, and runs taken once the tickets are written and before any call starts: from
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
	started := make([]*running, len(calls))
	for i, c := range calls {
		r, err := q.prepare(c)
		if err != nil {
			for _, r := range started[:i] {
				r.abandon()
			}
			return err
		}
		started[i] = r
	}
	q.mu.Lock()
	if q.closed || len(q.going)+len(calls) > MaxQueued {
		closed := q.closed
		q.mu.Unlock()
		for _, r := range started {
			r.abandon()
		}
		if closed {
			return status.Errorf(status.BadHandle, "the queue is closed")
		}
		return status.Errorf(status.Exhausted,
			"the queue has %d calls under way (MaxQueued): poll some first", MaxQueued)
	}
	for i, r := range started {
		calls[i].Ticket = r.ticket
		q.going[r.ticket] = r
		if r.call[0].UDF.function.Flags&udf.CallerThread != 0 {
			q.mine = append(q.mine, r)
		}
	}
	if len(q.mine) > 0 {
		q.signal()
	}
	taken()
	q.mu.Unlock()
	q.start(started)
	return nil
}

// prepare copies a call.
func (q *Queue) prepare(c *Call) (*running, error) {
	w := q.worker
	ticket, err := w.ticket(c)
	if err != nil {
		return nil, err
	}
	r := &running{queue: q, caller: c, ticket: ticket, flag: exec.NewFlag()}
	r.call[0] = Call{cancel: r.flag, UDF: c.UDF, Flags: c.Flags, Targets: append([]*Vertex(nil), c.Targets...),
		TargetIDs: append(c.TargetIDs[:0:0], c.TargetIDs...), Arguments: ownValue(c.Arguments),
		Timeout: c.Timeout, Ticket: ticket}
	for _, arguments := range c.TargetArguments {
		r.call[0].TargetArguments = append(r.call[0].TargetArguments, ownValue(arguments))
	}
	return r, nil
}

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

// start runs calls that were submitted: what is elsewhere leaves in one write, each call is then
// waited for by a goroutine of its own.
func (q *Queue) start(calls []*running) {
	w := q.worker
	var launched []*running
	for _, r := range calls {
		timeout := w.timeout(r.call[0].Timeout)
		if r.call[0].Timeout < 0 {
			timeout = 0
		}
		r.timer = time.AfterFunc(timeout+queueGrace, r.writeOff)
		if r.call[0].UDF.function.Flags&udf.CallerThread != 0 {
			continue
		}
		if w.allRemote(&r.call[0]) {
			w.launch(&r.call[0])
			if r.call[0].task == nil { // it was refused
				q.end(r)
				continue
			}
			launched = append(launched, r)
			continue
		}
		w.running.Add(1)
		go r.run()
	}
	for _, r := range launched {
		r.call[0].task.Flush()
	}
	if len(launched) > 0 {
		w.running.Add(int64(len(launched)))
		go landAll(launched)
	}
}

// queueGrace is how much later than a call's own deadline a queue gives up waiting for it.
const queueGrace = 20 * time.Millisecond

// landAll waits for calls that are under way elsewhere, one goroutine for all: it reads the
// connection for all of them, and each call ends as its answer comes. What turns out to need more
// than that gets a goroutine of its own.
func landAll(calls []*running) {
	q := calls[0].queue
	landed := make([]*running, 0, len(calls))
	for len(calls) > 0 {
		waiting := calls[:0]
		landed = landed[:0]
		for _, r := range calls {
			switch t := r.call[0].task; {
			case t.Progress():
				q.worker.land(&r.call[0])
				landed = append(landed, r)
			case t.Waiting():
				waiting = append(waiting, r)
			default:
				go r.run()
			}
		}
		q.end(landed...) // together: who polls is woken once
		q.worker.running.Add(-int64(len(landed)))
		if calls = waiting; len(calls) > 0 {
			calls[0].call[0].task.Poll(landSlice)
		}
	}
}

// landSlice is how long landAll waits for one call before it looks whether others are done.
const landSlice = time.Millisecond

// run runs one call to its end.
func (r *running) run() {
	w := r.queue.worker
	defer w.running.Add(-1)
	if r.call[0].task != nil {
		w.land(&r.call[0])
	} else if err := w.Run(r.call[:]); err != nil {
		r.call[0].fail(err)
	}
	r.queue.end(r)
}

// end hands finished calls back, but those that their deadline handed back before.
func (q *Queue) end(calls ...*running) {
	q.mu.Lock()
	late := 0
	for _, r := range calls {
		r.timer.Stop()
		if r.late = r.ended; r.late {
			late++
			continue
		}
		r.ended = true
		r.handBack()
		q.finish(r)
	}
	if len(calls) > late {
		q.signal()
		q.ready.Broadcast()
	}
	q.mu.Unlock()
	for _, r := range calls {
		if r.late {
			q.worker.overdue.Add(-1)
			r.abandon()
		} else {
			r.free()
		}
	}
}

// handBack copies the results to the caller's call: a small one into its buffer.
func (r *running) handBack() {
	c, from := r.caller, &r.call[0]
	c.Err, c.Effects, c.Version, c.Parts = from.Err, from.Effects, from.Version, from.Parts
	c.ServedBy, c.ServedHow, c.ServedFor = from.ServedBy, from.ServedHow, from.ServedFor
	c.BytesMoved, c.BytesFetched, c.Ran = from.BytesMoved, from.BytesFetched, from.Ran
	c.Ticket, c.ResultSize = from.Ticket, from.ResultSize
	from.Parts, from.Ran = nil, nil
	if b := from.Result; b.Batch == nil && len(b.Bytes) <= len(c.Buffer) {
		c.Result = udf.Value{Bytes: c.Buffer[:copy(c.Buffer, b.Bytes)]}
		freeValue(&from.Result)
	} else {
		c.Result, from.Result = b, udf.Value{}
	}
}

// writeOff ends a call whose function does not return: the goroutine that runs it is left behind.
func (r *running) writeOff() {
	q := r.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.ended {
		return
	}
	r.ended = true
	q.worker.overdue.Add(1)
	r.caller.Ticket = 0
	r.caller.fail(status.Errorf(status.Timeout, "the call did not end in time, and function %q still "+
		"runs: its thread is left behind", r.call[0].UDF.Name()))
	if r.call[0].UDF.function.Flags&udf.Updates != 0 {
		r.caller.Effects = EffectsUnknown
	}
	q.finish(r)
	q.signal()
	q.ready.Broadcast()
}

// finish makes a call pollable; the caller holds mu, and tells who waits.
func (q *Queue) finish(r *running) {
	delete(q.going, r.ticket)
	q.done = append(q.done, r.caller)
}

// signal makes the descriptor readable; the caller holds mu.
func (q *Queue) signal() {
	if q.event >= 0 {
		_, _ = unix.Write(q.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// Poll takes up to len(done) finished calls and waits for the first: for the worker's default where
// timeout is 0, not at all where it is negative. It gives 0 when none finished in time. Functions
// that only their caller's thread may run are run by it.
func (q *Queue) Poll(done []*Call, timeout time.Duration) (int, error) {
	deadline := clock.Now()
	if timeout >= 0 {
		deadline = clock.After(q.worker.timeout(timeout))
	}
	for {
		n, mine, err := q.take(done)
		if mine != nil {
			q.worker.running.Add(1)
			mine.run()
			continue
		}
		if n > 0 || err != nil {
			return n, err
		}
		left := clock.Until(deadline)
		if left <= 0 {
			return 0, nil
		}
		if interrupted() {
			return 0, status.Errorf(status.Interrupted, "interrupted while it polled a queue")
		}
		q.sleep(min(left, interruptSlice))
	}
}

// take takes what is finished, or a call that the polling thread is to run.
func (q *Queue) take(done []*Call) (int, *running, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
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
		if mine.ended {
			mine = nil
		}
	}
	if rest == 0 && len(q.mine) == 0 {
		var word [8]byte
		_, _ = unix.Read(q.event, word[:])
	}
	return n, mine, nil
}

// sleep waits on the calling thread until the descriptor is readable.
func (q *Queue) sleep(d time.Duration) {
	fds := []unix.PollFd{{Fd: int32(q.event), Events: unix.POLLIN}}
	ts := unix.NsecToTimespec(int64(d))
	_, _ = unix.Ppoll(fds, &ts, nil)
}

// FD gives a descriptor that is readable while Poll has something. The queue owns it.
func (q *Queue) FD() int { return q.event }

// Cancel asks a call to end early; it still comes back from Poll.
func (q *Queue) Cancel(ticket uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.going[ticket]
	if r == nil {
		return status.Errorf(status.NotFound, "no call with ticket %d is under way in this queue", ticket)
	}
	r.flag.Store(1)
	return nil
}

// Close cancels what is under way and waits for it for the worker's default timeout. Afterwards the
// queue refers to no call.
func (q *Queue) Close() error { return q.close(clock.After(q.worker.timeout(0))) }

func (q *Queue) close(deadline int64) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	for _, r := range q.going {
		r.flag.Store(1)
	}
	stop := time.AfterFunc(clock.Until(deadline), q.ready.Broadcast)
	for len(q.going) > len(q.mine) && clock.Until(deadline) > 0 {
		q.ready.Wait()
	}
	stop.Stop()
	left := len(q.going) - len(q.mine)
	for _, r := range q.going {
		r.ended = true
	}
	q.closed = true
	clear(q.going)
	_ = unix.Close(q.event)
	q.mu.Unlock()
	q.worker.mu.Lock()
	delete(q.worker.queues, q)
	q.worker.mu.Unlock()
	if left > 0 {
		return status.Errorf(status.Timeout, "%d calls of the queue still run: they are left behind", left)
	}
	return nil
}

// abandon gives up a call that nobody will get back.
func (r *running) abandon() {
	c := &r.call[0]
	c.freeResults()
	if r.caller.Ticket != r.ticket {
		r.queue.worker.giveUp(r.ticket)
	}
	r.free()
}

// free frees what the copy of a call owns.
func (r *running) free() {
	c := &r.call[0]
	freeValue(&c.Arguments)
	for i := range c.TargetArguments {
		freeValue(&c.TargetArguments[i])
	}
	exec.FreeFlag(r.flag)
}

// allRemote says whether a call has nothing to do here but to send.
func (w *Worker) allRemote(c *Call) bool {
	for _, v := range c.Targets {
		if v.record.Load() != nil {
			return false
		}
	}
	return len(c.Targets) > 0
}
