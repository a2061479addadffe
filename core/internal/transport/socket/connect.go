package socket

import (
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
)

// dialRetry is how long a dialer waits for room in the queue of a Unix listener.
const dialRetry = 5 * time.Millisecond

// Dial gives a socket in blocking mode that is connected to what stands at to, which is named
// address in errors.
func Dial(family int, to unix.Sockaddr, address string, deadline int64) (fd int, err error) {
	if fd, err = Open(family); err != nil {
		return -1, err
	}
	if err = connect(fd, to, address, deadline); err == nil {
		if err = unix.SetNonblock(fd, false); err == nil {
			return fd, nil
		}
		err = SystemError("fcntl", err)
	}
	_ = unix.Close(fd)
	return -1, err
}

func connect(fd int, to unix.Sockaddr, address string, deadline int64) error {
	for {
		err := unix.Connect(fd, to)
		switch err {
		case nil, unix.EISCONN:
			return nil
		case unix.EINTR:
			continue
		case unix.EAGAIN: // a Unix socket whose queue of new connections is full
			left := clock.Until(deadline)
			if left <= 0 {
				return dialTimeout(address)
			}
			Poll(fd, 0, min(left, dialRetry))
			continue
		case unix.EINPROGRESS, unix.EALREADY:
		default:
			return dialError(address, err)
		}
		for !Poll(fd, unix.POLLOUT, min(clock.Until(deadline), transport.Slice)) {
			if clock.Until(deadline) <= 0 {
				return dialTimeout(address)
			}
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			return SystemError("SO_ERROR", err)
		}
		if code != 0 {
			return dialError(address, unix.Errno(code))
		}
		return nil
	}
}

func dialTimeout(address string) error {
	return status.Errorf(status.Timeout, "%s did not answer in time", address)
}

func dialError(address string, err error) error {
	code := status.Unavailable
	if errors.Is(err, fs.ErrPermission) {
		code = status.Denied
	}
	e := status.Errorf(code, "nobody can be reached at %s: %w", address, err)
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		e.OS = int32(errno)
	}
	return e
}
