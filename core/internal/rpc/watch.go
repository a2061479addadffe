package rpc

import (
	"sync"
	"sync/atomic"
	"time"
)

// watch looks after the links that serve requests: where one request holds the goroutine that reads
// a link for too long, another goroutine takes over the reading. It sleeps while no link is active.
type watch struct {
	node    *Node
	overrun atomic.Int32 // goroutines that lost their link and are still in Serve

	mu     sync.Mutex
	active map[*link]bool
	wake   chan struct{}
	closed bool
}

func (w *watch) init(n *Node) {
	w.node = n
	w.active = map[*link]bool{}
	w.wake = make(chan struct{}, 1)
}

func (w *watch) add(l *link) {
	w.mu.Lock()
	w.active[l] = true
	first := len(w.active) == 1
	w.mu.Unlock()
	if first {
		w.nudge()
	}
}

func (w *watch) remove(l *link) {
	w.mu.Lock()
	delete(w.active, l)
	w.mu.Unlock()
}

func (w *watch) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.nudge()
}

// run is the watch's goroutine.
func (w *watch) run() {
	defer w.node.work.Done()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		w.mu.Lock()
		idle, closed := len(w.active) == 0, w.closed
		if !idle {
			for l := range w.active {
				w.look(l)
			}
		}
		w.mu.Unlock()
		switch {
		case closed && idle:
			return
		case idle:
			<-w.wake
		default:
			pause.Reset(w.node.cfg.Timing.Overrun)
			<-pause.C
		}
	}
}

// look gives the link to a new goroutine if it has been in the same Serve since the last look.
func (w *watch) look(l *link) {
	s := &l.server
	turn := s.turn.Load()
	if turn&1 == 0 || turn != s.seen {
		s.seen = turn
		return
	}
	if w.overrun.Load() >= MaxOverruns || !s.turn.CompareAndSwap(turn, turn+1) {
		return
	}
	w.overrun.Add(1)
	for _, r := range s.current {
		// Its answer waits for nobody's flush now, and it may be cancelled.
		r.inline.Store(false)
		s.enter(r)
	}
	w.node.work.Add(1)
	go l.serve()
}

// pass returns once the watch is not looking at this moment.
func (w *watch) pass() {
	w.mu.Lock()
	defer w.mu.Unlock() //nolint:staticcheck // the point is to have had it
}
