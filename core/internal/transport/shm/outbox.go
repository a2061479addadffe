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
	scratch []byte
	queue   []*parcel // while it is not empty the writer runs
	writing bool
	ended   bool

	appended   uint64       // bytes of all frames so far, without those that are lent
	framesSent uint64       // frames so far
	bytesSent  uint64       // bytes of these
	unseen     uint64       // bytes in the ring that were not published
	queued     atomic.Int64 // bytes in queue
	lost       uint64       // once it ended: bytes that the peer can never see

	notes  notes
	flight []flight // frames that lend, in the ring or taken lately
	lent   int64    // bytes of flight
}

// flight is a frame that lends, and that the peer has taken when it has taken so many slots.
type flight struct {
	slots uint64
	bytes int64
}

// willing says whether a frame with values of that size may lend.
func (o *outbox) willing(bytes int64) bool {
	if bytes < minLentBytes {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return false
	}
	for taken := o.ring.Taken(); len(o.flight) > 0 && o.flight[0].slots <= taken; o.flight = o.flight[1:] {
		o.lent -= o.flight[0].bytes
	}
	return (o.lent == 0 || bytes <= maxFlightBytes-o.lent) && o.c.lender.willing(bytes)
}

func (o *outbox) init(c *conn, memory []byte) {
	o.c = c
	o.room = sync.NewCond(&o.mu)
	o.ring = ring.NewProducer(memory)
}

// Send appends a frame.
func (o *outbox) Send(f *wire.Frame) (int64, uint64, error) {
	if !wire.Small(f) {
		return o.sendLarge(f)
	}
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return 0, 0, o.c.reason()
	}
	frame, err := wire.Append(o.scratch[:0], f)
	if err != nil {
		o.mu.Unlock()
		return 0, 0, err
	}
	o.scratch = frame
	size := len(frame)
	end := o.stand(int64(size), int64(size))
	if len(o.queue) == 0 && small(size) && o.ring.Put(kindFrame, frame[wire.PrefixBytes:]) {
		if o.unseen += uint64(size); o.ring.Unpublished() >= publishSlots {
			o.publish()
		}
		o.mu.Unlock()
		return int64(size), end, nil
	}
	o.add(&parcel{head: frame, left: int64(size)}, nil, nil)
	o.scratch = emptied(o.scratch)
	o.mu.Unlock()
	return int64(size), end, nil
}

// stand counts a frame and gives where it ends in the stream, in which it takes that many bytes.
func (o *outbox) stand(size, stream int64) (end uint64) {
	o.framesSent++
	o.bytesSent += uint64(size)
	o.appended += uint64(stream)
	return o.appended
}

var encoders = sync.Pool{New: func() any { return new(wire.Encoder) }}

// sendLarge sends a frame that has a body. What it takes to have large values where the peer finds them
// delays nobody else.
func (o *outbox) sendLarge(f *wire.Frame) (int64, uint64, error) {
	e := encoders.Get().(*wire.Encoder)
	defer func() {
		e.Release()
		encoders.Put(e)
	}()
	e.Share = o.willing(transport.BulkBytes(f.Message)) && o.c.lends()
	header, body, bodyLen, err := e.Encode(f)
	if err != nil {
		return 0, 0, err
	}
	size := int64(len(header)) + bodyLen
	p := &parcel{head: header, body: body, left: size}
	if e.Share {
		o.c.lender.lend(p, f, e)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		if p.loan != 0 {
			o.c.lender.cancel(p.loan)
		}
		return 0, 0, o.c.reason()
	}
	end := o.stand(size, p.left)
	e = o.add(p, f, e)
	return size, end, nil
}

// add sends a frame whose memory is the sender's: f is what its body belongs to, and e what encoded it, if
// it has one. What the ring does not take is kept and queued, perhaps with the encoder: next is one that
// is free.
func (o *outbox) add(p *parcel, f *wire.Frame, e *wire.Encoder) (next *wire.Encoder) {
	whole := len(p.body)
	if len(o.queue) == 0 {
		for p.left > 0 {
			done := o.put(p)
			if done == 0 {
				break
			}
			o.unseen += uint64(done)
			if whole > 0 || o.ring.Unpublished() >= publishSlots {
				o.publish() // the peer copies this piece while the next one is written
			}
		}
		if p.left == 0 {
			return e
		}
	}
	kept := *p
	kept.head = append([]byte(nil), p.head...)
	if len(p.body) > 0 {
		kept.kept, e = transport.Keep(f, p.body, 0, e)
		kept.body = kept.kept.Pieces
	}
	o.queued.Add(p.left)
	o.queue = append(o.queue, &kept)
	o.follow()
	return e
}

// follow has the writer send what the ring has no room for.
func (o *outbox) follow() {
	if !o.writing && o.c.sock.Enter() {
		o.writing = true
		go o.write()
	}
}

// put puts some of a frame into the ring and says how much.
func (o *outbox) put(p *parcel) (done int64) {
	if done = p.put(&o.ring); p.left == 0 {
		o.pass(p)
	}
	return done
}

// pass says that nothing more of a frame goes into the ring.
func (o *outbox) pass(p *parcel) {
	loan, lent := p.loan, p.lent
	p.release()
	if loan != 0 {
		o.flight = append(o.flight, flight{o.ring.Sent(), lent})
		o.lent += lent
		o.c.lender.pass(loan)
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
	if o.c.caller != nil {
		o.c.caller.Waking()
	}
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
	if o.ended || len(o.queue) == 0 && o.notes.unsaid() == 0 {
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
	said := o.putNotes()
	for len(o.queue) > 0 && done < maxPiece && o.ring.Unpublished() < publishSlots {
		p := o.queue[0]
		n := o.put(p)
		if n == 0 {
			break
		}
		done += n
		if p.left == 0 {
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
	return done + said
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
		o.pass(p)
	}
	o.queue = nil
	o.queued.Store(0)
}

func (o *outbox) count(all *transport.Counters) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all.FramesSent, all.BytesSent = o.framesSent, o.bytesSent
}
