// Package socket is what transports over sockets have in common: descriptors that are closed once
// nobody uses them, a poller, and the making of listening and connected sockets.
package socket

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dcf/core/status"
)

// Open makes a stream socket that does not wait.
func Open(family int) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, SystemError("socket", err)
	}
	return fd, nil
}

// Poll waits for events on a descriptor, and says whether any of them, or an error, is there.
func Poll(fd int, events int16, wait time.Duration) bool {
	set := unix.PollFd{Fd: int32(fd), Events: events}
	timeout := unix.NsecToTimespec(max(int64(wait), 0))
	n, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&set)), 1,
		uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	return errno == 0 && n > 0
}

// SystemError wraps the failure of a system call that should not fail.
func SystemError(what string, err error) error {
	e := status.Errorf(status.Internal, "%s: %w", what, err)
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		e.OS = int32(errno)
		if errno == unix.EMFILE || errno == unix.ENFILE || errno == unix.ENOMEM {
			e.Code = status.Exhausted
		}
	}
	return e
}
