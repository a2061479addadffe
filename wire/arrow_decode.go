package wire

import (
	"slices"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire/flatbuf/arrowfb"
)

// arrowSchema is a schema as it was received.
type arrowSchema struct {
	schema *vertex.Schema
	ids    []int64 // of schema.Dictionaries
}

// receivedSchemas has the schemas that were received, by their metadata.
var receivedSchemas kept[string, arrowSchema]

// maxKeptMetadata is the size of the largest metadata that receivedSchemas keeps.
const maxKeptMetadata = 16 << 10

// knownSchema gives the schema of a Schema message, which was perhaps seen before.
func knownSchema(m *arrowMessage, t *arrowfb.Schema) (arrowSchema, error) {
	if known, ok := receivedSchemas.table()[string(m.raw)]; ok {
		return known, nil
	}
	if len(m.raw) > MaxSchemaBytes+Align {
		return arrowSchema{}, errMessage(m.body, "its schema has %d bytes, at most %d are allowed "+
			"(MaxSchemaBytes)", len(m.raw), MaxSchemaBytes)
	}
	made, err := readSchema(t, m.v4)
	if err == nil && len(m.raw) <= maxKeptMetadata {
		receivedSchemas.put(string(m.raw), made, maxKeptSchemas)
	}
	return made, err
}

// readSchema gives the schema of verified metadata.
func readSchema(t *arrowfb.Schema, v4 bool) (arrowSchema, error) {
	var r schemaReader
	schema, err := r.schema(t)
	if err != nil {
		return arrowSchema{}, err
	}
	if v4 && r.unions {
		return arrowSchema{}, status.Errorf(status.Unsupported,
			"the Arrow data has unions of metadata version V4: write it with Arrow 1.0 or newer")
	}
	return arrowSchema{schema, r.ids}, nil
}

// arrowDecoder makes batches of messages. It keeps its memory from batch to batch.
type arrowDecoder struct {
	arrowSchema
	dictionaries map[int64]*vertex.Batch // owned, by id
	of           []*vertex.Batch         // borrowed, of the batch that is being made
	layout       vertex.Layout
}

// reset releases the dictionaries and begins with another schema.
func (d *arrowDecoder) reset(schema arrowSchema) {
	for _, b := range d.dictionaries {
		b.Release()
	}
	clear(d.dictionaries)
	d.arrowSchema = schema
}

// bodyMessage reads the message at a position of a body, in memory that nobody else writes to.
func bodyMessage(body *vertex.Body, at, limit int) (arrowMessage, bool, error) {
	rest, ok := body.Own(int64(at))
	if !ok {
		return arrowMessage{}, false, errMessage(at, "it lies in memory of another process")
	}
	return readMessage(rest, at, limit)
}

// batch reads one batch as Encoder.batch writes it, which is the bytes of the body from start to
// limit.
func (d *arrowDecoder) batch(body *vertex.Body, start, limit int) (*vertex.Batch, error) {
	defer d.reset(arrowSchema{})
	m, end, err := bodyMessage(body, start, limit)
	if err != nil {
		return nil, err
	}
	schema := m.schema(new(arrowfb.Schema))
	if end || schema == nil || m.end != m.body {
		return nil, errMessage(start, "it is not a schema, with which a batch has to start")
	}
	received, err := knownSchema(&m, schema)
	if err != nil {
		return nil, err
	}
	d.reset(received)
	for {
		at := m.end
		if m, end, err = bodyMessage(body, at, limit); err != nil {
			return nil, err
		}
		if end {
			return nil, errMessage(at, "a batch ends without a record")
		}
		if t := m.dictionary(new(arrowfb.DictionaryBatch)); t != nil {
			if err := d.dictionary(t, &m, body); err != nil {
				return nil, err
			}
			continue
		}
		t := m.record(new(arrowfb.RecordBatch))
		if t == nil || m.end != limit {
			return nil, errMessage(at, "it is not the record that ends a batch")
		}
		return d.record(t, &m, body)
	}
}

// record makes the batch of a RecordBatch message.
func (d *arrowDecoder) record(t *arrowfb.RecordBatch, m *arrowMessage, body *vertex.Body) (
	*vertex.Batch, error) {
	return d.assemble(t, m, body, d.schema, 0)
}

