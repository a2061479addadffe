package core

import (
	"io"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/internal/store"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// Vertex is a handle on one vertex, local or remote. It is safe for concurrent use. A handle on a
// local vertex means that very vertex, not a later one of its name.
type Vertex struct {
	worker   *Worker
	id       vertex.ID
	birth    uint64                       // which vertex of that id it is; 0: not known
	record   atomic.Pointer[store.Record] // nil: not owned here, or released
	released atomic.Bool
}

// local makes a handle of a record on which the caller has a reference, which moves.
func (w *Worker) local(r *store.Record) *Vertex {
	v := &Vertex{worker: w, id: r.ID(), birth: r.Birth()}
	v.record.Store(r)
	return v
}

// Open finds a vertex by its id, here or in the cluster. It moves no data.
func (w *Worker) Open(id vertex.ID) (*Vertex, error) {
	if w.closing.Load() {
		return nil, errClosed()
	}
	if r := w.store.Open(id); r != nil {
		return w.local(r), nil
	}
	v := &Vertex{worker: w, id: id}
	info, err := v.described() // who was its owner may have dropped it
	if err != nil {
		return nil, err
	}
	v.birth = info.Birth
	return v, nil
}

// OpenName finds a vertex by its name.
func (w *Worker) OpenName(name string) (*Vertex, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	v, err := w.Open(vertex.NameID(name))
	if status.Of(err) == status.NotFound {
		return nil, status.Errorf(status.NotFound,
			"there is no vertex %q: check its name, or put it first", name).WithVertex(vertex.NameID(name))
	}
	return v, err
}

// ID gives the vertex's id.
func (v *Vertex) ID() vertex.ID { return v.id }

// Worker gives the worker that opened the handle.
func (v *Vertex) Worker() *Worker { return v.worker }

// Direct gives the address by which C reads the vertex, a dcf_record, or nil where it is not owned
// here. It is good under a pin until Release.
func (v *Vertex) Direct() unsafe.Pointer { return unsafe.Pointer(v.record.Load()) }

// Release gives the handle back. It deletes nothing and never blocks; twice is fine.
func (v *Vertex) Release() {
	v.released.Store(true)
	if r := v.record.Swap(nil); r != nil {
		v.worker.store.Release(r)
	}
}

// current gives the newest version of a local vertex, under the caller's pin; nil where it is not
// owned here, was dropped, or the handle was released.
func (v *Vertex) current() *store.Version {
	if record := v.record.Load(); record != nil {
		return record.Current()
	}
	return nil
}

// use begins an operation on the vertex: it gives the record with a reference of its own, or nil
// where the vertex is remote.
func (v *Vertex) use() (*store.Record, error) {
	w := v.worker
	if w.closing.Load() {
		return nil, errClosed()
	}
	pin, err := w.store.Pin()
	if err != nil {
		return nil, err
	}
	defer w.store.Unpin(pin)
	r := v.record.Load()
	switch {
	case v.released.Load():
		return nil, status.Errorf(status.BadHandle, "the handle on vertex %v was released", v.id)
	case r == nil:
		return nil, nil
	case r.Current() == nil || !w.store.Retain(r):
		return nil, exec.Gone(v.id)
	}
	return r, nil
}

// read shows the current version of a local vertex to look, or reports that it is gone.
func (w *Worker) read(r *store.Record, look func(*store.Version)) error {
	pin, err := w.store.Pin()
	if err != nil {
		return err
	}
	defer w.store.Unpin(pin)
	version := r.Current()
	if version == nil {
		return exec.Gone(r.ID())
	}
	look(version)
	return nil
}

// Info describes the vertex as it is now.
func (v *Vertex) Info() (info VertexInfo, err error) {
	r, err := v.use()
	if err != nil {
		return info, err
	}
	if r == nil {
		described, err := v.described()
		return infoOf(described, RemoteVertex), err
	}
	defer v.worker.store.Release(r)
	err = v.worker.read(r, func(version *store.Version) {
		info = infoOf(v.worker.describe(r, version), LocalVertex)
	})
	return info, err
}

// described asks the owner of a remote vertex what it is.
func (v *Vertex) described() (info wire.VertexInfo, err error) {
	reply, err := v.ask(&wire.Operation{Op: wire.OpInfo}, 0)
	if err != nil {
		return info, err
	}
	defer releaseReply(reply)
	if len(reply.Vertices) != 1 {
		return info, status.Errorf(status.Corrupt, "the owner of %v described %d vertices, not one",
			v.id, len(reply.Vertices))
	}
	return reply.Vertices[0], nil
}

// describe is what other workers are told of a vertex.
func (w *Worker) describe(r *store.Record, version *store.Version) wire.VertexInfo {
	info := wire.VertexInfo{ID: r.ID(), Birth: r.Birth(), Name: r.Name(), Owner: w.self.Node, Version: version.Number(),
		Rows: -1, Children: uint64(len(version.Children())), Group: version.Group()}
	if b := version.Batch(); b != nil {
		info.Rows, info.Bytes = b.Rows(), b.Bytes()
	}
	return info
}

func infoOf(i wire.VertexInfo, kind VertexKind) VertexInfo {
	return VertexInfo{ID: i.ID, Name: i.Name, Kind: kind, Owner: i.Owner, Version: i.Version,
		Rows: i.Rows, Bytes: i.Bytes, Children: int(i.Children), Group: i.Group}
}

// Name gives the vertex's name, empty where it has none.
func (v *Vertex) Name() (string, error) {
	r, err := v.use()
	if err != nil {
		return "", err
	}
	if r != nil {
		defer v.worker.store.Release(r)
		return r.Name(), nil
	}
	info, err := v.Info()
	return info.Name, err
}

// Export gives the value of one version and the version's number: a reference that the caller
// releases, or nil where the vertex has no value. A local value is not copied.
func (v *Vertex) Export(timeout time.Duration) (batch *vertex.Batch, version uint64, err error) {
	r, err := v.use()
	if err != nil {
		return nil, 0, err
	}
	if r == nil {
		reply, err := v.ask(&wire.Operation{Op: wire.OpFetch}, timeout)
		if err != nil {
			return nil, 0, err
		}
		defer releaseReply(reply)
		batch, reply.Value.Batch = reply.Value.Batch, nil
		return batch, reply.Version, nil
	}
	defer v.worker.store.Release(r)
	err = v.worker.read(r, func(current *store.Version) {
		if b := current.Batch(); b != nil {
			batch = b.Retain()
		}
		version = current.Number()
	})
	return batch, version, err
}

// Children gives the ids of the vertex's children, in order.
func (v *Vertex) Children() ([]vertex.ID, error) { return v.edges(edgesChildren) }

// Parents gives the parents that the vertex's owner knows of. The index may lag.
func (v *Vertex) Parents() ([]vertex.ID, error) { return v.edges(edgesParents) }

// The directions of edges, in the C interface and on the wire.
const (
	edgesChildren = 1
	edgesParents  = 2
)

func (v *Vertex) edges(direction uint32) (ids []vertex.ID, err error) {
	r, err := v.use()
	if err != nil {
		return nil, err
	}
	if r == nil {
		reply, err := v.ask(&wire.Operation{Op: wire.OpEdges, Direction: direction}, 0)
		if err != nil {
			return nil, err
		}
		defer releaseReply(reply)
		return slices.Clone(reply.IDs), nil
	}
	defer v.worker.store.Release(r)
	err = v.worker.read(r, func(version *store.Version) { ids = edgesOf(r, version, direction) })
	return ids, err
}

// edgesOf copies one direction of a vertex's edges. The caller holds a pin.
func edgesOf(r *store.Record, version *store.Version, direction uint32) []vertex.ID {
	if direction == edgesParents {
		return slices.Clone(r.Parents())
	}
	return slices.Clone(version.Children())
}

// Set replaces the value (nil: none) and gives the new version. It takes over the reference on
// success. Expected is the version that must be current, or 0.
func (v *Vertex) Set(expected uint64, value *vertex.Batch) (uint64, error) {
	r, err := v.use()
	if err != nil {
		return 0, err
	}
	if r != nil {
		defer v.worker.store.Release(r)
		return v.worker.apply(r, expected, store.Change{SetValue: true, Value: value},
			clock.After(v.worker.timeout(0)))
	}
	op := &wire.Operation{Op: wire.OpSet, Expected: expected}
	if value != nil {
		op.HasValue, op.Value = true, udf.Value{Batch: value}
	}
	version, err := v.update(op)
	if err == nil && value != nil {
		value.Release()
	}
	return version, err
}

// Link makes a vertex the last child of this one.
func (v *Vertex) Link(to vertex.ID) error { return v.edge(wire.OpLink, to) }

// Unlink takes the first such child out; status.NotFound if there is none.
func (v *Vertex) Unlink(to vertex.ID) error { return v.edge(wire.OpUnlink, to) }

func (v *Vertex) edge(op wire.Op, to vertex.ID) error {
	r, err := v.use()
	if err != nil {
		return err
	}
	if r != nil {
		defer v.worker.store.Release(r)
		_, err = v.worker.changeEdge(r, op, to, clock.After(v.worker.timeout(0)))
		return err
	}
	_, err = v.update(&wire.Operation{Op: op, IDs: []vertex.ID{to}})
	return err
}

// Drop deletes the vertex in the cluster: it is hidden at once and freed after its last reader. A
// group's shards go with it.
func (v *Vertex) Drop() error {
	r, err := v.use()
	if err != nil {
		return err
	}
	if r != nil {
		defer v.worker.store.Release(r)
		return v.worker.drop(r, clock.After(v.worker.timeout(0)))
	}
	_, err = v.update(&wire.Operation{Op: wire.OpDrop})
	return err
}

// apply changes a local vertex under its lock.
func (w *Worker) apply(r *store.Record, expected uint64, c store.Change, deadline int64) (uint64, error) {
	if err := w.store.Lock(r, clock.Until(deadline), nil); err != nil {
		return 0, err
	}
	defer w.store.Unlock(r)
	return w.store.Apply(r, expected, c)
}

// changeEdge links or unlinks a child of a local vertex.
func (w *Worker) changeEdge(r *store.Record, op wire.Op, to vertex.ID, deadline int64) (uint64, error) {
	change := store.Change{Add: []vertex.ID{to}}
	if op == wire.OpUnlink {
		change = store.Change{Remove: []vertex.ID{to}}
	}
	version, err := w.apply(r, 0, change, deadline)
	if err == nil {
		w.Linked(r.ID(), []vertex.ID{to}, op == wire.OpLink)
	}
	return version, err
}

// drop deletes a local vertex, and a group's shards with it.
func (w *Worker) drop(r *store.Record, deadline int64) error {
	if err := w.store.Lock(r, clock.Until(deadline), nil); err != nil {
		return err
	}
	var shards []vertex.ID
	err := w.read(r, func(version *store.Version) {
		if version.Group() {
			shards = slices.Clone(version.Children())
		}
	})
	gone := err == nil && w.store.Drop(r)
	w.store.Unlock(r)
	if !gone {
		return status.Errorf(status.NotFound, "vertex %v was dropped already", r.ID()).WithVertex(r.ID())
	}
	w.Dropped(r.ID())
	w.dropShards(shards, deadline)
	return nil
}

// dropShards drops what belonged to a group that is gone. What cannot be reached is left to its
// owner's end.
func (w *Worker) dropShards(shards []vertex.ID, deadline int64) {
	for _, id := range shards {
		shard, err := w.Open(id)
		if err == nil {
			err = shard.Drop()
			shard.Release()
		}
		if err != nil && status.Of(err) != status.NotFound {
			w.log.Warn("a shard could not be dropped", "vertex", id.String(), "error", err)
		}
		if clock.Until(deadline) < 0 {
			return
		}
	}
}

// Stream gives the value of the vertex as one batch, or of a group shard by shard; the timeout is
// for each.
func (v *Vertex) Stream(timeout time.Duration) (Reader, error) {
	info, err := v.Info()
	if err != nil {
		return nil, err
	}
	ids := []vertex.ID{v.id}
	if info.Group {
		if ids, err = v.Children(); err != nil {
			return nil, err
		}
	}
	s := &stream{worker: v.worker, ids: ids, timeout: timeout}
	if s.first, err = s.fetch(); err != nil && err != io.EOF {
		return nil, err
	}
	if s.first == nil {
		return nil, status.Errorf(status.InvalidArgument, "vertex %v has no value to stream", v.id).
			WithVertex(v.id)
	}
	s.schema = s.first.Schema()
	return s, nil
}

// stream reads vertices one after another.
type stream struct {
	worker  *Worker
	ids     []vertex.ID
	timeout time.Duration
	schema  *vertex.Schema
	first   *vertex.Batch // read to know the schema, not yet given out
}

func (s *stream) Schema() *vertex.Schema { return s.schema }

func (s *stream) Next() (*vertex.Batch, error) {
	if b := s.first; b != nil {
		s.first = nil
		return b, nil
	}
	return s.fetch()
}

func (s *stream) fetch() (*vertex.Batch, error) {
	for len(s.ids) > 0 {
		shard, err := s.worker.Open(s.ids[0])
		if err != nil {
			return nil, err
		}
		s.ids = s.ids[1:]
		batch, _, err := shard.Export(s.timeout)
		shard.Release()
		if batch != nil || err != nil {
			return batch, err
		}
	}
	return nil, io.EOF
}

func (s *stream) Close() {
	if s.first != nil {
		s.first.Release()
		s.first = nil
	}
	s.ids = nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return status.Errorf(status.InvalidArgument, "a vertex name must not be empty")
	case len(name) > vertex.MaxNameBytes:
		return status.Errorf(status.InvalidArgument, "a vertex name has at most %d bytes, this one has %d",
			vertex.MaxNameBytes, len(name))
	}
	return nil
}
