package vertex

import (
	"sync"
	"unsafe"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// Shared gives the batch in memory that other processes of the host may map: b itself where its
// large buffers lie in segments of the arena, else a copy, which is made at the first call and
// belongs to b until b is freed. The caller releases what it gets, which may outlive b.
//
// Where segments are not to be had, because nothing is shared in this process or a limit is
// reached, it gives b. The copy is not part of Bytes.
func (b *Batch) Shared() *Batch {
	if twin := b.c.Twin.Load(); twin != nil {
		return batchOf(twin).Retain()
	}
	if b.shared() {
		return b.Retain()
	}
	making := &twins[uintptr(unsafe.Pointer(b))/64%uintptr(len(twins))]
	making.Lock()
	defer making.Unlock()
	if twin := b.c.Twin.Load(); twin != nil {
		return batchOf(twin).Retain()
	}
	d := draftOf(b)
	defer d.free()
	twin, err := d.copyTo(newSharedBody)
	if err != nil {
		return b.Retain()
	}
	b.c.Twin.Store((*cdata.Batch)(unsafe.Pointer(twin)))
	return twin.Retain()
}

// twins are the locks under which twins are made: of one batch one at a time.
var twins [16]sync.Mutex

// shared says whether all large buffers lie in segments.
func (b *Batch) shared() bool {
	buffers := b.c.AllBuffers()
	for i, size := range b.c.AllSizes() {
		if size < arena.SharedLarge {
			continue
		}
		if _, _, ok := arena.Locate(buffer{buffers[i], size}.bytes()); !ok {
			return false
		}
	}
	return true
}

// newSharedBody is NewBody in a segment. It fails with status.Exhausted where there is none.
func newSharedBody(size int) (*Body, error) {
	body, err := NewBody(size)
	if err != nil {
		return nil, err
	}
	if _, _, ok := arena.Locate(body.Bytes()); !ok {
		body.Release()
		return nil, status.Errorf(status.Exhausted,
			"no shared memory is left for %d bytes: free some, or raise its limits", size)
	}
	return body, nil
}
