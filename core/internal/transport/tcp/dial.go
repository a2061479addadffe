package tcp

import (
	"errors"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
)

// Dial connects to an address.
func (t *Transport) Dial(address string, deadline int64) (transport.Conn, error) {
	at, err := parse(address)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(at.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, systemError("socket", err)
	}
	if err := connect(fd, &at, deadline); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return nil, systemError("fcntl", err)
	}
	return newConn(t, fd, address)
}

func connect(fd int, at *endpoint, deadline int64) error {
	for {
		err := unix.Connect(fd, at.sockaddr())
		switch err {
		case nil, unix.EISCONN:
			return nil
		case unix.EINTR:
			continue
		case unix.EAGAIN: // a Unix socket whose queue of new connections is full
			left := clock.Until(deadline)
			if left <= 0 {
				return dialTimeout(at.text)
			}
			poll(fd, 0, min(left, dialRetry))
			continue
		case unix.EINPROGRESS, unix.EALREADY:
		default:
			return dialError(at.text, err)
		}
		for !poll(fd, unix.POLLOUT, min(clock.Until(deadline), transport.Slice)) {
			if clock.Until(deadline) <= 0 {
				return dialTimeout(at.text)
			}
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil {
			return systemError("SO_ERROR", err)
		}
		if code != 0 {
			return dialError(at.text, unix.Errno(code))
		}
		return nil
	}
}

func dialTimeout(address string) error {
	return status.Errorf(status.Timeout, "%s did not answer in time", address)
}

func dialError(address string, err error) error {
	e := status.Errorf(status.Unavailable, "nobody can be reached at %s: %w", address, err)
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		e.OS = int32(errno)
	}
	return e
}
