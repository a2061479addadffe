package rpc

import (
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	handshake "dcf/core/internal/session"
	"dcf/core/status"
	"dcf/wire"
)

// beat is what a session knows of the life of its peer. All but the atomics is the keeper's.
type beat struct {
	bytes     uint64       // that were received when the keeper looked last
	heard     int64        // when that changed
	asked     int64        // when the last ping was sent
	pingSent  atomic.Int64 // of a ping without an answer yet; else 0
	roundTrip atomic.Int64 // nanoseconds, averaged
}

// ping asks the peer for a sign of life.
func (s *session) ping(now int64) {
	l := s.notices.Load()
	s.beat.asked = now
	s.beat.pingSent.Store(clock.Now())
	if err := l.control(wire.KindPing, 0); err != nil {
		s.fail(err)
	}
}

// pong takes an answer to a ping into the average, of which it is an eighth.
func (s *session) pong() {
	sent := s.beat.pingSent.Swap(0)
	if sent == 0 {
		return
	}
	took := clock.Now() - sent
	if average := s.beat.roundTrip.Load(); average != 0 {
		took = average + (took-average)/8
	}
	s.beat.roundTrip.Store(took)
}

// received counts all frames and bytes that came from the peer.
func (s *session) received() uint64 {
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	var n uint64
	for _, l := range links {
		c := l.conn.Counters()
		n += c.BytesReceived + c.FramesReceived
	}
	return n
}

// check looks whether the peer lives. stopped is how long this process itself stood still.
func (s *session) check(now, stopped int64) {
	timing := &s.node.cfg.Timing
	if n := s.received(); n != s.beat.bytes || stopped > 0 {
		s.beat.bytes = n
		s.beat.heard = now
	}
	quiet := time.Duration(now - s.beat.heard)
	switch {
	case s.call.Load() == nil:
		if time.Duration(now-s.born) > handshake.HelloTimeout {
			s.fail(status.Errorf(status.Unavailable,
				"node %d opened only one connection", s.hello.Identity.Node))
		}
	case quiet >= timing.SilentAfter:
		s.fail(status.Errorf(status.Unavailable, "node %d at %s was silent for %v",
			s.hello.Identity.Node, s.notices.Load().conn.Peer(), quiet.Round(time.Millisecond)))
	case s.beat.asked == 0,
		quiet >= timing.PingEvery && time.Duration(now-s.beat.asked) >= timing.PingEvery:
		s.ping(now)
	}
}

// overdue ends asynchronous requests whose deadline passed; those who wait do that themselves.
func (s *session) overdue(now int64) {
	s.mu.Lock()
	var late []uint64
	for i := range s.slots {
		p := s.slots[i].p
		if p != nil && p.done != nil && p.deadline != 0 && p.deadline <= now {
			late = append(late, p.id)
		}
	}
	s.mu.Unlock()
	for _, id := range late {
		if p := s.take(id); p != nil {
			_ = p.sentOn.control(wire.KindCancel, id) // a failure ends the session by itself
			p.complete(nil, s.timeout())
		}
	}
}

// read makes sure that asynchronous requests are read, whose user has not come for 50 ms.
func (s *session) read() {
	for _, place := range [...]*atomic.Pointer[link]{&s.call, &s.bulk} {
		if l := place.Load(); l != nil && !l.async.visited.Swap(false) {
			l.arm()
		}
	}
}

// keep is the keeper's goroutine: it looks after all sessions until the node closes.
func (n *Node) keep() {
	defer n.work.Done()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := clock.Now()
	for {
		select {
		case <-ticker.C:
		case <-n.closing:
			return
		}
		now := clock.Now()
		// A process that was stopped, or starved, cannot know what its peers said meanwhile.
		stopped := now - last
		if stopped < int64(n.cfg.Timing.SilentAfter)/2 {
			stopped = 0
		}
		last = now
		for _, s := range n.all() {
			if !s.down.Load() {
				s.check(now, stopped)
				s.overdue(now)
				s.read()
			}
		}
	}
}
