package vertex

import (
	"math/bits"
	"slices"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow/bitutil"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// builderAdvice ends the errors about what was filled in.
const builderAdvice = "correct what was filled in, and commit again"

// Builder is a batch in the making: its memory lies where that of the batch will, and whoever made
// it fills it in. The types that can be built are those of fixed width, bool, null, binary and utf8
// with offsets of either size, dictionaries, and of these struct, fixed_size_list, list, large_list
// and map, nested as deep as a batch may be.
//
// Columns have the numbers that Arrow IPC gives its field nodes: in pre-order, without what is in
// dictionaries. Where nothing is nested that is simply the number of the column.
//
// One goroutine uses a Builder at a time; the memory may be written to by any.
type Builder struct {
	schema  *Schema
	rows    int64
	account func(bytes int64) error
	columns []int         // the node of each column
	nodes   []builderNode // in the order of the schema's
}

// builderNode is what a builder has of one array.
type builderNode struct {
	nullable   bool
	capacity   int64    // of values
	buffers    [3]*Body // those of the C Data Interface; nil: none, or of no bytes
	dictionary *Batch
}

// BuilderColumn is what is to be filled in of one column. A part that the column does not have is
// nil. The memory is the builder's until Release, and that of the batch afterwards.
type BuilderColumn struct {
	// Length is how many values there are: that of the rows, or for what lies below lists how many
	// there is room for.
	Length int64
	// Validity is a bitmap: bit i is set where value i is not null. All are set at first. It is nil
	// where the schema says that the column has no nulls.
	Validity []byte
	// Offsets are Length + 1 of 4 or 8 bytes each, all 0 at first.
	Offsets []byte
	// Values are those of fixed width, the indices of a dictionary, or the bytes of texts. They hold
	// anything at first.
	Values []byte
	// Children is how many values the one child of a list has room for.
	Children int64
}

// NewBuilder makes a builder of a batch with so many rows. account is told of memory before it is
// taken, and with a negative number after it was given back; its error refuses. It fails with
// status.Unsupported where the schema has a type that cannot be built.
func NewBuilder(s *Schema, rows int64, account func(bytes int64) error) (*Builder, error) {
	if rows < 0 || rows > MaxRows {
		return nil, status.Errorf(status.InvalidArgument,
			"a batch has from 0 to %d rows (MaxRows), not %d", int64(MaxRows), rows)
	}
	b := &Builder{schema: s, rows: rows, account: account, nodes: make([]builderNode, len(s.layouts))}
	types := s.c.All()
	for node := 1; node < len(s.layouts); node++ {
		l := &s.layouts[node]
		switch l.kind {
		case kindView, kindListView, kindSparseUnion, kindDenseUnion, kindRunEnd:
			return nil, status.Errorf(status.Unsupported, "column %q: a builder does not make Arrow's "+
				"type %s: choose another one, or put the finished table", l.path, l.arrow.Name())
		}
		b.nodes[node].nullable = l.nullable() && types[node].Flags&flagNullable != 0
		b.columns = append(b.columns, node)
		if l.kind == kindDictionary {
			node = l.end - 1
		}
	}
	var all []room
	for _, node := range s.layouts[0].children {
		all = b.rooms(all, node, rows)
	}
	for _, node := range b.columns {
		if l := &s.layouts[node]; l.kind == kindList || l.kind == kindMap {
			all = b.rooms(all, l.children[0], 0)
		}
	}
	if err := b.make(all); err != nil {
		return nil, err
	}
	return b, nil
}

// Rows gives the number of rows.
func (b *Builder) Rows() int64 { return b.rows }

// Columns gives the number of columns, nested ones included.
func (b *Builder) Columns() int { return len(b.columns) }

// room is memory that a buffer is to have.
type room struct {
	node, buffer int
	values, size int64
	ok           bool // such memory exists
}

// rooms adds what a node needs for so many values, and what is below it but not below lists.
func (b *Builder) rooms(all []room, node int, values int64) []room {
	l := &b.schema.layouts[node]
	for i := range l.buffers() {
		if i == 0 && !b.nodes[node].nullable || l.kind == kindBinary && i == 2 {
			continue
		}
		size, ok := l.size(i, values)
		all = append(all, room{node, i, values, size, ok})
	}
	if len(all) == 0 || all[len(all)-1].node != node {
		all = append(all, room{node, 0, values, 0, true}) // no memory, but a length
	}
	switch l.kind {
	case kindStruct:
		for _, child := range l.children {
			all = b.rooms(all, child, values)
		}
	case kindFixedList:
		high, low := bits.Mul64(uint64(values), uint64(l.width))
		if high != 0 || low > maxLength {
			return append(all, room{node: node, values: values})
		}
		all = b.rooms(all, l.children[0], int64(low))
	}
	return all
}

// make gives buffers the memory that they are to have, and keeps what they contain.
func (b *Builder) make(all []room) (err error) {
	total, freed := int64(0), int64(0)
	for _, r := range all {
		if total += r.size; !r.ok || total > maxLength {
			return status.Errorf(status.Exhausted, "column %q: no machine has the memory of %d values",
				b.schema.layouts[r.node].path, r.values)
		}
	}
	if err := b.account(total); err != nil {
		return err
	}
	made := make([]*Body, len(all))
	for i, r := range all {
		if r.size == 0 {
			continue
		}
		if made[i], err = NewBody(int(r.size)); err != nil {
			for _, body := range made[:i] {
				drop(body)
			}
			_ = b.account(-total)
			return err
		}
	}
	for i, r := range all {
		n := &b.nodes[r.node]
		old := n.buffers[r.buffer]
		if made[i] != nil {
			b.begin(r, made[i].Bytes(), bytesOf(old))
		}
		freed += int64(len(bytesOf(old)))
		drop(old)
		n.buffers[r.buffer], n.capacity = made[i], r.values
	}
	return b.account(-freed)
}

// begin fills new memory with what was there before, and with what stands for nothing yet.
func (b *Builder) begin(r room, memory, old []byte) {
	l := &b.schema.layouts[r.node]
	rest := memory[arena.Copy(memory, old):]
	switch {
	case r.buffer == 0 && l.nullable():
		for i := range rest {
			rest[i] = 0xff
		}
	case r.buffer == 1 && l.offsets():
		clear(rest)
	}
}

func (n *builderNode) bytes(i int) []byte { return bytesOf(n.buffers[i]) }

func bytesOf(body *Body) []byte {
	if body == nil {
		return nil
	}
	return body.Bytes()
}

func drop(body *Body) {
	if body != nil {
		body.Release()
	}
}

// node gives the node of a column.
func (b *Builder) node(column int) (int, error) {
	if uint(column) >= uint(len(b.columns)) {
		return 0, status.Errorf(status.InvalidArgument, "there is no column %d: the schema has %d, "+
			"nested ones included", column, len(b.columns))
	}
	return b.columns[column], nil
}

// Column gives what is to be filled in of a column. What an earlier Column gave of it stays good
// until Reserve moves it.
func (b *Builder) Column(column int) (BuilderColumn, error) {
	node, err := b.node(column)
	if err != nil {
		return BuilderColumn{}, err
	}
	l, n := &b.schema.layouts[node], &b.nodes[node]
	c := BuilderColumn{Length: n.capacity, Validity: n.bytes(0)}
	switch l.kind {
	case kindBinary:
		c.Offsets, c.Values = n.bytes(1), n.bytes(2)
	case kindList, kindMap:
		c.Offsets, c.Children = n.bytes(1), b.nodes[l.children[0]].capacity
	case kindBool, kindFixed, kindDictionary:
		c.Values = n.bytes(1)
	}
	return c, nil
}

// Reserve sees to it that a column of texts has room for so many bytes, or a list's child for so many
// values. What was there before is kept, but may move.
func (b *Builder) Reserve(column int, capacity int64) error {
	node, err := b.node(column)
	if err != nil {
		return err
	}
	l := &b.schema.layouts[node]
	var all []room
	switch {
	case capacity < 0 || capacity > maxLength:
		return status.Errorf(status.InvalidArgument, "a capacity of %d is not possible", capacity)
	case l.kind == kindBinary:
		if n := &b.nodes[node]; capacity > int64(len(n.bytes(2))) {
			all = []room{{node, 2, n.capacity, capacity, true}}
		}
	case l.kind == kindList || l.kind == kindMap:
		if child := l.children[0]; capacity > b.nodes[child].capacity {
			all = b.rooms(nil, child, capacity)
		}
	default:
		return status.Errorf(status.InvalidArgument, "column %q: a capacity is for texts, binary and "+
			"lists, and this is %s, which has its rows: give 0", l.path, l.arrow.Name())
	}
	if len(all) == 0 {
		return nil
	}
	return b.make(all)
}

// SetDictionary gives a column of indices its values: a batch of one column that has the type of the
// dictionary. The builder takes a reference of its own. Another call replaces the first.
func (b *Builder) SetDictionary(column int, values *Batch) error {
	node, s, err := b.dictionary(column)
	if err != nil {
		return err
	}
	if values.Schema().key != s.key {
		return status.Errorf(status.InvalidArgument, "column %q: the dictionary has another type than "+
			"the schema says", b.schema.layouts[node].path)
	}
	if err := b.account(values.Bytes()); err != nil {
		return err
	}
	n := &b.nodes[node]
	old := n.dictionary
	n.dictionary = values.Retain()
	if old == nil {
		return nil
	}
	defer old.Release()
	return b.account(-old.Bytes())
}

// ImportDictionary is SetDictionary with a struct ArrowArray of the dictionary's values, which moves
// on success as with Import.
func (b *Builder) ImportDictionary(column int, array unsafe.Pointer) error {
	node, s, err := b.dictionary(column)
	if err != nil {
		return err
	}
	values, err := importColumn(s, (*cdata.Array)(array))
	if err != nil {
		return status.Errorf(status.Of(err), "column %q: its dictionary: %s",
			b.schema.layouts[node].path, status.From(err).Message)
	}
	defer values.Release()
	if err = b.SetDictionary(column, values); err != nil {
		*(*cdata.Array)(array), values.c.Source.Release = values.c.Source, nil
	}
	return err
}

// dictionary gives the node of a column of indices, and the type of its dictionary as a schema of
// one column.
func (b *Builder) dictionary(column int) (int, *Schema, error) {
	node, err := b.node(column)
	if err != nil {
		return 0, nil, err
	}
	l := &b.schema.layouts[node]
	if l.kind != kindDictionary {
		return 0, nil, status.Errorf(status.InvalidArgument, "column %q is %s and has no dictionary",
			l.path, l.arrow.Name())
	}
	i := 0
	for before := range node {
		if b.schema.layouts[before].kind == kindDictionary {
			i++
		}
	}
	return node, b.schema.dictionaries[i], nil
}

// Batch makes the batch of what was filled in, over the same memory; the builder stays as it is. What
// readers follow is copied before it is checked: validity, offsets and indices. So whoever still
// writes to the memory changes values and bytes of texts, and leads nobody outside. The memory that
// was copied belongs to the batch, too, which counts it.
//
// It fails with status.InvalidArgument, and says column and value, for offsets, indices, text or
// nulls that are wrong.
func (b *Builder) Batch() (*Batch, error) {
	d := newDraft(b.schema, status.InvalidArgument, builderAdvice)
	defer d.free()
	d.add(d.set(0, b.rows, 0, 0), buffer{})
	f := finisher{builder: b, draft: d}
	defer f.free()
	for _, column := range b.schema.layouts[0].children {
		if err := f.node(column, b.rows); err != nil {
			return nil, err
		}
	}
	if err := d.check(true); err != nil {
		return nil, err
	}
	own, bytes := owners{parents: f.dictionaries, bodies: slices.Clone(f.copies)}, int64(0)
	for i := range b.nodes {
		for _, body := range b.nodes[i].buffers {
			if body != nil {
				own.bodies = append(own.bodies, body)
			}
		}
	}
	made, err := d.batch(own)
	if err != nil {
		return nil, err
	}
	for _, body := range own.bodies {
		bytes += int64(len(body.Retain().Bytes()))
	}
	for _, parent := range own.parents {
		bytes += parent.Retain().Bytes()
	}
	made.c.Bytes = bytes
	return made, nil
}

// Release gives the memory back, but for what a batch has of it. Nobody may use the builder, or write
// to its memory, afterwards.
func (b *Builder) Release() {
	total := int64(0)
	for i := range b.nodes {
		n := &b.nodes[i]
		for _, body := range n.buffers {
			total += int64(len(bytesOf(body)))
			drop(body)
		}
		if n.dictionary != nil {
			total += n.dictionary.Bytes()
			n.dictionary.Release()
		}
	}
	b.nodes, b.columns = nil, nil
	_ = b.account(-total) // giving back is never refused
}

// finisher makes the draft of a builder.
type finisher struct {
	builder      *Builder
	draft        *draft
	copies       []*Body
	dictionaries []*Batch
}

func (f *finisher) free() {
	for _, body := range f.copies {
		body.Release()
	}
}

// node sets a node of so many values, and what is below it.
func (f *finisher) node(node int, length int64) error {
	l, n, d := &f.builder.schema.layouts[node], &f.builder.nodes[node], f.draft
	a := d.set(node, length, -1, 0)
	for i := range l.buffers() {
		size, _ := l.size(i, length)
		b := n.bytes(i)
		switch {
		case i == 0 && l.nullable():
			if b == nil || bitutil.CountSetBits(b, 0, int(length)) == int(length) {
				d.add(a, buffer{})
				continue
			}
			fallthrough
		case l.offsets() && i == 1, l.kind == kindDictionary:
			copied, err := f.copy(b[:size])
			if err != nil {
				return err
			}
			d.add(a, copied)
		case l.kind == kindBinary:
			d.add(a, bufferOf(b[:f.last(node, int64(len(b)))]))
		default:
			d.add(a, bufferOf(b[:size]))
		}
	}
	return f.below(node, length)
}

// copy gives a copy of what readers follow.
func (f *finisher) copy(b []byte) (buffer, error) {
	if len(b) == 0 {
		return buffer{}, nil
	}
	body, err := NewBody(len(b))
	if err != nil {
		return buffer{}, err
	}
	f.copies = append(f.copies, body)
	arena.Copy(body.Bytes(), b)
	return bufferOf(body.Bytes()), nil
}

// last gives the last offset of a node, or what is nearest to it from 0 to limit: the check says what
// is wrong with it.
func (f *finisher) last(node int, limit int64) int64 {
	width, a := f.builder.schema.layouts[node].width, &f.draft.arrays[node]
	return min(max(loadWide(f.draft.buffer(node, 1), width, a.length), 0), limit)
}

// below sets what is below a node.
func (f *finisher) below(node int, length int64) error {
	l := &f.builder.schema.layouts[node]
	switch l.kind {
	case kindDictionary:
		values := f.builder.nodes[node].dictionary
		if values == nil {
			return status.Errorf(status.InvalidArgument, "column %q has no dictionary: give it one, and "+
				"commit again", l.path)
		}
		f.draft.graft(l.dictionary, values)
		f.dictionaries = append(f.dictionaries, values)
		return nil
	case kindFixedList:
		length *= l.width
	case kindList, kindMap:
		length = f.last(node, f.builder.nodes[l.children[0]].capacity)
	}
	for _, child := range l.children {
		if err := f.node(child, length); err != nil {
			return err
		}
	}
	return nil
}
