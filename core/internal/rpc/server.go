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
	turn atomic.Uint64
	seen uint64 // by the watch: turn when it looked last

	// Whose the turn is:
	current []*Request // in Serve
	held    *Request   // was read, and is to be served next
	spare   []*Request // that nobody uses: those of one batch at most
	now     int64      // when the frames that are here came; 0: not known

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
	var batch [MaxTogether]*Request
	for {
		if r := l.server.held; r != nil {
			l.server.held = nil
			if !l.goesOn(l.serveFrom(r, batch[:0]), nil) {
				return
			}
		}
		if l.server.held != nil {
			continue
		}
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
			if !l.goesOn(l.handle(header)) {
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

// goesOn says whether this goroutine still is the one to read the link, and ends what it is to end.
func (l *link) goesOn(mine bool, err error) bool {
	if err != nil {
		l.stop(err)
		return false
	}
	if !mine {
		l.session.node.watch.overrun.Add(-1)
	}
	return mine
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
	if r := l.server.held; r != nil {
		l.server.held = nil
		r.forget()
	}
}

// handle serves one frame, and says whether this goroutine still is the one to read the link.
func (l *link) handle(h wire.SessionHeader) (mine bool, err error) {
	switch h.Kind {
	case wire.KindCall, wire.KindOperation:
		l.server.held, err = l.request(h)
		return true, err
	case wire.KindNotify:
		return l.notice(h)
	case wire.KindCancel:
		l.conn.Skip()
		l.server.cancel(h.CallID)
		return true, nil
	default:
		return true, l.dispatch(h)
	}
}

// request takes a request in. nil: it is refused already.
func (l *link) request(h wire.SessionHeader) (*Request, error) {
	r, err := l.takeIn(h)
	if err != nil {
		return nil, err
	}
	r.holds.Store(2)
	r.inline.Store(true)
	if l.server.open.Add(1) > MaxOutstanding {
		r.Reply(&wire.Reply{Error: status.Errorf(status.Exhausted,
			"more than %d requests are under way (MaxOutstanding)", MaxOutstanding)})
		r.drop()
		return nil, nil
	}
	return r, nil
}

// blank gives memory for a request.
func (l *link) blank() *Request {
	last := len(l.server.spare) - 1
	if last < 0 {
		return requests.Get().(*Request)
	}
	r := l.server.spare[last]
	l.server.spare = l.server.spare[:last]
	return r
}

// takeIn takes a request or a notice off the connection.
func (l *link) takeIn(h wire.SessionHeader) (*Request, error) {
	r := l.blank()
	if err := l.conn.Take(&r.in); err != nil {
		r.recycle()
		return nil, err
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
	return r, nil
}

// notice hands a notice over.
func (l *link) notice(h wire.SessionHeader) (mine bool, err error) {
	r, err := l.takeIn(h)
	if err != nil {
		return true, err
	}
	turn := l.begin(nil)
	l.session.node.cfg.Handler.Notify(r.From, r.Operation)
	mine = l.end(turn)
	r.recycle()
	return mine, nil
}

// serveFrom serves a request, and with it those behind it that are here and may be served in one go.
func (l *link) serveFrom(first *Request, batch []*Request) (mine bool) {
	handler := l.session.node.cfg.Handler
	batch = append(batch, first)
	for len(batch) < MaxTogether && l.conn.Ready() {
		h, err := l.conn.Next(0)
		if err != nil || h.Kind != wire.KindCall && h.Kind != wire.KindOperation {
			break // whoever reads on deals with it
		}
		next, err := l.request(h)
		if err != nil {
			break // the connection is gone, and whoever reads on will see
		}
		if next == nil {
			continue
		}
		if !handler.Together(first, next) {
			l.server.held = next
			break
		}
		batch = append(batch, next)
	}
	turn := l.begin(batch)
	handler.Serve(batch)
	mine = l.end(turn)
	for i, r := range batch {
		r.inline.Store(false)
		if r.holds.Load() > 1 {
			l.server.enter(r)
		}
		if r.holds.Add(-1) == 0 {
			r.clear()
			if mine && len(l.server.spare) < MaxTogether {
				l.server.spare = append(l.server.spare, r)
			} else {
				requests.Put(r)
			}
		}
		batch[i] = nil
	}
	return mine
}

// begin says that the handler runs from here on.
func (l *link) begin(batch []*Request) (turn uint64) {
	l.server.current = batch
	turn = l.server.turn.Load() + 1
	l.server.turn.Store(turn)
	return turn
}

// end says that the handler returned, and whether the watch has not given the link away meanwhile.
func (l *link) end(turn uint64) (mine bool) {
	if l.server.turn.CompareAndSwap(turn, turn+1) {
		return true
	}
	l.session.node.watch.pass() // the batch is its until it has looked through it
	return false
}

// enter remembers a request that may be cancelled.
func (s *server) enter(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.entered || r.answered {
		return
	}
	if s.over {
		r.cancelLocked()
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
	r.answered, r.canceller = true, nil
	if r.entered {
		r.entered = false
		delete(s.requests, r.Header.CallID)
	}
}

// onCancel sets what to tell when r is cancelled. A request whose Serve runs is entered when that
// returns, or takes too long: until then nobody reads what could cancel it.
func (s *server) onCancel(r *Request, c Canceller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.answered {
		return
	}
	r.canceller = c
	if r.cancelled || s.over {
		r.cancelled = true
		c.Cancel()
	}
}

// cancel cancels a request. Its answer may be on the way.
func (s *server) cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.requests[id]; r != nil {
		r.cancelLocked()
	}
}

// cancelLocked tells the handler, once.
func (r *Request) cancelLocked() {
	if !r.cancelled && r.canceller != nil {
		r.canceller.Cancel()
	}
	r.cancelled = true
}

// abandon cancels all requests, for the session is over.
func (s *server) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, r := range s.requests {
		r.cancelLocked()
	}
}
