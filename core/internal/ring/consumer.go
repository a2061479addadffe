package ring

import (
	"sync/atomic"
	"time"

	"dcf/core/internal/failpoint"
	"dcf/core/internal/transport/futex"
	"dcf/core/status"
)

// Consumer is the side that empties a ring. One goroutine at a time uses it; only Interrupt may be
// called by others, as long as the memory is mapped.
type Consumer struct {
	memory *memory
	next   uint64 // the slot that the next message begins at
	told   uint64 // what the producer was told of it
	read   uint64 // bytes taken from the queue of bytes
}

// NewConsumer gives the consumer of a new ring.
func NewConsumer(b []byte) Consumer { return Consumer{memory: of(b)} }

// Ready says whether there is a message.
func (c *Consumer) Ready() bool {
	return atomic.LoadUint64(&c.memory.slot(c.next).word)>>numberShift == c.number()
}

func (c *Consumer) number() uint64 { return (c.next + 1) & (1<<(64-numberShift) - 1) }

// Spin looks for a message some times, with pauses, and says whether there is one.
func (c *Consumer) Spin(looks int) bool {
	word, number := &c.memory.slot(c.next).word, c.number()
	for range looks {
		if atomic.LoadUint64(word)>>numberShift == number {
			return true
		}
		Pause()
	}
	return false
}

// Take takes the next message: its kind, and its bytes, which are copied into buffer. found says
// whether there is one. One that cannot be is status.Corrupt, and stays.
func (c *Consumer) Take(buffer *[MaxMessage]byte) (kind uint8, message []byte, found bool, err error) {
	word := atomic.LoadUint64(&c.memory.slot(c.next).word)
	if word>>numberShift != c.number() {
		return 0, nil, false, nil
	}
	failpoint.Hit(failpoint.Found)
	length := int(uint8(word))
	if length > MaxMessage {
		return 0, nil, false, status.Errorf(status.Corrupt,
			"a message has %d bytes, at most %d are possible", length, MaxMessage)
	}
	for to := 0; ; to += slotData {
		*(*[slotData]byte)(buffer[to:]) = c.memory.slot(c.next).data
		c.next++
		if to+slotData >= length {
			break
		}
	}
	failpoint.Hit(failpoint.Taken)
	if c.next-c.told >= tellSlots {
		c.tell()
	}
	return uint8(word >> kindShift), buffer[:length], true, nil
}

// Read takes bytes of the queue of bytes, which are where a message said so: what it reads otherwise
// is rubbish, but no harm. What it reads in all of a piece must not exceed AreaBytes.
func (c *Consumer) Read(into []byte) {
	for len(into) > 0 {
		n := copy(into, c.memory.area[c.read%AreaBytes:])
		into = into[n:]
		c.read += uint64(n)
	}
}

// EndPiece gives the room of what was read back.
func (c *Consumer) EndPiece() {
	c.read = aligned(c.read)
	failpoint.Hit(failpoint.PieceRead)
	c.tell()
}

// tell tells the producer what was taken, and wakes it if it waits for that.
func (c *Consumer) tell() {
	c.told = c.next
	atomic.StoreUint64(&c.memory.taken, c.next)
	atomic.StoreUint64(&c.memory.read, c.read)
	if clearWord(&c.memory.waiting) != awake {
		futex.Wake(&c.memory.waiting)
	}
}

// Arm says that the consumer is about to Sleep. What came before is seen by Ready after this.
func (c *Consumer) Arm() {
	atomic.StoreUint32(&c.memory.asleep, inFutex)
	failpoint.Hit(failpoint.Armed)
}

// ArmElsewhere says that the consumer is about to sleep on something else, on which the producer's
// caller wakes it (Wake).
func (c *Consumer) ArmElsewhere() {
	atomic.StoreUint32(&c.memory.asleep, elsewhere)
	failpoint.Hit(failpoint.Armed)
}

// Disarm says that the consumer is awake.
func (c *Consumer) Disarm() { atomic.StoreUint32(&c.memory.asleep, awake) }

// Word gives what an armed consumer may sleep on, together with others, while it is Armed.
func (c *Consumer) Word() *uint32 { return &c.memory.asleep }

// Sleep sleeps until something was published since Arm, Interrupt, or the time is over.
func (c *Consumer) Sleep(wait time.Duration) { futex.Wait(&c.memory.asleep, inFutex, wait) }

// Interrupt ends a Sleep, and that of whoever sleeps on Word. A consumer that is armed elsewhere stays so.
func (c *Consumer) Interrupt() {
	atomic.CompareAndSwapUint32(&c.memory.asleep, inFutex, awake)
	futex.Wake(&c.memory.asleep) // whatever the other side has written there
}
