package vertex

import (
	"math/bits"
	"unsafe"

	"dcf/core/status"
	"dcf/vertex/cdata"
)

// Layout is what the metadata of an IPC RecordBatch says, in the form that Flat describes. The
// slices are only read during Assemble.
type Layout struct {
	Rows     int64
	Nodes    []Node
	Buffers  []Range // within the body; one of length 0 may lie anywhere
	Variadic []int64
}

// Assemble makes a batch over body without copying, but for buffers that are misaligned for their
// type (IPC wants multiples of 8). dictionaries are those of schema.Dictionaries, in that order,
// each a batch that Assemble made of that schema. One that has dictionaries itself is made first:
// if Dictionaries()[i] has k, they are dictionaries[i+1 : i+1+k]. The same batch may stand for
// several. All may share one body, with ranges within the whole of it.
//
// A body of pieces has each buffer within one of them. What lies in a piece of TrustNone and must
// not change once it is verified is copied, see NewBodyOf.
//
// Assemble verifies everything, so that no later reader can go outside the body: counts, lengths,
// bitmaps, offsets, UTF-8, views, dictionary indices, type ids and run ends. It fails with
// status.Corrupt. It takes references of its own to body and dictionaries, so the caller keeps and
// releases its own, on success and on failure. Nobody may write to body afterwards.
func Assemble(schema *Schema, m *Layout, body *Body, dictionaries []*Batch) (*Batch, error) {
	d := newDraft(schema, status.Corrupt, "the data was damaged on its way or the sender is at fault")
	defer d.free()
	if len(dictionaries) != len(schema.dictionaries) {
		return nil, d.fail(0, "it comes with %d dictionaries, and its type has %d",
			len(dictionaries), len(schema.dictionaries))
	}
	d.add(d.set(0, m.Rows, 0, 0), buffer{})
	a := assembler{d, m.Nodes, m.Buffers, m.Variadic, body, dictionaries}
	for _, column := range schema.layouts[0].children {
		if err := a.node(column); err != nil {
			return nil, err
		}
	}
	if len(a.nodes)+len(a.ranges)+len(a.variadic) > 0 {
		return nil, d.fail(0, "%d nodes, %d buffers and %d counts are left over",
			len(a.nodes), len(a.ranges), len(a.variadic))
	}
	if err := d.check(true); err != nil {
		return nil, err
	}
	for _, column := range schema.layouts[0].children {
		if n := d.arrays[column].length; n != m.Rows {
			return nil, d.fail(column, "it has %d values, and the batch %d rows", n, m.Rows)
		}
	}
	return d.own(body, dictionaries)
}

// own makes the batch with references to the body and the parents, or of copies where something is
// misaligned.
func (d *draft) own(body *Body, parents []*Batch) (*Batch, error) {
	aligned := true
	d.misaligned(func(*buffer) { aligned = false })
	if !aligned {
		return d.copy()
	}
	b, err := d.batch(owners{bodiesOf(body), parents})
	if err != nil {
		return nil, err
	}
	if body != nil {
		body.Retain()
	}
	for _, parent := range parents {
		parent.Retain()
	}
	return b, nil
}

// assembler takes nodes and buffers in the order of IPC.
type assembler struct {
	*draft
	nodes        []Node
	ranges       []Range
	variadic     []int64
	body         *Body
	dictionaries []*Batch
}

// node reads an array and what is below it.
func (a *assembler) node(node int) error {
	l := &a.schema.layouts[node]
	if len(a.nodes) == 0 {
		return a.fail(node, "the metadata has no node for it")
	}
	n := a.nodes[0]
	a.nodes = a.nodes[1:]
	if n.Length < 0 || n.NullCount < 0 || n.NullCount > n.Length {
		return a.fail(node, "%d nulls of %d values are not possible", n.NullCount, n.Length)
	}
	out := a.set(node, n.Length, n.NullCount, 0)
	buffers := l.buffers()
	if l.kind == kindView {
		if len(a.variadic) == 0 {
			return a.fail(node, "the metadata has no count of data buffers for it")
		}
		count := a.variadic[0]
		a.variadic = a.variadic[1:]
		if count < 0 || count > int64(len(a.ranges)) {
			return a.fail(node, "%d data buffers are not possible", count)
		}
		buffers += int(count)
	}
	for i := range buffers {
		if err := a.take(node, i, out); err != nil {
			return err
		}
	}
	for _, child := range l.children {
		if err := a.node(child); err != nil {
			return err
		}
	}
	if l.dictionary > 0 {
		values := a.dictionaries[0]
		a.dictionaries = a.dictionaries[1:]
		return a.graft(l.dictionary, values)
	}
	return nil
}

