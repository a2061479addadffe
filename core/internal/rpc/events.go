package rpc

import (
	"sync"

	"dcf/core/status"
	"dcf/wire"
)

// events tells the handler, in order, who came and who went. There are at most as many as sessions
// came and went since the handler returned.
type events struct {
	mu      sync.Mutex
	changed *sync.Cond
	queue   []event
	closed  bool
	ended   chan struct{}
}

// event is that a peer came up, or went down.
type event struct {
	up   *wire.Hello
	down wire.Identity
	err  *status.Error
	told chan struct{} // closed when the handler knows; may be nil
}

func (e *events) init() {
	e.changed = sync.NewCond(&e.mu)
	e.ended = make(chan struct{})
}

func (e *events) add(ev event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, ev)
	e.changed.Signal()
}

// run is the goroutine.
func (e *events) run(h Handler) {
	defer close(e.ended)
	for {
		e.mu.Lock()
		for len(e.queue) == 0 && !e.closed {
			e.changed.Wait()
		}
		batch := e.queue
		e.queue = nil
		e.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, ev := range batch {
			if ev.up != nil {
				h.PeerUp(ev.up)
			} else if ev.err != nil {
				h.PeerDown(ev.down, ev.err)
			}
			if ev.told != nil {
				close(ev.told)
			}
		}
	}
}

// close waits until the handler was told everything.
func (e *events) close() {
	e.mu.Lock()
	e.closed = true
	e.changed.Signal()
	e.mu.Unlock()
	<-e.ended
}
