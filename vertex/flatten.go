package vertex

import (
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow/bitutil"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// flattener rebases arrays so that all offsets are 0 and no buffer is longer than its values need.
// It shares memory where it can and copies where it must, into blocks that free gives back.
type flattener struct {
	from, to *draft
	copies   [][]byte
	failed   bool // memory is out
}

// flatten writes from, which is checked, into to, which has the same schema.
func (f *flattener) flatten(from, to *draft) error {
	f.from, f.to = from, to
	top := &from.arrays[0]
	f.node(0, 0, top.length)
	if f.failed {
		return errMemory("a copy of a batch")
	}
	return nil
}

func (f *flattener) free() {
	for _, block := range f.copies {
		arena.Free(block)
	}
	f.copies = nil
}

// alloc gives memory for a copy; some that is never read if there is none.
func (f *flattener) alloc(size int64) buffer {
	block := arena.Alloc(int(size))
	if block == nil {
		f.failed = true
		return buffer{cdata.Zeros(), 0}
	}
	f.copies = append(f.copies, block)
	return bufferOf(block)
}

// slice gives count elements of width bytes, from the first.
func slice(b *buffer, first, count, width int64) buffer {
	if count*width == 0 {
		return buffer{cdata.Zeros(), 0}
	}
	return buffer{unsafe.Add(b.p, first*width), count * width}
}

// bits gives count bits, from the first.
func (f *flattener) bits(b *buffer, first, count int64) buffer {
	if first%8 == 0 {
		return slice(b, first/8, bytesOfBits(count), 1)
	}
	out := f.alloc(bytesOfBits(count))
	if out.size > 0 {
		out.bytes()[out.size-1] = 0
		bitutil.CopyBitmap(b.bytes(), int(first), int(count), out.bytes(), 0)
	}
	return out
}

// node writes length values of an array, from the first, counted from the array's own offset, and
// what is below them.
func (f *flattener) node(node int, first, length int64) {
	l, a := &f.from.schema.layouts[node], &f.from.arrays[node]
	start := a.offset + first
	nulls := a.nulls
	if nulls > 0 && (first > 0 || length < a.length) {
		nulls = -1
	}
	out := f.to.set(node, length, nulls, 0)
	if l.kind == kindNull {
		out.nulls = length
	}
	if l.nullable() {
		f.validity(node, start, out)
	}
	switch l.kind {
	case kindBool:
		f.to.add(out, f.bits(f.from.buffer(node, 1), start, length))
	case kindFixed:
		f.to.add(out, slice(f.from.buffer(node, 1), start, length, l.width))
	case kindDictionary:
		f.to.add(out, slice(f.from.buffer(node, 1), start, length, l.width))
		f.node(l.dictionary, 0, f.from.arrays[l.dictionary].length)
	case kindView:
		f.to.add(out, slice(f.from.buffer(node, 1), start, length, viewBytes))
		for i := 2; i < a.count; i++ {
			f.to.add(out, *f.from.buffer(node, i))
		}
	case kindBinary:
		from, to := f.offsets(node, start, length, out)
		f.to.add(out, slice(f.from.buffer(node, 2), from, to-from, 1))
	case kindList, kindMap:
		from, to := f.offsets(node, start, length, out)
		f.node(l.children[0], from, to-from)
	case kindListView:
		f.to.add(out, slice(f.from.buffer(node, 1), start, length, l.width))
		f.to.add(out, slice(f.from.buffer(node, 2), start, length, l.width))
		f.node(l.children[0], 0, f.from.arrays[l.children[0]].length)
	case kindFixedList:
		f.node(l.children[0], start*l.width, length*l.width)
	case kindStruct:
		for _, child := range l.children {
			f.node(child, start, length)
		}
	case kindSparseUnion:
		f.to.add(out, slice(f.from.buffer(node, 0), start, length, 1))
		for _, child := range l.children {
			f.node(child, start, length)
		}
	case kindDenseUnion:
		f.to.add(out, slice(f.from.buffer(node, 0), start, length, 1))
		f.to.add(out, slice(f.from.buffer(node, 1), start, length, 4))
		for _, child := range l.children {
			f.node(child, 0, f.from.arrays[child].length)
		}
	case kindRunEnd:
		f.runs(l, start, length)
	}
}

// validity writes the bitmap, and counts the nulls that are not counted.
func (f *flattener) validity(node int, start int64, out *draftArray) {
	b := f.from.buffer(node, 0)
	if b.p == nil || out.nulls == 0 {
		out.nulls = 0
		f.to.add(out, buffer{})
		return
	}
	if out.nulls < 0 {
		valid := bitutil.CountSetBits(b.bytes(), int(start), int(out.length))
		if out.nulls = out.length - int64(valid); out.nulls == 0 {
			f.to.add(out, buffer{})
			return
		}
	}
	f.to.add(out, f.bits(b, start, out.length))
}

// offsets writes the offsets so that they begin at 0, and gives where they began and end.
func (f *flattener) offsets(node int, start, length int64, out *draftArray) (from, to int64) {
	b, width := f.from.buffer(node, 1), f.from.schema.layouts[node].width
	from, to = loadWide(b, width, start), loadWide(b, width, start+length)
	if from == 0 {
		f.to.add(out, slice(b, start, length+1, width))
		return from, to
	}
	rebased := f.alloc((length + 1) * width)
	f.to.add(out, rebased)
	if rebased.size == 0 {
		return from, to
	}
	for i := range length + 1 {
		storeWide(&rebased, width, i, loadWide(b, width, start+i)-from)
	}
	return from, to
}

// storeWide writes an element of an aligned buffer of integers of width bytes.
func storeWide(b *buffer, width, i, value int64) {
	p := unsafe.Add(b.p, i*width)
	switch width {
	case 1:
		*(*int8)(p) = int8(value)
	case 2:
		*(*int16)(p) = int16(value)
	case 4:
		*(*int32)(p) = int32(value)
	case 8:
		*(*int64)(p) = value
	}
}

// runs writes the runs of length values, from the first: run ends count from there and stop at
// length.
func (f *flattener) runs(l *layout, start, length int64) {
	ends, values := l.children[0], l.children[1]
	a, width := &f.from.arrays[ends], f.from.schema.layouts[ends].width
	b := f.from.buffer(ends, 1)
	at := func(i int64) int64 { return loadWide(b, width, a.offset+i) }
	first, last := int64(0), int64(0) // the runs
	if length > 0 {
		for at(first) <= start {
			first++
		}
		for last = first + 1; at(last-1) < start+length; {
			last++
		}
	}
	out := f.to.set(ends, last-first, 0, 0)
	f.to.add(out, buffer{})
	if start == 0 && (last == 0 || at(last-1) == length) {
		f.to.add(out, slice(b, a.offset, last, width))
	} else {
		rebased := f.alloc((last - first) * width)
		f.to.add(out, rebased)
		for i := range rebased.size / width {
			storeWide(&rebased, width, i, min(at(first+i)-start, length))
		}
	}
	f.node(values, first, last-first)
}

// Node describes an array in the metadata of an IPC message, a FieldNode.
type Node struct{ Length, NullCount int64 }

// Range is a buffer in the metadata of an IPC message: bytes within a body.
type Range struct{ Offset, Length int64 }

// Flat is a batch as an IPC message has it, all offsets 0. Its memory is that of the batch it was
// made of, and copies that Free gives back; it is valid while that batch is retained. The zero Flat
// is ready, and one may be used again and again.
//
// Nodes and Buffers are in the order of RecordBatch metadata: pre-order, without the top level, and
// a dictionary's values are not among them but in Dictionaries. An empty buffer stands for a bitmap
// that is left out. Variadic has the number of data buffers of each utf8-view or binary-view column
// (variadicBufferCounts).
//
// Dictionaries has one Flat for each of Schema.Dictionaries, in that order: its one column. Each
// becomes a DictionaryBatch, and its id is the place in that order. Those within a dictionary's
// values come behind it, so who writes a stream for readers that want inner ones first, writes them
// from the last to the first.
type Flat struct {
	Rows         int64
	Nodes        []Node
	Buffers      [][]byte
	Variadic     []int64
	Dictionaries []*Flat

	flattener flattener
	batch     *Batch // it was made of
	spare     []*Flat
}

// Held keeps the memory of a Flat's buffers.
type Held struct {
	batch  *Batch
	copies [][]byte
}

// Hold gives what keeps the memory of the buffers, also after Free and when nobody else retains the
// batch: so another process can be lent it. The caller releases it.
func (f *Flat) Hold() Held {
	h := Held{f.batch.Retain(), f.flattener.copies}
	f.flattener.copies = nil
	return h
}

// Release ends the use of the buffers.
func (h *Held) Release() {
	for _, block := range h.copies {
		arena.Free(block)
	}
	h.batch.Release()
	*h = Held{}
}

// Free gives back the copies and empties the Flat, which keeps its slices for the next use.
func (f *Flat) Free() {
	f.flattener.free()
	f.flattener.from, f.flattener.to, f.batch = nil, nil, nil
	f.clear()
}

func (f *Flat) clear() {
	clear(f.Buffers)
	f.Nodes, f.Buffers, f.Variadic = f.Nodes[:0], f.Buffers[:0], f.Variadic[:0]
	for _, inner := range f.Dictionaries {
		inner.clear()
		f.spare = append(f.spare, inner)
	}
	f.Dictionaries = f.Dictionaries[:0]
}

// Bytes gives the size of all buffers without padding, those of the dictionaries included.
func (f *Flat) Bytes() int64 {
	total := int64(0)
	for _, b := range f.Buffers {
		total += int64(len(b))
	}
	for _, inner := range f.Dictionaries {
		total += inner.Bytes()
	}
	return total
}

// Flatten writes the batch into f, which is empty. The caller calls f.Free when it is done. It
// fails with status.Exhausted if there is no memory for what must be copied.
func (b *Batch) Flatten(f *Flat) error {
	from := draftOf(b)
	defer from.free()
	to := newDraft(from.schema, status.Internal, "this is a bug")
	defer to.free()
	if err := f.flattener.flatten(from, to); err != nil {
		f.Free()
		return err
	}
	f.batch, f.Rows = b, b.Rows()
	for _, column := range to.schema.layouts[0].children {
		to.write(column, f, f)
	}
	return nil
}

// write appends a node to its Flat, and dictionaries to the whole one.
func (d *draft) write(node int, f, whole *Flat) {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	f.Nodes = append(f.Nodes, Node{a.length, a.nulls})
	for _, b := range d.buffers[a.first : a.first+a.count] {
		f.Buffers = append(f.Buffers, b.bytes())
	}
	if l.kind == kindView {
		f.Variadic = append(f.Variadic, int64(a.count-2))
	}
	for _, child := range l.children {
		d.write(child, f, whole)
	}
	if l.dictionary == 0 {
		return
	}
	var inner *Flat
	if n := len(whole.spare); n > 0 {
		inner, whole.spare = whole.spare[n-1], whole.spare[:n-1]
	} else {
		inner = new(Flat)
	}
	whole.Dictionaries = append(whole.Dictionaries, inner)
	inner.Rows = d.arrays[l.dictionary].length
	d.write(l.dictionary, inner, whole)
}
