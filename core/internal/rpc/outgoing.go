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
func (s *session) send(f *wire.Frame, p *Pending, deadline int64, patient bool) error {
	l, err := s.route(f.Message, deadline)
	if err == nil {
		err = l.room(deadline, patient)
	}
	if err != nil {
		return failed(err, false)
	}
	p.prepare(s, l, deadline)
	s.mu.Lock()
	err = s.enterLocked(p)
	s.mu.Unlock()
	if err == nil {
		now := int64(0)
		if deadline != 0 {
			now = clock.Now()
		}
		err = s.transmit(f, p, now)
		if err == nil {
			return nil
		}
		if s.take(p.id) == nil { // the session ended, and with it the request
			p.finish()
			p.in, p.err = nil, nil
		}
	}
	p.state.Store(idle)
	return failed(err, false)
}

// start sends asynchronous requests. They are counted before they can end, and entered together.
func (s *session) start(l *link, all []Start, eager bool) {
	for i := range all {
		p := all[i].Pending
		p.prepare(s, l, all[i].Deadline)
		p.size.Store(0) // a reply may be faster than transmit
		p.done, p.eager = all[i].Done, eager
	}
	l.expect(len(all), eager)
	now := clock.Now() // of all deadlines
	s.mu.Lock()
	for i := range all {
		if deadline := all[i].Deadline; deadline != 0 && deadline <= now {
			all[i].Err = s.timeout()
		} else {
			all[i].Err = s.enterLocked(all[i].Pending)
		}
	}
	s.mu.Unlock()
	for i := range all {
		p, err := all[i].Pending, all[i].Err
		if err == nil {
			err = s.transmit(all[i].Request, p, now)
			if err == nil || s.take(p.id) == nil { // else the session ended, and Done was told
				continue
			}
		}
		all[i].Err = failed(err, false)
		p.state.Store(idle)
		l.unexpect(p)
	}
}

// transmit encodes a request that was entered; it leaves with the next flush.
func (s *session) transmit(f *wire.Frame, p *Pending, now int64) error {
	if err := p.stamp(f, now); err != nil {
		return err
	}
	size, end, err := p.sentOn.conn.Send(f)
	if err == nil {
		p.size.Store(size)
		p.end.Store(end)
		s.peer.requests.Add(1)
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
	conn, _, err := s.node.greet(s.address, s.node.hello(wire.PurposeBulk, s.key.number), deadline)
	if err != nil {
		return nil, err
	}
	l, err := s.attach(conn, wire.PurposeBulk)
	if err != nil {
		transport.End(conn, err)
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
		bulk.expect(1, true)
		p.link.Store(bulk)
		bulk.arm()
	}
}

// timeout is the error of a request whose deadline passed.
func (s *session) timeout() error {
	return status.Errorf(status.Timeout, "node %d did not answer in time", s.hello.Identity.Node)
}
