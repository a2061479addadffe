package shm

import (
	"sync"
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// outbox is the sending half of a conn. Frames go into the ring, where the peer sees them from the next
// Flush on. What the ring has no room for moves to queue, and from then on a writer goroutine alone
// fills the ring, until queue is empty. The stream is, in this order: what the peer can see,
// unseen, queue.
type outbox struct {
	c *conn

	mu      sync.Mutex
	room    *sync.Cond // queue became shorter, a slice passed, or the connection ended
	ring    ring.Producer
	encoder *wire.Encoder
	scratch []byte
	queue   []*parcel // while it is not empty the writer runs
	writing bool
	ended   bool

	appended   uint64       // bytes of all frames so far
	framesSent uint64       // frames so far
	unseen     uint64       // bytes in the ring that were not published
	queued     atomic.Int64 // bytes in queue
	lost       uint64       // once it ended: bytes that the peer can never see
}

func (o *outbox) init(c *conn, memory []byte) {
	o.c = c
	o.room = sync.NewCond(&o.mu)
	o.ring = ring.NewProducer(memory)
}

// Send appends a frame.
func (o *outbox) Send(f *wire.Frame) (int64, uint64, error) {
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return 0, 0, o.c.reason()
	}
	if !wire.Small(f) {
		return o.sendLarge(f)
	}
	frame, err := wire.Append(o.scratch[:0], f)
	if err != nil {
		o.mu.Unlock()
		return 0, 0, err
	}
	o.scratch = frame
	size := len(frame)
	o.appended += uint64(size)
	o.framesSent++
	end := o.appended
	if len(o.queue) == 0 && small(size) && o.ring.Put(kindFrame, frame[wire.PrefixBytes:]) {
		if o.unseen += uint64(size); o.ring.Unpublished() >= publishSlots {
			o.publish()
		}
		o.mu.Unlock()
		return int64(size), end, nil
	}
	o.add(&parcel{head: frame, left: int64(size)}, nil)
	o.scratch = cleared(o.scratch)
	o.mu.Unlock()
	return int64(size), end, nil
}

// sendLarge sends a frame that has a body, and unlocks mu.
func (o *outbox) sendLarge(f *wire.Frame) (int64, uint64, error) {
	defer o.mu.Unlock()
	if o.encoder == nil {
		o.encoder = new(wire.Encoder)
	}
	header, body, bodyLen, err := o.encoder.Encode(f)
	if err != nil {
		return 0, 0, err
	}
	size := int64(len(header)) + bodyLen
	o.appended += uint64(size)
	o.framesSent++
	end := o.appended
	o.add(&parcel{head: header, body: body, left: size}, f)
	o.encoder.Release()
	return size, end, nil
}

// cleared gives a buffer back for reuse, unless it grew large.
func cleared(buffer []byte) []byte {
	if cap(buffer) > transport.MaxKeptBytes {
		return nil
	}
	return buffer[:0]
}

// add sends a frame whose memory is the sender's: f is what its body belongs to, if it has one. What the
// ring does not take is kept and queued.
func (o *outbox) add(p *parcel, f *wire.Frame) {
	whole := len(p.body)
	if len(o.queue) == 0 {
		for p.left > 0 {
			done := p.put(&o.ring)
			if done == 0 {
				break
			}
			o.unseen += uint64(done)
			if whole > 0 || o.ring.Unpublished() >= publishSlots {
				o.publish() // the peer copies this piece while the next one is written
			}
		}
		if p.left == 0 {
			return
		}
	}
	kept := &parcel{head: append([]byte(nil), p.head...), left: p.left, started: p.started}
	if len(p.body) > 0 {
		kept.kept, o.encoder = transport.Keep(f, p.body, 0, o.encoder)
		kept.body = kept.kept.Pieces
	}
	o.queued.Add(p.left)
	o.queue = append(o.queue, kept)
	if !o.writing && o.c.sock.Enter() {
		o.writing = true
		go o.write()
	}
}

// publish shows the peer what is in the ring.
func (o *outbox) publish() {
	o.ring.Publish()
	o.unseen = 0
}

