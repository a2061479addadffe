package shm

import (
	"golang.org/x/sys/unix"

	"dcf/core/internal/failpoint"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
)

// Dial connects to an address. It does not wait until the listener has taken the connection: where that
// refuses it, the connection ends.
func (t *Transport) Dial(address string, deadline int64) (transport.Conn, error) {
	to, err := parse(address)
	if err != nil {
		return nil, err
	}
	t.share()
	fd, err := socket.Dial(unix.AF_UNIX, to, address, deadline)
	if err != nil {
		return nil, err
	}
	failpoint.Hit(failpoint.Connected)
	var memory []byte
	if err = t.admit(fd, address); err == nil {
		memory, err = t.handOver(fd, address)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	c, err := newConn(t, fd, memory, true, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// handOver makes the memory of a connection and hands it to the listener.
func (t *Transport) handOver(fd int, peer string) ([]byte, error) {
	shared, err := newMemory()
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(shared) }()
	memory, err := mapMemory(shared)
	if err != nil {
		return nil, err
	}
	if err := greet(fd, shared, !t.isShort()); err != nil {
		unmapMemory(memory)
		if e := refusalIn(fd, peer); e != nil {
			return nil, e
		}
		return nil, err
	}
	failpoint.Hit(failpoint.Greeted)
	return memory, nil
}
