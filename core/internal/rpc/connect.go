package rpc

import (
	"errors"
	"math/rand/v2"
	"time"

	handshake "dcf/core/internal/session"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// greet opens one connection of a session and gives who answered.
func (n *Node) greet(address string, mine *wire.Hello, deadline int64) (
	transport.Conn, *wire.Hello, error) {
	t, err := n.transport(address)
	if err != nil {
		return nil, nil, err
	}
	conn, err := t.Dial(address, deadline)
	if err != nil {
		return nil, nil, err
	}
	if err := n.introduce(conn); err != nil {
		return nil, nil, err
	}
	defer n.introduced(conn)
	theirs, err := handshake.Greet(conn, mine, deadline)
	if err != nil {
		return nil, nil, err
	}
	return conn, theirs, nil
}

// introduce has Close abort a connection that belongs to no session yet.
func (n *Node) introduce(conn transport.Conn) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		err := errClosed()
		transport.End(conn, err)
		return err
	}
	n.greeting[conn] = true
	return nil
}

func (n *Node) introduced(conn transport.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.greeting, conn)
}

// open opens a session to an address. want, where it is not nil, is who has to be there. Where
// referable, whoever is there may refer to another address instead: the referral is its Hello.
func (n *Node) open(address string, want *Peer, referable bool, deadline int64) (
	s *session, referral *wire.Hello, err error) {
	key := sessionKey{n.cfg.Identity, rand.Uint64()}
	mine := n.hello(wire.PurposePeer, key.number)
	if referable {
		mine.Features |= wire.FeatureReferral
	}
	notices, theirs, err := n.greet(address, mine, deadline)
	if err != nil {
		return nil, nil, err
	}
	if want != nil && want.identity != theirs.Identity {
		err := status.Errorf(status.Unavailable, "%s is node %d in incarnation %d now, not node %d "+
			"in incarnation %d", address, theirs.Identity.Node, theirs.Identity.Incarnation,
			want.identity.Node, want.identity.Incarnation)
		transport.End(notices, err)
		return nil, nil, err
	}
	if referable && theirs.Purpose == wire.PurposeReferral {
		transport.End(notices, status.Errorf(status.Unavailable, "the session goes over another address"))
		return nil, theirs, nil
	}
	call, _, err := n.greet(address, n.hello(wire.PurposeCall, key.number), deadline)
	if err != nil {
		transport.End(notices, err)
		return nil, nil, err
	}
	peer := want
	if peer == nil {
		peer = n.Peer(theirs.Identity, nil)
	}
	s = newSession(n, peer, theirs, key, address, true)
	// Nobody knows the session yet: it cannot be down.
	l, err := s.attach(notices, wire.PurposePeer)
	_, err2 := s.attach(call, wire.PurposeCall)
	if err = errors.Join(err, err2, n.begin(s, nil)); err != nil {
		transport.End(call, err)
		transport.End(notices, err)
		return nil, nil, err
	}
	l.serve()
	return s, nil, nil
}

// begin makes a session known. The caller then starts to serve a link of it.
func (n *Node) begin(s *session, told chan struct{}) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errClosed()
	}
	if n.sessions[s.key] != nil {
		return status.Errorf(status.InvalidArgument, "the session exists already")
	}
	n.sessions[s.key] = s
	p := s.peer
	if s.dialled {
		p.learn(s.hello, s.address)
		p.out.Store(s)
	} else {
		p.learn(s.hello, "")
		p.in.Store(s)
	}
	p.mu.Lock()
	p.sessions++
	first := p.sessions == 1
	p.mu.Unlock()
	ev := event{told: told}
	if first {
		ev.up = s.hello
	}
	n.events.add(ev)
	n.keeper.rouse()
	n.work.Add(1) // of the goroutine that serves its first link
	return nil
}

// ended forgets a session that is down.
func (n *Node) ended(s *session, reason *status.Error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions[s.key] != s {
		return
	}
	delete(n.sessions, s.key)
	p := s.peer
	p.out.CompareAndSwap(s, nil)
	if p.in.CompareAndSwap(s, nil) {
		for _, other := range n.sessions {
			if other.peer == p && !other.dialled {
				p.in.Store(other) // it came in more than once
			}
		}
	}
	p.mu.Lock()
	p.sessions--
	last := p.sessions == 0
	p.finished.Add(s.counters())
	p.mu.Unlock()
	n.cfg.Log.Info("session ended", "node", s.hello.Identity.Node, "reason", reason.Message)
	if last {
		n.events.add(event{down: s.hello.Identity, err: reason})
	}
}

