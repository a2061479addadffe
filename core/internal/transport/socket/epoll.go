package socket

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Epoll is an epoll descriptor on which a thread can wait, and a goroutine without one.
type Epoll struct {
	FD   int
	Raw  syscall.RawConn // of the Go scheduler's own poller, which waits for FD
	file *os.File
}

// OpenEpoll makes an Epoll.
func OpenEpoll() (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, SystemError("epoll_create", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, SystemError("fcntl of epoll", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, SystemError("epoll", err)
	}
	return &Epoll{FD: fd, Raw: raw, file: file}, nil
}

// Control tells the system what events of a descriptor are to be told, and under which token.
func (e *Epoll) Control(operation, fd int, events uint32, token uint64) error {
	event := unix.EpollEvent{Events: events}
	event.Fd, event.Pad = int32(uint32(token)), int32(token>>32)
	if err := unix.EpollCtl(e.FD, operation, fd, &event); err != nil {
		return SystemError("epoll_ctl", err)
	}
	return nil
}

// Close frees the descriptor. Whoever waits in Raw returns.
func (e *Epoll) Close() { _ = e.file.Close() }

// Token gives the token of a descriptor that an event concerns.
func Token(event *unix.EpollEvent) uint64 {
	return uint64(uint32(event.Fd)) | uint64(uint32(event.Pad))<<32
}
