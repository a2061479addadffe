package shm

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"dcf/core/internal/failpoint"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/wire"
)

// lender is what one end of a connection has lent to the other: buffers in segments of its arena, which
// stay as they are until the loan is returned in a message, or the process that borrowed them has closed
// the lifeline: a pipe of which that process has the only end to write to, and keeps it as long as it
// uses anything that was lent, even when the connection is over. If it dies the system closes it.
// So what a living process maps is never used for something else.
type lender struct {
	c               *conn
	asked, unwanted atomic.Bool // the peer was heard before the first loan; it wants none

	mu    sync.Mutex
	loans map[uint64]*loan
	last  uint64 // the number of the last loan
	bytes int64  // of all loans
	known map[uint64]struct{}
	line  int // the end of the lifeline that is watched; 0: none
	place socket.Parking
	over  bool // nothing more is lent: the connection ended
	cut   bool // nothing more is lent, and nothing is borrowed any more: the lifeline was closed
}

// loan is what a frame lends.
type loan struct {
	held   []vertex.Held // of batches
	blocks [][]byte      // copies of values in bytes
	bytes  int64
	passed bool // the ring has all of the frame, or it will never have: else it may still be read here
}

func (l *loan) free() {
	for i := range l.held {
		l.held[i].Release()
	}
	for _, block := range l.blocks {
		arena.Free(block)
	}
}

// refBytes is the size of the message that lends a buffer: where it is in the frame's body, the
// segment, where it is in that, and its length, each in 8 bytes.
const refBytes = 32

// willing says whether a frame with values of that size may lend.
func (l *lender) willing(bytes int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes >= minLentBytes && !l.over && !l.cut && len(l.loans) < l.c.transport.maxLoans &&
		bytes <= maxLentBytes-l.bytes
}

// lend takes what can be lent out of an encoded frame, and puts the references in its place.
func (l *lender) lend(p *parcel, f *wire.Frame, e *wire.Encoder) {
	var given loan
	rest, refs, at := make([][]byte, 1, len(p.body)+1), []byte(nil), int64(0)
	for i, piece := range p.body {
		lent := piece
		if len(refs) == maxLent*refBytes || len(piece) < minLentBytes {
			lent = nil
		} else if !e.Lendable(i) {
			lent = given.copy(f, piece)
		}
		if number, offset, ok := l.locate(lent); ok {
			for _, word := range [...]uint64{uint64(at), number, uint64(offset), uint64(len(lent))} {
				refs = binary.LittleEndian.AppendUint64(refs, word)
			}
			given.bytes += int64(len(lent))
		} else {
			rest = append(rest, piece)
		}
		at += int64(len(piece))
	}
	if len(refs) == 0 {
		given.free()
		return
	}
	given.held = e.Hold()
	if p.loan = l.enter(&given); p.loan == 0 {
		given.free()
		return
	}
	rest[0] = refs
	p.body, p.refs, p.lent = rest, uint32(len(refs)/refBytes), given.bytes
	p.left += int64(len(refs)) - given.bytes
	failpoint.Hit(failpoint.Lent)
}

// copy copies a value in bytes to where it can be lent. nil: it is none, or there is no room.
func (l *loan) copy(f *wire.Frame, piece []byte) []byte {
	if len(piece) < arena.SharedLarge || !transport.Borrows(f.Message, piece) {
		return nil
	}
	block := arena.Alloc(len(piece))
	if block == nil {
		return nil
	}
	if _, _, ok := arena.Locate(block); !ok {
		arena.Free(block)
		return nil
	}
	arena.Copy(block, piece)
	l.blocks = append(l.blocks, block)
	return block
}

// locate says where bytes are that the peer can find.
func (l *lender) locate(bytes []byte) (number uint64, offset int64, ok bool) {
	if bytes == nil {
		return 0, 0, false
	}
	if number, offset, ok = arena.Locate(bytes); !ok {
		return 0, 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return number, offset, l.introduce(number)
}

// introduce makes sure that the peer knows a segment.
func (l *lender) introduce(number uint64) bool {
	if _, known := l.known[number]; known {
		return true
	}
	if l.over || l.cut || l.line == 0 && !l.attach() {
		return false
	}
	l.forget()
	if len(l.known) >= maxSegments {
		return false
	}
	file, _, err := arena.SegmentFile(number)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	word := binary.LittleEndian.AppendUint64([]byte{segment}, number)
	if !say(&l.c.sock, word, int(file.Fd())) {
		return false
	}
	if l.known == nil {
		l.known = map[uint64]struct{}{}
	}
	l.known[number] = struct{}{}
	l.c.transport.popular.add(number)
	failpoint.Hit(failpoint.Introduced)
	return true
}

// announce introduces, on a new connection, what others were lent of last: the peer knows it by the time that it
// asks for a table.
func (l *lender) announce() {
	numbers := l.c.transport.popular.all()
	if len(numbers) == 0 || !l.c.lends() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, number := range slices.Backward(numbers) { // so that their order stays
		if !l.introduce(number) {
			return
		}
	}
}

// popular has the segments that were introduced last: what one process of the host reads the next one often
// reads, too.
type popular struct {
	mu      sync.Mutex
	numbers []uint64 // the last one first
}

func (p *popular) add(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := slices.DeleteFunc(p.numbers, func(n uint64) bool { return n == number })
	p.numbers = append([]uint64{number}, rest[:min(len(rest), maxAnnounced-1)]...)
}

// all gives those that are still there.
func (p *popular) all() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.numbers = slices.DeleteFunc(p.numbers, func(n uint64) bool { return !arena.HasSegment(n) })
	return slices.Clone(p.numbers)
}

