package socket

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"dcf/core/status"
)

const (
	// backlog is how many connections the system keeps for Accept.
	backlog = 1024
	// MaxPathBytes is the longest path that a Unix socket's address holds.
	MaxPathBytes = 107
)

// Listener is a listening socket. Between connections it waits in a Poller.
type Listener struct {
	State
	Place Parking

	poller  *Poller
	address string
	path    string      // the socket file, or empty
	file    fs.FileInfo // what it was when it was made
	once    sync.Once
}

// Listen takes an address into use, which is named address in errors. The file of a Unix socket
// whose process is gone is replaced.
func Listen(p *Poller, family int, at unix.Sockaddr, address string) (*Listener, error) {
	fd, err := Open(family)
	if err != nil {
		return nil, err
	}
	l := &Listener{State: State{FD: fd}, poller: p, address: address}
	if err := l.bind(at); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return l, nil
}

func (l *Listener) bind(at unix.Sockaddr) (err error) {
	file, isUnix := at.(*unix.SockaddrUnix)
	switch {
	case !isUnix:
		if err := unix.SetsockoptInt(l.FD, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return SystemError("SO_REUSEADDR", err)
		}
	case !strings.HasPrefix(file.Name, "@"):
		// The mode of the socket becomes the mode of its file.
		if err := unix.Fchmod(l.FD, 0o600); err != nil {
			return SystemError("fchmod", err)
		}
		if err := removeStale(file.Name, l.address); err != nil {
			return err
		}
		l.path = file.Name
	}
	if err := unix.Bind(l.FD, at); err != nil {
		l.path = ""
		return listenError(l.address, err)
	}
	if l.path != "" {
		if l.file, err = os.Lstat(l.path); err != nil {
			return SystemError("stat of "+l.path, err)
		}
	}
	if err := unix.Listen(l.FD, backlog); err != nil {
		return listenError(l.address, err)
	}
	return nil
}

// removeStale removes a socket file that no process listens at any more.
func removeStale(path, address string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return listenError(address, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return status.Errorf(status.AlreadyExists,
			"cannot listen on %s: there is a file that is not a socket", address)
	}
	fd, err := Open(unix.AF_UNIX)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err != unix.ECONNREFUSED {
		return listenError(address, unix.EADDRINUSE)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return listenError(address, err)
	}
	return nil
}

func listenError(address string, err error) error {
	code, hint := status.InvalidArgument, ""
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		code, hint = status.AlreadyExists, ": stop the other process or choose another address"
	case errors.Is(err, fs.ErrPermission):
		code = status.Denied
	}
	e := status.Errorf(code, "cannot listen on %s: %w%s", address, err, hint)
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		e.OS = int32(errno)
	}
	return e
}

// Accept gives the next connection, a descriptor in blocking mode. After Close it gives
// status.Unavailable.
func (l *Listener) Accept() (fd int, err error) {
	for {
		if !l.Enter() {
			return -1, l.closed()
		}
		fd, _, err := unix.Accept4(l.FD, unix.SOCK_CLOEXEC)
		if err == unix.EAGAIN {
			if err = l.poller.Park(l.FD, &l.Place); err == nil {
				err = unix.ECONNABORTED // look again
			}
		}
		l.Leave()
		switch err {
		case nil:
			return fd, nil
		case unix.ECONNABORTED, unix.EINTR:
		case unix.EINVAL:
			return -1, l.closed()
		default:
			return -1, SystemError("accept at "+l.address, err)
		}
	}
}

func (l *Listener) closed() error {
	return status.Errorf(status.Unavailable, "%s is closed", l.address)
}

// Close ends Accept and frees the address.
func (l *Listener) Close() error {
	l.once.Do(func() {
		if l.path != "" {
			// Somebody may have replaced the file; only our own is removed.
			if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
				_ = os.Remove(l.path)
			}
		}
		_ = unix.Shutdown(l.FD, unix.SHUT_RDWR)
		l.State.Close()
	})
	return nil
}