// take adds the next buffer.
func (a *assembler) take(node, i int, out *draftArray) error {
	if len(a.ranges) == 0 {
		return a.fail(node, "the metadata has no buffer %d for it", i)
	}
	r := a.ranges[0]
	a.ranges = a.ranges[1:]
	if r.Length == 0 {
		a.add(out, buffer{})
		return nil
	}
	bytes, trust, ok := a.body.at(r.Offset, r.Length)
	if !ok {
		return a.fail(node, "buffer %d lies at %d with %d bytes, and the body has %d, or it is not in "+
			"one piece", i, r.Offset, r.Length, a.body.Size())
	}
	if trust == TrustNone && a.schema.layouts[node].relied(i) {
		var err error
		if bytes, err = a.body.copyOf(bytes); err != nil {
			return err
		}
	}
	a.add(out, bufferOf(bytes))
	return nil
}

// graft puts the only column of a batch, which is checked, below a node of type dictionary.
func (a *assembler) graft(node int, values *Batch) error {
	if values.Schema().key != a.taken().key {
		return a.fail(node, "its dictionary has another type than the schema says")
	}
	a.draft.graft(node, values)
	for i := node; i < a.schema.layouts[node].end; i++ {
		if a.schema.layouts[i].kind == kindDictionary {
			a.dictionaries = a.dictionaries[1:] // is part of values already
		}
	}
	return nil
}

// graft sets a node of type dictionary, and what is below it, to the only column of a batch of that
// type.
func (d *draft) graft(node int, values *Batch) {
	from := draftOf(values)
	defer from.free()
	for i := node; i < d.schema.layouts[node].end; i++ {
		old := &from.arrays[1+i-node]
		out := d.set(i, old.length, old.nulls, old.offset)
		for _, b := range from.buffers[old.first : old.first+old.count] {
			d.add(out, b)
		}
	}
}

// taken gives the schema of the dictionary that was taken last.
func (a *assembler) taken() *Schema {
	all := a.schema.dictionaries
	return all[len(all)-len(a.dictionaries)-1]
}

// Slice gives the rows from one to another, excluding it, over the same memory. It counts as many
// bytes as its share of the rows, so that the shards of a table count as the table does. It panics if
// they are not rows of the batch, as slices do, or if memory is out.
func (b *Batch) Slice(from, to int64) *Batch {
	if from < 0 || to < from || to > b.Rows() {
		panic("vertex: slice outside the batch's rows")
	}
	d := draftOf(b)
	defer d.free()
	d.arrays[0].length = to - from
	for _, child := range d.schema.layouts[0].children {
		a := &d.arrays[child]
		a.offset, a.length = a.offset+from, to-from
		if a.nulls > 0 {
			a.nulls = -1
		}
		if err := d.checkNulls(child); err != nil {
			panic(err)
		}
	}
	s, err := d.own(nil, b.roots())
	if err != nil {
		panic(err)
	}
	s.c.Bytes = b.share(to) - b.share(from)
	return s
}

// share gives what the rows below one take of the batch's bytes.
func (b *Batch) share(row int64) int64 {
	if row == 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(b.Bytes()), uint64(row))
	share, _ := bits.Div64(high, low, uint64(b.Rows()))
	return int64(share)
}

// roots gives the batches that own b's memory: b, or what b is a slice of. So a slice of a slice
// does not keep a chain.
func (b *Batch) roots() []*Batch {
	if b.c.NumBodies > 0 || b.c.Source.Release != nil || b.c.NumParents == 0 {
		return []*Batch{b}
	}
	roots := make([]*Batch, b.c.NumParents)
	for i, parent := range b.c.AllParents() {
		roots[i] = batchOf(parent)
	}
	return roots
}

// batchOf gives the batch whose first and only field c is.
func batchOf(c *cdata.Batch) *Batch { return (*Batch)(unsafe.Pointer(c)) }
