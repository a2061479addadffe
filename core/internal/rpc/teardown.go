package rpc

import (
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
)

// fail ends the session. The first reason counts. It returns at once; the requests under way end
// soon after.
func (s *session) fail(reason error) {
	s.mu.Lock()
	if s.down.Load() {
		s.mu.Unlock()
		return
	}
	e := status.From(reason)
	s.failure = e
	s.down.Store(true)
	links := s.links
	s.mu.Unlock()
	s.node.work.Add(1)
	go s.teardown(links, e)
}

// cut ends the session and has nothing pass from now on.
func (s *session) cut(reason error) {
	s.fail(reason)
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	for _, l := range links {
		l.conn.Abort(reason)
	}
}

// grace is how long replies that came before the end may still be read.
const grace = 2 * transport.Slice

// teardown ends everything that belongs to the session. Replies that already came are handed over
// first: a node that closes says so on one connection while its last answer is on another.
func (s *session) teardown(links []*link, reason *status.Error) {
	defer s.node.work.Done()
	var leads, late []*link
	until := clock.After(grace)
	for _, l := range links {
		if l.served {
			continue
		}
		if !l.acquire(max(clock.Until(until), time.Microsecond)) {
			late = append(late, l)
			continue
		}
		leads = append(leads, l)
		for {
			header, err := l.conn.Next(0)
			if err != nil || l.dispatch(header) != nil {
				break
			}
		}
	}
	for _, l := range links {
		l.conn.Abort(reason)
	}
	for _, l := range leads {
		transport.Drain(l.conn)
	}
	s.abandon(reason)
	for _, l := range late { // whoever leads finds it ended, or somebody else has to: so that it is closed
		for !l.acquire(transport.Slice) {
		}
		transport.Drain(l.conn)
	}
	close(s.gone)
	s.node.ended(s, reason)
}

// abandon ends all requests, those of this side and those of the other.
func (s *session) abandon(reason *status.Error) {
	s.mu.Lock()
	var waiting []*Pending
	for i := range s.slots {
		if p := s.slots[i].p; p != nil {
			s.slots[i].p = nil
			waiting = append(waiting, p)
		}
	}
	s.open = 0
	late := s.late
	s.late = nil
	links := s.links
	s.mu.Unlock()
	for _, p := range waiting {
		p.complete(nil, reason)
	}
	for _, r := range late {
		r.release()
	}
	for _, l := range links {
		l.server.abandon()
	}
}
