package main

import (
	"slices"
	"sync"
	"sync/atomic"

	"dcf/core/status"
)

// A handle is 4 bits of kind, 28 of generation and 32 of slot, from the top. Kinds start at 1, so
// zero is no handle. A slot's tag is kind and generation of the handle that is open on it or will
// be next; closing one makes a new tag, so what was given out before is stale.
const (
	kindShift      = 28 // within the tag
	lastGeneration = 1<<kindShift - 1
	chunkShift     = 10
	chunkSlots     = 1 << chunkShift
)

// slot holds one object. The tag changes before the object goes and after it came, so whoever reads
// the object first and then the right tag has the right object.
type slot[T any] struct {
	tag    atomic.Uint32
	object atomic.Pointer[T]
}

type chunk[T any] [chunkSlots]slot[T]

// table holds the open handles of one kind. Looking one up takes no lock.
type table[T any] struct {
	kind   uint32
	name   string
	chunks atomic.Pointer[[]*chunk[T]] // replaced by a longer one, never changed

	mu   sync.Mutex // for all that changes
	free []uint32   // slots without an object
	next uint32     // slots from here on were never used
	live atomic.Int64
}

func newTable[T any](kind uint32, name string) *table[T] {
	t := &table[T]{kind: kind, name: name}
	t.chunks.Store(&[]*chunk[T]{})
	return t
}

func (t *table[T]) slot(handle uint64) *slot[T] {
	chunks, i := *t.chunks.Load(), uint32(handle)
	if int(i>>chunkShift) >= len(chunks) {
		return nil
	}
	return &chunks[i>>chunkShift][i%chunkSlots]
}

// get gives the object of an open handle, or nil.
func (t *table[T]) get(handle uint64) *T {
	chunks, i := *t.chunks.Load(), uint32(handle)
	if int(i>>chunkShift) < len(chunks) {
		s := &chunks[i>>chunkShift][i%chunkSlots]
		if object := s.object.Load(); s.tag.Load() == uint32(handle>>32) {
			return object
		}
	}
	return nil
}

// must is get with the error of a handle that is not open.
func (t *table[T]) must(handle uint64) (*T, error) {
	if object := t.get(handle); object != nil {
		return object, nil
	}
	return nil, t.bad(handle)
}

func (t *table[T]) bad(handle uint64) error {
	if handle == 0 {
		return status.Errorf(status.BadHandle, "the %s handle is zero: open one first", t.name)
	}
	if kind := uint32(handle >> 60); kind != t.kind {
		return status.Errorf(status.BadHandle, "%#x is no handle of a %s", handle, t.name)
	}
	return status.Errorf(status.BadHandle, "the %s handle %#x was given back, or never opened",
		t.name, handle)
}

// open gives object a handle.
func (t *table[T]) open(object *T) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.next
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
	} else if err := t.extend(); err != nil {
		return 0, err
	}
	s := t.slot(uint64(i))
	s.object.Store(object)
	t.live.Add(1)
	return uint64(s.tag.Load())<<32 | uint64(i), nil
}

// extend makes the slot at t.next usable.
func (t *table[T]) extend() error {
	if t.next >= MaxHandles {
		return status.Errorf(status.Exhausted, "%d %s handles are open (MaxHandles): give some back",
			MaxHandles, t.name)
	}
	if t.next%chunkSlots == 0 {
		fresh := new(chunk[T])
		for i := range fresh {
			fresh[i].tag.Store(t.kind<<kindShift | 1)
		}
		old := *t.chunks.Load()
		longer := append(slices.Clip(old), fresh)
		t.chunks.Store(&longer)
	}
	t.next++
	return nil
}

// each calls f with every open handle. f must not open or close handles.
func (t *table[T]) each(f func(handle uint64, object *T)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.next {
		s := t.slot(uint64(i))
		if object := s.object.Load(); object != nil {
			f(uint64(s.tag.Load())<<32|uint64(i), object)
		}
	}
}

// close makes the handle stale and gives its object; the error of a handle that is not open.
func (t *table[T]) close(handle uint64) (*T, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	object := t.get(handle)
	if object == nil {
		return nil, t.bad(handle)
	}
	s := t.slot(handle)
	s.tag.Add(1)
	s.object.Store(nil)
	// After its last generation a slot is never used again: no handle comes twice.
	if uint32(handle>>32)&lastGeneration < lastGeneration-1 {
		t.free = append(t.free, uint32(handle))
	}
	t.live.Add(-1)
	return object, nil
}
