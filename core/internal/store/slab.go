package store

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"dcf/vertex/arena"
)

// slab allocates objects of one type outside the Go heap and finds them by index, so that a
// million of them cost the collector nothing. T holds no pointer into the Go heap.
type slab[T any] struct {
	mu     sync.Mutex
	free   []uint32                        // under mu
	next   uint32                          // under mu: the first index never used
	chunks atomic.Pointer[[]*[slabChunk]T] // grows under mu; read without
}

const (
	slabShift = 8
	slabChunk = 1 << slabShift
)

// at gives the object of an index that alloc gave.
func (s *slab[T]) at(index uint32) *T {
	return &(*s.chunks.Load())[index>>slabShift][index&(slabChunk-1)]
}

// alloc gives a zeroed object and its index, or nil if there is no memory.
func (s *slab[T]) alloc() (uint32, *T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		index := s.free[n-1]
		s.free = s.free[:n-1]
		object := s.at(index)
		clear(unsafe.Slice((*byte)(unsafe.Pointer(object)), unsafe.Sizeof(*object)))
		return index, object
	}
	if s.next&(slabChunk-1) == 0 && !s.grow() {
		return 0, nil
	}
	index := s.next
	s.next++
	return index, s.at(index)
}

// grow adds a chunk; the caller holds mu.
func (s *slab[T]) grow() bool {
	block := arena.Alloc(int(unsafe.Sizeof([slabChunk]T{})))
	if block == nil {
		return false
	}
	clear(block)
	var chunks []*[slabChunk]T
	if old := s.chunks.Load(); old != nil {
		chunks = *old
	}
	chunks = append(slices.Clip(chunks), (*[slabChunk]T)(unsafe.Pointer(&block[0])))
	s.chunks.Store(&chunks)
	return true
}

// release gives an object back. Nobody may use it any more.
func (s *slab[T]) release(index uint32) {
	s.mu.Lock()
	s.free = append(s.free, index)
	s.mu.Unlock()
}

// close frees the memory of all objects.
func (s *slab[T]) close() {
	chunks := s.chunks.Swap(nil)
	if chunks == nil {
		return
	}
	for _, chunk := range *chunks {
		arena.Free(unsafe.Slice((*byte)(unsafe.Pointer(chunk)), unsafe.Sizeof(*chunk)))
	}
}
