package socket

import (
	"sync"

	"golang.org/x/sys/unix"

	"dcf/core/status"
)

// Poller lets goroutines wait for sockets without a thread each. The sockets stay in blocking
// mode, which their reading callers need and the Go scheduler's own poller does not take; what
// that one waits for is this poller's epoll descriptor. The zero Poller is ready.
type Poller struct {
	mu     sync.Mutex
	epoll  *Epoll              // nil: not needed yet
	places map[uint64]*Parking // by token; those that an event may concern
	tokens uint64
	closed bool          // the descriptor is not this poller's any more
	done   chan struct{} // closed when run has returned
}

// Parking is one socket's place in a Poller. The zero Parking is ready. All but ready is guarded by
// the poller's mu.
type Parking struct {
	token   uint64 // 0: not registered yet
	ready   chan struct{}
	parked  bool
	fd      int
	watched func() // to be called when the peer has hung up
	hung    bool   // and that was done, or the place was forgotten
}

func (p *Poller) start() error {
	switch {
	case p.closed:
		return status.Errorf(status.Unavailable, "this node is closed")
	case p.epoll != nil:
		return nil
	}
	epoll, err := OpenEpoll()
	if err != nil {
		return err
	}
	p.epoll, p.done = epoll, make(chan struct{})
	p.places = map[uint64]*Parking{}
	go p.run(epoll)
	return nil
}

// Arm makes the next event of a socket, something to receive or its end, ready the place: what
// Ready gives then has one value to receive.
func (p *Poller) Arm(fd int, place *Parking) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if place.hung {
		p.markReady(place)
		return nil
	}
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP)
	if place.watched == nil {
		events |= unix.EPOLLONESHOT
	}
	if err := p.control(fd, place, events); err != nil {
		return err
	}
	place.parked = true
	return nil
}

// Ready gives the channel that an armed place becomes ready on.
func (place *Parking) Ready() <-chan struct{} { return place.ready }

// Park waits, without a thread, until there is something to receive from a socket, or its end.
func (p *Poller) Park(fd int, place *Parking) error {
	if err := p.Arm(fd, place); err != nil {
		return err
	}
	<-place.ready
	return nil
}

// Watch has hungUp called, once and on the poller's goroutine, when the peer of a socket has closed
// its end. It lasts until Forget.
func (p *Poller) Watch(fd int, place *Parking, hungUp func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	place.watched = hungUp
	return p.control(fd, place, unix.EPOLLRDHUP)
}

// Forget ends all that concerns a place. Whoever waits in it becomes ready.
func (p *Poller) Forget(place *Parking) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if place.token == 0 || place.hung {
		return
	}
	place.hung = true
	p.drop(place)
	if place.parked {
		p.markReady(place)
	}
}

// control tells the system what events of a socket concern its place.
func (p *Poller) control(fd int, place *Parking, events uint32) error {
	if err := p.start(); err != nil {
		return err
	}
	operation := unix.EPOLL_CTL_MOD
	if place.token == 0 {
		operation = unix.EPOLL_CTL_ADD
		p.tokens++
		place.token, place.fd = p.tokens, fd
		place.ready = make(chan struct{}, 1)
	}
	p.places[place.token] = place
	err := p.epoll.Control(operation, fd, events, place.token)
	if err != nil {
		delete(p.places, place.token)
	}
	return err
}

// drop takes a socket out of the poller.
func (p *Poller) drop(place *Parking) {
	delete(p.places, place.token)
	if !p.closed {
		_ = unix.EpollCtl(p.epoll.FD, unix.EPOLL_CTL_DEL, place.fd, nil)
	}
}

func (p *Poller) markReady(place *Parking) {
	place.parked = false
	if place.ready == nil {
		place.ready = make(chan struct{}, 1)
	}
	select {
	case place.ready <- struct{}{}:
	default: // an earlier wait was given up
	}
}

func (p *Poller) run(epoll *Epoll) {
	defer close(p.done)
	var events [64]unix.EpollEvent
	// Read calls back until it is told that there is nothing more, and then waits for more; it
	// ends when the file is closed.
	_ = epoll.Raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			if n <= 0 && err != unix.EINTR {
				return false
			}
			for _, hungUp := range p.wake(events[:max(n, 0)]) {
				hungUp()
			}
		}
	})
}

// wake readies the places that events concern, and gives what is to be called.
func (p *Poller) wake(events []unix.EpollEvent) (calls []func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		token := Token(&events[i])
		place := p.places[token]
		switch {
		case place == nil:
			continue
		case place.watched == nil: // its event came only once
			delete(p.places, token)
		case events[i].Events&^unix.EPOLLIN != 0:
			place.hung = true
			p.drop(place)
			calls = append(calls, place.watched)
		default:
			_ = p.control(place.fd, place, unix.EPOLLRDHUP)
		}
		if place.parked {
			p.markReady(place)
		}
	}
	return calls
}

// Close ends the poller. Nobody waits in it any more; who dials at this moment is refused.
func (p *Poller) Close() {
	p.mu.Lock()
	epoll := p.epoll
	p.closed = true
	p.mu.Unlock()
	if epoll != nil {
		epoll.Close()
		<-p.done
	}
}
