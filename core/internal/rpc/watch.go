package rpc

import (
	"sync"
	"sync/atomic"
	"time"
)

// watch looks after the pollers: where one request holds the goroutine of a poller for too long,
// another goroutine takes over the reading. It sleeps while no poller is active.
type watch struct {
	node    *Node
	overrun atomic.Int32 // goroutines that lost their poller and are still in Serve

	mu     sync.Mutex
	active map[*poller]bool
	wake   chan struct{}
	closed bool
}

func (w *watch) init(n *Node) {
	w.node = n
	w.active = map[*poller]bool{}
	w.wake = make(chan struct{}, 1)
}

func (w *watch) add(p *poller) {
	w.mu.Lock()
	w.active[p] = true
	first := len(w.active) == 1
	w.mu.Unlock()
	if first {
		w.nudge()
	}
}

func (w *watch) remove(p *poller) {
	w.mu.Lock()
	delete(w.active, p)
	over := w.closed && len(w.active) == 0
	w.mu.Unlock()
	if over {
		w.nudge()
	}
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
	for due := true; ; {
		w.mu.Lock()
		idle, closed := len(w.active) == 0, w.closed
		if due {
			for p := range w.active {
				w.look(p)
			}
		}
		w.mu.Unlock()
		switch {
		case closed && idle:
			return
		case idle:
			<-w.wake
			due = true
		default:
			if due {
				pause.Reset(w.node.cfg.Timing.Overrun)
			}
			select {
			case <-pause.C:
				due = true
			case <-w.wake:
				due = false
			}
		}
	}
}

// look gives the poller to a new goroutine if it has been in the same Serve since the last look.
func (w *watch) look(p *poller) {
	turn := p.turn.Load()
	if turn&1 == 0 || turn != p.seen {
		p.seen = turn
		return
	}
	if w.overrun.Load() >= MaxOverruns || !p.turn.CompareAndSwap(turn, turn+1) {
		return
	}
	w.overrun.Add(1)
	for _, r := range p.current {
		// Its answer waits for nobody's flush now, and it may be cancelled.
		r.inline.Store(false)
		r.link.server.enter(r)
	}
	w.node.work.Add(1)
	go p.run()
}

// pass returns once the watch is not looking at this moment.
func (w *watch) pass() {
	w.mu.Lock()
	defer w.mu.Unlock() //nolint:staticcheck // the point is to have had it
}
