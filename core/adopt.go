package core

import (
	"dcf/core/internal/exec"
	"dcf/udf"
)

// Adopt goes on with a call as Resume does, where it was submitted. It ends before Adopt returns if
// nothing is to be waited for, also where it failed; else it goes on as any call of the queue, and
// taken is run before it can end. Pins and take are those of Resume.
func (q *Queue) Adopt(pin int, c *Call, version uint64, take func(out *udf.Output),
	taken func()) (ended bool) {
	w := q.worker
	if !w.resume(pin, c, version, take) {
		return true
	}
	r, err := q.admitBegun(c, taken)
	if err != nil {
		w.endTask(c.task)
		c.task, c.later = nil, false
		c.fail(err)
		return true
	}
	go r.runBegun()
	return false
}

// admitBegun makes a call the queue's that goes on with its task.
func (q *Queue) admitBegun(c *Call, taken func()) (*running, error) {
	b := batches.Get().(*batch)
	defer b.close()
	calls := []*Call{c}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.admit(1); err != nil {
		return nil, err
	}
	if err := b.number(q.worker, calls); err != nil {
		return nil, err
	}
	q.enter(b, calls)
	r := b.entered[0]
	r.own()
	r.adopt(c.task)
	c.task, c.later = nil, false
	taken()
	q.worker.running.Add(1)
	q.arm(b.first)
	return r, nil
}

// adopt makes a task that began for the caller's call that of the copy.
func (r *running) adopt(t *exec.Task) {
	c := &r.call[0]
	t.Arguments, t.Origin.Sequence = c.Arguments, c.Ticket
	t.UseFlag(c.cancel)
	c.rare, c.task, c.later = true, t, true
}

// runBegun is run for a call whose task began.
func (r *running) runBegun() {
	w := r.queue.worker
	defer w.running.Add(-1)
	w.runLater(r.call[:])
	r.end()
}
