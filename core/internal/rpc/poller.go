package rpc

import (
	"errors"
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// poller reads connections on which requests come, and serves those: one connection, or all of a
// transport.Group. One goroutine at a time does that.
type poller struct {
	node  *Node
	group transport.Group // nil: it has one link only
	at    *link           // the one that is read
	left  int             // how many frames of it, before others have their turn
	calls bool            // what came are calls on its lanes

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
	spin    transport.Spin
}

// serve has a goroutine read a link and serve its requests. The caller has counted it in node.work.
func (l *link) serve() {
	n := l.session.node
	if p := n.pollerOf(l.conn); p != nil {
		p.join(l)
		n.work.Done()
		return
	}
	p := &poller{node: n, at: l}
	go p.run()
}

// join adds a link to the group.
func (p *poller) join(l *link) {
	if err := p.group.Add(l.conn, l); err != nil {
		p.end(l, err)
	}
}

// pollerOf gives the poller that a connection shares with others; nil: it has one of its own.
func (n *Node) pollerOf(conn transport.Conn) *poller {
	grouped, ok := conn.(transport.Grouped)
	if !ok {
		return nil
	}
	group := grouped.Group()
	if group == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pollers[group]; p != nil || n.closed {
		return p
	}
	p := &poller{node: n, group: group}
	n.pollers[group] = p
	n.work.Add(1)
	go p.run()
	return p
}

// run serves until the session ends, or the group, or until the watch gave the poller to another
// goroutine.
func (p *poller) run() {
	n := p.node
	defer n.work.Done()
	n.watch.add(p)
	hold, idleAfter := transport.Slice, n.cfg.Timing.IdleAfter
	if p.group == nil && p.at.purpose == wire.PurposePeer {
		hold, idleAfter = 0, 0 // heartbeats are no reason to hold a thread
	}
	idle, asked, recent := transport.Slice, busyAfter, false
	var batch [MaxTogether]*Request
	small := new(small) // of this goroutine: it may end after another one reads on
	for {
		if r := p.held; r != nil {
			p.held = nil
			if !p.goesOn(p.serveFrom(r, batch[:0]), nil) {
				return
			}
		}
		if p.held != nil {
			continue
		}
		if !p.more() {
			p.now = 0
			if err := p.settle(); err != nil && !p.goesOn(true, err) {
				return
			}
		}
		slice := hold
		if idle >= idleAfter {
			slice = 0
		}
		header, err := p.next(slice)
		if slice == 0 && recent && errors.Is(err, transport.ErrAgain) {
			header, err = p.poll()
		}
		if p.calls {
			if recent, asked = true, asked+1; asked > busyAfter {
				idle = 0
			}
			if err := small.serve(p); err != nil || !small.mine {
				if !p.goesOn(small.mine, err) {
					return
				}
			}
			continue
		}
		switch {
		case err == nil:
			if recent = hold > 0 && asks(header.Kind); recent {
				if asked++; asked > busyAfter {
					idle = 0
				}
			}
			if !p.goesOn(p.handle(header)) {
				return
			}
		case !errors.Is(err, transport.ErrAgain):
			if !p.goesOn(true, err) {
				return
			}
		case p.at != nil && p.group != nil: // a part of a frame
		case idle < idleAfter:
			idle += transport.Slice
		default:
			n.watch.remove(p)
			parked := clock.Now()
			if err := p.park(); err != nil && !p.goesOn(true, err) {
				return
			}
			n.watch.add(p)
			if recent = false; time.Duration(clock.Now()-parked) >= idleAfter {
				asked = 0
			}
		}
	}
}

// poll waits for a frame as long as it pays not to sleep.
func (p *poller) poll() (header wire.SessionHeader, err error) {
	p.spin.Limit = p.node.cfg.Spin
	err = transport.ErrAgain
	p.spin.Poll(transport.Slice, func() bool {
		header, err = p.next(0)
		return !errors.Is(err, transport.ErrAgain)
	})
	return header, err
}

// asks says whether a frame of that kind wants something done.
func asks(kind wire.Kind) bool {
	switch kind {
	case wire.KindCall, wire.KindOperation, wire.KindNotify:
		return true
	}
	return false
}

// more says whether the next frame is of the same link, and here.
func (p *poller) more() bool {
	return p.at != nil && (p.group == nil || p.left > 0) && p.at.conn.Ready()
}

// next waits for a frame and gives its header, or says that there are calls. Both are those of the link at.
func (p *poller) next(wait time.Duration) (wire.SessionHeader, error) {
	if p.group == nil {
		return p.at.conn.Next(wait)
	}
	p.calls = false
	if !p.more() {
		if p.at = p.wait(wait); p.at == nil {
			return wire.SessionHeader{}, transport.ErrAgain
		}
		p.left = maxInTurn
		if p.calls = p.at.server.lanes != nil && p.at.server.lanes.Ready(); p.calls {
			return wire.SessionHeader{}, nil
		}
	}
	p.left--
	return p.at.conn.Next(0)
}

// wait gives a link of the group for which something is here.
func (p *poller) wait(wait time.Duration) *link {
	if tag := p.group.Wait(wait); tag != nil {
		return tag.(*link)
	}
	return nil
}

// park waits without a thread.
func (p *poller) park() error {
	if p.group != nil {
		return p.group.Park()
	}
	return p.at.conn.Park()
}

// goesOn says whether this goroutine still is the one to read, and ends what it is to end.
func (p *poller) goesOn(mine bool, err error) bool {
	switch {
	case err != nil && p.at == nil: // the group is closed
		p.node.watch.remove(p)
		return false
	case err != nil && p.group == nil:
		p.node.watch.remove(p)
		p.at.stop(err)
		return false
	case err != nil:
		p.leave(err)
	case !mine:
		p.node.watch.overrun.Add(-1)
	}
	return mine
}

// leave takes the link that is read, whose session is over, out of the group.
func (p *poller) leave(err error) {
	l := p.at
	p.at = nil
	p.group.Remove(l.conn)
	p.end(l, err)
}

// end ends the serving of a link that is in no group any more.
func (p *poller) end(l *link, err error) {
	p.node.work.Go(func() { l.stop(err) })
}

// large has a goroutine of its own take in the frame that Next announced, and serve it, so that it holds
// up no other connection of the group.
func (p *poller) large(h wire.SessionHeader) {
	l := p.at
	p.at = nil
	p.group.Remove(l.conn)
	p.node.work.Go(func() {
		own := &poller{node: p.node, at: l}
		_, err := own.handle(h)
		for err == nil && own.held != nil {
			r := own.held
			own.held = nil
			own.serveFrom(r, nil)
		}
		if err == nil {
			err = own.settle()
		}
		if err != nil {
			l.stop(err)
		} else {
			p.join(l)
		}
	})
}

// settle sends what was answered on the link that was read, and waits while its peer does not take
// its answers: in a group without holding up the others.
func (p *poller) settle() error {
	l := p.at
	if l == nil {
		return nil
	}
	if err := l.conn.Flush(); err != nil {
		return err
	}
	if l.conn.Queued() <= transport.MaxQueuedBytes {
		return nil
	}
	if p.group == nil {
		return l.awaitRoom()
	}
	p.group.Remove(l.conn)
	p.at = nil
	p.node.work.Go(func() {
		_ = l.awaitRoom() // if it failed, whoever reads will see
		p.join(l)
	})
	return nil
}

// awaitRoom waits until the peer takes answers.
func (l *link) awaitRoom() error {
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
	l.session.fail(err)
	<-l.session.gone // the connection was aborted
	transport.Drain(l.conn)
}

// handle serves one frame, and says whether this goroutine still is the one to read the link.
func (p *poller) handle(h wire.SessionHeader) (mine bool, err error) {
	l := p.at
	if p.group != nil && l.conn.(transport.Grouped).Large() {
		p.large(h)
		return true, nil
	}
	switch h.Kind {
	case wire.KindCall, wire.KindOperation:
		p.held, err = p.request(h)
		return true, err
	case wire.KindNotify:
		return p.notice(h)
	case wire.KindCancel:
		l.conn.Skip()
		l.server.cancel(h.CallID)
		return true, nil
	default:
		return true, l.dispatch(h)
	}
}

// request takes a request in. nil: it is refused already.
func (p *poller) request(h wire.SessionHeader) (*Request, error) {
	r, err := p.takeIn(h)
	if err != nil {
		return nil, err
	}
	r.holds.Store(2)
	r.inline.Store(true)
	if p.at.server.open.Add(1) > MaxOutstanding {
		r.Reply(&wire.Reply{Error: status.Errorf(status.Exhausted,
			"more than %d requests are under way (MaxOutstanding)", MaxOutstanding)})
		r.drop()
		return nil, nil
	}
	return r, nil
}

// blank gives memory for a request.
func (p *poller) blank() *Request {
	last := len(p.spare) - 1
	if last < 0 {
		return requests.Get().(*Request)
	}
	r := p.spare[last]
	p.spare = p.spare[:last]
	return r
}

// takeIn takes a request or a notice off the connection.
func (p *poller) takeIn(h wire.SessionHeader) (*Request, error) {
	l, r := p.at, p.blank()
	if err := l.conn.Take(&r.in); err != nil {
		r.recycle()
		return nil, err
	}
	r.link, r.From, r.Header = l, l.session.hello.Identity, h
	r.ReceivedBytes, r.Deadline = int(r.in.Bytes), 0
	if h.BudgetNs > 0 {
		if p.now == 0 { // the clock is read once for all that came together
			p.now = clock.Now()
		}
		r.Deadline = p.now + h.BudgetNs
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
func (p *poller) notice(h wire.SessionHeader) (mine bool, err error) {
	r, err := p.takeIn(h)
	if err != nil {
		return true, err
	}
	turn := p.begin(nil)
	p.node.cfg.Handler.Notify(r.From, r.Operation)
	mine = p.ended(turn)
	r.recycle()
	return mine, nil
}

// serveFrom serves a request, and with it those behind it that are here and may be served in one go.
func (p *poller) serveFrom(first *Request, batch []*Request) (mine bool) {
	l, handler := p.at, p.node.cfg.Handler
	batch = append(batch, first)
	for len(batch) < MaxTogether && l.conn.Ready() {
		h, err := l.conn.Next(0)
		if err != nil || h.Kind != wire.KindCall && h.Kind != wire.KindOperation {
			break // whoever reads on deals with it
		}
		next, err := p.request(h)
		if err != nil {
			break // the connection is gone, and whoever reads on will see
		}
		if next == nil {
			continue
		}
		if !handler.Together(first, next) {
			p.held = next
			break
		}
		batch = append(batch, next)
	}
	turn := p.begin(batch)
	handler.Serve(batch)
	mine = p.ended(turn)
	for i, r := range batch {
		r.inline.Store(false)
		if r.holds.Load() > 1 {
			l.server.enter(r)
		}
		if r.holds.Add(-1) == 0 {
			r.clear()
			if mine && len(p.spare) < MaxTogether {
				p.spare = append(p.spare, r)
			} else {
				requests.Put(r)
			}
		}
		batch[i] = nil
	}
	return mine
}

// begin says that the handler runs from here on.
func (p *poller) begin(batch []*Request) (turn uint64) {
	p.current = batch
	turn = p.turn.Load() + 1
	p.turn.Store(turn)
	return turn
}

// ended says that the handler returned, and whether the watch has not given the link away meanwhile.
func (p *poller) ended(turn uint64) (mine bool) {
	if p.turn.CompareAndSwap(turn, turn+1) {
		return true
	}
	p.node.watch.pass() // the batch is its until it has looked through it
	return false
}
