package rpc

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/lane"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// link is one connection of a session. Where it carries requests of the other side, or notices, a
// goroutine of its own reads it (served). Else whoever waits for a reply reads it: one as the
// leader, who hands the others what is theirs, and passes the lead on when its own reply came.
type link struct {
	session *session
	conn    transport.Conn
	purpose wire.Purpose
	served  bool

	mu          sync.Mutex
	leading     bool
	first, last *Pending // followers, the longest waiting first

	async  asynchronous
	caller *lane.Caller // nil: there are no lanes
	server server
}

func newLink(s *session, conn transport.Conn, purpose wire.Purpose, served bool) *link {
	conn.SetSpin(s.node.cfg.Spin)
	conn.SetLimits(s.node.cfg.Limits)
	l := &link{session: s, conn: conn, purpose: purpose, served: served}
	l.async.wake = make(chan struct{}, 1)
	l.async.blind = conn.Descriptor() < 0
	if !l.async.blind {
		conn.Return()
	}
	if grouped, ok := conn.(transport.Grouped); ok {
		if l.caller, l.server.lanes = grouped.Lanes(); l.caller != nil {
			l.caller.Serves(s.hello.Identity.Node, s.node.keeper.rouse)
		}
	}
	return l
}

// follow makes p a follower, or says that it leads now.
func (l *link) follow(p *Pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.leading && !l.served {
		l.leading = true
		return false
	}
	p.queued, p.prev, p.next = true, l.last, nil
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	return true
}

// unfollow ends that p follows, and says whether it was woken to lead.
func (l *link) unfollow(p *Pending) (chosen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.queued {
		return true
	}
	l.remove(p)
	return false
}

// remove takes p out of the followers; mu is held.
func (l *link) remove(p *Pending) {
	if p.prev == nil {
		l.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.queued, p.prev, p.next = false, nil, nil
}

// pass gives the lead up, to the follower who has waited longest.
func (l *link) pass() {
	l.mu.Lock()
	l.leading = false
	l.mu.Unlock()
	l.nudge()
}

// nudge finds a leader if there is none.
func (l *link) nudge() {
	l.mu.Lock()
	var next *Pending
	for !l.leading && l.first != nil && next == nil {
		next = l.first
		l.remove(next)
		if next.state.Load() == done {
			next = nil // it is waking already
		}
	}
	async := !l.leading && next == nil && l.async.eager.Load() > 0
	l.mu.Unlock()
	if next != nil {
		next.event.Set()
	} else if async {
		l.async.signal()
	}
}

// lead reads the connection for all until p is done, or should wait elsewhere, or gives up.
func (l *link) lead(p *Pending) error {
	for p.state.Load() != done && !p.elsew.Load() {
		wait, err := p.left()
		if err != nil || p.until != 0 && wait == 0 {
			return err
		}
		again, err := l.receive(wait)
		if err != nil || l.session.down.Load() {
			return nil // the end of the session ends the request, and needs the lead for that
		}
		if !again {
			continue
		}
		if err := l.session.node.interrupted(); err != nil {
			return err
		}
	}
	// Others whose replies are here should not wait for the next leader.
	for l.conn.Ready() {
		if _, err := l.receive(0); err != nil {
			return nil
		}
	}
	return nil
}

// receive reads and dispatches one frame, or says that none came in time. A failure ends the
// session.
func (l *link) receive(wait time.Duration) (again bool, err error) {
	header, err := l.conn.Next(wait)
	if err == nil {
		err = l.dispatch(header)
	} else if errors.Is(err, transport.ErrAgain) {
		return true, nil
	}
	if err != nil {
		l.session.fail(err)
	}
	return false, err
}

// dispatch takes the frame that Next announced to where it belongs. Requests are served elsewhere.
func (l *link) dispatch(h wire.SessionHeader) error {
	s := l.session
	switch h.Kind {
	case wire.KindReply:
		return l.reply(h.CallID)
	case wire.KindPing:
		l.conn.Skip()
		return l.control(wire.KindPong, 0)
	case kindElsewhere:
		l.conn.Skip()
		if h.CallID != 0 {
			s.elsewhere(h.CallID)
		} else {
			s.pong()
		}
		return nil
	case wire.KindGoodbye:
		l.conn.Skip()
		return status.Errorf(status.Unavailable, "node %d at %s closed", s.hello.Identity.Node,
			l.conn.Peer())
	default:
		l.conn.Skip()
		return status.Errorf(status.Corrupt, "%s sent a frame of kind %d on a connection for "+
			"purpose %d", l.conn.Peer(), h.Kind, l.purpose)
	}
}

// reply hands a reply to who waits for it. Nobody does where a request was given up.
func (l *link) reply(id uint64) error {
	p := l.session.take(id)
	if p == nil {
		l.conn.Skip()
		return nil
	}
	in := inbounds.Get().(*transport.Inbound)
	if err := l.conn.Take(in); err != nil {
		putInbound(in)
		p.complete(nil, err)
		return err
	}
	p.complete(in, nil)
	return nil
}

// control sends a frame without a message at once.
func (l *link) control(kind wire.Kind, id uint64) error {
	h := wire.SessionHeader{Version: wire.Version, Kind: kind, CallID: id}
	if _, _, err := l.conn.Send(&wire.Frame{Header: h}); err != nil {
		if errors.Is(err, status.Exhausted) {
			return nil // the peer takes nothing: it will be cut, or ask again
		}
		return err
	}
	return l.conn.Flush()
}

// acquire takes the lead, ahead of all followers, and waits for it a moment if need be.
func (l *link) acquire(wait time.Duration) bool {
	until := clock.After(wait)
	var p Pending
	for {
		l.mu.Lock()
		if !l.leading {
			l.leading = true
			l.mu.Unlock()
			return true
		}
		p.queued, p.prev, p.next = true, nil, l.first
		if l.first == nil {
			l.last = &p
		} else {
			l.first.prev = &p
		}
		l.first = &p
		l.mu.Unlock()
		p.event.Wait(clock.Until(until))
		l.unfollow(&p)
		if clock.Until(until) <= 0 {
			return false
		}
	}
}

// asynchronous is what a link has for requests whose callers do not wait on it.
type asynchronous struct {
	open    atomic.Int32 // requests under way
	eager   atomic.Int32 // of those, whose users read nothing themselves
	readers atomic.Int32 // Readers that wait for another one's reading
	visited atomic.Bool  // a Reader came since the keeper looked
	running bool         // under link.mu: the goroutine exists
	blind   bool         // only a receiver sees that something arrived: all requests are eager
	wake    chan struct{}
}

// signal makes the goroutine look around.
func (a *asynchronous) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
