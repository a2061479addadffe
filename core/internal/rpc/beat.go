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
	uses      uint64       // of the session, when the keeper looked last
	used      int64        // when that changed, or requests were under way
	resting   bool         // no request is or was under way for a while, and the peer's end would be seen
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
	if rested := s.beat.resting; !s.rests(now) && rested {
		s.beat.heard = now // nobody asked it
	}
	every, silentAfter := timing.PingEvery, timing.SilentAfter
	if s.beat.resting {
		every, silentAfter = timing.RestEvery, timing.RestEvery+timing.SilentAfter
	}
	quiet := time.Duration(now - s.beat.heard)
	switch {
	case s.call.Load() == nil:
		if time.Duration(now-s.born) > handshake.HelloTimeout {
			s.fail(status.Errorf(status.Unavailable,
				"node %d opened only one connection", s.hello.Identity.Node))
		}
	case quiet >= silentAfter:
		s.fail(status.Errorf(status.Unavailable, "node %d at %s was silent for %v",
			s.hello.Identity.Node, s.notices.Load().conn.Peer(), quiet.Round(time.Millisecond)))
	case s.beat.asked == 0,
		quiet >= every && time.Duration(now-s.beat.asked) >= every:
		s.ping(now)
	}
}

// rests looks whether the session rests.
func (s *session) rests(now int64) bool {
	s.mu.Lock()
	uses, open := s.uses, s.open
	s.mu.Unlock()
	if l := s.call.Load(); l != nil && l.caller != nil {
		uses += l.caller.Traffic().Calls
		open += l.caller.Open()
	}
	if uses != s.beat.uses || open > 0 || s.beat.used == 0 {
		s.beat.uses, s.beat.used = uses, now
	}
	s.beat.resting = s.call.Load() != nil && s.notices.Load().conn.SameHost() &&
		time.Duration(now-s.beat.used) >= s.node.cfg.Timing.PingEvery
	return s.beat.resting
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

// keeper looks after all sessions, less often while all rest.
type keeper struct {
	dozes atomic.Bool
	wake  chan struct{}
}

// rouse has the keeper look: a session is new, or is used.
func (k *keeper) rouse() {
	if !k.dozes.Load() || !k.dozes.Swap(false) {
		return
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// keep is the keeper's goroutine, until the node closes.
func (n *Node) keep() {
	defer n.work.Done()
	pause := time.NewTimer(tick)
	defer pause.Stop()
	due := clock.After(tick)
	for {
		select {
		case <-pause.C:
		case <-n.keeper.wake:
		case <-n.closing:
			return
		}
		now := clock.Now()
		// A process that was stopped, or starved, cannot know what its peers said meanwhile.
		stopped := now - due
		if stopped < int64(n.cfg.Timing.SilentAfter)/2 {
			stopped = 0
		}
		for _, s := range n.all() {
			if !s.down.Load() {
				s.check(now, stopped)
				s.overdue(now)
				s.read()
			}
		}
		wait := n.leisure(now)
		due = clock.After(wait)
		pause.Reset(wait)
	}
}

// leisure gives how long the keeper need not look unless it is roused.
func (n *Node) leisure(now int64) time.Duration {
	select { // of a rouse that came when it was awake again
	case <-n.keeper.wake:
	default:
	}
	n.keeper.dozes.Store(true)
	wait := n.cfg.Timing.RestEvery
	for _, s := range n.all() { // as they are after that
		if !s.down.Load() && !s.rests(now) {
			n.keeper.dozes.Store(false)
			return tick
		}
		wait = min(wait, n.cfg.Timing.RestEvery-time.Duration(now-s.beat.heard))
	}
	return max(wait, tick)
}
