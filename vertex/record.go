package vertex

import (
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"dcf/core/status"
	"dcf/vertex/arena"
)

// Record gives the batch as an Arrow record that shares its memory. It is valid while the batch is
// retained, whoever retains the record: an ipc.Writer keeps dictionaries until it is closed. Neither
// it nor what is taken from it needs a release. Each call makes a new record: see CachedRecord.
func (b *Batch) Record() arrow.Record {
	d := draftOf(b)
	defer d.free()
	columns := make([]arrow.Array, 0, b.Columns())
	for _, child := range d.schema.layouts[0].children {
		columns = append(columns, array.MakeFromData(d.arrowData(child)))
	}
	return array.NewRecord(d.schema.arrow, columns, b.Rows())
}

// arrowData gives a node in Arrow's terms.
func (d *draft) arrowData(node int) *array.Data {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	var buffers []*memory.Buffer
	if !l.nullable() {
		buffers = append(buffers, nil) // Arrow in Go keeps the place of a bitmap
	}
	for i := range a.count {
		b := d.buffer(node, i)
		if i == 0 && l.nullable() && b.p == nil {
			buffers = append(buffers, nil)
			continue
		}
		buffers = append(buffers, memory.NewBufferBytes(b.bytes()))
	}
	if l.dictionary > 0 {
		return array.NewDataWithDictionary(l.arrow, int(a.length), buffers, int(a.nulls),
			int(a.offset), d.arrowData(l.dictionary))
	}
	children := make([]arrow.ArrayData, len(l.children))
	for i, child := range l.children {
		children[i] = d.arrowData(child)
	}
	return array.NewData(l.arrow, int(a.length), buffers, children, int(a.nulls), int(a.offset))
}

// FromRecord makes a batch of a record, whose values are copied into one block. It fails with
// status.Unsupported or status.InvalidArgument where the record cannot be a batch.
func FromRecord(r arrow.Record) (*Batch, error) {
	s, err := SchemaOf(r.Schema())
	if err != nil {
		return nil, err
	}
	d := newDraft(s, status.InvalidArgument, "the builder of the record must correct it")
	defer d.free()
	d.set(0, r.NumRows(), 0, 0)
	d.add(&d.arrays[0], buffer{})
	for i, child := range s.layouts[0].children {
		if err := d.loadArrow(child, r.Column(i).Data()); err != nil {
			return nil, err
		}
	}
	if err := d.check(false); err != nil {
		return nil, err
	}
	if err := d.pushDown(); err != nil {
		return nil, err
	}
	return d.copy()
}

// loadArrow reads an Arrow array and what is below it.
func (d *draft) loadArrow(node int, data arrow.ArrayData) error {
	l := &d.schema.layouts[node]
	buffers := data.Buffers()
	if !l.nullable() && len(buffers) > 0 {
		buffers = buffers[1:]
	}
	a := d.set(node, int64(data.Len()), int64(data.NullN()), int64(data.Offset()))
	if a.nulls < 0 {
		a.nulls = -1
	}
	for i := range max(l.buffers(), len(buffers)) {
		var b buffer
		if i < len(buffers) && buffers[i] != nil {
			b = bufferOf(buffers[i].Bytes())
		}
		if i >= l.buffers() && l.kind != kindView {
			break
		}
		d.add(a, b)
	}
	if len(data.Children()) < len(l.children) {
		return d.fail(node, "it has %d children, and its type %d", len(data.Children()), len(l.children))
	}
	for i, child := range l.children {
		if err := d.loadArrow(child, data.Children()[i]); err != nil {
			return err
		}
	}
	if l.dictionary == 0 {
		return nil
	}
	dictionary, ok := data.Dictionary().(*array.Data)
	if !ok || dictionary == nil {
		return d.fail(node, "it has no dictionary")
	}
	return d.loadArrow(l.dictionary, dictionary)
}

// copy makes a batch of a checked draft with memory of its own, one block.
func (d *draft) copy() (*Batch, error) { return d.copyTo(NewBody) }

// copyTo is copy with a block that newBody gives.
func (d *draft) copyTo(newBody func(size int) (*Body, error)) (*Batch, error) {
	var f flattener
	defer f.free()
	flat := newDraft(d.schema, d.code, d.advice)
	defer flat.free()
	if err := f.flatten(d, flat); err != nil {
		return nil, err
	}
	total := 0
	for _, b := range flat.buffers {
		total += roundUp(b.size)
	}
	if total == 0 {
		return flat.batch(owners{})
	}
	body, err := newBody(total)
	if err != nil {
		return nil, err
	}
	rest := body.Bytes()
	for i := range flat.buffers {
		b := &flat.buffers[i]
		if b.size == 0 {
			continue // a missing bitmap, or zeros
		}
		copied := arena.Copy(rest, b.bytes())
		clear(rest[copied:roundUp(b.size)])
		*b = bufferOf(rest[:copied])
		rest = rest[roundUp(int64(copied)):]
	}
	made, err := flat.batch(owners{bodies: bodiesOf(body)})
	if err != nil {
		body.Release()
	}
	return made, err
}

// Int64Batch makes a batch of one int64 column, for convenience. It panics if memory is out.
func Int64Batch(name string, values ...int64) *Batch {
	return numbers(name, arrow.PrimitiveTypes.Int64, values)
}

// Float64Batch makes a batch of one float64 column, for convenience. It panics if memory is out.
func Float64Batch(name string, values ...float64) *Batch {
	return numbers(name, arrow.PrimitiveTypes.Float64, values)
}

func numbers[T int64 | float64](name string, t arrow.DataType, values []T) *Batch {
	s := columnSchema(name, t)
	d := newDraft(s, status.Internal, "this is a bug")
	defer d.free()
	n := int64(len(values))
	d.add(d.set(0, n, 0, 0), buffer{})
	column := d.set(1, n, 0, 0)
	d.add(column, buffer{})
	d.add(column, buffer{unsafe.Pointer(unsafe.SliceData(values)), 8 * n})
	if err := d.check(false); err != nil {
		panic(err)
	}
	b, err := d.copy()
	if err != nil {
		panic(err)
	}
	return b
}

// columnSchema gives the schema of one column of numbers; without allocation if it is known.
func columnSchema(name string, t arrow.DataType) *Schema {
	column := spec{format: "l", name: name}
	if t.ID() == arrow.FLOAT64 {
		column.format = "g"
	}
	var room [256]byte
	children := [1]*spec{&column}
	key := (&spec{format: "+s", children: children[:]}).appendKey(room[:0])
	if s := schemas.find(key); s != nil {
		return s
	}
	s, err := SchemaOf(arrow.NewSchema([]arrow.Field{{Name: name, Type: t}}, nil))
	if err != nil {
		panic(err)
	}
	return s
}
