package rpc

import (
	"sync"
	"sync/atomic"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// kindElsewhere is the kind that says, with the id of a request, that its reply comes by the bulk
// connection: the wire format has no kind of its own for that, and a Pong answers no request.
const kindElsewhere = wire.KindPong

// sessionKey names a session: its dialer, and the number that the dialer chose.
type sessionKey struct {
	dialer wire.Identity
	number uint64
}

// session is what two nodes have between them while they are connected: a call, a peer and perhaps
// a bulk connection, all opened by the dialer. If one breaks the session ends.
type session struct {
	node    *Node
	peer    *Peer
	hello   *wire.Hello // of the other side
	key     sessionKey
	dialled bool
	address string // that was dialled, here or by the peer
	scheme  string // of the address
	born    int64

	// slots are the requests of this side; the low idBits of an id are its slot.
	mu    sync.Mutex
	slots []slot
	free  []uint32
	open  int
	uses  uint64 // requests so far
	links []*link
	late  []*lateReply // accepted: replies that wait for the bulk connection

	call, notices, bulk atomic.Pointer[link]
	dialing             sync.Mutex // of the bulk connection

	down    atomic.Bool
	failure error         // with down
	gone    chan struct{} // closed when all requests have ended

	beat
}

// slot is a place for a request under way.
type slot struct {
	p   *Pending
	use uint64 // how often it was used: the upper bits of the id
}

const idBits = 16

func newSession(n *Node, peer *Peer, hello *wire.Hello, key sessionKey, address string,
	dialled bool) *session {
	s := &session{node: n, peer: peer, hello: hello, key: key, address: address, dialled: dialled,
		scheme: schemeOf(address), gone: make(chan struct{}), born: clock.Now()}
	s.beat.heard = s.born
	return s
}

// attach makes a connection part of the session, unless that is down.
func (s *session) attach(conn transport.Conn, purpose wire.Purpose) (*link, error) {
	served := !s.dialled || purpose == wire.PurposePeer
	l := newLink(s, conn, purpose, served)
	place := s.place(purpose)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() {
		return nil, s.failure
	}
	if !place.CompareAndSwap(nil, l) {
		return nil, status.Errorf(status.InvalidArgument,
			"the session has a connection for purpose %d already", purpose)
	}
	s.links = append(s.links, l)
	return l, nil
}

func (s *session) place(purpose wire.Purpose) *atomic.Pointer[link] {
	switch purpose {
	case wire.PurposePeer:
		return &s.notices
	case wire.PurposeBulk:
		return &s.bulk
	default:
		return &s.call
	}
}

// enterLocked gives a request an id; mu is held.
func (s *session) enterLocked(p *Pending) error {
	if s.down.Load() {
		return s.failure
	}
	if s.open >= MaxOutstanding {
		return status.Errorf(status.Exhausted, "%d requests to node %d are under way, more are "+
			"not allowed (MaxOutstanding): wait for some", s.open, s.hello.Identity.Node)
	}
	var at uint32
	if n := len(s.free); n > 0 {
		at = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		at = uint32(len(s.slots))
		s.slots = append(s.slots, slot{})
	}
	s.open++
	s.uses++
	s.node.keeper.rouse()
	place := &s.slots[at]
	place.use++
	place.p = p
	p.id = place.use<<idBits | uint64(at)
	return nil
}

// take removes the request with that id and gives it, or nil where it was removed before. Who got
// it completes it.
func (s *session) take(id uint64) *Pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := id & (1<<idBits - 1)
	if at >= uint64(len(s.slots)) {
		return nil
	}
	place := &s.slots[at]
	p := place.p
	if p == nil || place.use != id>>idBits {
		return nil
	}
	place.p = nil
	s.free = append(s.free, uint32(at))
	s.open--
	return p
}

// withdraw gives a request up. False: it is being completed.
func (s *session) withdraw(p *Pending) bool {
	if s.take(p.id) == nil {
		return false
	}
	if p.end.Load() != 0 {
		_ = p.sentOn.control(wire.KindCancel, p.id) // if it fails the session is ending
	}
	return true
}