// accept lets peers in until the listener is closed.
func (n *Node) accept(l transport.Listener) {
	defer n.work.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, status.Unavailable) {
				return // the listener is closed
			}
			// Descriptors are out, or that peer was gone at once; others are to come in all the same.
			n.cfg.Log.Warn("cannot accept", "address", l.Address(), "error", err)
			if !n.pause() {
				return
			}
			continue
		}
		select {
		case n.handshakes <- struct{}{}:
		case <-n.closing:
			transport.End(conn, errClosed())
			return
		}
		if err := n.introduce(conn); err != nil {
			return
		}
		n.work.Go(func() {
			err := n.receive(conn, l.Address())
			n.introduced(conn)
			<-n.handshakes
			if err != nil {
				n.cfg.Log.Warn("a connection was refused", "address", l.Address(), "error", err)
			}
		})
	}
}

// receive lets one connection in that came to an address.
func (n *Node) receive(conn transport.Conn, address string) error {
	theirs, err := handshake.Receive(conn)
	if err != nil {
		return err
	}
	if err := n.admit(theirs); err != nil {
		return handshake.Refuse(conn, err)
	}
	if n.refers(theirs, address) {
		return n.refer(conn, theirs)
	}
	key := sessionKey{theirs.Identity, theirs.Session}
	mine := n.hello(theirs.Purpose, theirs.Session)
	switch theirs.Purpose {
	case wire.PurposePeer:
		return n.receiveFirst(conn, theirs, mine, key, address)
	case wire.PurposeCall, wire.PurposeBulk:
		return n.receiveMore(conn, theirs, mine, key)
	}
	return handshake.Refuse(conn, status.Errorf(status.Unsupported,
		"this node knows no connections for purpose %d", theirs.Purpose))
}

func (n *Node) admit(theirs *wire.Hello) error {
	if theirs.Identity == n.cfg.Identity {
		return status.Errorf(status.InvalidArgument, "node %d has called itself",
			n.cfg.Identity.Node)
	}
	if n.cfg.Admit != nil {
		return n.cfg.Admit(theirs)
	}
	return nil
}

// receiveFirst starts a session. Its peer connection comes first, so that whoever is told of the
// peer can reach it, and before any request of it.
func (n *Node) receiveFirst(conn transport.Conn, theirs, mine *wire.Hello, key sessionKey,
	address string) error {
	s := newSession(n, n.Peer(theirs.Identity, nil), theirs, key, address, false)
	// Nobody knows the session yet: it cannot be down.
	l, err := s.attach(conn, wire.PurposePeer)
	if err != nil {
		return handshake.Refuse(conn, err)
	}
	told := make(chan struct{})
	if err := n.begin(s, told); err != nil {
		return handshake.Refuse(conn, err)
	}
	<-told
	if err := handshake.Welcome(conn, mine); err != nil {
		s.fail(err)
	}
	l.serve()
	return nil
}

// receiveMore adds a connection to a session.
func (n *Node) receiveMore(conn transport.Conn, theirs, mine *wire.Hello, key sessionKey) error {
	n.mu.Lock()
	s := n.sessions[key]
	n.mu.Unlock()
	if s == nil {
		return handshake.Refuse(conn, status.Errorf(status.Unavailable,
			"node %d has no such session here any more", theirs.Identity.Node))
	}
	// Welcome comes first: once it is attached others send on it.
	if err := handshake.Welcome(conn, mine); err != nil {
		return err
	}
	l, err := s.attach(conn, theirs.Purpose)
	if err != nil {
		transport.End(conn, err)
		return err
	}
	n.work.Add(1)
	l.serve()
	if theirs.Purpose == wire.PurposeBulk {
		s.sendLate(l)
	}
	return nil
}

// pause waits a moment, or until the node closes.
func (n *Node) pause() bool {
	late := time.NewTimer(tick)
	defer late.Stop()
	select {
	case <-late.C:
		return true
	case <-n.closing:
		return false
	}
}
