package shm

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/lane"
	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// conn is one end of a connection. Its memory stays mapped as long as its socket is open: until
// Abort has ended all sending and Next has said that nothing is to come.
type conn struct {
	sock      socket.State
	place     socket.Parking
	transport *Transport
	peer      string
	memory    []byte                       // shared with the peer
	failure   atomic.Pointer[status.Error] // the first reason to end
	hungUp    atomic.Bool                  // the peer sends nothing more; what it sent is still to be received
	aborted   atomic.Bool                  // nothing is to be received
	once      sync.Once                    // of ending

	outbox
	inbox
	caller   *lane.Caller // of who dialled
	server   *lane.Server // of who accepted
	ears     ears
	lender   lender
	borrower borrower
}

var _ transport.Conn = (*conn)(nil)

// newConn takes over a connected socket and the connection's memory, also where it fails.
func newConn(t *Transport, fd int, memory []byte, dialed bool, peer string) (*conn, error) {
	c := &conn{sock: socket.State{FD: fd}, transport: t, peer: peer, memory: memory}
	c.sock.Free = func() {
		if c.caller != nil {
			c.caller.End()
			c.caller.Close()
		}
		c.ears.free()
		unmapMemory(memory)
	}
	c.lender.c = c
	sent, received, lanes := memory[:ring.Bytes], memory[ring.Bytes:2*ring.Bytes], memory[2*ring.Bytes:]
	if !dialed {
		sent, received = received, sent
	}
	c.outbox.init(c, sent)
	c.inbox.init(c, received)
	if dialed {
		c.trust = vertex.TrustPublished // what its owner answers with does not change
		c.caller = lane.NewCaller(lanes, c.outbox.ring.Asleep(), fd, func() { wake(&c.sock) })
	} else {
		c.trust = vertex.TrustNone
		c.server = lane.NewServer(lanes)
	}
	if !dialed && t.isShort() {
		_ = unix.Send(fd, []byte{noLoans}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
	if err := t.poller.Watch(fd, &c.place, c.hangUp); err != nil {
		c.sock.Close()
		return nil, err
	}
	c.sock.Enter() // until Next has said that nothing is to come
	if !dialed {
		c.lender.announce()
	}
	return c, nil
}

// hangUp is called when the peer, or its process, has closed its end.
func (c *conn) hangUp() {
	if !c.sock.Enter() {
		return
	}
	defer c.sock.Leave()
	if err := c.hear(); err != nil {
		c.failure.CompareAndSwap(nil, status.From(err))
	}
	c.failure.CompareAndSwap(nil, status.Errorf(status.Unavailable, "%s closed the connection", c.peer))
	c.hungUp.Store(true)
	c.outbox.abandon()
	c.inbox.ring.Interrupt()
	if c.caller != nil {
		c.caller.End()
	}
}

// Finish ends the receiving of what has not come yet.
func (c *conn) Finish(reason error) {
	c.failure.CompareAndSwap(nil, status.From(reason))
	if c.sock.Enter() {
		c.hungUp.Store(true)
		_ = unix.Shutdown(c.sock.FD, unix.SHUT_RD) // whoever waits at the socket wakes
		c.inbox.ring.Interrupt()
		c.sock.Leave()
	}
}

// Abort ends the connection; only the first reason counts.
func (c *conn) Abort(reason error) {
	c.failure.CompareAndSwap(nil, status.From(reason))
	c.once.Do(func() {
		c.aborted.Store(true)
		c.transport.poller.Forget(&c.place)
		// The peer learns of it, and whoever waits at the socket wakes.
		_ = unix.Shutdown(c.sock.FD, unix.SHUT_RDWR)
		c.inbox.ring.Interrupt()
		c.outbox.abandon()
		if c.caller != nil {
			c.caller.End()
		}
		c.lender.end()
		c.sock.Close()
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

// SplitsBulk is false: what is large is lent, and delays nothing.
func (c *conn) SplitsBulk() bool { return false }

// SameHost is true.
func (c *conn) SameHost() bool { return true }

// SetLimits bounds the frames that are received from now on.
func (c *conn) SetLimits(limits wire.Limits) { c.limits = limits }

// SetSpin sets how long Next polls.
func (c *conn) SetSpin(spin time.Duration) {
	c.spin.Limit = spin
	if c.caller != nil {
		c.caller.SetSpin(spin)
	}
}

// Lanes gives the connection's end of its lanes.
func (c *conn) Lanes() (*lane.Caller, *lane.Server) { return c.caller, c.server }

// Hold keeps the memory mapped until Release, or says that it may be gone.
func (c *conn) Hold() bool { return c.sock.Enter() }

// Release ends a Hold.
func (c *conn) Release() { c.sock.Leave() }

// Counters gives what passed so far.
func (c *conn) Counters() transport.Counters {
	var all transport.Counters
	c.outbox.count(&all)
	c.inbox.count(&all)
	all.AddLanes(c.caller, c.server)
	return all
}

// reason gives why the connection ended.
func (c *conn) reason() error {
	if e := c.failure.Load(); e != nil {
		return e
	}
	return status.Errorf(status.Unavailable, "the connection to %s is closed", c.peer)
}
