// Package lane carries small calls between two processes that share memory, one at a time on each of a
// few lanes: the caller's thread writes the call, waits for the answer itself, and nothing of either passes
// through a queue, an encoder or another goroutine. Only calls that are answered at once travel so. All
// else is asked as a frame, and the serving end may say of any call that it wants it as one.
//
// C makes such calls without Go: what it needs for that is laid out in vertex/cdata/lane.h. Like a ring,
// a lane has no lock in the shared memory, and whichever side dies leaves the other one a whole message or
// none. What the other side writes is copied, and then checked.
package lane

import (
	"sync/atomic"
	"unsafe"

	"dcf/core/invariant"
	"dcf/vertex/cdata"
)

const (
	// Watched is how many lanes a connection has for callers of one call: so many threads of a process
	// call at a time. More use frames.
	Watched = cdata.LanesWatched
	// Belled is how many it has beside them for callers of many calls at once.
	Belled = cdata.LanesBelled
	// MaxTogether is how many calls a server takes at a time.
	MaxTogether = 16
	// MaxArguments is how many bytes of arguments a call has at most, where it also has a deadline.
	MaxArguments = cdata.LaneRequestBytes - budgetBytes
	// MaxPart is how many bytes its answer has.
	MaxPart = cdata.LaneReplyBytes
	// MaxTreePart is how many bytes that of a tree has.
	MaxTreePart = MaxPart - treeBytes
	// Bytes is the size of the memory of a connection's lanes, a multiple of the page size.
	Bytes = 48 << 10

	budgetBytes = 8
	codeBytes   = 4
	treeBytes   = 8
	// requestBytes and replyBytes are what a call counts as, besides its data.
	requestBytes = 48
	replyBytes   = 16
)

const _ = uint(Bytes - unsafe.Sizeof(cdata.LaneArea{}))

// area gives the lanes in b, which has Bytes bytes and is zero when they are new.
func area(b []byte) *cdata.LaneArea {
	a := (*cdata.LaneArea)(unsafe.Pointer(unsafe.SliceData(b)))
	invariant.Check(len(b) == Bytes && uintptr(unsafe.Pointer(a))%64 == 0, "lanes in %d bytes at %p", len(b), a)
	return a
}

// word makes the word of a message.
func word(number uint64, kind uint8, size int) uint64 {
	return number<<cdata.LaneNumberShift | uint64(kind)<<cdata.LaneKindShift | uint64(size)
}

// count adds to a counter that one goroutine at a time writes.
func count(counter *atomic.Uint64, n int) { store(counter, counter.Load()+uint64(n)) }

// numbered says whether a message is the one of that number.
func numbered(w *atomic.Uint64, number uint64) bool {
	return w.Load()>>cdata.LaneNumberShift == number&(1<<(64-cdata.LaneNumberShift)-1)
}

// Traffic counts what passed.
type Traffic struct {
	Calls          uint64
	Sent, Received uint64 // bytes
	Spun           uint64 // of the calls, whose caller did not sleep
}
