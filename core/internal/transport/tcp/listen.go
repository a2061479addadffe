package tcp

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport"
	"dcf/core/status"
)

// backlog is how many connections the system keeps for Accept.
const backlog = 1024

// Listen takes a TCP port or a socket file into use. Beyond loopback it needs insecure, for what
// travels is not encrypted. The file of a Unix socket whose process is gone is replaced.
func (t *Transport) Listen(address string, insecure bool) (transport.Listener, error) {
	at, err := parse(address)
	if err != nil {
		return nil, err
	}
	if !at.loopback() && !insecure {
		return nil, status.Errorf(status.Denied, "refusing to listen on %s: traffic is not "+
			"encrypted; listen on loopback or pass --insecure", address)
	}
	fd, err := unix.Socket(at.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, systemError("socket", err)
	}
	l := &listener{transport: t, conn: sockState{fd: fd}}
	if err := l.bind(&at); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return l, nil
}

// listener waits in the poller between connections.
type listener struct {
	transport *Transport
	conn      sockState
	place     parking
	address   string
	path      string      // the socket file, or empty
	file      fs.FileInfo // what it was when it was made
	once      sync.Once
}

func (l *listener) bind(at *endpoint) error {
	fd := l.conn.fd
	if at.family == unix.AF_UNIX {
		// The mode of the socket becomes the mode of its file.
		if err := unix.Fchmod(fd, 0o600); err != nil {
			return systemError("fchmod", err)
		}
		if err := removeStale(at.path); err != nil {
			return err
		}
	} else if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return systemError("SO_REUSEADDR", err)
	}
	if err := unix.Bind(fd, at.sockaddr()); err != nil {
		return listenError(at.text, err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return listenError(at.text, err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return systemError("getsockname", err)
	}
	l.address = name(bound)
	if at.family == unix.AF_UNIX {
		l.path = at.path
		if l.file, err = os.Lstat(at.path); err != nil {
			return systemError("stat of "+at.path, err)
		}
	}
	return nil
}

// removeStale removes a socket file that no process listens at any more.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return listenError(schemeUnix+"://"+path, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return status.Errorf(status.AlreadyExists,
			"cannot listen on unix://%s: there is a file that is not a socket", path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return systemError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err != unix.ECONNREFUSED {
		return listenError(schemeUnix+"://"+path, unix.EADDRINUSE)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return listenError(schemeUnix+"://"+path, err)
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

// Accept gives the next connection.
func (l *listener) Accept() (transport.Conn, error) {
	for {
		if !l.conn.enter() {
			return nil, status.Errorf(status.Unavailable, "%s is closed", l.address)
		}
		fd, _, err := unix.Accept4(l.conn.fd, unix.SOCK_CLOEXEC)
		if err == unix.EAGAIN {
			if err = l.transport.poller.arm(l.conn.fd, &l.place); err == nil {
				<-l.place.ready
				err = unix.ECONNABORTED // look again
			}
		}
		l.conn.leave()
		switch {
		case err == nil:
			return newConn(l.transport, fd, "a peer at "+l.address)
		case err == unix.ECONNABORTED, err == unix.EINTR:
			continue
		case err == unix.EINVAL:
			return nil, status.Errorf(status.Unavailable, "%s is closed", l.address)
		default:
			return nil, systemError("accept at "+l.address, err)
		}
	}
}

// Address gives the address with its port resolved.
func (l *listener) Address() string { return l.address }

// Close ends Accept and frees the address.
func (l *listener) Close() error {
	l.once.Do(func() {
		if l.path != "" {
			// Somebody may have replaced the file; only our own is removed.
			if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) {
				_ = os.Remove(l.path)
			}
		}
		_ = unix.Shutdown(l.conn.fd, unix.SHUT_RDWR)
		l.conn.close()
	})
	return nil
}
