package once

import (
	"encoding/binary"
	"math/bits"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// none is no slot.
const none int32 = -1

type state uint8

const (
	free    state = iota
	running       // its ticket is valid
	applied       // with its outcome
	failed        // nothing was applied; with its error where there was room
)

// entry is one update. Its key is owner, sequence, vertex and path, compared in full.
type entry[T any] struct {
	owner      *caller // nil: nobody can ask for it again
	sequence   uint64
	hash       uint64
	vertex     vertex.ID
	short      [inlinePath]uint32
	long       []uint32 // where the path does not fit
	length     int32    // of the path where it fits
	next       int32    // the next entry of equal hash, or of the free list
	heap       int32    // position in the owner's heap
	generation uint32
	state      state
	waited     bool
	bytes      int64
	outcome    T
	err        *status.Error
}

func (e *entry[T]) path() []uint32 {
	if e.long != nil {
		return e.long
	}
	return e.short[:e.length]
}

// cost is what the entry counts against the limits of bytes with an outcome of a size.
func (e *entry[T]) cost(outcome int64) int64 {
	if outcome < 0 || outcome > 1<<62 {
		outcome = 1 << 62
	}
	return entryBytes + 4*int64(len(e.long)) + outcome
}

func (e *entry[T]) ticket(slot int32) Ticket {
	return Ticket(uint64(e.generation)<<32 | uint64(uint32(slot)))
}

// table holds entries in slots that are used again, and finds them by hash.
type table[T any] struct {
	entries []entry[T]
	index   map[uint64]int32 // hash to the first entry of a chain
	free    int32
	used    int
}

func newTable[T any]() table[T] { return table[T]{index: map[uint64]int32{}, free: none} }

func (t *table[T]) find(hash uint64, owner *caller, sequence uint64, id vertex.ID,
	path []uint32) int32 {
	slot, ok := t.index[hash]
	if !ok {
		return none
	}
	for ; slot != none; slot = t.entries[slot].next {
		e := &t.entries[slot]
		if e.sequence == sequence && e.owner == owner && e.vertex == id &&
			equalPath(e.path(), path) {
			return slot
		}
	}
	return none
}

// insert takes a slot for a running update and puts it into the index.
func (t *table[T]) insert(hash uint64, owner *caller, sequence uint64, id vertex.ID,
	path []uint32) int32 {
	slot := t.free
	if slot == none {
		slot = int32(len(t.entries))
		t.entries = append(t.entries, entry[T]{})
	} else {
		t.free = t.entries[slot].next
	}
	t.used++
	e := &t.entries[slot]
	e.owner, e.sequence, e.vertex, e.hash, e.state = owner, sequence, id, hash, running
	if len(path) <= inlinePath {
		e.length = int32(copy(e.short[:], path))
	} else {
		e.long = append([]uint32(nil), path...)
	}
	e.next = none
	if first, ok := t.index[hash]; ok {
		e.next = first
	}
	t.index[hash] = slot
	return slot
}

// unindex takes an entry out of the index and out of its owner's heap. Its ticket stays valid.
func (t *table[T]) unindex(slot int32) {
	e := &t.entries[slot]
	t.pop(e.owner, e.heap)
	first := t.index[e.hash]
	switch {
	case first != slot:
		for t.entries[first].next != slot {
			first = t.entries[first].next
		}
		t.entries[first].next = e.next
	case e.next == none:
		delete(t.index, e.hash)
	default:
		t.index[e.hash] = e.next
	}
}

// remove gives the slot of an unindexed entry back.
func (t *table[T]) remove(slot int32) {
	t.entries[slot] = entry[T]{next: t.free}
	t.free = slot
	t.used--
	if t.used == 0 && len(t.entries) > keptSlots {
		*t = newTable[T]()
	}
}

// push puts an entry into its owner's heap. Sequences come nearly in order, so it seldom moves.
func (t *table[T]) push(c *caller, slot int32) {
	c.heap = append(c.heap, slot)
	t.up(c, int32(len(c.heap)-1))
}

// pop takes the entry at a position out of the heap.
func (t *table[T]) pop(c *caller, position int32) {
	last := int32(len(c.heap) - 1)
	moved := c.heap[last]
	c.heap = c.heap[:last]
	if position == last {
		return
	}
	t.place(c, position, moved)
	t.down(c, position)
	t.up(c, t.entries[moved].heap)
}

func (t *table[T]) up(c *caller, position int32) {
	slot := c.heap[position]
	for position > 0 {
		parent := (position - 1) / 2
		if t.entries[c.heap[parent]].sequence <= t.entries[slot].sequence {
			break
		}
		t.place(c, position, c.heap[parent])
		position = parent
	}
	t.place(c, position, slot)
}

func (t *table[T]) down(c *caller, position int32) {
	slot := c.heap[position]
	for {
		child := 2*position + 1
		if int(child) >= len(c.heap) {
			break
		}
		if right := child + 1; int(right) < len(c.heap) &&
			t.entries[c.heap[right]].sequence < t.entries[c.heap[child]].sequence {
			child = right
		}
		if t.entries[slot].sequence <= t.entries[c.heap[child]].sequence {
			break
		}
		t.place(c, position, c.heap[child])
		position = child
	}
	t.place(c, position, slot)
}

func (t *table[T]) place(c *caller, position, slot int32) {
	c.heap[position] = slot
	t.entries[slot].heap = position
}

func equalPath(a, b []uint32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// hashOf spreads keys over the index. It needs no strength: keys are compared in full.
func hashOf(caller wire.Identity, sequence uint64, id vertex.ID, path []uint32) uint64 {
	h := mix(caller.Node^uint64(caller.Incarnation)<<32, sequence)
	h = mix(h^binary.LittleEndian.Uint64(id[:]), binary.LittleEndian.Uint64(id[8:]))
	for _, step := range path {
		h = mix(h, uint64(step))
	}
	return h
}

// mix folds the 128-bit product of its arguments, as wyhash does; the constants are its own.
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db)
	return high ^ low
}
