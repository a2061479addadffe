package rpc

import (
	"errors"
	"sync"
	"sync/atomic"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// server is what a link has for requests of the other side.
type server struct {
	// turn says whose the receiving half is. It counts requests in its upper bits and is odd
	// while Serve runs. Whoever changes an odd turn first, the goroutine that returns from Serve
	// or the watch, decides who reads on.
	turn    atomic.Uint64
	current atomic.Pointer[Request] // in Serve
	seen    uint64                  // by the watch: turn when it looked last
	now     int64                   // when the frames that are here came; 0: not known. The reader's

	mu       sync.Mutex
	requests map[uint64]*Request // that were not answered when Serve returned, or can be cancelled
	open     atomic.Int32        // unanswered
	over     bool                // the session ended
}

// serve reads a link and serves its requests until the session ends, or until the watch gave the
// link to another goroutine.
func (l *link) serve() {
	n := l.session.node
	defer n.work.Done()
	n.watch.add(l)
	slice, idleAfter := transport.Slice, n.cfg.Timing.IdleAfter
	if l.purpose == wire.PurposePeer {
		slice, idleAfter = 0, 0 // heartbeats are no reason to hold a thread
	}
	idle := transport.Slice
	for {
		if !l.conn.Ready() {
			l.server.now = 0
			if err := l.settle(); err != nil {
				l.stop(err)
				return
			}
		}
		header, err := l.conn.Next(slice)
		switch {
		case err == nil:
			idle = 0
			mine, err := l.handle(header)
			if err != nil {
				l.stop(err)
				return
			}
			if !mine {
				n.watch.overrun.Add(-1)
				return
			}
		case !errors.Is(err, transport.ErrAgain):
			l.stop(err)
			return
		case idle < idleAfter:
			idle += transport.Slice
		default:
			n.watch.remove(l)
			if err := l.conn.Park(); err != nil {
				l.session.fail(err)
			}
			n.watch.add(l)
			idle = 0
		}
	}
}

// settle sends what was answered, and waits while the peer does not take its answers.
func (l *link) settle() error {
	if err := l.conn.Flush(); err != nil {
		return err
	}
	for l.conn.Queued() > transport.MaxQueuedBytes {
		err := l.conn.WaitRoom(clock.After(transport.StallAfter))
		if err != nil && !errors.Is(err, status.Timeout) { // a stalled peer is cut by its writer
			return err
		}
	}
	return nil
}

// stop ends the serving of a link whose session is over.
func (l *link) stop(err error) {
	l.session.node.watch.remove(l)
	l.session.fail(err)
	<-l.session.gone // the connection was aborted
	l.drain()
}

// handle serves one frame, and says whether this goroutine still is the one to read the link.
func (l *link) handle(h wire.SessionHeader) (mine bool, err error) {
	switch h.Kind {
	case wire.KindCall, wire.KindOperation, wire.KindNotify:
		return l.request(h)
	case wire.KindCancel:
		l.conn.Skip()
		l.server.cancel(h.CallID)
		return true, nil
	default:
		return true, l.dispatch(h)
	}
}

// request serves a request or a notice.
func (l *link) request(h wire.SessionHeader) (mine bool, err error) {
	r := requests.Get().(*Request)
	r.holds.Add(1)
	if err := l.conn.Take(&r.in); err != nil {
		r.drop()
		return true, err
	}
	r.link, r.From, r.Header = l, l.session.hello.Identity, h
	r.ReceivedBytes, r.Deadline = int(r.in.Bytes), 0
	if h.BudgetNs > 0 {
		if l.server.now == 0 { // the clock is read once for all that came together
			l.server.now = clock.Now()
		}
		r.Deadline = l.server.now + h.BudgetNs
	}
	switch m := r.in.Frame.Message.(type) {
	case *wire.Call:
		r.Call = m
	case *wire.Operation:
		r.Operation = m
	}
	turn := l.server.turn.Load() + 1
	if h.Kind == wire.KindNotify {
		l.server.turn.Store(turn)
		l.session.node.cfg.Handler.Notify(r.From, r.Operation)
		mine = l.server.turn.CompareAndSwap(turn, turn+1)
		r.drop()
		return mine, nil
	}
	r.holds.Add(1)
	if l.server.open.Add(1) > MaxOutstanding {
		r.inline.Store(true)
		r.Reply(&wire.Reply{Error: status.Errorf(status.Exhausted,
			"more than %d requests are under way (MaxOutstanding)", MaxOutstanding)})
		r.drop()
		return true, nil
	}
	r.inline.Store(true)
	l.server.current.Store(r)
	l.server.turn.Store(turn)
	l.session.node.cfg.Handler.Serve(r)
	mine = l.server.turn.CompareAndSwap(turn, turn+1)
	if mine {
		l.server.current.Store(nil)
	}
	r.inline.Store(false)
	if r.holds.Load() > 1 {
		l.server.enter(r)
	}
	r.drop()
	return mine, nil
}

// enter remembers a request that may be cancelled.
func (s *server) enter(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enterLocked(r)
}

func (s *server) enterLocked(r *Request) {
	if r.entered || r.answered || s.over {
		r.cancelled = r.cancelled || s.over
		return
	}
	r.entered = true
	if s.requests == nil {
		s.requests = map[uint64]*Request{}
	}
	s.requests[r.Header.CallID] = r
}

// leave forgets a request that is being answered.
func (s *server) leave(r *Request) {
	s.open.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.answered, r.cancel = true, nil
	if r.entered {
		r.entered = false
		delete(s.requests, r.Header.CallID)
	}
}

// onCancel sets what to call when r is cancelled. True: it was.
func (s *server) onCancel(r *Request, cancel func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.answered {
		return false
	}
	s.enterLocked(r)
	if !r.cancelled {
		r.cancel = cancel
	}
	return r.cancelled
}

// cancel cancels a request. Its answer may be on the way.
func (s *server) cancel(id uint64) {
	s.mu.Lock()
	r := s.requests[id]
	if r == nil {
		s.mu.Unlock()
		return
	}
	r.cancelled = true
	call := r.cancel
	r.cancel = nil
	s.mu.Unlock()
	if call != nil {
		call()
	}
}

// abandon cancels all requests, for the session is over.
func (s *server) abandon() {
	s.mu.Lock()
	s.over = true
	var calls []func()
	for _, r := range s.requests {
		r.cancelled = true
		if r.cancel != nil {
			calls = append(calls, r.cancel)
			r.cancel = nil
		}
	}
	s.mu.Unlock()
	for _, call := range calls {
		call()
	}
}
