package tcp

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller lets goroutines wait for sockets without a thread each. The sockets stay in blocking
// mode, which their reading callers need and the Go scheduler's own poller does not take; what
// that one waits for is this poller's epoll descriptor.
type poller struct {
	mu     sync.Mutex
	file   *os.File
	raw    syscall.RawConn
	epfd   int
	parked map[uint64]*parking // by token; the waiters that are armed
	tokens uint64
	done   chan struct{} // closed when run has returned
}

// parking is one socket's place in the poller.
type parking struct {
	token uint64 // 0: not registered yet
	ready chan struct{}
}

func (p *poller) start() error {
	if p.file != nil {
		return nil
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return systemError("epoll_create", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil {
		_ = unix.Close(epfd)
		return systemError("fcntl of epoll", err)
	}
	file := os.NewFile(uintptr(epfd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return systemError("epoll", err)
	}
	p.file, p.raw, p.epfd, p.done = file, raw, epfd, make(chan struct{})
	p.parked = map[uint64]*parking{}
	go p.run()
	return nil
}

// arm makes the socket's next event close the wait of place. It reports one event only.
func (p *poller) arm(fd int, place *parking) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.start(); err != nil {
		return err
	}
	operation := unix.EPOLL_CTL_MOD
	if place.token == 0 {
		operation = unix.EPOLL_CTL_ADD
		p.tokens++
		place.token = p.tokens
		place.ready = make(chan struct{}, 1)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT}
	event.Fd, event.Pad = int32(uint32(place.token)), int32(place.token>>32)
	p.parked[place.token] = place
	if err := unix.EpollCtl(p.epfd, operation, fd, &event); err != nil {
		delete(p.parked, place.token)
		return systemError("epoll_ctl", err)
	}
	return nil
}

func (p *poller) run() {
	defer close(p.done)
	var events [64]unix.EpollEvent
	// Read calls back until it is told that there is nothing more, and then waits for more; it
	// ends when the file is closed.
	_ = p.raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			if n <= 0 && err != unix.EINTR {
				return false
			}
			p.wake(events[:max(n, 0)])
		}
	})
}

func (p *poller) wake(events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		token := uint64(uint32(events[i].Fd)) | uint64(uint32(events[i].Pad))<<32
		if place := p.parked[token]; place != nil {
			delete(p.parked, token)
			place.ready <- struct{}{}
		}
	}
}

func (p *poller) close() {
	p.mu.Lock()
	file := p.file
	p.mu.Unlock()
	if file != nil {
		_ = file.Close()
		<-p.done
	}
}
