// Package store keeps the vertices that one worker owns: their versions, children and parents, who
// reads them, and how much memory they take. It runs no function and knows no network.
package store

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// Store is a set of vertices. It is safe for concurrent use.
type Store struct {
	epochs   epochs
	table    table
	records  slab[Record]
	versions slab[Version]
	limit    int64
	bytes    atomic.Int64 // of all versions, superseded ones that are still read too
	count    atomic.Int64
	births   atomic.Uint64 // the highest count of any dropped vertex's version
	retired  retired
	waiting  waiting
	counted  counted
}

// Open makes an empty store that holds at most limit bytes of values and children.
func Open(limit int64) *Store {
	s := &Store{limit: limit}
	s.epochs.open()
	s.waiting.queues = map[*Record][]*waiter{}
	return s
}

// Close drops everything and frees it. Nobody may hold a pin or a handle, or use the store again.
func (s *Store) Close() {
	s.table.each(func(index uint32) bool {
		s.dropRecord(s.records.at(index))
		return true
	})
	s.Reclaim()
	s.records.close()
	s.versions.close()
	s.epochs.close()
}

// Usage gives the number of vertices, the bytes they take, and the limit of these.
func (s *Store) Usage() (vertices, bytes, limit int64) {
	return s.count.Load(), s.bytes.Load(), s.limit
}

// Pin begins to read: what was current is kept until Unpin.
func (s *Store) Pin() (Pin, error) { return s.epochs.pin() }

// TryPin is Pin with the index that is asked for; false where that is held.
func (s *Store) TryPin(index int) (Pin, bool) { return s.epochs.tryPin(index) }

// PinHome is Pin where the place that it tries first is free; false where it is not. It is so short
// that the compiler puts it into its caller, as is UnpinHome, which ends what it began and says
// whether Reclaim is due.
func (s *Store) PinHome() (Pin, bool) { return s.epochs.pinHome() }

// UnpinHome ends what PinHome began.
func (s *Store) UnpinHome(p Pin) (pressing bool) {
	s.epochs.c.Pins[p.index].Word.Store(0)
	return s.epochs.c.Pressing.Load() != 0
}

// Unpin ends what Pin began.
func (s *Store) Unpin(p Pin) {
	s.epochs.unpin(p)
	if s.epochs.c.Pressing.Load() != 0 {
		s.Reclaim()
	}
}

// Epochs is where C finds the store's pins, as dcf_epochs. The memory outlives the store.
func (s *Store) Epochs() unsafe.Pointer { return unsafe.Pointer(s.epochs.c) }

// Held gives the pin of that index, which C took and hands over: it is given back with Unpin. What
// the one who held it before wrote in Go happened before: C's taking is nothing that Go's memory
// model knows, so the word is looked at once more.
func (s *Store) Held(index int) Pin {
	s.epochs.c.Pins[index].Word.Load()
	return Pin{index}
}

// Count adds to the calls that were run under the caller's pin and needed nothing else.
func (s *Store) Count(p Pin, calls int) { s.epochs.c.Pins[p.index].Calls += int64(calls) }

// Calls sums up what was counted. Where a pin is held just now, its count is the one of when it was
// last seen free.
func (s *Store) Calls() (n int64) {
	s.counted.mu.Lock()
	defer s.counted.mu.Unlock()
	for i := range s.counted.calls {
		if pin, ok := s.TryPin(i); ok {
			s.counted.calls[i] = s.epochs.c.Pins[i].Calls
			s.Unpin(pin)
		}
		n += s.counted.calls[i]
	}
	return n
}

// counted is what Calls saw.
type counted struct {
	mu    sync.Mutex
	calls [MaxPins]int64 // under mu
}

// Quiesce waits until every pin that is held now was given back, and reports false if one is still
// held when done says that it is time to give up.
func (s *Store) Quiesce(done func() bool) bool {
	epoch := s.epochs.advance()
	for s.epochs.oldest() < epoch {
		if done() {
			return false
		}
		time.Sleep(quiescePoll)
	}
	return true
}

// quiescePoll is how often Quiesce looks.
const quiescePoll = 200 * time.Microsecond

// Vertex describes a vertex to be made. The store takes over the reference to Value on success.
type Vertex struct {
	ID       vertex.ID
	Name     string
	Value    *vertex.Batch // nil: none
	Children []vertex.ID
	Group    bool
	Epoch    uint32 // of its first version; 0 counts as 1
}

// Create adds a vertex and gives a handle on it, which the caller releases.
func (s *Store) Create(v Vertex) (*Record, error) {
	if len(v.Name) > vertex.MaxNameBytes {
		return nil, status.Errorf(status.InvalidArgument,
			"a vertex name has at most %d bytes, this one has %d", vertex.MaxNameBytes, len(v.Name))
	}
	if s.count.Load() >= MaxVertices {
		return nil, status.Errorf(status.Exhausted,
			"this worker owns %d vertices (MaxVertices): drop some or add a worker", MaxVertices)
	}
	index, r := s.records.alloc()
	if r == nil {
		return nil, errMemory()
	}
	r.c.ID, r.c.Index, r.c.Birth = v.ID, index, rand.Uint64()|1
	r.c.Refs.Store(2)
	if err := s.name(r, v.Name); err != nil {
		s.records.release(index)
		return nil, err
	}
	number := firstVersion(v.Epoch, s.births.Load())
	version, err := s.newVersion(r, number, v.Value, nil, v.Children)
	if err != nil {
		s.freeRecord(r)
		return nil, err
	}
	version.setGroup(v.Group)
	r.publish(version)
	s.count.Add(1)
	if !s.table.insert(v.ID, index) {
		s.count.Add(-1)
		version.c.Batch = nil // stays the caller's
		s.bytes.Add(-size(v.Value, nil))
		s.freeVersion(version)
		s.freeRecord(r)
		return nil, status.Errorf(status.AlreadyExists,
			"vertex %s exists already on this worker: set it, or put with replace", describe(v.ID, v.Name))
	}
	return r, nil
}

