package store

import (
	"unsafe"

	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// Record is one vertex that this worker owns. It lies outside the Go heap. Its current version is
// read under a pin; everything else that changes is changed under its lock.
//
// A record is freed when it has left the table and the last handle on it is released.
type Record struct{ c cdata.Record } // a dcf_record to C

// Version is one state of a vertex: a value, children, a number. It lies outside the Go heap and
// does not change, but for its views. It is freed when it was replaced and no pin that could have
// seen it is left.
type Version struct {
	c     cdata.Version // a dcf_vertex_version to C
	state udf.State     // the same as functions see it
}

// ID gives the vertex's id.
func (r *Record) ID() vertex.ID { return r.c.ID }

// Birth gives a number, not 0, that tells the vertex from an earlier or later one of its id.
func (r *Record) Birth() uint64 { return r.c.Birth }

// Is says whether the record is of the vertex that somebody means: of that birth, or of any where
// that is 0.
func (r *Record) Is(birth uint64) bool { return birth == 0 || birth == r.c.Birth }

// Name gives the vertex's name, empty where it has none.
func (r *Record) Name() string {
	return string(unsafe.Slice((*byte)(r.c.Name), r.c.NameSize))
}

// Current gives the newest version, or nil if the vertex was dropped. The caller holds a pin and
// keeps it for as long as it uses the version.
func (r *Record) Current() *Version { return (*Version)(unsafe.Pointer(r.c.Current.Load())) }

// Parents gives the parents that the index knows, valid under the caller's pin.
func (r *Record) Parents() []vertex.ID { return listOf(r.c.Parents.Load()).ids() }

// publish makes a version (nil: none any more) the current one and gives the one before.
func (r *Record) publish(v *Version) (old *Version) {
	return (*Version)(unsafe.Pointer(r.c.Current.Swap((*cdata.Version)(unsafe.Pointer(v)))))
}

// Number gives the version's number, which no other version of the vertex has.
func (v *Version) Number() uint64 { return v.c.Number }

// Batch gives the value, valid under the caller's pin; nil: none.
func (v *Version) Batch() *vertex.Batch { return (*vertex.Batch)(unsafe.Pointer(v.c.Batch)) }

// Children gives the list of children, valid under the caller's pin.
func (v *Version) Children() []vertex.ID { return v.list().ids() }

func (v *Version) list() *idList { return listOf(v.c.Children) }

// State gives what a calculate is shown of the version, valid under the caller's pin.
func (v *Version) State() *udf.State { return &v.state }

// Group says that a call on the vertex runs on its children instead.
func (v *Version) Group() bool { return v.c.Group != 0 }

func (v *Version) setGroup(group bool) {
	v.c.Group = 0
	if group {
		v.c.Group = 1
	}
}

// idList is an immutable list of ids outside the Go heap, counted by the versions that share it.
type idList struct{ c cdata.IDList }

func listOf(c *cdata.IDList) *idList { return (*idList)(unsafe.Pointer(c)) }

func (l *idList) address() *cdata.IDList { return (*cdata.IDList)(unsafe.Pointer(l)) }

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
	list.c.Refs.Store(1)
	list.c.Count = uint32(len(ids))
	copy(list.ids(), ids)
	return list, true
}

func (l *idList) ids() []vertex.ID {
	return vertex.IDsOf(l.address())
}

func (l *idList) retain() *idList {
	if l != nil {
		l.c.Refs.Add(1)
	}
	return l
}

func (l *idList) release() {
	if l != nil && l.c.Refs.Add(-1) == 0 {
		arena.Free(unsafe.Slice((*byte)(unsafe.Pointer(l)), idListHeader+int(l.c.Count)*len(vertex.ID{})))
	}
}

func (l *idList) bytes() int64 {
	if l == nil {
		return 0
	}
	return int64(idListHeader) + int64(l.c.Count)*int64(len(vertex.ID{}))
}