// forget has the peer forget the segments that are no more.
func (l *lender) forget() {
	for number := range l.known {
		if !arena.HasSegment(number) {
			delete(l.known, number)
			l.c.outbox.note(kindForget, number)
		}
	}
}

// attach makes the lifeline.
func (l *lender) attach() bool {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return false
	}
	t := l.c.transport
	t.lifelines.enter()
	l.place = socket.Parking{}
	err := t.poller.Watch(ends[0], &l.place, l.gone)
	l.line = ends[0]
	if err != nil || !say(&l.c.sock, []byte{lifeline}, ends[1]) {
		l.detach()
	}
	_ = unix.Close(ends[1])
	return l.line != 0
}

// detach closes this end of the lifeline.
func (l *lender) detach() {
	if l.line == 0 {
		return
	}
	t := l.c.transport
	t.poller.Forget(&l.place)
	_ = unix.Close(l.line)
	l.line = 0
	t.lifelines.leave(&t.poller)
}

// enter makes a loan and gives its number; 0: nothing more is lent.
func (l *lender) enter(given *loan) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.cut || len(l.loans) >= l.c.transport.maxLoans || given.bytes > maxLentBytes-l.bytes {
		return 0
	}
	if l.loans == nil {
		l.loans = map[uint64]*loan{}
	}
	l.last++
	l.loans[l.last] = given
	l.bytes += given.bytes
	return l.last
}

// take takes a loan out.
func (l *lender) take(number uint64) *loan {
	given := l.loans[number]
	l.bytes -= given.bytes
	delete(l.loans, number)
	return given
}

// cancel ends a loan that the peer has not heard of.
func (l *lender) cancel(number uint64) {
	l.mu.Lock()
	given := l.take(number)
	l.mu.Unlock()
	given.free()
}

// pass says that this end no longer reads the frame of a loan.
func (l *lender) pass(number uint64) {
	l.mu.Lock()
	given := l.loans[number]
	given.passed = true
	if !l.cut {
		given = nil
	} else {
		l.take(number)
	}
	l.mu.Unlock()
	if given != nil {
		given.free()
	}
}

// returned ends loans that the peer returns. It fails where there is no such loan, for those behind it
// too.
func (l *lender) returned(numbers []uint64) error {
	var some [maxNotes]*loan
	all := some[:0]
	l.mu.Lock()
	var err error
	for _, number := range numbers {
		if given := l.loans[number]; given == nil || !given.passed {
			err = status.Errorf(status.Corrupt, "%s returns loan %d, which it does not have", l.c.peer, number)
			break
		}
		all = append(all, l.take(number))
	}
	l.mu.Unlock()
	for _, given := range all {
		given.free()
	}
	return err
}

// gone is called when the lifeline was closed.
func (l *lender) gone() {
	var all []*loan
	l.mu.Lock()
	l.cut = true
	l.detach()
	for number, given := range l.loans {
		if given.passed {
			all = append(all, l.take(number))
		}
	}
	l.mu.Unlock()
	for _, given := range all {
		given.free()
	}
}

// end says that the connection ended. What is lent stays until the lifeline is closed.
func (l *lender) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if len(l.loans) == 0 {
		l.detach()
	}
}

// lifelines counts the lifelines that the poller of a transport watches, some of which last longer than
// the transport is in use.
type lifelines struct {
	mu     sync.Mutex
	count  int
	closed bool
}

func (n *lifelines) enter() {
	n.mu.Lock()
	n.count++
	n.mu.Unlock()
}

// leave closes the poller with the last one, if the transport was closed.
func (n *lifelines) leave(poller *socket.Poller) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.count--; n.count == 0 && n.closed {
		go poller.Close() // its own goroutine may be the one that is here
	}
}

// close closes the poller, or has the last one do so.
func (n *lifelines) close(poller *socket.Poller) {
	n.mu.Lock()
	n.closed = true
	last := n.count == 0
	n.mu.Unlock()
	if last {
		poller.Close()
	}
}
