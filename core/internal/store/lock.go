package store

import (
	"sync"
	"sync/atomic"
	"time"

	"dcf/core/status"
)

// A record's lock word. Updates of one vertex run one after another, each under its lock.
const (
	lockFree      = 0
	lockHeld      = 1
	lockContended = 2 // held, and somebody waits in the store's queue
)

// waiting holds the goroutines that wait for records, in the order in which they came.
type waiting struct {
	mu     sync.Mutex
	queues map[*Record][]*waiter
}

// waiter is handed the lock by a message on its channel, which has room for it.
type waiter struct{ granted chan struct{} }

// TryLock takes the record's lock if it is free.
func (s *Store) TryLock(r *Record) bool { return r.c.Lock.CompareAndSwap(lockFree, lockHeld) }

// Lock takes the record's lock, waiting for it until the timer's channel fires or cancelled turns
// non-zero, which is looked at every pollInterval. A nil cancelled is never looked at.
func (s *Store) Lock(r *Record, timeout time.Duration, cancelled *atomic.Uint32) error {
	if s.TryLock(r) {
		return nil
	}
	w := s.enqueue(r)
	if w == nil {
		return nil
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		var err error
		select {
		case <-w.granted:
			return nil
		case <-timer.C:
			err = status.Errorf(status.Timeout, "vertex %s is being updated by another call: "+
				"try again, with a longer timeout", describe(r.c.ID, r.Name())).WithVertex(r.c.ID)
		case <-poll.C:
			if cancelled == nil || cancelled.Load() == 0 {
				continue
			}
			err = status.Errorf(status.Cancelled, "cancelled while it waited for vertex %s",
				describe(r.c.ID, r.Name())).WithVertex(r.c.ID)
		}
		if s.dequeue(r, w) {
			return err
		}
		<-w.granted // granted at the same moment: take it
		return nil
	}
}

// pollInterval is how often a wait looks whether it was cancelled.
const pollInterval = 50 * time.Millisecond

// enqueue waits in line, or takes the lock and gives nil.
func (s *Store) enqueue(r *Record) *waiter {
	q := &s.waiting
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		// Contended is only left under q.mu, so a holder that saw it finds the waiter.
		switch r.c.Lock.Load() {
		case lockFree:
			if r.c.Lock.CompareAndSwap(lockFree, lockHeld) {
				return nil
			}
		case lockHeld:
			r.c.Lock.CompareAndSwap(lockHeld, lockContended)
		case lockContended:
			w := &waiter{make(chan struct{}, 1)}
			q.queues[r] = append(q.queues[r], w)
			return w
		}
	}
}

// dequeue takes a waiter out of the line; false if it was granted the lock.
func (s *Store) dequeue(r *Record, w *waiter) bool {
	q := &s.waiting
	q.mu.Lock()
	defer q.mu.Unlock()
	queue := q.queues[r]
	for i := range queue {
		if queue[i] == w {
			q.queues[r] = append(queue[:i], queue[i+1:]...)
			return true
		}
	}
	return false
}

// Unlock gives the lock back, or to whoever waits longest.
func (s *Store) Unlock(r *Record) {
	if r.c.Lock.CompareAndSwap(lockHeld, lockFree) {
		return
	}
	q := &s.waiting
	q.mu.Lock()
	defer q.mu.Unlock()
	queue := q.queues[r]
	if len(queue) == 0 {
		delete(q.queues, r)
		r.c.Lock.Store(lockFree)
		return
	}
	q.queues[r] = queue[1:]
	queue[0].granted <- struct{}{}
}
