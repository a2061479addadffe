package store

import (
	"slices"
	"unsafe"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/cdata"
)

// A version number is an epoch, 24 bits, above a count, 40 bits.
const (
	countBits = 40
	countMask = 1<<countBits - 1
)

// firstVersion gives the number of a new vertex's first version: beyond every count that a dropped
// vertex of this store had, so that a name that is used again does not repeat a version.
func firstVersion(epoch uint32, births uint64) uint64 {
	return uint64(max(epoch, 1))<<countBits | births + 1
}

// size is what a version counts against the memory limit.
func size(batch *vertex.Batch, children *idList) int64 {
	n := children.bytes()
	if batch != nil {
		n += batch.Bytes()
	}
	return n
}

func (v *Version) size() int64 { return size(v.Batch(), v.list()) }

// newVersion makes a version of r that owns batch and either shares list or copies ids.
func (s *Store) newVersion(r *Record, number uint64, batch *vertex.Batch, list *idList, ids []vertex.ID) (*Version, error) {
	if len(ids) > MaxChildren {
		return nil, status.Errorf(status.Exhausted, "a vertex has at most %d children (MaxChildren)", MaxChildren)
	}
	if list != nil {
		list.retain()
	} else if made, ok := newIDList(ids); ok {
		list = made
	} else {
		return nil, errMemory()
	}
	bytes := size(batch, list)
	if err := s.charge(bytes); err != nil {
		list.release()
		return nil, err
	}
	index, v := s.versions.alloc()
	if v == nil {
		list.release()
		s.bytes.Add(-bytes)
		return nil, errMemory()
	}
	v.c.Number, v.c.Index = number, index
	v.c.Children = list.address()
	v.c.SetBatch((*cdata.Batch)(unsafe.Pointer(batch)))
	v.state = udf.State{Vertex: r.c.ID, Version: number, Batch: batch, Children: list.ids(),
		Views: &v.c.Views, Edges: &r.c.Parents}
	return v, nil
}

// charge takes bytes from the memory limit.
func (s *Store) charge(bytes int64) error {
	if used := s.bytes.Add(bytes); used > s.limit && bytes > 0 {
		s.Reclaim()
		if used = s.bytes.Load(); used > s.limit {
			s.bytes.Add(-bytes)
			return status.Errorf(status.Exhausted,
				"%d more bytes would make %d, over the memory limit of %d: drop vertices, raise the "+
					"limit, or add a worker", bytes, used, s.limit)
		}
	}
	return nil
}

// Reserve counts bytes of a value in the making against the memory limit; Unreserve ends that.
func (s *Store) Reserve(bytes int64) error { return s.charge(bytes) }

// Unreserve ends what Reserve began. A negative number begins it whatever the limit is.
func (s *Store) Unreserve(bytes int64) { s.bytes.Add(-bytes) }

func (s *Store) freeVersion(v *Version) {
	s.bytes.Add(-v.size())
	v.c.Views.Clear()
	if b := v.Batch(); b != nil {
		b.Release()
	}
	v.list().release()
	s.versions.release(v.c.Index)
}

// Change is what becomes of a vertex in one step. The store takes over the reference to Value when
// the change is applied.
type Change struct {
	SetValue bool
	Value    *vertex.Batch // with SetValue; nil: no value
	Add      []vertex.ID   // appended to the children
	Remove   []vertex.ID   // the first of each is taken out of the children
	Replace  bool          // the vertex is made anew: Add is the whole new list, Group counts
	Group    bool
}

// Prepared is a change that is ready to be published; exactly one of Publish and Discard follows.
type Prepared struct {
	record  *Record
	old     *Version
	next    *Version
	carried bool // the value is the old version's
}

