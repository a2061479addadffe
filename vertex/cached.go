package vertex

import (
	"sync"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/vertex/cdata"
)

// cachedRecords are the records that lists of views refer to. Records are Go objects, so a list,
// which is C's, has a slot. C drops slots on any thread, and each insert removes what was dropped.
var cachedRecords struct {
	slots slotTable[arrow.Record]
	lock  sync.Mutex
}

// recordKey is the address that stands for records in a list of views.
var recordKey = cdata.DropSlot()

// CachedRecord gives b.Record(), and the same one again as long as views, which belong to the
// version of a vertex whose value is b, are not cleared. views may be nil.
func CachedRecord(b *Batch, views *cdata.Views) arrow.Record {
	if views == nil {
		return b.Record()
	}
	if view := views.Get(recordKey); view != nil {
		return *cachedRecords.slots.get((*cdata.Slot)(view).Number)
	}
	r := b.Record()
	slot := cdata.NewSlot(0)
	if slot == nil {
		return r
	}
	slot.Number = keepRecord(&r)
	if !views.Set(recordKey, unsafe.Pointer(slot), cdata.DropSlot()) {
		slot.Drop() // another was first
	}
	return r
}

// keepRecord gives a record a slot, and removes those that were dropped.
func keepRecord(r *arrow.Record) uint64 {
	cachedRecords.lock.Lock()
	defer cachedRecords.lock.Unlock()
	cdata.DroppedSlots(cachedRecords.slots.remove)
	return cachedRecords.slots.put(r)
}
