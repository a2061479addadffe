package rpc

import (
	"dcf/core/internal/transport"
	"dcf/wire"
)

// Completion is told that a request which Start sent has ended.
type Completion interface {
	// Completed runs on whichever goroutine read the reply, or gave the request up. It must not
	// block. It calls Collect or Discard; the request is its user's again, once Start has returned.
	Completed(p *Pending)
}

// expect counts new asynchronous requests. Eager ones are read by a goroutine of the link.
func (l *link) expect(n int, eager bool) {
	l.async.open.Add(int32(n))
	if eager {
		l.async.eager.Add(int32(n))
	}
}

// unexpect takes back an expect.
func (l *link) unexpect(p *Pending) {
	l.async.open.Add(-1)
	if p.eager {
		l.async.eager.Add(-1)
	}
}

// completed tells the user of an asynchronous request that it is done.
func (l *link) completed(p *Pending) {
	l.unexpect(p)
	p.state.Store(done)
	p.done.Completed(p)
}

// arm makes sure that somebody reads the link while requests are under way.
func (l *link) arm() {
	if l.served || l.async.open.Load() == 0 {
		return
	}
	l.mu.Lock()
	idle := !l.leading
	if idle && !l.async.running && !l.session.down.Load() {
		l.async.running = true
		l.session.node.work.Add(1)
		go l.runAsync()
	}
	l.mu.Unlock()
	if idle {
		l.async.signal()
	}
}

// runAsync is the goroutine of a link's asynchronous requests: it reads the link while nobody else
// does. It lives until the session is gone.
func (l *link) runAsync() {
	defer l.session.node.work.Done()
	for {
		l.mu.Lock()
		lead := l.wantsAsync() && !l.leading && !l.session.down.Load()
		l.leading = l.leading || lead
		l.mu.Unlock()
		if lead {
			l.leadAsync()
			l.pass()
			continue
		}
		select {
		case <-l.async.wake:
		case <-l.session.gone:
			return
		}
	}
}

// leadAsync reads the link while asynchronous requests are under way and nobody else wants to.
func (l *link) leadAsync() {
	idle := transport.Slice
	for {
		l.mu.Lock()
		wanted := l.wantsAsync()
		l.mu.Unlock()
		if !wanted {
			return
		}
		again, err := l.receive(transport.Slice)
		switch {
		case err != nil, l.session.down.Load():
			return
		case !again:
			idle = 0
		case idle >= l.session.node.cfg.Timing.IdleAfter:
			if err := l.conn.Park(); err != nil {
				l.session.fail(err)
				return
			}
			idle = 0
		default:
			idle += transport.Slice
		}
	}
}

// wantsAsync says whether the goroutine should read; mu is held.
func (l *link) wantsAsync() bool {
	a := &l.async
	return l.first == nil && a.open.Load() > 0 && (a.eager.Load() > 0 || a.readers.Load() == 0)
}

// Peek gives the answer to a request that has ended, where it lies, and the size of its frame, or why
// there is none. It is valid until Collect or Discard.
func (p *Pending) Peek() (reply *wire.Reply, received int64, err error) {
	if p.err != nil {
		return nil, 0, failed(p.err, p.mayBeSent())
	}
	return p.in.Frame.Message.(*wire.Reply), p.in.Bytes, nil // wire gives no other message
}

// SentBytes gives the size of the request's frame.
func (p *Pending) SentBytes() int64 { return p.size.Load() }

// Discard ends the use of an answer.
func (p *Pending) Discard() {
	if p.in != nil {
		putInbound(p.in)
	}
	p.in, p.err = nil, nil
	p.state.Store(idle)
}

// Handle names a request under way, also when it may have ended meanwhile. The zero one names none.
type Handle struct {
	session *session
	id      uint64
}

// Handle gives the name of a request that Start sent.
func (p *Pending) Handle() Handle { return Handle{p.session, p.id} }

// Expire ends the request because its deadline has passed, unless it has ended.
func (h Handle) Expire() { h.End(h.session.timeout()) }

// End ends the request with an error, unless it has ended: its peer is told to stop.
func (h Handle) End(err error) {
	if h.session == nil {
		return
	}
	if p := h.session.take(h.id); p != nil {
		_ = p.sentOn.control(wire.KindCancel, h.id) // a failure ends the session by itself
		p.complete(nil, err)
	}
}
