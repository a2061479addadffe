// Package arena allocates the memory of vertex data outside the Go heap, so that its size never
// costs the collector anything and C may keep pointers to it. It knows nothing of Arrow.
package arena

// #include "arena.h"
import "C"

import "unsafe"

// Align is the alignment of every block, in bytes.
const Align = C.DCF_ARENA_ALIGN

// Large is the size in bytes from which a freed block is kept for reuse.
const Large = C.DCF_ARENA_LARGE

// Alloc gives size bytes of unspecified content, or nil if the system has no memory. The caller
// owns them and calls Free with the same size.
func Alloc(size int) []byte {
	p := C.dcf_arena_alloc(C.size_t(size))
	if p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), size)
}

// Free gives a block of Alloc back. Nobody may use it afterwards.
func Free(block []byte) {
	C.dcf_arena_free(unsafe.Pointer(unsafe.SliceData(block)), C.size_t(len(block)))
}

// copiedByC is the size in bytes from which C copies a block: the collector, which would wait for a copy in Go, goes on.
const copiedByC = 1 << 20

// Copy is copy, for blocks that may be large and share nothing.
func Copy(to, from []byte) int {
	n := min(len(to), len(from))
	if n < copiedByC {
		return copy(to, from)
	}
	C.dcf_arena_copy(unsafe.Pointer(unsafe.SliceData(to)), unsafe.Pointer(unsafe.SliceData(from)), C.size_t(n))
	return n
}

// Keep sets how many bytes freed large blocks of this process may occupy; what is over is
// unmapped at once.
func Keep(bytes int) { C.dcf_arena_keep(C.size_t(bytes)) }

// Usage gives the bytes that are handed out and those that are kept for reuse.
func Usage() (used, kept int) {
	var u, k C.size_t
	C.dcf_arena_usage(&u, &k)
	return int(u), int(k)
}
