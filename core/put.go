package core

import (
	"errors"
	"hash/fnv"
	"io"

	"dcf/core/internal/clock"
	"dcf/core/internal/store"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// Put makes a vertex of a value (nil: none), or a group of shards, and takes over the reference on
// success. Nothing of it is seen before it is complete.
func (w *Worker) Put(o PutOptions, value *vertex.Batch) (*Vertex, error) {
	if w.closing.Load() {
		return nil, errClosed()
	}
	if o.Name != "" {
		if err := checkName(o.Name); err != nil {
			return nil, err
		}
	}
	deadline := clock.After(w.timeout(o.Timeout))
	if o.ShardBy != "" || o.ShardCount > 1 {
		v, err := w.putShards(o, value, deadline)
		if err == nil {
			value.Release()
		}
		return v, err
	}
	return w.place(o.Node, creation{name: o.Name, value: value, replace: o.Replace}, deadline)
}

// PutStream makes a vertex of all batches of a reader, which it closes.
func (w *Worker) PutStream(o PutOptions, r Reader) (*Vertex, error) {
	defer r.Close()
	var batches []*vertex.Batch
	defer func() {
		for _, b := range batches {
			b.Release()
		}
	}()
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
	table, err := joined(r.Schema(), batches)
	if err != nil {
		return nil, err
	}
	v, err := w.Put(o, table)
	if err != nil {
		table.Release()
	}
	return v, err
}

// joined makes one batch of all; a reference that the caller owns.
func joined(schema *vertex.Schema, batches []*vertex.Batch) (*vertex.Batch, error) {
	switch len(batches) {
	case 0:
		return vertex.Empty(schema)
	case 1:
		return batches[0].Retain(), nil
	}
	return vertex.Concat(batches)
}

// creation is a vertex to be made somewhere.
type creation struct {
	name     string
	value    *vertex.Batch // moves on success
	children []vertex.ID
	group    bool
	replace  bool
}

// place makes a vertex at a node; 0 is this one.
func (w *Worker) place(node uint64, c creation, deadline int64) (*Vertex, error) {
	if node == 0 || node == w.self.Node {
		return w.create(c, deadline)
	}
	peer, err := w.nodeByID(node, deadline)
	if err != nil {
		return nil, err
	}
	op := &wire.Operation{Op: wire.OpCreate, Name: c.name, Replace: c.replace, Group: c.group,
		IDs: c.children}
	if c.value != nil {
		op.HasValue, op.Value = true, udf.Value{Batch: c.value}
	}
	reply, err := w.operateOnce(peer, op, deadline)
	if err != nil {
		return nil, err
	}
	defer releaseReply(reply)
	if len(reply.Vertices) != 1 {
		return nil, status.Errorf(status.Corrupt, "node %d made %d vertices, not one", node, len(reply.Vertices))
	}
	if c.value != nil {
		c.value.Release()
	}
	made := &reply.Vertices[0]
	return &Vertex{worker: w, id: made.ID, birth: made.Birth}, nil
}

// create makes a vertex here. A name is claimed in the cluster first; where another node owns it
// already and it is to be replaced, it is replaced there.
func (w *Worker) create(c creation, deadline int64) (*Vertex, error) {
	id := w.ids.Next()
	claimed := false
	if c.name != "" {
		id = vertex.NameID(c.name)
		if w.member() {
			owner, err := w.claim(id, c.name, c.replace, deadline)
			if err != nil {
				return nil, err
			}
			if owner != w.self {
				return w.place(owner.Node, c, deadline)
			}
			claimed = true
		}
	}
	made := store.Vertex{ID: id, Name: c.name, Value: c.value, Children: c.children, Group: c.group}
	r, err := w.store.Create(made)
	if err == nil {
		w.Linked(id, c.children, !c.group)
		return w.local(r), nil
	}
	if status.Of(err) == status.AlreadyExists && c.replace {
		return w.replace(id, c, deadline)
	}
	if claimed && status.Of(err) != status.AlreadyExists {
		w.Withdraw(id)
	}
	return nil, err
}

// replace makes an existing local vertex anew. What a group had as shards goes.
func (w *Worker) replace(id vertex.ID, c creation, deadline int64) (*Vertex, error) {
	r := w.store.Open(id)
	if r == nil {
		return nil, status.Errorf(status.Aborted, "vertex %q was dropped meanwhile: put it again", c.name)
	}
	var shards []vertex.ID
	change := store.Change{SetValue: true, Value: c.value, Replace: true, Add: c.children, Group: c.group}
	err := w.store.Lock(r, clock.Until(deadline), nil)
	if err == nil {
		err = w.read(r, func(old *store.Version) {
			if old.Group() {
				shards = append(shards, old.Children()...)
			}
		})
		if err == nil {
			_, err = w.store.Apply(r, 0, change)
		}
		w.store.Unlock(r)
	}
	if err != nil {
		w.store.Release(r)
		return nil, err
	}
	w.dropShards(shards, deadline)
	return w.local(r), nil
}

// putShards makes the shards of a table and then the group that has them. If anything fails the
// shards that were made are dropped. The value stays the caller's.
func (w *Worker) putShards(o PutOptions, value *vertex.Batch, deadline int64) (*Vertex, error) {
	shards, err := split(o, value)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, b := range shards {
			b.Release()
		}
	}()
	nodes := w.shardNodes(o)
	ids := make([]vertex.ID, 0, len(shards))
	for i, b := range shards {
		b.Retain()
		v, err := w.place(nodes[i%len(nodes)], creation{value: b}, deadline)
		if err != nil {
			b.Release()
			w.dropShards(ids, clock.After(w.timeout(0)))
			return nil, err
		}
		ids = append(ids, v.id)
		v.Release()
	}
	group := creation{name: o.Name, children: ids, group: true, replace: o.Replace}
	v, err := w.place(nodes[0], group, deadline)
	if err != nil {
		w.dropShards(ids, clock.After(w.timeout(0)))
		return nil, err
	}
	return v, nil
}

