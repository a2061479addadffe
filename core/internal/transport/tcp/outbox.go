package tcp

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// outbox is the sending half of a conn. Frames gather in out until Flush. One goroutine at a time
// flushes, without mu: what others send meanwhile leaves with its next system call, and they need
// not wait. What the socket does not take moves to queue, and from then on a writer goroutine alone
// writes, until queue is empty.
type outbox struct {
	c *conn

	mu       sync.Mutex
	room     *sync.Cond // queue became shorter, a slice passed, a flush or the connection ended
	encoder  *wire.Encoder
	out      []byte               // whole frames without bodies, not yet handed over
	spare    []byte               // is out while what was out is being flushed
	pieces   []unix.Iovec         // scratch of senders
	queue    []*transport.Segment // in order; while it is not empty the writer runs
	flushing bool                 // a goroutine hands over what was out
	waiting  int                  // those who wait for the end of that
	writing  bool                 // the writer runs
	ended    bool

	queued     atomic.Int64  // bytes in queue
	appended   atomic.Uint64 // bytes of all frames so far
	written    atomic.Uint64 // of those, bytes that the socket took
	framesSent atomic.Uint64
}

func (o *outbox) init(c *conn) {
	o.c = c
	o.room = sync.NewCond(&o.mu)
	o.encoder = new(wire.Encoder)
}

// Send appends a frame.
func (o *outbox) Send(f *wire.Frame) (int64, uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return 0, 0, o.c.reason()
	}
	if !wire.Small(f) {
		return o.sendLarge(f)
	}
	before := len(o.out)
	var err error
	if o.out, err = wire.Append(o.out, f); err != nil {
		return 0, 0, err
	}
	size := len(o.out) - before
	end := o.appended.Add(uint64(size))
	o.framesSent.Add(1)
	if len(o.out) >= flushBytes {
		o.flush()
	}
	return int64(size), end, nil
}

// sendLarge sends a frame that has a body.
func (o *outbox) sendLarge(f *wire.Frame) (int64, uint64, error) {
	if !o.await() {
		return 0, 0, o.c.reason()
	}
	header, body, bodyLen, err := o.encoder.Encode(f)
	if err != nil {
		return 0, 0, err
	}
	o.out = append(o.out, header...)
	size := int64(len(header)) + bodyLen
	end := o.appended.Add(uint64(size))
	o.framesSent.Add(1)
	o.sendBody(f, body)
	o.encoder.Release()
	return size, end, nil
}

// Flush hands over what was sent.
func (o *outbox) Flush() error {
	o.mu.Lock()
	o.flush()
	ended := o.ended
	o.mu.Unlock()
	if ended {
		return o.c.reason()
	}
	return nil
}

// flush empties out: into the socket, or into queue. Where another goroutine is at it already, that
// one goes on.
func (o *outbox) flush() {
	if o.flushing {
		return
	}
	for len(o.out) > 0 && !o.ended {
		if len(o.queue) > 0 {
			o.enqueue(&transport.Segment{Pieces: [][]byte{append([]byte(nil), o.out...)}})
			o.out = cleared(o.out)
			return
		}
		if !o.handOver() {
			return
		}
	}
}

// handOver writes what is out, without mu, and queues what the socket does not take.
func (o *outbox) handOver() bool {
	if !o.c.sock.Enter() {
		return false
	}
	flushed := o.out
	o.out, o.spare, o.flushing = o.spare, nil, true
	// Counted ahead: what may have left must never seem not to have.
	o.written.Add(uint64(len(flushed)))
	o.mu.Unlock()
	n, errno := sendNow(o.c.sock.FD, flushed)
	o.c.sock.Leave()
	o.mu.Lock()
	o.flushing, o.spare = false, cleared(flushed)
	if o.waiting > 0 {
		o.room.Broadcast()
	}
	if errno != 0 {
		n = 0
		if errno != unix.EAGAIN && errno != unix.EINTR {
			o.failLocked(errno)
			return false
		}
	}
	if n < len(flushed) {
		o.written.Add(uint64(n) - uint64(len(flushed)))
		o.enqueue(&transport.Segment{Pieces: [][]byte{append([]byte(nil), flushed[n:]...)}})
	}
	return true
}

// await waits until nobody flushes, and says whether the connection goes on.
func (o *outbox) await() bool {
	for o.flushing && !o.ended {
		o.waiting++
		o.room.Wait()
		o.waiting--
	}
	return !o.ended
}

// cleared gives a buffer back for reuse, unless it grew large.
func cleared(buffer []byte) []byte {
	if cap(buffer) > transport.MaxKeptBytes {
		return nil
	}
	return buffer[:0]
}

// keep makes a segment of the body of f from byte done on.
func (o *outbox) keep(f *wire.Frame, body [][]byte, done int) (s *transport.Segment) {
	s, o.encoder = transport.Keep(f, body, done, o.encoder)
	return s
}

