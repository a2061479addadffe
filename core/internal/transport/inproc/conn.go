package inproc

import (
	"sync"
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/futex"
	"dcf/core/status"
	"dcf/wire"
)

// conn is one end. Its frames queue at the other end, in inbox.
type conn struct {
	other  *conn
	peer   string
	shared *shared
	inbox  inbox

	unflushed                  atomic.Bool // something was sent since the last Flush
	framesSent, framesReceived atomic.Uint64
	bytesSent, bytesReceived   atomic.Uint64
	slept                      atomic.Uint64
}

var _ transport.Conn = (*conn)(nil)

// shared is what both ends have in common.
type shared struct {
	failure atomic.Pointer[status.Error]
}

// inbox is what one end has to receive.
type inbox struct {
	mu     sync.Mutex
	room   *sync.Cond // frames were taken, or the connection ended
	frames []parcel   // frames[first:] wait
	first  int
	ended  bool
	event  futex.Event   // for a receiver in Next
	parked atomic.Bool   // a receiver is in Park, or about to be
	ready  chan struct{} // for a receiver in Park

	bytes atomic.Int64  // of the frames that wait
	taken atomic.Uint64 // frames, from the first on
}

type parcel struct {
	frame wire.Frame
	bytes int64
}

// overhead is what a frame counts for besides its values, so that empty ones fill a queue too.
const overhead = 256

func pair(address string) (near, far *conn) {
	both := &shared{}
	near = &conn{peer: address, shared: both}
	far = &conn{peer: "a peer at " + address, shared: both}
	near.other, far.other = far, near
	near.inbox.init()
	far.inbox.init()
	return near, far
}

func (i *inbox) init() {
	i.room = sync.NewCond(&i.mu)
	i.ready = make(chan struct{}, 1)
}

// Send copies what f borrows and queues it at the other end.
func (c *conn) Send(f *wire.Frame) (int64, uint64, error) {
	in := &c.other.inbox
	message, size := transport.Copy(f.Message)
	in.mu.Lock()
	if in.ended {
		in.mu.Unlock()
		transport.ReleaseBatches(message)
		return 0, 0, c.reason()
	}
	if in.first > 0 && len(in.frames) == cap(in.frames) {
		n := copy(in.frames, in.frames[in.first:])
		clear(in.frames[n:])
		in.frames, in.first = in.frames[:n], 0
	}
	in.frames = append(in.frames, parcel{wire.Frame{Header: f.Header, Message: message}, size})
	in.bytes.Add(size + overhead)
	in.mu.Unlock()
	c.unflushed.Store(true)
	c.bytesSent.Add(uint64(size))
	return size, c.framesSent.Add(1), nil
}

// Flush wakes the other end, if there is something new for it: readers flush before they wait, and
// two that wake each other for nothing would never sleep.
func (c *conn) Flush() error {
	if c.unflushed.Load() && c.unflushed.Swap(false) {
		c.other.inbox.wake()
	}
	if c.shared.failure.Load() != nil {
		return c.reason()
	}
	return nil
}

func (i *inbox) wake() {
	i.event.Set()
	if i.parked.Load() && i.parked.CompareAndSwap(true, false) {
		i.ready <- struct{}{}
	}
}

// Written is how many frames the other end took.
func (c *conn) Written() uint64 { return c.other.inbox.taken.Load() }

// Queued is how many bytes wait at the other end.
func (c *conn) Queued() int64 { return c.other.inbox.bytes.Load() }

// WaitRoom waits until the other end has taken half of what may wait. An other end that takes
// nothing for long is cut.
func (c *conn) WaitRoom(deadline int64) error {
	cut := clock.After(transport.StallAfter)
	in := &c.other.inbox
	taken := in.taken.Load()
	in.wait(min(deadline, cut), func() bool {
		return in.bytes.Load() <= transport.MaxQueuedBytes/2
	})
	switch {
	case c.shared.failure.Load() != nil:
		return c.reason()
	case in.bytes.Load() <= transport.MaxQueuedBytes/2:
		return nil
	case clock.Until(cut) <= 0 && in.taken.Load() == taken:
		c.Abort(status.Errorf(status.Unavailable, "%s took nothing for %v and was cut", c.peer,
			transport.StallAfter))
		return c.reason()
	case clock.Until(deadline) <= 0:
		return status.Errorf(status.Timeout, "%s did not take what waits for it in time", c.peer)
	}
	return c.WaitRoom(deadline)
}

// wait waits until there is room, the connection ended, or a deadline.
func (i *inbox) wait(deadline int64, enough func() bool) {
	late := time.AfterFunc(max(clock.Until(deadline), 0), func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.room.Broadcast()
	})
	defer late.Stop()
	i.mu.Lock()
	defer i.mu.Unlock()
	for !enough() && !i.ended && clock.Until(deadline) > 0 {
		i.room.Wait()
	}
}