// split cuts a table into shards, each a reference that the caller releases.
func split(o PutOptions, value *vertex.Batch) ([]*vertex.Batch, error) {
	if value == nil {
		return nil, status.Errorf(status.InvalidArgument, "a group needs a table to make its shards of")
	}
	if o.ShardBy != "" && o.ShardCount > 1 {
		return nil, status.Errorf(status.InvalidArgument,
			"shard_by and shard_count exclude each other: choose one")
	}
	if o.ShardCount > MaxShards {
		return nil, status.Errorf(status.Exhausted, "%d shards are more than MaxShards = %d",
			o.ShardCount, MaxShards)
	}
	var shards []*vertex.Batch
	if o.ShardBy != "" {
		groups, err := value.GroupRows(o.ShardBy)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			shards = append(shards, g.Batch)
		}
		if len(shards) > MaxShards {
			for _, b := range shards {
				b.Release()
			}
			return nil, status.Errorf(status.Exhausted,
				"column %q has %d distinct values, more than MaxShards = %d", o.ShardBy, len(groups), MaxShards)
		}
		return shards, nil
	}
	rows, n := value.Rows(), int64(o.ShardCount)
	for i := range n {
		shards = append(shards, value.Slice(rows*i/n, rows*(i+1)/n))
	}
	return shards, nil
}

// shardNodes gives the nodes over which a table is spread, the group's own first: all members, or
// the one that was asked for.
func (w *Worker) shardNodes(o PutOptions) []uint64 {
	if o.Node != 0 {
		return []uint64{o.Node}
	}
	members := w.members()
	if len(members) == 0 {
		return []uint64{w.self.Node}
	}
	first := 0
	for i, node := range members {
		if node == w.self.Node {
			first = i
		}
	}
	if !w.member() {
		h := fnv.New32a()
		_, _ = h.Write([]byte(o.Name))
		first = int(h.Sum32() % uint32(len(members)))
	}
	return append(members[first:len(members):len(members)], members[:first]...)
}
