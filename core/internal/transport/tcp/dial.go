package tcp

import (
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
)

// Dial connects to an address.
func (t *Transport) Dial(address string, deadline int64) (transport.Conn, error) {
	at, err := parse(address)
	if err != nil {
		return nil, err
	}
	fd, err := socket.Dial(at.family, at.sockaddr(), address, deadline)
	if err != nil {
		return nil, err
	}
	return newConn(t, fd, address)
}