// Next waits for a frame and gives its header.
func (c *conn) Next(wait time.Duration) (wire.SessionHeader, error) {
	in := &c.inbox
	for {
		in.mu.Lock()
		here, ended := in.first < len(in.frames), in.ended
		var header wire.SessionHeader
		if here {
			header = in.frames[in.first].frame.Header
		}
		in.mu.Unlock()
		switch {
		case here:
			return header, nil
		case ended:
			return header, c.reason()
		case wait <= 0:
			return header, transport.ErrAgain
		}
		c.slept.Add(1)
		if !in.event.Wait(min(wait, transport.Slice)) {
			wait = 0 // look once more
		}
	}
}

// Take moves the frame that Next announced.
func (c *conn) Take(in *transport.Inbound) error {
	p, ok := c.pop()
	if !ok {
		return c.reason()
	}
	in.Move(&p.frame, p.bytes)
	return nil
}

// Skip drops the frame that Next announced.
func (c *conn) Skip() {
	if p, ok := c.pop(); ok {
		transport.ReleaseBatches(p.frame.Message)
	}
}

// pop takes the frame that Next announced out of the queue, where it is not any more if the connection was
// aborted in between.
func (c *conn) pop() (p parcel, ok bool) {
	in := &c.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.first == len(in.frames) {
		return p, false
	}
	p = in.frames[in.first]
	in.frames[in.first] = parcel{}
	if in.first++; in.first == len(in.frames) {
		in.frames, in.first = in.frames[:0], 0
	}
	in.bytes.Add(-p.bytes - overhead)
	in.taken.Add(1)
	c.framesReceived.Add(1)
	c.bytesReceived.Add(uint64(p.bytes))
	in.room.Broadcast()
	return p, true
}

// Ready says whether a frame is here.
func (c *conn) Ready() bool { return c.inbox.bytes.Load() > 0 }

// Park waits until a frame is here or the connection ended.
func (c *conn) Park() error {
	in := &c.inbox
	in.mu.Lock()
	if in.first < len(in.frames) || in.ended {
		in.mu.Unlock()
		return nil
	}
	in.parked.Store(true)
	in.mu.Unlock()
	<-in.ready
	return nil
}

// Descriptor gives none: the other end wakes a receiver by other means.
func (c *conn) Descriptor() int { return -1 }

// Return is never called.
func (c *conn) Return() {}

// SetLimits does nothing: the other end is this process.
func (c *conn) SetLimits(wire.Limits) {}

// SetSpin does nothing.
func (c *conn) SetSpin(time.Duration) {}

// SplitsBulk is false: a table is handed over as quickly as anything else.
func (c *conn) SplitsBulk() bool { return false }

// SameHost is true.
func (c *conn) SameHost() bool { return true }

// Peer names the other end.
func (c *conn) Peer() string { return c.peer }

// Counters gives what passed so far.
func (c *conn) Counters() transport.Counters {
	return transport.Counters{
		FramesSent: c.framesSent.Load(), FramesReceived: c.framesReceived.Load(),
		BytesSent: c.bytesSent.Load(), BytesReceived: c.bytesReceived.Load(),
		Slept: c.slept.Load(),
	}
}

// Finish ends the receiving of what has not come yet.
func (c *conn) Finish(reason error) {
	c.shared.failure.CompareAndSwap(nil, status.From(reason))
	c.inbox.end(false)
}

// Abort ends the connection for both ends. What was not taken is dropped.
func (c *conn) Abort(reason error) {
	c.shared.failure.CompareAndSwap(nil, status.From(reason))
	c.inbox.end(true)
	c.other.inbox.end(false)
}

// end ends one direction. The frames that the other end already sent stay for its receiver, unless
// it is the one who aborts.
func (i *inbox) end(drop bool) {
	i.mu.Lock()
	if drop {
		for k := i.first; k < len(i.frames); k++ {
			transport.ReleaseBatches(i.frames[k].frame.Message)
		}
		i.frames, i.first = nil, 0
		i.bytes.Store(0)
	}
	i.ended = true
	i.room.Broadcast()
	i.mu.Unlock()
	i.wake()
}

// Close waits until the other end took everything, or for the deadline, and aborts.
func (c *conn) Close(deadline int64) error {
	in := &c.other.inbox
	in.wait(deadline, func() bool { return in.first == len(in.frames) })
	c.Abort(status.Errorf(status.Unavailable, "the connection to %s is closed", c.peer))
	return nil
}

func (c *conn) reason() error {
	if e := c.shared.failure.Load(); e != nil {
		return e
	}
	return status.Errorf(status.Unavailable, "the connection to %s is closed", c.peer)
}
