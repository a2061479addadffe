package shm

import (
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/vertex"
	"dcf/wire"
)

// inbox is the receiving half of a conn; one goroutine at a time uses it. A frame is copied out of the
// ring before anything of it is looked at.
type inbox struct {
	c      *conn
	ring   ring.Consumer
	limits wire.Limits
	spin   transport.Spin
	over   bool // nothing is to come, and the memory is not used any more

	header  []byte       // of the frame that is here, or nil
	stream  arrival      // the frame that is being received in pieces
	trust   vertex.Trust // in what is lent
	message [ring.MaxMessage]byte

	framesReceived, bytesReceived atomic.Uint64
	spun, slept                   atomic.Uint64
}

func (i *inbox) init(c *conn, memory []byte) {
	i.c = c
	i.ring = ring.NewConsumer(memory)
}

// Next waits for a whole frame and gives its header.
func (i *inbox) Next(wait time.Duration) (wire.SessionHeader, error) {
	whole, err := i.look()
	if !whole && err == nil && wait > 0 {
		whole, err = i.wait(min(wait, transport.Slice))
	}
	switch {
	case err != nil:
		return wire.SessionHeader{}, i.end(err)
	case !whole:
		return wire.SessionHeader{}, transport.ErrAgain
	}
	return wire.ParseSession(i.header), nil
}

// Ready says whether a whole frame is here.
func (i *inbox) Ready() bool {
	whole, err := i.look()
	if err != nil {
		i.c.Abort(err) // what it is about is taken: Next does not find it again, and reports this
	}
	return whole || err != nil
}

// look takes what is in the ring until a frame is whole.
func (i *inbox) look() (whole bool, err error) {
	if i.over || i.c.aborted.Load() {
		return false, i.c.reason()
	}
	if i.header != nil {
		return true, nil
	}
	hungUp := i.c.hungUp.Load() // before the last look
	for i.header == nil {
		kind, message, found, err := i.ring.Take(&i.message)
		switch {
		case err != nil:
			return false, err
		case !found && hungUp:
			return false, i.c.reason()
		case !found:
			return false, nil
		case kind == kindReturn || kind == kindForget:
			if err := i.noted(kind, message); err != nil {
				return false, err
			}
		case kind == kindFrame && i.stream.headerLen == 0:
			if err := wire.CheckHeader(len(message), i.limits); err != nil {
				return false, err
			}
			i.header = message
		default:
			if err := i.collect(kind, message); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// Take decodes the frame that Next found.
func (i *inbox) Take(in *transport.Inbound) error {
	bytes := i.bytes()
	body := i.stream.body
	i.stream.body = nil
	err := in.Decode(i.header, body, bytes)
	i.advance(bytes)
	if err != nil {
		i.c.Abort(err)
	}
	return err
}

// Large says whether much of the frame that Next found is to be looked at, and perhaps copied.
func (i *inbox) Large() bool { return i.stream.bodyLen >= largeBytes }

// Skip drops the frame that Next found.
func (i *inbox) Skip() { i.advance(i.bytes()) }

func (i *inbox) bytes() int64 {
	return int64(wire.PrefixBytes+len(i.header)) + i.stream.bodyLen
}

// advance goes on to the next frame.
func (i *inbox) advance(bytes int64) {
	i.header = nil
	if i.stream.headerLen > 0 {
		i.stream.release()
	}
	i.framesReceived.Add(1)
	i.bytesReceived.Add(uint64(bytes))
}

// end ends the connection for a reason and gives the first one. The memory is not used after that.
func (i *inbox) end(reason error) error {
	i.c.Abort(reason)
	if !i.over {
		i.over, i.header = true, nil
		i.stream.release()
		i.c.borrower.end()
		i.c.sock.Leave()
	}
	return i.c.reason()
}

// wait waits for a whole frame: it polls for a while, and then sleeps.
func (i *inbox) wait(wait time.Duration) (whole bool, err error) {
	looks := 1
	if i.spin.Poll(wait, func() bool {
		if i.ring.Spin(looks) || i.c.hungUp.Load() || i.c.aborted.Load() {
			whole, err = i.look()
		}
		looks = spinLooks
		return whole || err != nil
	}) {
		i.spun.Add(1)
		return whole, err
	}
	i.slept.Add(1)
	for until := clock.After(wait); ; {
		i.ring.Arm()
		if whole, err = i.look(); !whole && err == nil {
			i.ring.Sleep(clock.Until(until))
			i.ring.Disarm()
			whole, err = i.look()
		} else {
			i.ring.Disarm()
		}
		if whole || err != nil || clock.Until(until) <= 0 {
			return whole, err
		}
	}
}

// Descriptor gives the socket, on which the peer wakes whoever has it.
func (i *inbox) Descriptor() int {
	if !i.c.sock.Enter() {
		return -1
	}
	i.armSocket()
	return i.c.sock.FD
}

// armSocket makes the socket readable when something is published from now on, and no earlier.
func (i *inbox) armSocket() {
	if err := i.c.hear(); err != nil {
		i.c.Abort(err)
	}
	i.ring.ArmElsewhere()
}

// Return ends the use of Descriptor.
func (i *inbox) Return() {
	i.ring.Disarm()
	i.c.sock.Leave()
}

// Park waits in the poller.
func (i *inbox) Park() error {
	if !i.c.sock.Enter() {
		return i.c.reason()
	}
	defer i.c.sock.Leave()
	i.armSocket()
	defer i.ring.Disarm()
	if i.Ready() {
		return nil
	}
	return i.c.transport.poller.Park(i.c.sock.FD, &i.c.place)
}

func (i *inbox) count(all *transport.Counters) {
	all.FramesReceived, all.BytesReceived = i.framesReceived.Load(), i.bytesReceived.Load()
	all.Spun, all.Slept = i.spun.Load(), i.slept.Load()
}
