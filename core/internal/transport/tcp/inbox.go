package tcp

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// inbox is the receiving half of a conn; one goroutine at a time uses it. buffer[read:filled] is
// what was received and not taken. A body is received into memory of its own, and then nothing of
// the next frame is received before the body is whole.
type inbox struct {
	c      *conn
	limits wire.Limits
	place  socket.Parking
	spin   transport.Spin

	buffer       []byte
	read, filled int

	// The frame at read, once its prefix is here.
	known     bool
	headerLen int
	bodyLen   int64
	body      *vertex.Body // once its header is here, if it has a body
	bodyGot   int64
	bodyRead  int // bytes of the body that came through buffer

	framesReceived, bytesReceived atomic.Uint64
	spun, slept                   atomic.Uint64
}

func (i *inbox) init(c *conn) {
	i.c = c
	i.buffer = make([]byte, inboxBytes)
}

// Next waits for a whole frame and gives its header.
func (i *inbox) Next(wait time.Duration) (wire.SessionHeader, error) {
	var until int64
	for round := 0; ; round++ {
		whole, err := i.whole()
		if err != nil {
			i.c.Abort(err)
			return wire.SessionHeader{}, err
		}
		if whole {
			return i.header(), nil
		}
		// The clock is read only where a frame comes in several pieces.
		switch round {
		case 0:
		case 1:
			until = clock.After(wait)
		default:
			if wait = clock.Until(until); wait <= 0 {
				return wire.SessionHeader{}, transport.ErrAgain
			}
		}
		if err := i.fill(wait); err != nil {
			return wire.SessionHeader{}, err
		}
	}
}

// Ready says whether a whole frame is here.
func (i *inbox) Ready() bool {
	whole, err := i.whole()
	return whole || err != nil // Next reports it
}

// whole reads as much of the frame at read as is here.
func (i *inbox) whole() (bool, error) {
	here := i.buffer[i.read:i.filled]
	if !i.known {
		if len(here) < wire.PrefixBytes {
			return false, nil
		}
		var err error
		if i.headerLen, i.bodyLen, err = wire.ParsePrefix(here, i.limits); err != nil {
			return false, err
		}
		i.known = true
	}
	head := wire.PrefixBytes + i.headerLen
	if len(here) < head {
		return false, nil
	}
	if i.bodyLen == 0 {
		return true, nil
	}
	if i.body == nil {
		body, err := vertex.NewBody(int(i.bodyLen))
		if err != nil {
			return false, status.Errorf(status.Exhausted, "a frame of %d bytes from %s: %w",
				i.bodyLen, i.c.peer, err)
		}
		i.body = body
		i.bodyRead = copy(i.body.Bytes(), here[head:])
		i.bodyGot = int64(i.bodyRead)
	}
	return i.bodyGot == i.bodyLen, nil
}

func (i *inbox) header() wire.SessionHeader {
	return wire.ParseSession(i.buffer[i.read+wire.PrefixBytes:])
}

// Take decodes the frame that Next found.
func (i *inbox) Take(in *transport.Inbound) error {
	start := i.read + wire.PrefixBytes
	bytes := int64(wire.PrefixBytes+i.headerLen) + i.bodyLen
	body := i.body
	i.body = nil
	err := in.Decode(i.buffer[start:start+i.headerLen], body, bytes)
	i.advance()
	if err != nil {
		i.c.Abort(err)
	}
	return err
}

// Skip drops the frame that Next found.
func (i *inbox) Skip() {
	i.dropBody()
	i.advance()
}

func (i *inbox) dropBody() {
	if i.body != nil {
		i.body.Release()
		i.body = nil
	}
}

// advance goes on to the next frame.
func (i *inbox) advance() {
	i.framesReceived.Add(1)
	i.read += wire.PrefixBytes + i.headerLen + i.bodyRead
	i.known, i.bodyGot, i.bodyRead = false, 0, 0
	if i.read == i.filled {
		i.read, i.filled = 0, 0
		if len(i.buffer) > transport.MaxKeptBytes {
			i.buffer = make([]byte, inboxBytes)
		}
	}
}

// fill receives at least a byte, or gives transport.ErrAgain.
func (i *inbox) fill(wait time.Duration) error {
	if !i.c.sock.Enter() {
		i.dropBody()
		return i.c.reason()
	}
	n, errno := i.receive(i.space(), wait)
	i.c.sock.Leave()
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return transport.ErrAgain
	case errno != 0 || n == 0:
		i.dropBody()
		return i.c.fail(errno)
	}
	i.bytesReceived.Add(uint64(n))
	if i.body != nil {
		i.bodyGot += int64(n)
	} else {
		i.filled += n
	}
	return nil
}

// space gives the memory that the next bytes belong into.
func (i *inbox) space() []byte {
	if i.body != nil {
		return i.body.Bytes()[i.bodyGot:]
	}
	// A frame's header has to lie in one piece. The buffer grows with what really came, not with
	// what a prefix promises.
	if i.filled == len(i.buffer) {
		if i.read >= len(i.buffer)/2 {
			i.filled = copy(i.buffer, i.buffer[i.read:i.filled])
		} else {
			larger := make([]byte, 2*len(i.buffer))
			i.filled = copy(larger, i.buffer[i.read:i.filled])
			i.buffer = larger
		}
		i.read = 0
	}
	return i.buffer[i.filled:]
}

// receive waits for bytes in the cheapest way for the time there is.
func (i *inbox) receive(into []byte, wait time.Duration) (int, unix.Errno) {
	fd := i.c.sock.FD
	if i.body != nil {
		if n, errno := receiveBulk(fd, into); errno != unix.EAGAIN {
			return n, errno
		}
	}
	if wait > 0 {
		n, errno := 0, unix.EAGAIN
		if i.spin.Poll(wait, func() bool {
			n, errno = receiveNow(fd, into)
			return errno != unix.EAGAIN
		}) {
			i.spun.Add(1)
			return n, errno
		}
	}
	switch {
	case wait <= 0:
		return receiveNow(fd, into)
	case wait >= transport.Slice:
		i.slept.Add(1)
		return receiveSlice(fd, into)
	default:
		i.slept.Add(1)
		if !socket.Poll(fd, unix.POLLIN, wait) {
			return 0, unix.EAGAIN
		}
		return receiveNow(fd, into)
	}
}

// Descriptor gives the socket.
func (i *inbox) Descriptor() int {
	if !i.c.sock.Enter() {
		return -1
	}
	return i.c.sock.FD
}

// Return ends the use of Descriptor.
func (i *inbox) Return() { i.c.sock.Leave() }

// Park waits in the poller.
func (i *inbox) Park() error {
	if !i.c.sock.Enter() {
		return i.c.reason()
	}
	defer i.c.sock.Leave()
	return i.c.transport.poller.Park(i.c.sock.FD, &i.place)
}
