// Package transport is the interface between requests and the ways that frames travel. A
// transport moves frames in order between two ends and says when one is gone; it knows neither
// requests nor nodes. Every implementation passes transporttest.Run.
package transport

import (
	"errors"
	"time"

	"dcf/core/internal/lane"
	"dcf/wire"
)

// ErrAgain says that nothing arrived in the time that Next was given.
var ErrAgain = errors.New("transport: nothing arrived")

// Transport makes connections for addresses of one or more schemes. It is safe for concurrent use.
type Transport interface {
	// Schemes are what stands before "://" in the addresses that it takes.
	Schemes() []string
	// Listen takes an address into use: status.InvalidArgument where it is none,
	// status.AlreadyExists where somebody else uses it, status.Denied where Config forbids it.
	Listen(address string, insecure bool) (Listener, error)
	// Dial connects until a deadline of CLOCK_MONOTONIC: status.Unavailable where nobody answers.
	Dial(address string, deadline int64) (Conn, error)
	// Close frees what is left once all listeners and connections are closed.
	Close() error
}

// Listener waits for connections.
type Listener interface {
	// Accept gives the next connection. After Close it gives status.Unavailable.
	Accept() (Conn, error)
	// Address is what Dial takes, with the port resolved.
	Address() string
	// Close ends Accept and frees the address. Connections live on.
	Close() error
}

// Conn is one connection. Any goroutines may send; one at a time may receive, and whoever hands
// that right to another synchronises with it. Errors are *status.Error: status.Unavailable once
// the connection is gone, by either side, with the reason that was there first.
type Conn interface {
	// Send appends a frame to what the peer is to get; it leaves at the next Flush or before. It
	// never waits for the peer. The frame is borrowed: what must be kept longer is copied, and
	// batches are retained. size is what Counters count the frame as, and end the stream's length
	// behind it, in units of its own.
	// A frame that cannot be encoded gives its own error and leaves the connection as it was.
	// Send does not bound what is queued: who has a choice looks at Queued first.
	Send(f *wire.Frame) (size int64, end uint64, err error)
	// Flush hands over what was sent. What the peer does not take yet is queued, and follows
	// by itself.
	Flush() error
	// Written is how far the stream has left this end, in the units of Send's end: a frame that
	// ends behind it was not delivered whole.
	Written() uint64
	// Queued is how many bytes wait because the peer does not take them.
	Queued() int64
	// WaitRoom waits until Queued is at most half of MaxQueuedBytes, the connection is gone, or
	// the deadline has passed: status.Timeout.
	WaitRoom(deadline int64) error

	// Next waits until a frame is here and gives its header; Take or Skip must follow. It waits
	// at most as long as told, and where that is over 50 ms not much more than those: ErrAgain.
	Next(wait time.Duration) (wire.SessionHeader, error)
	// Take decodes the frame that Next announced. A garbled one gives status.Corrupt.
	Take(in *Inbound) error
	// Skip drops the frame that Next announced.
	Skip()
	// Ready says whether Next would find a frame without asking the system.
	Ready() bool
	// Descriptor gives what is readable when Next would find something to receive, for a receiver
	// that waits for more than this. It stays open until Return, which must follow. Negative: there
	// is none, and no Return.
	Descriptor() int
	Return()
	// Park waits, without a thread, until there may be something for Next.
	Park() error

	// SetLimits bounds the frames that are received from now on.
	SetLimits(limits wire.Limits)
	// SetSpin sets how long Next polls before it sleeps, at most.
	SetSpin(spin time.Duration)
	// SplitsBulk says whether large bodies should have a connection of their own.
	SplitsBulk() bool
	// SameHost says whether the peer is on this host, so that its end is seen at once whatever it ends by.
	SameHost() bool
	// Peer names the other end for messages to people.
	Peer() string
	// Counters gives what passed so far.
	Counters() Counters
	// Finish says that nothing more is awaited, and why: Next gives what was received already and then
	// fails, and whoever waits in Next, in Park or for the Descriptor goes on. Abort must follow.
	Finish(reason error)
	// Abort ends the connection at once, for a reason that the methods then report. Goroutines
	// that wait in it return. Only the first reason counts. Somebody has to call Next, and Skip,
	// until it fails: what was received before is freed that way.
	Abort(reason error)
	// Close sends what is queued, as far as the peer takes it before the deadline, then aborts.
	Close(deadline int64) error
}

// Grouped is a Conn that one goroutine can receive from together with others.
type Grouped interface {
	Conn
	// Group gives the group that the connection may be added to, the same for all of a Transport.
	Group() Group
	// Large says whether to Take the frame that Next announced may take long.
	Large() bool
	// Lanes gives this end of the lanes on which small calls travel beside the frames: the calling one
	// where this end dialled, else the serving one. Callers are served while the connection is in its
	// group, and Wait looks for calls, too.
	Lanes() (*lane.Caller, *lane.Server)
	// Hold keeps the lanes' memory until Release, for a server whose connection may end meanwhile, or
	// says that it is gone.
	Hold() bool
	Release()
}

// Group is connections that one goroutine at a time receives from. Its methods but Wait and Park are
// safe for concurrent use.
type Group interface {
	// Add makes a connection, which is in no group, part of it; Wait gives its tag. After Close it
	// fails, and where the connection has ended.
	Add(c Conn, tag any) error
	// Remove takes a connection out. The goroutine that calls Wait calls it.
	Remove(c Conn)
	// Wait waits for a connection for whose Next there is something, or that ended, and gives its
	// tag. It waits at most as long as told: nil.
	Wait(wait time.Duration) any
	// Park waits, without a thread, until there may be something for Wait. It fails once the group is
	// closed and no connection is left.
	Park() error
	// Close says that no more connections come. From then on Wait does not wait.
	Close()
}

// Counters count what passed through a connection. Bytes are those of whole frames; inproc counts
// those of values only.
type Counters struct {
	FramesSent, FramesReceived uint64
	BytesSent, BytesReceived   uint64
	Spun, Slept                uint64 // waits that ended while polling, and in sleep
	Calls                      uint64 // of the frames sent, those that went over lanes
}

// AddLanes adds what passed over lanes; either end may be nil. A call and its answer count as frames.
func (c *Counters) AddLanes(caller *lane.Caller, server *lane.Server) {
	if caller != nil {
		t := caller.Traffic()
		c.Add(Counters{FramesSent: t.Calls, FramesReceived: t.Calls, BytesSent: t.Sent, BytesReceived: t.Received,
			Spun: t.Spun, Slept: t.Calls - t.Spun, Calls: t.Calls})
	}
	if server != nil {
		t := server.Traffic()
		c.Add(Counters{FramesSent: t.Calls, FramesReceived: t.Calls, BytesSent: t.Sent, BytesReceived: t.Received})
	}
}

// Add adds the counts of another connection.
func (c *Counters) Add(o Counters) {
	c.FramesSent += o.FramesSent
	c.FramesReceived += o.FramesReceived
	c.BytesSent += o.BytesSent
	c.BytesReceived += o.BytesReceived
	c.Spun += o.Spun
	c.Slept += o.Slept
	c.Calls += o.Calls
}
