package arena

// #include "arena.h"
// #include "segment.h"
import "C"

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"dcf/core/status"
)

// SharedLarge is the size in bytes from which a block lies in a segment, once Share was called.
const SharedLarge = C.DCF_SHARED_LARGE

// Options of Share. The zero value is the default.
type Options struct {
	// Bytes bounds the size of all segments together; 0: MaxSharedBytes. They have pages only where
	// they are used.
	Bytes int64
	// Warm is how many bytes get their pages in the background, so that the first blocks need not
	// wait for them. What may be kept (Keep) bounds it.
	Warm int64
}

// Share makes blocks of at least SharedLarge bytes lie in segments from now on: sealed files in
// memory that a process of the same user may map to read. Blocks of before stay where they are, and
// where a limit or the system is against a segment, ordinary memory has to do. Only the first call
// counts, for the life of the process. It fails with status.Exhausted if the process has no room for
// the range of addresses.
func Share(o Options) error {
	limit := o.Bytes
	if limit <= 0 || limit > MaxSharedBytes {
		limit = MaxSharedBytes
	}
	sharing.lock.Lock()
	defer sharing.lock.Unlock()
	if sharing.on {
		return nil
	}
	if err := C.dcf_arena_share(C.size_t(limit)); err != 0 {
		return osError(status.Exhausted, syscall.Errno(err), "no addresses for shared memory are "+
			"left: raise the limit on address space (ulimit -v) or switch shared memory off")
	}
	sharing.on = true
	if o.Warm > 0 {
		C.dcf_segments_reserve(C.size_t(o.Warm))
		go warm(o.Warm)
	}
	return nil
}

var sharing struct {
	lock sync.Mutex
	on   bool
}

// warmStep is how many bytes get their pages at a time; nobody else gets them meanwhile.
const warmStep = 4 << 20

// warm gives pages to so many bytes of segments, or to as many as there are.
func warm(bytes int64) {
	for bytes > 0 {
		done := C.dcf_segments_warm(C.size_t(min(bytes, warmStep)))
		if done == 0 {
			return
		}
		bytes -= int64(done)
	}
}

// osError makes an error that a call of the system is the cause of.
func osError(code status.Code, errno syscall.Errno, what string) *status.Error {
	e := status.Errorf(code, "arena: %s (%w)", what, errno)
	e.OS = int32(errno)
	return e
}

// segmentSlot is dcf_segment_slot.
type segmentSlot struct {
	id, start atomic.Uint64
	_         uintptr
}

// segmentRange is dcf_segment_range.
type segmentRange struct {
	base, size atomic.Uintptr
	slots      [C.DCF_SEGMENT_SLOTS]segmentSlot
}

// The Go structs have the size of the C ones, or this does not compile.
var (
	_ [C.sizeof_dcf_segment_slot]byte  = [unsafe.Sizeof(segmentSlot{})]byte{}
	_ [C.sizeof_dcf_segment_range]byte = [unsafe.Sizeof(segmentRange{})]byte{}
)

// segments is the range of addresses that has the segments. Where a block lies does not change while
// it is allocated, so it is found without a lock.
var segments = (*segmentRange)(unsafe.Pointer(&C.dcf_segments))

// Locate says in which segment of this process the bytes lie, and where there. They are a part of
// one block, which is not freed meanwhile. ok is false where they lie in other memory.
func Locate(bytes []byte) (segment uint64, offset int64, ok bool) {
	base := segments.base.Load()
	at := uintptr(unsafe.Pointer(unsafe.SliceData(bytes))) - base
	if base == 0 || at >= segments.size.Load() {
		return 0, 0, false
	}
	slot := &segments.slots[at/C.DCF_SEGMENT_SLOT]
	return slot.id.Load(), int64(uint64(at) - slot.start.Load()), true
}

// SegmentFile opens a segment of this process, so that another may Map it: the descriptor is good
// for reading only. The caller closes it. Some block of the segment stays allocated meanwhile; if
// none is, it fails with status.NotFound. Other failures are status.Exhausted or status.Internal.
func SegmentFile(segment uint64) (file *os.File, size int64, err error) {
	var bytes C.size_t
	fd := C.dcf_segments_file(C.uint64_t(segment), &bytes)
	if fd < 0 {
		code := status.Internal
		switch errno := syscall.Errno(-fd); errno {
		case syscall.ENOENT:
			code = status.NotFound
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
			code = status.Exhausted
		}
		return nil, 0, osError(code, syscall.Errno(-fd), "a shared segment cannot be opened")
	}
	return os.NewFile(uintptr(fd), "segment"), int64(bytes), nil
}

// HasSegment says whether a segment of this process, which Locate gave, is still there. One without
// blocks may go at any time; its number is not used again.
func HasSegment(segment uint64) bool { return C.dcf_segments_has(C.uint64_t(segment)) != 0 }

// SharedUsage is what the segments of this process take.
type SharedUsage struct {
	Segments int
	Bytes    int64 // their size; not all of it has pages
	Kept     int64 // bytes that are free and have pages, and those that forked children may still read
	Refused  int64 // blocks that lie in ordinary memory, because a limit was reached

	// Descriptors of the process that this takes. They stay open for what comes next.
	Descriptors int
}

// Shared gives what segments take.
func Shared() SharedUsage {
	var u C.dcf_segments_usage
	C.dcf_segments_count(&u)
	return SharedUsage{int(u.segments), int64(u.bytes), int64(u.kept), int64(u.refused),
		int(u.descriptors)}
}
