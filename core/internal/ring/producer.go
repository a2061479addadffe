package ring

import (
	"sync/atomic"
	"time"

	"dcf/core/internal/failpoint"
	"dcf/core/internal/transport/futex"
)

// Producer is the side that fills a ring. One goroutine at a time uses it; only Interrupt may be called
// by others, as long as the memory is mapped.
type Producer struct {
	memory *memory
	// next is the slot that the next message begins at. Slots in [taken, next) belong to the
	// consumer, which may have given more of them back meanwhile.
	next, taken uint64
	// wrote and read are the same for the queue of bytes.
	wrote, read uint64
	// held is the first slot of the first message that the consumer does not see yet, and word what
	// shows it. The words of those behind it are written already. 0: it sees everything.
	held, word uint64
	failure    error
}

// NewProducer gives the producer of a new ring.
func NewProducer(b []byte) Producer { return Producer{memory: of(b)} }

// Put appends a message of at most MaxMessage bytes, which the consumer sees after Publish, or says
// that there is no room for it. kind is the caller's.
func (p *Producer) Put(kind uint8, message []byte) bool {
	number := p.next
	slots := max(uint64(len(message)+slotData-1)/slotData, 1)
	if number+slots-p.taken > Slots {
		if p.look(); number+slots-p.taken > Slots {
			return false
		}
	}
	word := (number+1)<<numberShift | uint64(kind)<<kindShift | uint64(len(message))
	first := p.memory.slot(number)
	for at := first; ; at = p.memory.slot(p.next) {
		p.next++
		if len(message) <= slotData {
			copy(at.data[:], message)
			break
		}
		at.data = [slotData]byte(message)
		message = message[slotData:]
	}
	if p.word == 0 {
		p.held, p.word = number, word
	} else {
		first.word = word // not seen before the one that is held
	}
	failpoint.Hit(failpoint.Written)
	return true
}

// Publish shows the consumer all messages.
func (p *Producer) Publish() {
	if p.word != 0 {
		atomic.StoreUint64(&p.memory.slot(p.held).word, p.word)
		p.word = 0
		failpoint.Hit(failpoint.Published)
	}
}

// Unpublished is how many slots the consumer does not see yet.
func (p *Producer) Unpublished() int {
	if p.word == 0 {
		return 0
	}
	return int(p.next - p.held)
}

// Room is how many bytes Write takes; the consumer is asked where that seems to be less than wanted. It
// is 0 where there is no room for a message that says so.
func (p *Producer) Room(wanted int) int {
	room := p.room()
	if room < wanted {
		p.look()
		room = p.room()
	}
	return room
}

func (p *Producer) room() int {
	if p.next+maxSlots-p.taken > Slots {
		return 0
	}
	// The consumer may have given part of a piece back.
	return int((AreaBytes - (p.wrote - p.read)) &^ (areaAlign - 1))
}

// Write appends to the queue of bytes, where Room has to be. A piece may be written in parts; EndPiece
// follows the last one, and a message that tells the consumer of it.
func (p *Producer) Write(b []byte) {
	for len(b) > 0 {
		n := copy(p.memory.area[p.wrote%AreaBytes:], b)
		b = b[n:]
		p.wrote += uint64(n)
	}
}

// EndPiece makes the next piece start at a cache line.
func (p *Producer) EndPiece() {
	p.wrote = aligned(p.wrote)
	failpoint.Hit(failpoint.PieceWritten)
}

func aligned(n uint64) uint64 { return (n + areaAlign - 1) &^ (areaAlign - 1) }

// look asks what the consumer took. A claim that is impossible is not believed, and Err tells of it.
func (p *Producer) look() {
	taken, read := atomic.LoadUint64(&p.memory.taken), atomic.LoadUint64(&p.memory.read)
	if taken-p.taken > p.next-p.taken {
		p.failure = errCursor("slots", taken, p.taken, p.next)
		return
	}
	if read-p.read > p.wrote-p.read {
		p.failure = errCursor("bytes", read, p.read, p.wrote)
		return
	}
	p.taken, p.read = taken, read
}

// Sent is how many slots were filled so far, and Taken how many of them the consumer has taken, as far as
// it told.
func (p *Producer) Sent() uint64 { return p.next }

// Taken is described at Sent.
func (p *Producer) Taken() uint64 {
	p.look()
	return p.taken
}

// Err says whether the consumer claimed what cannot be: status.Corrupt.
func (p *Producer) Err() error { return p.failure }

// Wake wakes a consumer that sleeps, for what was published before. Where it sleeps on something else than
// the ring it says so, and the caller has to wake it. It is called after Publish, and may be called
// by any goroutine.
func (p *Producer) Wake() (elsewhere bool) { return Wake(&p.memory.asleep) }

// Asleep is the word by which the consumer says that it sleeps, for Wake by who has told it something by
// another way than the ring.
func (p *Producer) Asleep() *uint32 { return &p.memory.asleep }

// Wake wakes who sleeps by that word, or says that it does so on something else than the word.
func Wake(asleep *uint32) (elsewhere bool) {
	switch clearWord(asleep) {
	case awake:
		return false
	case inFutex:
		futex.Wake(asleep)
		return false
	default:
		return true
	}
}

// Arm says that the producer is about to Sleep until the consumer takes something. What it took before
// is seen by a look at the room after this.
func (p *Producer) Arm() { atomic.StoreUint32(&p.memory.waiting, inFutex) }

// Disarm says that it will not sleep.
func (p *Producer) Disarm() { atomic.StoreUint32(&p.memory.waiting, awake) }

// Sleep sleeps until the consumer took something since Arm, Interrupt, or the time is over.
func (p *Producer) Sleep(wait time.Duration) {
	futex.Wait(&p.memory.waiting, inFutex, wait)
	p.Disarm()
}

// Interrupt ends a Sleep.
func (p *Producer) Interrupt() {
	atomic.StoreUint32(&p.memory.waiting, awake)
	futex.Wake(&p.memory.waiting)
}
