package rpc

import (
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/status"
)

// Await is WaitUntil without taking the answer: where there is no error, Peek gives it, and Collect
// or Discard must follow.
func (p *Pending) Await(cancelled *atomic.Uint32) error {
	p.cancelled = cancelled
	err := p.await()
	p.cancelled = nil
	return err
}

// Flush makes a request that was sent leave. Where that fails the request will say so.
func (p *Pending) Flush() {
	if p.state.Load() == waiting {
		_ = p.sentOn.conn.Flush()
	}
}

// WaitUntil is Wait, and ends early with status.Cancelled once the flag is not zero. It is looked
// at when something arrives, and every 50 ms.
func (p *Pending) WaitUntil(reply *Reply, cancelled *atomic.Uint32) error {
	p.cancelled = cancelled
	err := p.Wait(reply)
	p.cancelled = nil
	return err
}

// Ready says whether Wait would not have to wait.
func (p *Pending) Ready() bool { return p.state.Load() != waiting }

// Poll waits for the reply for a while, and reads what comes for others meanwhile. Wait says how the
// request ended.
func (p *Pending) Poll(d time.Duration) {
	if p.Ready() {
		return
	}
	p.until = clock.After(d)
	_ = p.sentOn.conn.Flush() // if it fails the session ends, and with it the request
	for p.state.Load() != done && clock.Until(p.until) > 0 {
		if p.step() != nil {
			break
		}
	}
	p.until = 0
}

// Cancel gives up a request that was sent and is not waited for: the peer is told, and what it
// answers is dropped. It stands for Wait.
func (p *Pending) Cancel() {
	if p.state.Load() == idle {
		return
	}
	if p.session.withdraw(p) {
		p.state.Store(idle)
		return
	}
	p.finish() // its reply is being read at this moment
	var reply Reply
	_ = p.Collect(&reply)
	reply.Clear()
}

// givenUp says whether the caller of a request wants it no longer.
func (p *Pending) givenUp() error {
	if p.cancelled != nil && p.cancelled.Load() != 0 {
		return status.Errorf(status.Cancelled, "the call was cancelled")
	}
	return nil
}