// assemble makes a batch of a schema whose dictionaries are those from first on of d.schema.
func (d *arrowDecoder) assemble(t *arrowfb.RecordBatch, m *arrowMessage, body *vertex.Body,
	schema *vertex.Schema, first int) (*vertex.Batch, error) {
	if err := d.lay(t, m); err != nil {
		return nil, err
	}
	d.of = d.of[:0]
	for i, want := range schema.Dictionaries() {
		id := d.ids[first+i]
		b := d.dictionaries[id]
		if b == nil { // a writer may leave out the dictionary of a column without values
			var err error
			if b, err = empty(want); err != nil {
				return nil, err
			}
			d.keep(id, b)
		}
		if b.Schema() != want && !b.Schema().Arrow().Equal(want.Arrow()) {
			return nil, status.Errorf(status.Corrupt,
				"the Arrow dictionary %d serves columns of different types", id)
		}
		d.of = append(d.of, b)
	}
	return vertex.Assemble(schema, &d.layout, body, d.of)
}

// lay reads the layout of a record, whose buffers are within the message's body and no more than it
// in total: so no message makes anybody copy or keep more than was received.
func (d *arrowDecoder) lay(t *arrowfb.RecordBatch, m *arrowMessage) error {
	if t.Compression(new(arrowfb.BodyCompression)) != nil {
		return status.Errorf(status.Unsupported,
			"the Arrow data is compressed (LZ4 or ZSTD): write it uncompressed")
	}
	l := &d.layout
	l.Rows = t.Length()
	if l.Rows < 0 || l.Rows > vertex.MaxRows {
		return errMessage(m.body, "it has %d rows, at most %d are allowed (MaxRows)",
			l.Rows, int64(vertex.MaxRows))
	}
	var node arrowfb.FieldNode
	l.Nodes = reuse(l.Nodes, t.NodesLength())
	for i := range t.NodesLength() {
		t.Nodes(&node, i)
		l.Nodes = append(l.Nodes, vertex.Node{Length: node.Length(), NullCount: node.NullCount()})
	}
	var buffer arrowfb.Buffer
	size := int64(m.end - m.body)
	left := size
	l.Buffers = reuse(l.Buffers, t.BuffersLength())
	for i := range t.BuffersLength() {
		t.Buffers(&buffer, i)
		at, n := buffer.Offset(), buffer.Length()
		if at < 0 || n < 0 || at > size || n > size-at || n > left {
			return errMessage(m.body, "buffer %d has %d bytes at %d of a body of %d bytes",
				i, n, at, size)
		}
		left -= n
		l.Buffers = append(l.Buffers, vertex.Range{Offset: int64(m.body) + at, Length: n})
	}
	l.Variadic = l.Variadic[:0]
	for i := range t.VariadicBufferCountsLength() {
		l.Variadic = append(l.Variadic, t.VariadicBufferCounts(i))
	}
	return nil
}

// dictionary makes the dictionary of a DictionaryBatch message and keeps it for the records.
func (d *arrowDecoder) dictionary(t *arrowfb.DictionaryBatch, m *arrowMessage,
	body *vertex.Body) error {
	first := slices.Index(d.ids, t.Id())
	data := t.Data(new(arrowfb.RecordBatch))
	if first < 0 || data == nil {
		return errMessage(m.body, "it is of dictionary %d, which no column has, or it is empty",
			t.Id())
	}
	b, err := d.assemble(data, m, body, d.schema.Dictionaries()[first], first+1)
	if err != nil {
		return err
	}
	if old := d.dictionaries[t.Id()]; old != nil {
		if b, err = d.replace(old, b, t.IsDelta()); err != nil {
			return err
		}
	}
	d.keep(t.Id(), b)
	return nil
}

// keep takes over a reference to a dictionary.
func (d *arrowDecoder) keep(id int64, b *vertex.Batch) {
	if d.dictionaries == nil {
		d.dictionaries = make(map[int64]*vertex.Batch)
	}
	d.dictionaries[id] = b
}

// empty gives a batch without rows.
func empty(s *vertex.Schema) (*vertex.Batch, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s.Arrow())
	defer b.Release()
	r := b.NewRecord()
	defer r.Release()
	return vertex.FromRecord(r)
}

// replace gives what takes the place of a dictionary when another one of its id comes: that, or for
// a delta both together. It takes over the references to both.
func (d *arrowDecoder) replace(old, b *vertex.Batch, delta bool) (*vertex.Batch, error) {
	if !delta {
		old.Release()
		return b, nil
	}
	defer b.Release()
	both, err := vertex.Concat([]*vertex.Batch{old, b})
	if err != nil {
		return nil, err
	}
	old.Release()
	return both, nil
}
