package rpc

import (
	"sync"
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/futex"
	"dcf/core/status"
	"dcf/wire"
)

// Pending is a request under way. It belongs to its user, who may reuse it after Wait; from Send
// until then it must not be copied. The zero Pending is ready.
type Pending struct {
	session  *session
	id       uint64
	deadline int64 // 0: none
	// cancelled is a flag of the caller's to look at while waiting; nil: none.
	cancelled *atomic.Uint32
	until     int64 // Poll's own deadline; 0: none
	sentOn    *link // where the request went

	size  atomic.Int64         // of the request's frame
	end   atomic.Uint64        // of the request in that stream; 0: not known
	link  atomic.Pointer[link] // where the reply is due
	elsew atomic.Bool          // the reply comes by the bulk connection, which link is not yet

	state atomic.Uint32
	event futex.Event        // set when state or link changed, or the lead is free
	in    *transport.Inbound // with state done
	err   error              // with state done
	done  Completion         // of an asynchronous request
	eager bool               // with done: its user reads nothing itself

	// Under link.mu: the place among those who wait for the leader.
	queued     bool
	prev, next *Pending
}

// The states of a Pending.
const (
	idle    = 0
	waiting = 1
	done    = 2
)

// Scheme says which way the request went: the scheme of an address. It holds from Send on.
func (p *Pending) Scheme() string { return p.session.scheme }

// complete ends a request that was taken out of its session's table. From the store on the request
// may be somebody else's already, for whom an additional event is harmless.
func (p *Pending) complete(in *transport.Inbound, err error) {
	p.in, p.err = in, err
	if p.done != nil {
		p.link.Load().completed(p)
		return
	}
	p.state.Store(done)
	p.event.Set()
}

// Wait waits for the reply on the calling goroutine. It is called once for each Send.
func (p *Pending) Wait(reply *Reply) error {
	if err := p.await(); err != nil {
		reply.Clear()
		return err
	}
	return p.Collect(reply)
}

// await waits until the request has ended, or gives why it was given up.
func (p *Pending) await() error {
	if p.state.Load() == idle {
		return failed(status.Errorf(status.Internal, "rpc: Wait without Send"), false)
	}
	if p.state.Load() != done {
		_ = p.sentOn.conn.Flush() // if it fails the session ends, and with it the request
	}
	for p.state.Load() != done {
		if err := p.step(); err != nil {
			if p.session.withdraw(p) {
				p.state.Store(idle)
				return failed(err, p.mayBeSent())
			}
			p.finish() // its reply is being read at this moment
		}
	}
	return nil
}

// finish waits for a completion that is under way.
func (p *Pending) finish() {
	for p.state.Load() != done {
		p.event.Wait(transport.Slice)
	}
}

// Collect gives what a request that has ended came to.
func (p *Pending) Collect(reply *Reply) error {
	in, err := p.in, p.err
	p.in, p.err = nil, nil
	p.state.Store(idle)
	reply.Clear()
	reply.Sent = p.size.Load()
	if err != nil {
		return failed(err, p.mayBeSent())
	}
	reply.adopt(in)
	return nil
}

// mayBeSent says whether the whole request left this node, or still may.
func (p *Pending) mayBeSent() bool {
	end := p.end.Load()
	return end == 0 || !p.session.down.Load() || end <= p.sentOn.conn.Written()
}

// step waits as leader or as follower until something changed, or gives why to give up.
func (p *Pending) step() error {
	s := p.session
	if s.down.Load() {
		p.event.Wait(transport.Slice) // teardown completes it
		return nil
	}
	if p.elsew.Load() {
		bulk, err := s.bulkLink(p.limit())
		if err != nil {
			s.fail(err)
			return nil
		}
		p.link.Store(bulk)
		p.elsew.Store(false)
	}
	l := p.link.Load()
	if !l.follow(p) {
		err := l.lead(p)
		l.pass()
		return err
	}
	left, err := p.left()
	if err == nil && !p.event.Wait(left) {
		err = s.node.interrupted()
	}
	if l.unfollow(p) && (err != nil || p.leaves(l)) {
		l.nudge() // it was to become the leader and will not
	}
	return err
}

// leaves says whether p has nothing to wait for on the link any more.
func (p *Pending) leaves(l *link) bool {
	return p.state.Load() == done || p.link.Load() != l || p.elsew.Load()
}

// left gives how long to sleep at most, or why not to wait any longer.
func (p *Pending) left() (wait time.Duration, err error) {
	if err = p.givenUp(); err != nil {
		return 0, err
	}
	wait = transport.Slice
	if p.deadline != 0 {
		if wait = min(wait, clock.Until(p.deadline)); wait <= 0 {
			return 0, p.session.timeout()
		}
	}
	if p.until != 0 {
		wait = max(min(wait, clock.Until(p.until)), 0)
	}
	return wait, nil
}

// limit gives the request's deadline, or a distant one.
func (p *Pending) limit() int64 {
	if p.deadline != 0 {
		return p.deadline
	}
	return clock.After(p.session.node.cfg.Timeout)
}

// pendings are for requests whose caller keeps none.
var pendings = sync.Pool{New: func() any { return new(Pending) }}

// prepare makes p ready for a request of s.
func (p *Pending) prepare(s *session, l *link, deadline int64) {
	p.session, p.sentOn, p.deadline = s, l, deadline
	if p.link.Load() != l {
		p.link.Store(l)
	}
	if p.elsew.Load() {
		p.elsew.Store(false)
	}
	p.done = nil
	p.end.Store(0)
	p.event.Take()
	p.state.Store(waiting)
}

// stamp writes the header of a request that leaves now.
func (p *Pending) stamp(f *wire.Frame, now int64) error {
	h := &f.Header
	h.Version, h.Flags, h.CallID, h.BudgetNs = wire.Version, 0, p.id, 0
	switch f.Message.(type) {
	case *wire.Call:
		h.Kind = wire.KindCall
	case *wire.Operation:
		h.Kind = wire.KindOperation
	default:
		return status.Errorf(status.Internal, "rpc: a %T is no request", f.Message)
	}
	if p.deadline != 0 {
		if h.BudgetNs = p.deadline - now; h.BudgetNs <= 0 {
			return p.session.timeout()
		}
	}
	return nil
}
