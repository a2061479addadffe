package store

import (
	"sync/atomic"
	"unsafe"

	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// Record is one vertex that this worker owns. It lies outside the Go heap. Its current version is
// read under a pin; everything else that changes is changed under its lock.
//
// A record is freed when it has left the table and the last handle on it is released.
type Record struct {
	id      vertex.ID
	current atomic.Pointer[Version] // nil once the vertex is dropped
	parents atomic.Pointer[idList]  // nil: none known
	name    unsafe.Pointer          // nameSize bytes of the arena, fixed
	nameLen uint32
	index   uint32 // in the slab
	lock    atomic.Uint32
	refs    atomic.Int32 // one for the table, one a handle
}

// Version is one state of a vertex: a value, children, a number. It lies outside the Go heap and
// does not change, but for its views. It is freed when it was replaced and no pin that could have
// seen it is left.
type Version struct {
	number   uint64
	batch    *vertex.Batch // one reference, or nil: no value
	children *idList       // nil: none; shared with the next version unless that changes it
	views    cdata.Views
	index    uint32
	group    bool
}

// ID gives the vertex's id.
func (r *Record) ID() vertex.ID { return r.id }

// Name gives the vertex's name, empty where it has none.
func (r *Record) Name() string {
	return string(unsafe.Slice((*byte)(r.name), r.nameLen))
}

// Current gives the newest version, or nil if the vertex was dropped. The caller holds a pin and
// keeps it for as long as it uses the version.
func (r *Record) Current() *Version { return r.current.Load() }

// Parents gives the parents that the index knows, valid under the caller's pin.
func (r *Record) Parents() []vertex.ID { return r.parents.Load().ids() }

// Number gives the version's number, which no other version of the vertex has.
func (v *Version) Number() uint64 { return v.number }

// Batch gives the value, valid under the caller's pin; nil: none.
func (v *Version) Batch() *vertex.Batch { return v.batch }

// Children gives the list of children, valid under the caller's pin.
func (v *Version) Children() []vertex.ID { return v.children.ids() }

// Group says that a call on the vertex runs on its children instead.
func (v *Version) Group() bool { return v.group }

// Views gives the cache of what languages made of this version.
func (v *Version) Views() *cdata.Views { return &v.views }

// idList is an immutable list of ids outside the Go heap, counted by the versions that share it.
type idList struct {
	refs  atomic.Int32
	count uint32
	_     [56]byte
	// count ids follow
}

const idListHeader = int(unsafe.Sizeof(idList{}))

// newIDList copies ids; nil for none, and ok false when there is no memory.
func newIDList(ids []vertex.ID) (list *idList, ok bool) {
	if len(ids) == 0 {
		return nil, true
	}
	block := arena.Alloc(idListHeader + len(ids)*len(vertex.ID{}))
	if block == nil {
		return nil, false
	}
	list = (*idList)(unsafe.Pointer(&block[0]))
	list.refs.Store(1)
	list.count = uint32(len(ids))
	copy(list.ids(), ids)
	return list, true
}

func (l *idList) ids() []vertex.ID {
	if l == nil {
		return nil
	}
	return unsafe.Slice((*vertex.ID)(unsafe.Add(unsafe.Pointer(l), idListHeader)), l.count)
}

func (l *idList) retain() *idList {
	if l != nil {
		l.refs.Add(1)
	}
	return l
}

func (l *idList) release() {
	if l != nil && l.refs.Add(-1) == 0 {
		arena.Free(unsafe.Slice((*byte)(unsafe.Pointer(l)), idListHeader+int(l.count)*len(vertex.ID{})))
	}
}

func (l *idList) bytes() int64 {
	if l == nil {
		return 0
	}
	return int64(idListHeader) + int64(l.count)*int64(len(vertex.ID{}))
}
