// Package ring carries messages one way through memory that two processes share: a queue of small
// messages in slots, and beside it a queue of bytes for what is larger. One side is the Producer, the
// other the Consumer. Each keeps its cursors to itself; what the other side writes is a hint, which is
// checked against what it can be and never used as an address. There is no lock in the memory, so
// whichever side dies, at whatever instruction, leaves the other one something to read or nothing.
//
// The package knows no sockets, and no meaning of messages.
package ring

import (
	"sync/atomic"
	"unsafe"

	"dcf/core/invariant"
	"dcf/core/status"
	"dcf/vertex/cdata"
)

const (
	// Slots is how many slots a ring has, a power of two.
	Slots = 1024
	// slotData is what one slot carries.
	slotData = 56
	// maxSlots is how many consecutive slots one message takes at most.
	maxSlots = 4
	// MaxMessage is the size of the largest message, in bytes.
	MaxMessage = maxSlots * slotData
	// AreaBytes is the size of the queue of bytes, a power of two: a few pieces of a size that fits into
	// a processor's cache with room for both ends' own data.
	AreaBytes = 256 << 10
	// Bytes is the size of the memory of a ring, a multiple of the page size.
	Bytes = headerBytes + Slots*slotBytes + AreaBytes

	headerBytes = 4096
	slotBytes   = 64
	// areaAlign is what pieces in the queue of bytes start at a multiple of.
	areaAlign = 64
	// tellSlots is after how many taken slots the producer is told. It must leave room for a message
	// in a ring of which the producer does not know yet that it is empty.
	tellSlots = Slots / 4
)

// slot is as wide as a cache line. The word of a message's first slot is written last: its upper 48
// bits are one more than the number of the slot since the ring's beginning, so that what an earlier
// lap left is never taken for a message; below stand its kind and its length, 8 bits each. The words
// of a message's other slots are never written or read: a slot begins messages under
// ever higher numbers only.
type slot struct {
	word uint64
	data [slotData]byte
}

const (
	kindShift   = 8
	numberShift = 16
)

// Armed is the value of Word while its consumer sleeps on it.
const Armed = inFutex

// The values of header.asleep.
const (
	awake     = cdata.LaneAwake
	inFutex   = cdata.LaneInFutex
	elsewhere = 2
)

// header is what both sides write beside the queues, each its own cache lines (processors fetch
// them in pairs).
type header struct {
	// The consumer's.
	taken  uint64 // slots
	read   uint64 // bytes
	asleep uint32 // whether, and on what, it sleeps: the producer clears that when it wakes it
	_      [108]byte
	// The producer's.
	waiting uint32 // whether it sleeps until there is room: the consumer clears that
	_       [124]byte
}

// memory is the whole of a ring. Both sides see it at addresses of their own.
type memory struct {
	header
	_     [headerBytes - unsafe.Sizeof(header{})]byte
	slots [Slots]slot
	area  [AreaBytes]byte
}

// of gives the ring in b, which has Bytes bytes, starts at a cache line, and is zero when the ring is
// new.
func of(b []byte) *memory {
	m := (*memory)(unsafe.Pointer(unsafe.SliceData(b)))
	invariant.Check(len(b) == Bytes && unsafe.Sizeof(*m) == Bytes &&
		uintptr(unsafe.Pointer(m))%slotBytes == 0, "a ring in %d bytes at %p", len(b), m)
	return m
}

func (m *memory) slot(number uint64) *slot { return &m.slots[number%Slots] }

func errCursor(what string, claimed, from, to uint64) error {
	return status.Errorf(status.Corrupt, "the other side claims to have taken %d %s, which can be "+
		"%d to %d", claimed, what, from, to)
}

// clear makes a sleep word awake, and says what it was.
func clearWord(word *uint32) uint32 {
	if atomic.LoadUint32(word) == awake {
		return awake
	}
	return atomic.SwapUint32(word, awake)
}
