package store

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"

	"dcf/vertex"
)

// table finds a vertex's index by its id. It is split into shards by the id; each is an open
// addressing table without pointers that readers search without a lock: a writer makes the shard's
// sequence odd while it changes entries, and a reader that saw it change looks again.
type table struct {
	shards [tableShards]tableShard
}

const (
	tableShards   = 64
	tableMinSlots = 16
)

type tableShard struct {
	mu       sync.Mutex
	sequence atomic.Uint64
	slots    atomic.Pointer[[]tableSlot]
	live     int // under mu
	used     int // under mu: live entries and tombstones
	_        [24]byte
}

// tableSlot is an id and the vertex's index plus one: 0 is a slot never used, tombstone one whose
// vertex is gone.
type tableSlot struct{ high, low, index atomic.Uint64 }

const tombstone = ^uint64(0)

func words(id vertex.ID) (high, low uint64) {
	return binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:])
}

// mix spreads the bits of an id (the finaliser of MurmurHash3): counters of unnamed ids are dense.
func mix(high, low uint64) uint64 {
	h := high*0x9E3779B97F4A7C15 ^ low
	h ^= h >> 33
	h *= 0xFF51AFD7ED558CCD
	h ^= h >> 33
	h *= 0xC4CEB9FE1A85EC53
	return h ^ h>>33
}

func (t *table) find(id vertex.ID) (uint32, bool) {
	high, low := words(id)
	hash := mix(high, low)
	shard := &t.shards[hash>>58]
	for {
		before := shard.sequence.Load()
		if before&1 == 0 {
			index := shard.search(high, low, hash)
			if shard.sequence.Load() == before {
				return uint32(index - 1), index != 0
			}
		}
		runtime.Gosched() // a writer is at work; it may need this processor
	}
}

// search gives the index plus one, or 0.
func (s *tableShard) search(high, low, hash uint64) uint64 {
	slots := s.slots.Load()
	if slots == nil {
		return 0
	}
	mask := uint64(len(*slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		slot := &(*slots)[at]
		switch index := slot.index.Load(); {
		case index == 0:
			return 0
		case index != tombstone && slot.low.Load() == low && slot.high.Load() == high:
			return index
		}
	}
}

// insert adds an id, and reports false where it is there already.
func (t *table) insert(id vertex.ID, index uint32) bool {
	high, low := words(id)
	hash := mix(high, low)
	shard := &t.shards[hash>>58]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.search(high, low, hash) != 0 {
		return false
	}
	if slots := shard.slots.Load(); slots == nil || (shard.used+1)*4 > len(*slots)*3 {
		shard.rebuild()
	}
	shard.sequence.Add(1)
	shard.put(*shard.slots.Load(), high, low, uint64(index)+1)
	shard.sequence.Add(1)
	shard.live++
	shard.used++
	return true
}

func (s *tableShard) put(slots []tableSlot, high, low, index uint64) {
	mask := uint64(len(slots) - 1)
	at := mix(high, low) & mask
	for slots[at].index.Load() != 0 {
		at = (at + 1) & mask
	}
	slots[at].high.Store(high)
	slots[at].low.Store(low)
	slots[at].index.Store(index)
}

// rebuild makes a table without tombstones that is at most half full.
func (s *tableShard) rebuild() {
	size := tableMinSlots
	for size < 2*(s.live+1) {
		size *= 2
	}
	fresh := make([]tableSlot, size)
	if old := s.slots.Load(); old != nil {
		for i := range *old {
			slot := &(*old)[i]
			if index := slot.index.Load(); index != 0 && index != tombstone {
				s.put(fresh, slot.high.Load(), slot.low.Load(), index)
			}
		}
	}
	s.slots.Store(&fresh)
	s.used = s.live
}

// remove takes an id out if it still belongs to that index.
func (t *table) remove(id vertex.ID, index uint32) {
	high, low := words(id)
	hash := mix(high, low)
	shard := &t.shards[hash>>58]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	slots := shard.slots.Load()
	if slots == nil || shard.search(high, low, hash) != uint64(index)+1 {
		return
	}
	mask := uint64(len(*slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		slot := &(*slots)[at]
		if slot.index.Load() == uint64(index)+1 && slot.low.Load() == low && slot.high.Load() == high {
			shard.sequence.Add(1)
			slot.index.Store(tombstone)
			shard.sequence.Add(1)
			shard.live--
			return
		}
	}
}

// each calls f with the index of every vertex, in no order, until f says false.
func (t *table) each(f func(index uint32) bool) {
	for i := range t.shards {
		shard := &t.shards[i]
		shard.mu.Lock()
		var found []uint32
		if slots := shard.slots.Load(); slots != nil {
			for j := range *slots {
				if index := (*slots)[j].index.Load(); index != 0 && index != tombstone {
					found = append(found, uint32(index-1))
				}
			}
		}
		shard.mu.Unlock()
		for _, index := range found {
			if !f(index) {
				return
			}
		}
	}
}
