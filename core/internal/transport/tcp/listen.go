package tcp

import (
	"golang.org/x/sys/unix"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
)

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
	bound, err := socket.Listen(&t.poller, at.family, at.sockaddr(), address)
	if err != nil {
		return nil, err
	}
	l := &listener{transport: t, Listener: bound}
	local, err := unix.Getsockname(bound.FD)
	if err != nil {
		_ = l.Close()
		return nil, socket.SystemError("getsockname", err)
	}
	l.address = name(local)
	return l, nil
}

// listener waits in the poller between connections.
type listener struct {
	*socket.Listener
	transport *Transport
	address   string
}

// Accept gives the next connection.
func (l *listener) Accept() (transport.Conn, error) {
	fd, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newConn(l.transport, fd, "a peer at "+l.address)
}

// Address gives the address with its port resolved.
func (l *listener) Address() string { return l.address }
