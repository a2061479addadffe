package rpc

import (
	"dcf/core/internal/transport"
)

// expect counts a new asynchronous request and has a goroutine that runs its done.
func (l *link) expect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.async.open++
	if !l.async.running && !l.session.down.Load() { // else the request will not start
		l.async.running = true
		l.session.node.work.Add(1)
		go l.runAsync()
	}
}

// unexpect takes back an expect whose request failed to start.
func (l *link) unexpect() {
	l.mu.Lock()
	l.async.open--
	l.mu.Unlock()
	l.async.signal()
}

// armed makes sure that somebody reads the link while requests are under way.
func (l *link) arm() {
	l.mu.Lock()
	idle := !l.leading && !l.served
	l.mu.Unlock()
	if idle {
		l.async.signal()
	}
}

// completed queues an asynchronous request that is done for the goroutine.
func (l *link) completed(p *Pending) {
	l.mu.Lock()
	l.async.finished = append(l.async.finished, p)
	l.mu.Unlock()
	if !l.async.leads.Load() {
		l.async.signal()
	}
}

// runAsync is the goroutine of a link's asynchronous requests. It runs their callbacks, and reads
// the link while no caller does. It lives until the session is gone.
func (l *link) runAsync() {
	defer l.session.node.work.Done()
	gone := l.session.gone
	for {
		l.runFinished()
		l.mu.Lock()
		lead := l.async.open > 0 && !l.leading && !l.served && !l.session.down.Load()
		l.leading = l.leading || lead
		l.mu.Unlock()
		switch {
		case lead:
			l.async.leads.Store(true)
			l.leadAsync()
			l.async.leads.Store(false)
			l.pass()
		case gone == nil:
			if l.retire() {
				return
			}
			<-l.async.wake
		default:
			select {
			case <-l.async.wake:
			case <-gone:
				gone = nil
			}
		}
	}
}

// retire says whether the goroutine's work is done for ever.
func (l *link) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.async.running = l.async.open > 0
	return !l.async.running
}

// leadAsync reads the link while asynchronous requests are under way and no caller waits.
func (l *link) leadAsync() {
	idle := transport.Slice
	for l.wantsAsync() {
		again, err := l.receive(transport.Slice)
		switch {
		case err != nil:
			return
		case !again:
			idle = 0
			if !l.conn.Ready() {
				l.runFinished()
			}
		case l.session.down.Load():
			return
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

// wantsAsync says whether the goroutine should go on reading.
func (l *link) wantsAsync() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first == nil && l.async.open > len(l.async.finished)
}

// runFinished runs the callbacks of requests that are done.
func (l *link) runFinished() {
	l.mu.Lock()
	for len(l.async.finished) > 0 {
		batch := l.async.finished
		l.async.finished = nil
		l.mu.Unlock()
		for _, p := range batch {
			p.finishAsync()
		}
		l.mu.Lock()
		l.async.open -= len(batch)
	}
	l.mu.Unlock()
}

// finishAsync runs the callback of a request.
func (p *Pending) finishAsync() {
	var reply Reply
	callback := p.done
	err := p.collect(&reply)
	callback(&reply, err)
	reply.Clear()
	p.drop()
}

// drop gives up one hold of an asynchronous request.
func (p *Pending) drop() {
	if p.holds.Add(-1) == 0 {
		p.done = nil
		pendings.Put(p)
	}
}
