package cluster

import (
	"dcf/vertex"
	"dcf/wire"
)

// owners is a bounded cache of who owns what. An entry that was used since the hand last passed
// it gets a second chance. It holds no pointers but its two tables.
type owners struct {
	limit int
	slots []cached
	index map[vertex.ID]int32
	hand  int
}

type cached struct {
	id    vertex.ID
	owner wire.Identity
	used  bool
}

func newOwners(limit int) owners { return owners{limit: limit, index: map[vertex.ID]int32{}} }

func (o *owners) get(id vertex.ID) (wire.Identity, bool) {
	slot, ok := o.index[id]
	if !ok {
		return wire.Identity{}, false
	}
	o.slots[slot].used = true
	return o.slots[slot].owner, true
}

func (o *owners) put(id vertex.ID, owner wire.Identity) {
	if slot, ok := o.index[id]; ok {
		o.slots[slot].owner = owner
		return
	}
	if len(o.slots) < o.limit {
		o.index[id] = int32(len(o.slots))
		o.slots = append(o.slots, cached{id: id, owner: owner})
		return
	}
	for o.slots[o.hand].used {
		o.slots[o.hand].used = false
		o.hand = (o.hand + 1) % len(o.slots)
	}
	if at, ok := o.index[o.slots[o.hand].id]; ok && int(at) == o.hand {
		delete(o.index, o.slots[o.hand].id)
	}
	o.slots[o.hand] = cached{id: id, owner: owner}
	o.index[id] = int32(o.hand)
	o.hand = (o.hand + 1) % len(o.slots)
}

// drop forgets an owner. Its slot is the first to be used again when the hand comes by.
func (o *owners) drop(id vertex.ID) {
	if slot, ok := o.index[id]; ok {
		delete(o.index, id)
		o.slots[slot].used = false
	}
}
