package tcp

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
	"dcf/wire"
)

// conn is one socket in blocking mode; what must not wait says so in each system call.
type conn struct {
	sock      socket.State
	transport *Transport
	peer      string
	sameHost  bool                         // a Unix socket
	failure   atomic.Pointer[status.Error] // the first reason to end
	once      sync.Once                    // of ending

	outbox
	inbox
}

var _ transport.Conn = (*conn)(nil)

// newConn takes over a connected descriptor, also where it fails.
func newConn(t *Transport, fd int, peer string) (transport.Conn, error) {
	c := &conn{sock: socket.State{FD: fd}, transport: t, peer: peer}
	c.outbox.init(c)
	c.inbox.init(c)
	slice := unix.NsecToTimeval(int64(transport.Slice))
	err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &slice)
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &slice)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err == unix.EOPNOTSUPP { // a Unix socket never delays
			c.sameHost, err = true, nil
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, socket.SystemError("setsockopt", err)
	}
	return c, nil
}

// Finish ends the receiving of what has not come yet.
func (c *conn) Finish(reason error) {
	c.failure.CompareAndSwap(nil, status.From(reason))
	if c.sock.Enter() {
		_ = unix.Shutdown(c.sock.FD, unix.SHUT_RD)
		c.sock.Leave()
	}
}

// Abort ends the connection; only the first reason counts.
func (c *conn) Abort(reason error) {
	c.failure.CompareAndSwap(nil, status.From(reason))
	c.once.Do(func() {
		// Whoever sleeps in the socket wakes and leaves it.
		_ = unix.Shutdown(c.sock.FD, unix.SHUT_RDWR)
		c.sock.Close()
		c.outbox.abandon()
	})
}

// Close sends what is queued, if the peer takes it in time, and ends the connection.
func (c *conn) Close(deadline int64) error {
	c.outbox.finish(deadline)
	c.Abort(status.Errorf(status.Unavailable, "the connection to %s is closed", c.peer))
	return nil
}

// Peer gives the address that was dialled, or where the peer came in.
func (c *conn) Peer() string { return c.peer }

// SplitsBulk is true: a byte stream delivers nothing before what stands ahead of it.
func (c *conn) SplitsBulk() bool { return true }

// SameHost says whether it is a Unix socket.
func (c *conn) SameHost() bool { return c.sameHost }

// SetLimits bounds the frames that are received from now on.
func (c *conn) SetLimits(limits wire.Limits) { c.limits = limits }

// SetSpin sets how long Next polls.
func (c *conn) SetSpin(spin time.Duration) { c.spin.Limit = spin }

// Counters gives what passed so far.
func (c *conn) Counters() transport.Counters {
	return transport.Counters{
		FramesSent:     c.framesSent.Load(),
		FramesReceived: c.framesReceived.Load(),
		BytesSent:      c.appended.Load(),
		BytesReceived:  c.bytesReceived.Load(),
		Spun:           c.spun.Load(),
		Slept:          c.slept.Load(),
	}
}

// fail ends the connection because of a system call and gives the reason that was there first.
func (c *conn) fail(errno unix.Errno) error {
	var e *status.Error
	if errno == 0 {
		e = status.Errorf(status.Unavailable, "%s closed the connection", c.peer)
	} else {
		e = status.Errorf(status.Unavailable, "the connection to %s broke: %w", c.peer, errno)
		e.OS = int32(errno)
	}
	c.Abort(e)
	return c.failure.Load()
}

// reason gives why the connection ended.
func (c *conn) reason() error {
	if e := c.failure.Load(); e != nil {
		return e
	}
	return status.Errorf(status.Unavailable, "the connection to %s is closed", c.peer)
}
