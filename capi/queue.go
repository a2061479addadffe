package main

// #include "capi.h"
import "C"

import (
	"sync"
	"time"
	"unsafe"

	"dcf/core"
	"dcf/core/status"
)

// queue is what a queue handle stands for.
type queue struct {
	core   *core.Queue
	worker *worker

	mu    sync.Mutex   // held while calls are submitted and their tickets written
	going []*submitted // not yet polled, in no order; under mu
}

var queues = newTable[queue](kindQueue, "queue")

// submitted is a call between submit and poll.
type submitted struct {
	call core.Call
	from *C.dcf_call
	at   int // its place in the queue's going
	lent
}

var submissions = sync.Pool{New: func() any { return new(submitted) }}

// submission is what one dcf_queue_submit needs beside.
type submission struct {
	all   []*submitted
	calls []*core.Call
}

var submits = sync.Pool{New: func() any { return new(submission) }}

func (s *submission) close() {
	clear(s.all)
	clear(s.calls)
	s.all, s.calls = s.all[:0], s.calls[:0]
	if cap(s.all) <= MaxKeptCalls {
		submits.Put(s)
	}
}

// close lets go of everything; the call's results were given away or are freed here.
func (s *submitted) close() {
	release(&s.call)
	s.call.Tag, s.from = nil, nil
	clear(s.targets)
	s.lent.close()
	submissions.Put(s)
}

func queueOf(handle C.dcf_queue) (*queue, error) {
	q, err := queues.must(uint64(handle.handle))
	if err != nil {
		return nil, err
	}
	return q, q.worker.usable()
}

//export dcf_queue_open
func dcf_queue_open(w C.dcf_worker, out *C.dcf_queue, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, openQueue(w, out))
}

func openQueue(handle C.dcf_worker, out *C.dcf_queue) error {
	w, err := workerOf(handle)
	if err != nil {
		return err
	}
	if out == nil {
		return null("out")
	}
	opened, err := w.core.OpenQueue()
	if err != nil {
		return err
	}
	q := &queue{core: opened, worker: w}
	number, err := queues.open(q)
	if err != nil {
		_ = opened.Close() // the error that counts is that of the handle
		return err
	}
	out.handle = C.uint64_t(number)
	return nil
}

//export dcf_queue_submit
func dcf_queue_submit(q C.dcf_queue, calls *C.dcf_call, count C.size_t,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, q.handle)
	return finish(e, submit(q, calls, count))
}

func submit(handle C.dcf_queue, first *C.dcf_call, count C.size_t) error {
	q, err := queueOf(handle)
	if err != nil {
		return err
	}
	if err := callable(first, count); err != nil || count == 0 {
		return err
	}
	b := submits.Get().(*submission)
	defer b.close()
	for i := range int(count) {
		from := step(first, i)
		s := submissions.Get().(*submitted)
		b.all = append(b.all, s)
		if err = s.load(q.worker, from, &s.call); err != nil {
			failed := status.From(err)
			err = status.Errorf(failed.Code, "calls[%d]: %s", i, failed.Message)
			break
		}
		s.from, s.call.Tag = from, s
		b.calls = append(b.calls, &s.call)
	}
	if err == nil {
		err = q.start(b)
	}
	if err != nil {
		for _, s := range b.all {
			s.close()
		}
	}
	return err
}

// start submits calls and writes their tickets before any of them can end.
func (q *queue) start(b *submission) error {
	return q.core.SubmitThen(b.calls, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, s := range b.all {
			s.from.ticket = C.uint64_t(s.call.Ticket)
			s.at = len(q.going)
			q.going = append(q.going, s)
		}
	})
}

// forget takes a call out of those that were not polled; the caller holds mu.
func (q *queue) forget(s *submitted) {
	last := len(q.going) - 1
	moved := q.going[last]
	q.going[s.at], q.going[last] = moved, nil
	moved.at = s.at
	q.going = q.going[:last]
}

//export dcf_queue_poll
func dcf_queue_poll(q C.dcf_queue, done **C.dcf_call, capacity C.size_t, timeout C.int64_t,
	count *C.size_t, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, q.handle)
	return finish(e, poll(q, done, capacity, time.Duration(timeout), count))
}

var polled = sync.Pool{New: func() any { return new([MaxPoll]*core.Call) }}

func poll(handle C.dcf_queue, done **C.dcf_call, capacity C.size_t, timeout time.Duration,
	count *C.size_t) error {
	q, err := queueOf(handle)
	switch {
	case err != nil:
		return err
	case count == nil:
		return null("count_out")
	case done == nil && capacity > 0:
		return null("done")
	}
	if err := mayWait(); err != nil {
		return err
	}
	room := polled.Get().(*[MaxPoll]*core.Call)
	defer polled.Put(room)
	n, err := q.core.Poll(room[:min(capacity, MaxPoll)], timeout)
	if err != nil {
		return err
	}
	q.take(room[:n], unsafe.Slice(done, n))
	*count = C.size_t(n)
	return nil
}

// take gives finished calls back to the caller.
func (q *queue) take(calls []*core.Call, done []*C.dcf_call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, call := range calls {
		s := call.Tag.(*submitted)
		q.forget(s)
		done[i] = s.from
		give(call, s.from)
		s.close()
		calls[i] = nil
	}
}

//export dcf_queue_fd
func dcf_queue_fd(q C.dcf_queue, out *C.int32_t, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, q.handle)
	polled, err := queueOf(q)
	if err == nil && out == nil {
		err = null("out")
	}
	if err == nil {
		*out = C.int32_t(polled.core.FD())
	}
	return finish(e, err)
}

//export dcf_queue_cancel
func dcf_queue_cancel(q C.dcf_queue, ticket C.uint64_t, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, q.handle)
	of, err := queueOf(q)
	if err == nil {
		err = of.core.Cancel(uint64(ticket))
	}
	return finish(e, err)
}

//export dcf_queue_close
func dcf_queue_close(q C.dcf_queue, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, q.handle)
	return finish(e, closeQueue(uint64(q.handle)))
}

func closeQueue(handle uint64) error {
	if _, err := queues.must(handle); err != nil {
		return err
	}
	if err := mayEnd(); err != nil {
		return err
	}
	q, err := queues.close(handle)
	if err != nil {
		return err
	}
	if err := q.core.Close(); err != nil {
		return err // what still runs keeps what it refers to
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.going {
		s.close()
	}
	q.going = nil
	return nil
}