// Flush shows the peer what was sent, and wakes it if it sleeps.
func (o *outbox) Flush() error {
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return o.c.reason()
	}
	o.publish()
	elsewhere := o.ring.Wake()
	o.mu.Unlock()
	if elsewhere {
		wake(&o.c.sock)
	}
	return nil
}

// write is the writer: it moves queue into the ring until nothing is left or the connection ends.
func (o *outbox) write() {
	defer o.c.sock.Leave()
	progress := clock.Now()
	for {
		done, err := o.step()
		switch {
		case err != nil:
			o.c.Abort(err)
		case done < 0:
			return
		case done > 0:
			progress = clock.Now()
		case time.Duration(clock.Now()-progress) > o.c.transport.stallAfter():
			o.c.Abort(status.Errorf(status.Unavailable, "%s took nothing of %d bytes for %v and "+
				"was cut", o.c.peer, o.queued.Load(), o.c.transport.stallAfter()))
		default:
			o.ring.Sleep(min(transport.Slice, o.c.transport.stallAfter()))
			o.room.Broadcast() // waiters look at their deadlines
		}
	}
}

// step moves some of queue into the ring and says how much. 0: there is no room, and the ring is armed
// for a sleep; negative: the writer's work is done.
func (o *outbox) step() (done int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || len(o.queue) == 0 {
		o.writing = false
		o.dropQueue()
		return -1, nil
	}
	if done = o.move(); done == 0 {
		o.ring.Arm()
		if done = o.move(); done > 0 {
			o.ring.Disarm()
		}
	}
	if done > 0 {
		o.room.Broadcast()
	}
	return done, o.ring.Err()
}

// move moves queue into the ring, up to a piece of a large frame or publishSlots of small ones, and
// shows it to the peer.
func (o *outbox) move() (done int64) {
	for len(o.queue) > 0 && done < maxPiece && o.ring.Unpublished() < publishSlots {
		p := o.queue[0]
		n := p.put(&o.ring)
		if n == 0 {
			break
		}
		done += n
		if p.left == 0 {
			p.release()
			o.queue[0] = nil
			o.queue = o.queue[1:]
		}
	}
	if len(o.queue) == 0 {
		o.queue = nil
	}
	o.queued.Add(-done)
	o.publish()
	if o.ring.Wake() {
		wake(&o.c.sock)
	}
	return done
}

// Written is how many bytes the peer can see.
func (o *outbox) Written() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return o.appended - o.lost
	}
	return o.appended - o.unseen - uint64(o.queued.Load())
}

// Queued is how many bytes wait for the peer.
func (o *outbox) Queued() int64 { return o.queued.Load() }

// WaitRoom waits until half of what may be queued is free.
func (o *outbox) WaitRoom(deadline int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.queued.Load() > transport.MaxQueuedBytes/2 && !o.ended {
		if clock.Until(deadline) <= 0 {
			return status.Errorf(status.Timeout, "%s did not take what waits for it in time",
				o.c.peer)
		}
		o.room.Wait() // the writer wakes it every slice
	}
	if o.ended {
		return o.c.reason()
	}
	return nil
}

// finish flushes and waits until the ring has everything, the connection ended, or the deadline.
func (o *outbox) finish(deadline int64) {
	_ = o.Flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 && !o.ended && clock.Until(deadline) > 0 {
		o.room.Wait() // the writer wakes it every slice
	}
}

// abandon drops what the ring does not have. A running writer drops the queue itself.
func (o *outbox) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return
	}
	o.ended = true
	o.lost = o.unseen + uint64(o.queued.Load())
	if !o.writing {
		o.dropQueue()
	}
	o.ring.Interrupt()
	o.room.Broadcast()
}

func (o *outbox) dropQueue() {
	for _, p := range o.queue {
		p.release()
	}
	o.queue = nil
	o.queued.Store(0)
}

func (o *outbox) count(all *transport.Counters) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all.FramesSent, all.BytesSent = o.framesSent, o.appended
}