// sendBody hands over out and the body of its last frame, f. The body's pieces belong to f and to
// the encoder: what the socket does not take now is kept by a segment.
func (o *outbox) sendBody(f *wire.Frame, body [][]byte) {
	if len(o.queue) > 0 {
		o.flush()
		o.enqueue(o.keep(f, body, 0))
		return
	}
	o.pieces = vector(o.pieces[:0], o.out)
	for _, piece := range body {
		if len(piece) > 0 {
			o.pieces = vector(o.pieces, piece)
		}
	}
	sent, errno := o.sendPieces()
	clear(o.pieces) // they point to what others own
	if errno != 0 {
		o.failLocked(errno)
		return
	}
	rest := len(o.out) - sent
	if rest > 0 {
		o.enqueue(&transport.Segment{Pieces: [][]byte{append([]byte(nil), o.out[sent:]...)}})
	}
	if kept := o.keep(f, body, max(-rest, 0)); len(kept.Pieces) > 0 {
		o.enqueue(kept)
	}
	o.out = cleared(o.out)
}

// sendPieces hands over as much of pieces as the socket takes without waiting.
func (o *outbox) sendPieces() (sent int, failure unix.Errno) {
	if !o.c.sock.Enter() {
		return 0, unix.ECONNABORTED
	}
	defer o.c.sock.Leave()
	pieces := o.pieces
	for len(pieces) > 0 {
		n, errno := sendVector(o.c.sock.FD, pieces[:min(len(pieces), maxPieces)], false)
		switch errno {
		case 0:
			sent += n
			o.written.Add(uint64(n))
			pieces = advance(pieces, n)
		case unix.EINTR:
		case unix.EAGAIN:
			return sent, 0
		default:
			return sent, errno
		}
	}
	return sent, 0
}

func (o *outbox) enqueue(s *transport.Segment) {
	for _, piece := range s.Pieces {
		o.queued.Add(int64(len(piece)))
	}
	o.queue = append(o.queue, s)
	if !o.writing && o.c.sock.Enter() {
		o.writing = true
		go o.write()
	}
}

// write is the writer: it sends what is queued until nothing is left or the connection ends.
func (o *outbox) write() {
	defer o.c.sock.Leave()
	pieces := make([]unix.Iovec, 0, maxPieces)
	progress := clock.Now()
	for {
		pieces = o.gather(pieces[:0])
		if len(pieces) == 0 {
			return
		}
		n, errno := sendVector(o.c.sock.FD, pieces, true)
		switch {
		case errno == 0:
			progress = clock.Now()
			o.sent(n)
		case errno != unix.EAGAIN && errno != unix.EINTR:
			o.c.fail(errno)
		case time.Duration(clock.Now()-progress) > o.c.transport.stallAfter():
			o.c.Abort(status.Errorf(status.Unavailable, "%s took nothing of %d bytes for %v and "+
				"was cut", o.c.peer, o.queued.Load(), o.c.transport.stallAfter()))
		default:
			o.room.Broadcast() // waiters look at their deadlines
		}
	}
}

// gather lists the first pieces of queue, or nothing when the writer's work is done.
func (o *outbox) gather(pieces []unix.Iovec) []unix.Iovec {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || len(o.queue) == 0 {
		o.writing = false
		o.dropQueue()
		return nil
	}
	for _, s := range o.queue {
		for _, piece := range s.Pieces {
			if len(pieces) == maxPieces {
				return pieces
			}
			pieces = vector(pieces, piece)
		}
	}
	return pieces
}

// sent removes n bytes from queue.
func (o *outbox) sent(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written.Add(uint64(n))
	o.queued.Add(int64(-n))
	for n > 0 {
		s := o.queue[0]
		piece := s.Pieces[0]
		if n < len(piece) {
			s.Pieces[0] = piece[n:]
			break
		}
		n -= len(piece)
		if s.Pieces = s.Pieces[1:]; len(s.Pieces) == 0 {
			s.Release()
			o.queue[0] = nil
			o.queue = o.queue[1:]
		}
	}
	if len(o.queue) == 0 {
		o.queue = nil
	}
	o.room.Broadcast()
}

// Written is how many bytes the socket took.
func (o *outbox) Written() uint64 { return o.written.Load() }

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

// finish flushes and waits until everything is written, the connection ended, or the deadline.
func (o *outbox) finish(deadline int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.await()
	o.flush()
	for len(o.queue) > 0 && !o.ended && clock.Until(deadline) > 0 {
		o.room.Wait() // the writer wakes it every slice
	}
}

// failLocked ends the connection from a goroutine that holds mu.
func (o *outbox) failLocked(errno unix.Errno) {
	o.mu.Unlock()
	defer o.mu.Lock()
	o.c.fail(errno)
}

// abandon drops what was not sent. A running writer drops the queue itself: it may be using it.
func (o *outbox) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.out = nil
	if !o.writing {
		o.dropQueue()
	}
	o.room.Broadcast()
}

func (o *outbox) dropQueue() {
	for _, s := range o.queue {
		s.Release()
	}
	o.queue = nil
	o.queued.Store(0)
}
