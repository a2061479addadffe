package rpc

import (
	"dcf/core/internal/clock"
	handshake "dcf/core/internal/session"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// send sends a request and enters it for its reply. Where too much is queued for the peer, it waits
// if patient.
func (s *session) send(f *wire.Frame, p *Pending, deadline int64, patient bool,
	completion Completion) error {
	l, err := s.route(f.Message, deadline)
	if err == nil {
		err = l.room(deadline, patient)
	}
	if err != nil {
		return failed(err, false)
	}
	p.prepare(s, l, deadline)
	if p.done = completion; completion != nil {
		p.size.Store(0) // a reply may be faster than transmit
		l.expect(p)
	}
	if err = s.enter(p); err == nil {
		if err = s.transmit(f, p, l); err == nil || err == errCompleted {
			return nil
		}
	}
	p.state.Store(idle)
	if completion != nil {
		l.unexpect(p)
	}
	return failed(err, false)
}

// errCompleted says that an asynchronous request failed and its callback is told.
var errCompleted = status.Errorf(status.Internal, "rpc: already completed")

func (s *session) transmit(f *wire.Frame, p *Pending, l *link) error {
	err := p.stamp(f)
	if err == nil {
		var size int64
		var end uint64
		if size, end, err = l.conn.Send(f); err == nil {
			p.size.Store(size)
			p.end.Store(end)
			s.peer.requests.Add(1)
			return nil
		}
	}
	if s.take(p.id) == nil { // the session ended, and with it the request
		if p.done != nil {
			return errCompleted
		}
		p.finish()
		p.in, p.err = nil, nil
	}
	return err
}

// room says whether a request may be queued now, or waits until it may.
func (l *link) room(deadline int64, patient bool) error {
	for {
		queued := l.conn.Queued()
		if queued <= transport.MaxQueuedBytes {
			return nil
		}
		if !patient {
			return status.Errorf(status.Exhausted, "%d bytes wait for node %d already, which does "+
				"not take them (MaxQueuedBytes)", queued, l.session.hello.Identity.Node)
		}
		if deadline == 0 {
			deadline = clock.After(l.session.node.cfg.Timeout)
		}
		if err := l.conn.WaitRoom(deadline); err != nil {
			return err
		}
	}
}

// route chooses the connection for a request.
func (s *session) route(message any, deadline int64) (*link, error) {
	if !s.dialled {
		if l := s.notices.Load(); l != nil {
			return l, nil
		}
		return nil, status.Errorf(status.Unavailable, "node %d can only be reached over its own "+
			"connections, and has none for that", s.hello.Identity.Node)
	}
	call := s.call.Load()
	if transport.BulkBytes(message) > BulkBytes && call.conn.SplitsBulk() {
		return s.bulkLink(deadline)
	}
	return call, nil
}

// bulkLink gives the bulk connection, which it opens if need be.
func (s *session) bulkLink(deadline int64) (*link, error) {
	if l := s.bulk.Load(); l != nil {
		return l, nil
	}
	s.dialing.Lock()
	defer s.dialing.Unlock()
	if l := s.bulk.Load(); l != nil {
		return l, nil
	}
	conn, _, err := s.node.greet(s.address, wire.PurposeBulk, s.key.number, deadline)
	if err != nil {
		return nil, err
	}
	l, err := s.attach(conn, wire.PurposeBulk)
	if err != nil {
		conn.Abort(err)
		return nil, err
	}
	return l, nil
}

// elsewhere makes a request wait for its reply on the bulk connection.
func (s *session) elsewhere(id uint64) {
	s.mu.Lock()
	at := id & (1<<idBits - 1)
	if at >= uint64(len(s.slots)) || s.slots[at].use != id>>idBits || s.slots[at].p == nil {
		s.mu.Unlock()
		return
	}
	p := s.slots[at].p
	if p.done != nil {
		// Its goroutine cannot wait for the dialing, and the request may be over by then.
		s.node.work.Add(1)
		go s.expectBulk(id, p.link.Load())
	} else {
		p.elsew.Store(true)
		p.event.Set()
	}
	s.mu.Unlock()
}

// expectBulk moves an asynchronous request to the bulk connection.
func (s *session) expectBulk(id uint64, from *link) {
	defer s.node.work.Done()
	bulk, err := s.bulkLink(clock.After(handshake.HelloTimeout))
	if err != nil {
		s.fail(err)
		return
	}
	s.mu.Lock()
	at := id & (1<<idBits - 1)
	defer s.mu.Unlock()
	if p := s.slots[at].p; p != nil && s.slots[at].use == id>>idBits {
		from.unexpect(p)
		p.eager = true // its user waits for another connection
		bulk.expect(p)
		p.link.Store(bulk)
		bulk.arm()
	}
}

// timeout is the error of a request whose deadline passed.
func (s *session) timeout() error {
	return status.Errorf(status.Timeout, "node %d did not answer in time", s.hello.Identity.Node)
}
