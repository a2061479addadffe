package udf

import (
	"unsafe"

	"dcf/vertex/arena"
)

// Scratch is memory outside the Go heap for the length of one wave or fold: a program that calls
// into C builds its arguments there. The zero Scratch is ready; one goroutine uses it at a time.
type Scratch struct {
	block []byte
	used  int
	extra [][]byte
}

// A Scratch keeps a block from wave to wave, of the first size, and of the second one once that was
// too small.
const (
	firstBlockBytes = 4 << 10
	nextBlockBytes  = 64 << 10
)

// Alloc gives size bytes, perhaps none, of unspecified content, aligned to 64 bytes, valid until Reset.
func (s *Scratch) Alloc(size int) unsafe.Pointer {
	rounded := (max(size, 1) + arena.Align - 1) &^ (arena.Align - 1)
	if s.used+rounded > len(s.block) {
		return s.allocSlow(rounded)
	}
	p := unsafe.Pointer(&s.block[s.used])
	s.used += rounded
	return p
}

func (s *Scratch) allocSlow(size int) unsafe.Pointer {
	if s.block == nil && size <= firstBlockBytes {
		s.block = arena.Alloc(firstBlockBytes)
		return s.Alloc(size)
	}
	extra := arena.Alloc(max(size, arena.Align))
	s.extra = append(s.extra, extra)
	return unsafe.Pointer(unsafe.SliceData(extra))
}

// Reset makes all memory of the scratch free for reuse.
func (s *Scratch) Reset() {
	s.used = 0
	if len(s.extra) > 0 {
		s.freeExtra()
	}
}

func (s *Scratch) freeExtra() {
	for _, block := range s.extra {
		arena.Free(block)
	}
	clear(s.extra)
	s.extra = s.extra[:0]
	if len(s.block) < nextBlockBytes {
		arena.Free(s.block)
		s.block = arena.Alloc(nextBlockBytes)
	}
}

// Close frees the scratch's memory; it is then like a zero Scratch.
func (s *Scratch) Close() {
	s.Reset()
	arena.Free(s.block)
	s.block = nil
}