// Open gives a handle on the vertex with that id, which the caller releases; nil if it is not here.
func (s *Store) Open(id vertex.ID) *Record {
	pin, err := s.Pin()
	if err != nil {
		return nil
	}
	defer s.Unpin(pin)
	if r := s.Find(id); r != nil && s.Retain(r) {
		return r
	}
	return nil
}

// Find gives the vertex with that id, or nil. The caller holds a pin and uses it no longer.
func (s *Store) Find(id vertex.ID) *Record {
	index, ok := s.table.find(id)
	if !ok {
		return nil
	}
	// The slot may have been reused since the table was read: a pin keeps records from that, and
	// the id is fixed while the record lives.
	if r := s.records.at(index); r.c.ID == id {
		return r
	}
	return nil
}

// Retain makes a handle of a record that the caller holds or found under a pin; false if it is gone.
func (s *Store) Retain(r *Record) bool {
	for {
		refs := r.c.Refs.Load()
		if refs == 0 {
			return false
		}
		if r.c.Refs.CompareAndSwap(refs, refs+1) {
			return true
		}
	}
}

// Release gives a handle back.
func (s *Store) Release(r *Record) {
	if r.c.Refs.Add(-1) == 0 {
		s.retire(retiredItem{record: r})
	}
}

// Drop takes the vertex out. Whoever reads it goes on; new readers do not find it. The caller holds
// a handle and the record's lock.
func (s *Store) Drop(r *Record) bool { return s.dropRecord(r) }

func (s *Store) dropRecord(r *Record) bool {
	last := r.publish(nil)
	if last == nil {
		return false
	}
	for count := last.c.Number & countMask; ; {
		births := s.births.Load()
		if births >= count || s.births.CompareAndSwap(births, count) {
			break
		}
	}
	s.table.remove(r.c.ID, r.c.Index)
	s.count.Add(-1)
	s.retire(retiredItem{version: last})
	s.Release(r)
	return true
}

// Each calls f with every vertex, in no order, until f says false. f must not keep the record.
func (s *Store) Each(f func(r *Record, v *Version) bool) error {
	pin, err := s.Pin()
	if err != nil {
		return err
	}
	defer s.Unpin(pin)
	s.table.each(func(index uint32) bool {
		r := s.records.at(index)
		if v := r.Current(); v != nil {
			return f(r, v)
		}
		return true
	})
	return nil
}

func (s *Store) name(r *Record, name string) error {
	if name == "" {
		return nil
	}
	block := arena.Alloc(len(name))
	if block == nil {
		return errMemory()
	}
	copy(block, name)
	r.c.Name, r.c.NameSize = unsafe.Pointer(&block[0]), uint32(len(name))
	return nil
}

func (s *Store) freeRecord(r *Record) {
	if r.c.Name != nil {
		arena.Free(unsafe.Slice((*byte)(r.c.Name), r.c.NameSize))
	}
	listOf(r.c.Parents.Load()).release()
	r.c.ID = vertex.ID{}
	s.records.release(r.c.Index)
}

func errMemory() error {
	return status.Errorf(status.Exhausted,
		"the system gives no more memory for vertices: drop some, or lower the worker's memory limit")
}

func describe(id vertex.ID, name string) string {
	if name != "" {
		return `"` + name + `"`
	}
	return id.String()
}

// retired is what was unlinked and may still be read.
type retired struct {
	mu    sync.Mutex
	items []retiredItem // under mu, in the order of their epochs
	bytes int64         // under mu
}

// retiredItem is one of a version, a list and a record.
type retiredItem struct {
	epoch   uint64
	version *Version
	list    *idList
	record  *Record
}

// retire frees an unlinked object once nobody can see it any more.
func (s *Store) retire(item retiredItem) {
	q := &s.retired
	q.mu.Lock()
	item.epoch = s.epochs.advance()
	q.items = append(q.items, item)
	if item.version != nil {
		q.bytes += item.version.size()
	}
	if len(q.items) > MaxRetired || q.bytes > MaxRetiredBytes {
		s.reclaim()
	}
	q.mu.Unlock()
}

// Reclaim frees everything unlinked that nobody reads.
func (s *Store) Reclaim() {
	s.retired.mu.Lock()
	s.reclaim()
	s.retired.mu.Unlock()
}

// reclaim does it; the caller holds retired.mu.
func (s *Store) reclaim() {
	q := &s.retired
	oldest := s.epochs.oldest()
	done := 0
	for done < len(q.items) && q.items[done].epoch <= oldest {
		item := q.items[done]
		done++
		switch {
		case item.version != nil:
			q.bytes -= item.version.size()
			s.freeVersion(item.version)
		case item.list != nil:
			item.list.release()
		case item.record != nil:
			s.freeRecord(item.record)
		}
	}
	rest := copy(q.items, q.items[done:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	// Readers keep more than the limits allow: the next to leave looks again.
	pressing := uint32(0)
	if rest > MaxRetired || q.bytes > MaxRetiredBytes {
		pressing = 1
	}
	if word := &s.epochs.c.Pressing; word.Load() != pressing {
		word.Store(pressing)
	}
}
