package vertex

import "sync/atomic"

// slotTable keeps Go values for memory outside the Go heap, which can refer to one by its number
// only. get needs no lock; the caller of put and remove has one.
type slotTable[T any] struct {
	values atomic.Pointer[[]atomic.Pointer[T]]
	free   []uint64
}

// get gives the value of a slot that is in use.
func (t *slotTable[T]) get(slot uint64) *T { return (*t.values.Load())[slot].Load() }

// all gives the slots, of which those that are not in use have nil.
func (t *slotTable[T]) all() []atomic.Pointer[T] {
	if p := t.values.Load(); p != nil {
		return *p
	}
	return nil
}

// put gives a value a slot.
func (t *slotTable[T]) put(value *T) uint64 {
	if len(t.free) == 0 {
		t.grow()
	}
	slot := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.all()[slot].Store(value)
	return slot
}

// remove makes a slot free for another value.
func (t *slotTable[T]) remove(slot uint64) {
	t.all()[slot].Store(nil)
	t.free = append(t.free, slot)
}

// grow replaces the values by twice as many. Who reads the old ones meanwhile finds in them what is
// in use: slots change only under the caller's lock.
func (t *slotTable[T]) grow() {
	old := t.all()
	values := make([]atomic.Pointer[T], max(2*len(old), 16))
	for i := range old {
		values[i].Store(old[i].Load())
	}
	for i := len(values) - 1; i >= len(old); i-- {
		t.free = append(t.free, uint64(i))
	}
	t.values.Store(&values)
}
