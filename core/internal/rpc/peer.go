package rpc

import (
	"sync"
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// Peer is another node. It connects at the first request, and again after its session ended. All
// methods are safe for concurrent use.
//
// Requests are borrowed: the frame, its message and what that refers to, batches included, stay the
// caller's, who may reuse and release them as soon as the method has returned. The header needs
// only a TraceID, if any.
type Peer struct {
	node     *Node
	identity wire.Identity
	hello    atomic.Pointer[wire.Hello]
	out, in  atomic.Pointer[session] // dialled, and accepted
	requests atomic.Uint64

	dialing chan struct{} // holds a token while nobody dials

	mu        sync.Mutex
	addresses []string
	backoff   time.Duration
	retryAt   int64
	lastError *status.Error
	apart     string             // why there was no session over Config.Near; empty: there was
	sessions  int                // that are up
	finished  transport.Counters // of sessions that ended
}

func newPeer(n *Node, id wire.Identity, addresses []string) *Peer {
	p := &Peer{node: n, identity: id, addresses: addresses, dialing: make(chan struct{}, 1)}
	p.dialing <- struct{}{}
	return p
}

// Identity says which incarnation of which node it is.
func (p *Peer) Identity() wire.Identity { return p.identity }

// Hello gives how the node introduced itself last, or nil before the first contact. It must not be
// changed.
func (p *Peer) Hello() *wire.Hello { return p.hello.Load() }

// Do sends a request and waits for its reply on the calling goroutine, until a deadline of
// CLOCK_MONOTONIC (0: none). reply is overwritten in any case. The error is that of the way to the
// peer and back; what the peer says is in reply.Error. Where too much is queued for the peer, Do
// waits; Send, Start and Notify give status.Exhausted.
func (p *Peer) Do(req *wire.Frame, reply *Reply, deadline int64) error {
	s, err := p.session(deadline)
	if err != nil {
		reply.Clear()
		return failed(err, false)
	}
	pending := pendings.Get().(*Pending)
	if err = s.send(req, pending, deadline, true); err == nil {
		err = pending.Wait(reply)
	} else {
		reply.Clear()
	}
	pendings.Put(pending)
	return err
}

// Send sends a request whose reply the caller will wait for with pending.Wait, which it must. The
// request leaves at the next Flush, or when somebody waits.
func (p *Peer) Send(req *wire.Frame, pending *Pending, deadline int64) error {
	s, err := p.session(deadline)
	if err != nil {
		return failed(err, false)
	}
	return s.send(req, pending, deadline, false)
}

// Flush sends what Send left to be sent. Where that fails the requests will say so.
func (p *Peer) Flush() {
	for _, s := range [...]*session{p.out.Load(), p.in.Load()} {
		if s == nil {
			continue
		}
		for _, place := range [...]*atomic.Pointer[link]{&s.call, &s.bulk, &s.notices} {
			if l := place.Load(); l != nil {
				_ = l.conn.Flush()
			}
		}
	}
}

// Notify sends an operation that has no answer. It connects where there is no session, until the
// node's time-out at most.
func (p *Peer) Notify(op *wire.Operation) error {
	s, err := p.session(clock.After(p.node.cfg.Timeout))
	if err != nil {
		return failed(err, false)
	}
	l, err := s.route(op, clock.After(p.node.cfg.Timeout))
	if err == nil {
		err = l.room(0, false)
	}
	if err != nil {
		return failed(err, false)
	}
	header := wire.SessionHeader{Version: wire.Version, Kind: wire.KindNotify}
	if _, _, err := l.conn.Send(&wire.Frame{Header: header, Message: op}); err != nil {
		return failed(err, false)
	}
	return failed(l.conn.Flush(), true)
}

// Up says whether there is a session with the peer at this moment.
func (p *Peer) Up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions > 0
}

// session gives the session to use, and dials where there is none.
func (p *Peer) session(deadline int64) (*session, error) {
	if s := p.connected(); s != nil {
		return s, nil
	}
	if len(p.known()) == 0 {
		return nil, p.unconnected()
	}
	if deadline == 0 {
		deadline = clock.After(p.node.cfg.Timeout)
	}
	return p.connect(deadline)
}

// Connected says whether a request could leave at once.
func (p *Peer) Connected() bool { return p.connected() != nil }

// connected gives the session to use, or nil where it would have to be dialled.
func (p *Peer) connected() *session {
	if s := p.out.Load(); s != nil && !s.down.Load() {
		return s
	}
	if s := p.in.Load(); s != nil && !s.down.Load() && len(p.known()) == 0 {
		return s
	}
	return nil
}

func (p *Peer) unconnected() error {
	return status.Errorf(status.Unavailable, "node %d is not connected, and has no address to be "+
		"reached at", p.identity.Node)
}

func (p *Peer) known() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addresses
}

// connect dials, one caller at a time. After a failure the next attempts fail at once for a while.
func (p *Peer) connect(deadline int64) (*session, error) {
	if err := p.queue(deadline); err != nil {
		return nil, err
	}
	defer func() { p.dialing <- struct{}{} }()
	if s := p.out.Load(); s != nil && !s.down.Load() {
		return s, nil
	}
	p.mu.Lock()
	addresses, retryAt, last := p.addresses, p.retryAt, p.lastError
	p.mu.Unlock()
	if last != nil && clock.Until(retryAt) > 0 {
		return nil, last
	}
	var err error
	for _, address := range addresses {
		var s *session
		if s, err = p.node.connect(address, p, deadline); err == nil {
			p.mu.Lock()
			p.backoff, p.lastError = 0, nil
			p.mu.Unlock()
			return s, nil
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backoff = min(max(2*p.backoff, backoffMin), backoffMax)
	p.retryAt = clock.After(p.backoff)
	p.lastError = status.From(err)
	return nil, err
}

// queue waits until nobody else dials.
func (p *Peer) queue(deadline int64) error {
	select {
	case <-p.dialing:
		return nil
	default:
	}
	late := time.NewTimer(max(clock.Until(deadline), 0))
	defer late.Stop()
	select {
	case <-p.dialing:
		return nil
	case <-late.C:
		return status.Errorf(status.Timeout, "node %d was not connected in time", p.identity.Node)
	}
}

// learn takes over what a Hello says.
func (p *Peer) learn(hello *wire.Hello, address string) {
	p.hello.Store(hello)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.addresses) > 0: // what it was reached at, or what the caller knows, stays
	case address != "":
		p.addresses = []string{address}
	default:
		p.addresses = hello.Addresses
	}
}