// Prepare does everything of a change that can fail. The caller holds the record's lock until the
// change is published or discarded. Expected is the version that must be current, or 0: another
// one gives status.Aborted, a dropped vertex status.NotFound. The reference to Value is taken over
// when the change is published.
func (s *Store) Prepare(r *Record, expected uint64, c Change) (Prepared, error) {
	old := r.Current()
	if old == nil {
		return Prepared{}, errGone(r)
	}
	if expected != 0 && old.c.Number != expected {
		return Prepared{}, status.Errorf(status.Aborted,
			"vertex %s is at version %d, not at %d: read it again and start over",
			describe(r.c.ID, r.Name()), old.c.Number, expected).WithVertex(r.c.ID)
	}
	batch := old.Batch()
	if c.SetValue {
		batch = c.Value
	}
	list, ids, err := c.children(old)
	if err != nil {
		return Prepared{}, err
	}
	next, err := s.newVersion(r, old.c.Number+1, batch, list, ids)
	if err != nil {
		return Prepared{}, err
	}
	next.c.Group = old.c.Group
	if c.Replace {
		next.setGroup(c.Group)
	}
	return Prepared{r, old, next, !c.SetValue}, nil
}

// Publish makes a prepared change the newest version and gives its number.
func (s *Store) Publish(p Prepared) uint64 {
	if b := p.next.Batch(); p.carried && b != nil {
		b.Retain()
	}
	p.record.publish(p.next)
	number := p.next.c.Number // a reader may retire it from here on
	s.retire(retiredItem{version: p.old})
	return number
}

// Discard gives a prepared change up.
func (s *Store) Discard(p Prepared) {
	s.bytes.Add(-size(p.next.Batch(), nil))
	p.next.c.Batch = nil // stays whose it was
	s.freeVersion(p.next)
}

// Apply prepares a change and publishes it.
func (s *Store) Apply(r *Record, expected uint64, c Change) (uint64, error) {
	p, err := s.Prepare(r, expected, c)
	if err != nil {
		return 0, err
	}
	return s.Publish(p), nil
}

// children gives the new list of children: the old one to share, or ids to copy.
func (c *Change) children(old *Version) (*idList, []vertex.ID, error) {
	if c.Replace {
		return nil, c.Add, nil
	}
	if len(c.Add)+len(c.Remove) == 0 {
		return old.list(), nil, nil
	}
	if len(c.Remove) == 0 {
		return nil, slices.Concat(old.Children(), c.Add), nil
	}
	ids := slices.Clone(old.Children())
	for _, id := range c.Remove {
		at := slices.Index(ids, id)
		if at < 0 {
			return nil, nil, status.Errorf(status.NotFound, "vertex %v is no child: nothing to unlink", id)
		}
		ids = slices.Delete(ids, at, at+1)
	}
	return nil, append(ids, c.Add...), nil
}

// ChangeOf folds the effects of one calculate into a change. Removal is not part of it: removed
// says that the vertex is to be dropped. The values of new children stay with their effects.
func ChangeOf(effects []udf.Effect) (c Change, removed bool) {
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case udf.EffectSetValue:
			c.SetValue, c.Value = true, e.Value
		case udf.EffectAddChild, udf.EffectLink:
			c.Add = append(c.Add, e.ID)
		case udf.EffectUnlink:
			if at := slices.Index(c.Add, e.ID); at >= 0 {
				c.Add = slices.Delete(c.Add, at, at+1)
			} else {
				c.Remove = append(c.Remove, e.ID)
			}
		case udf.EffectRemove:
			removed = true
		}
	}
	return c, removed
}

// SetParents records in the index that parents have (or no longer have) the vertex as a child. An
// unknown vertex is no error: the index may lag.
func (s *Store) SetParents(child vertex.ID, parents []vertex.ID, present bool) {
	r := s.Open(child)
	if r == nil {
		return
	}
	defer s.Release(r)
	for {
		old := listOf(r.c.Parents.Load())
		ids := slices.Clone(old.ids())
		for _, parent := range parents {
			at := slices.Index(ids, parent)
			if present && at < 0 && len(ids) < MaxParents {
				ids = append(ids, parent)
			} else if !present && at >= 0 {
				ids = slices.Delete(ids, at, at+1)
			}
		}
		list, ok := newIDList(ids)
		if !ok {
			return // the index may lag
		}
		if r.c.Parents.CompareAndSwap(old.address(), list.address()) {
			if old != nil {
				s.retire(retiredItem{list: old})
			}
			return
		}
		list.release()
	}
}

func errGone(r *Record) error {
	return status.Errorf(status.NotFound, "vertex %s was dropped", describe(r.c.ID, r.Name())).WithVertex(r.c.ID)
}
