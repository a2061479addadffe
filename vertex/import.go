package vertex

import (
	"encoding/binary"
	"strings"
	"sync"
	"unsafe"

	"dcf/core/status"
	"dcf/vertex/cdata"
)

// importAdvice ends the errors about what comes through the C Data Interface.
const importAdvice = "the producer of the ArrowArray must correct it"

// maxMetadataBytes bounds the metadata of one field that comes through the C Data Interface, which
// has no total length: a larger one is garbage.
const maxMetadataBytes = 64 << 20

// Import makes a batch of a struct ArrowSchema and a struct ArrowArray of a struct type. Both move:
// on success their release is NULL and the batch owns their memory; on failure they are untouched.
// Buffers are not copied, unless they are misaligned. The top level's offset is pushed down to the
// columns, and must have no nulls.
//
// Sizes of buffers are not part of the C Data Interface, so the producer is believed that they are
// as large as its lengths and offsets imply, and that text is UTF-8; all else is checked. It fails
// with status.InvalidArgument, or status.Unsupported for a type that Arrow's Go library lacks.
func Import(schema, array unsafe.Pointer) (*Batch, error) {
	if schema == nil || array == nil {
		return nil, status.Errorf(status.InvalidArgument,
			"the ArrowSchema or the ArrowArray is NULL: pass both")
	}
	s, err := ImportSchema(schema)
	if err != nil {
		return nil, err
	}
	b, err := importArray(s, (*cdata.Array)(array))
	if err != nil {
		return nil, err
	}
	cdata.ReleaseSchema(schema)
	return b, nil
}

// importArray moves an array of that schema into a batch.
func importArray(s *Schema, array *cdata.Array) (*Batch, error) {
	d := newDraft(s, status.InvalidArgument, importAdvice)
	defer d.free()
	if err := d.borrow(unsafe.Pointer(array)); err != nil {
		return nil, err
	}
	return d.adopt(array)
}

// importColumn moves an array into a batch of one column, which has that schema.
func importColumn(s *Schema, array *cdata.Array) (*Batch, error) {
	d := newDraft(s, status.InvalidArgument, importAdvice)
	defer d.free()
	d.add(d.set(0, 0, 0, 0), buffer{})
	if err := d.load(array, 1); err != nil {
		return nil, err
	}
	d.arrays[0].length = array.Length
	if err := d.check(false); err != nil {
		return nil, err
	}
	return d.adopt(array)
}

// adopt makes the batch of a draft that was checked, and moves the array that it refers to there.
func (d *draft) adopt(array *cdata.Array) (*Batch, error) {
	body, err := d.align()
	if err != nil {
		return nil, err
	}
	b, err := d.batch(owners{bodies: bodiesOf(body)})
	if err != nil {
		if body != nil {
			body.Release()
		}
		return nil, err
	}
	b.c.Source = *array
	array.Release = nil
	return b, nil
}

// borrow reads and checks an array, whose memory it refers to from now on.
func (d *draft) borrow(array unsafe.Pointer) error {
	if err := d.load((*cdata.Array)(array), 0); err != nil {
		return err
	}
	if err := d.check(false); err != nil {
		return err
	}
	return d.pushDown()
}

// pushDown makes the top level's offset 0 and its columns as long as itself.
func (d *draft) pushDown() error {
	top := &d.arrays[0]
	if top.nulls > 0 {
		return d.fail(0, "%d of its rows are null, and rows cannot be: move the nulls into its columns",
			top.nulls)
	}
	for _, child := range d.schema.layouts[0].children {
		a := &d.arrays[child]
		if top.offset == 0 && a.length == top.length {
			continue
		}
		if a.nulls > 0 {
			a.nulls = -1
		}
		a.offset, a.length = a.offset+top.offset, top.length
		if err := d.checkNulls(child); err != nil {
			return err
		}
	}
	top.offset = 0
	return nil
}

// load reads an array and what is below it, and finds out the sizes of its buffers.
func (d *draft) load(array *cdata.Array, node int) error {
	l := &d.schema.layouts[node]
	switch {
	case array == nil:
		return d.fail(node, "its ArrowArray is NULL")
	case array.Release == nil:
		return d.fail(node, "its ArrowArray is released already")
	case array.Length < 0 || array.Offset < 0 || array.Length > maxLength || array.Offset > maxLength:
		return d.fail(node, "length %d and offset %d are not possible", array.Length, array.Offset)
	case array.NullCount < -1 || array.NullCount > array.Length:
		return d.fail(node, "%d nulls of %d values are not possible", array.NullCount, array.Length)
	case array.NumChildren != int64(len(l.children)) || array.NumChildren > 0 && array.Children == nil:
		return d.fail(node, "its ArrowArray has %d children, and its type %d",
			array.NumChildren, len(l.children))
	case (array.Dictionary != nil) != (l.dictionary > 0):
		return d.fail(node, "its ArrowArray and its type differ in whether there is a dictionary")
	}
	if err := d.loadBuffers(array, node); err != nil {
		return err
	}
	for i, child := range l.children {
		if err := d.load(*at(array.Children, i), child); err != nil {
			return err
		}
	}
	if l.dictionary > 0 {
		return d.load(array.Dictionary, l.dictionary)
	}
	return nil
}

// loadBuffers reads the buffers of one array.
func (d *draft) loadBuffers(array *cdata.Array, node int) error {
	l := &d.schema.layouts[node]
	want, n, skip := int64(l.buffers()), array.NumBuffers, 0
	switch {
	case l.kind == kindView && n >= want+1 && n <= maxLength:
		want = n
	case l.kind == kindView:
		return d.fail(node, "its ArrowArray has %d buffers, and a %s at least 3", n, l.arrow.Name())
	case (l.kind == kindDenseUnion || l.kind == kindSparseUnion || l.kind == kindNull) && n == want+1:
		// As before Arrow 1.0, or as polars has nulls: with a bitmap that means nothing.
		want, skip = n, 1
	}
	if n != want || n > 0 && array.Buffers == nil {
		return d.fail(node, "its ArrowArray has %d buffers, and a %s has %d", n, l.arrow.Name(), want)
	}
	a := d.set(node, array.Length, array.NullCount, array.Offset)
	if l.kind == kindView {
		return d.loadViews(array, node, a)
	}
	for i := skip; i < int(n); i++ {
		size, err := d.impliedSize(node, i-skip)
		if err != nil {
			return err
		}
		p := *at(array.Buffers, i)
		if p == nil {
			if size > 0 && (i > 0 || !l.nullable()) && !(l.kind == kindBinary && i == 2) &&
				a.offset+a.length > 0 {
				return d.fail(node, "buffer %d is NULL, and its values need %d bytes", i, size)
			}
			size = 0
		}
		d.add(a, buffer{p, size})
	}
	if l.kind == kindBinary {
		return d.sizeBinary(node)
	}
	return nil
}

// impliedSize gives the bytes that buffer i must have for the array's length. Those of a binary's
// data are not known yet.
func (d *draft) impliedSize(node, i int) (int64, error) {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	size, ok := l.size(i, a.offset+a.length)
	if !ok {
		return 0, d.fail(node, "%d values of %d bytes are not possible", a.offset+a.length, l.width)
	}
	return size, nil
}

// sizeBinary sets the size of a binary's data to where its last offset points.
func (d *draft) sizeBinary(node int) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	offsets, data := d.buffer(node, 1), d.buffer(node, 2)
	if offsets.size == 0 {
		return nil
	}
	last := loadWide(offsets, l.width, a.offset+a.length)
	if last < 0 || last > maxLength {
		return d.fail(node, "its last offset %d is not possible", last)
	}
	data.size = last
	return nil
}

// loadViews reads the buffers of views, the last of which has the sizes of the data buffers.
func (d *draft) loadViews(array *cdata.Array, node int, a *draftArray) error {
	end := a.offset + a.length
	last := int(array.NumBuffers) - 1
	for i := range last {
		p, size := *at(array.Buffers, i), int64(0)
		switch {
		case i == 0:
			size = bytesOfBits(end)
		case i == 1 && end > maxLength/viewBytes:
			return d.fail(node, "%d views are not possible", end)
		case i == 1:
			size = end * viewBytes
		default:
			sizes := *at(array.Buffers, last)
			if sizes == nil {
				return d.fail(node, "buffer %d, the sizes of its data buffers, is NULL", last)
			}
			size = load[int64](&buffer{p: sizes}, int64(i-2))
			if size < 0 || size > maxLength {
				return d.fail(node, "data buffer %d with %d bytes is not possible", i-2, size)
			}
		}
		if p == nil {
			if i > 0 && size > 0 {
				return d.fail(node, "buffer %d is NULL, and its values need %d bytes", i, size)
			}
			size = 0
		}
		d.add(a, buffer{p, size})
	}
	return nil
}

// ImportSchema gives the Schema that a struct ArrowSchema describes, which stays the caller's. Its
// format must be a struct, "+s".
func ImportSchema(schema unsafe.Pointer) (*Schema, error) {
	top := (*cdata.SchemaNode)(schema)
	r := schemaReaders.Get().(*schemaReader)
	defer schemaReaders.Put(r)
	r.key, r.path = r.key[:0], r.path[:0]
	if err := r.read(top, 0); err != nil {
		return nil, err
	}
	if s := schemas.find(r.key); s != nil {
		return s, nil
	}
	return intern(specOfC(top, true))
}

var schemaReaders = sync.Pool{New: func() any { return new(schemaReader) }}

// schemaReader writes the key of a struct ArrowSchema and checks it meanwhile. The key is that of
// the spec that specOfC makes of it.
type schemaReader struct {
	key  []byte
	path []string
}

func (r *schemaReader) fail(format string, args ...any) error {
	return badSchema(strings.Join(r.path, "."), format, args...)
}

func (r *schemaReader) read(n *cdata.SchemaNode, depth int) error {
	switch {
	case n == nil:
		return r.fail("its ArrowSchema is NULL")
	case n.Release == nil:
		return r.fail("its ArrowSchema is released already")
	case n.Format == nil || *n.Format == 0:
		return r.fail("its ArrowSchema has no format")
	case depth > MaxDepth:
		return errDepth(strings.Join(r.path, "."))
	case n.NumChildren < 0:
		return r.fail("%d children are not possible", n.NumChildren)
	case n.NumChildren > MaxColumns:
		return errColumns(int(n.NumChildren))
	case n.NumChildren > 0 && n.Children == nil:
		return r.fail("its children are NULL")
	}
	format := cString(n.Format)
	if depth == 0 && (string(format) != "+s" || n.Dictionary != nil) {
		return status.Errorf(status.InvalidArgument, "a batch has the format %q, this schema has %q: "+
			"wrap the array into a struct of one column", "+s", format)
	}
	r.key = appendText(r.key, format)
	name, flags := cString(n.Name), n.Flags&knownFlags
	if depth == 0 {
		name, flags = nil, 0
	}
	r.key = append(appendText(r.key, name), byte(flags))
	if err := r.readMetadata(n.Metadata); err != nil {
		return err
	}
	r.key = binary.AppendUvarint(r.key, uint64(n.NumChildren))
	for i := range int(n.NumChildren) {
		if err := r.below(*at(n.Children, i), "", depth+1); err != nil {
			return err
		}
	}
	if n.Dictionary == nil {
		r.key = append(r.key, 0)
		return nil
	}
	r.key = append(r.key, 1)
	return r.below(n.Dictionary, "dictionary", depth+1)
}

// below reads a part, which has that name, or its own where it is empty.
func (r *schemaReader) below(n *cdata.SchemaNode, name string, depth int) error {
	if name == "" && n != nil {
		name = string(cString(n.Name))
	}
	r.path = append(r.path, name)
	err := r.read(n, depth)
	r.path = r.path[:len(r.path)-1]
	return err
}

// readMetadata appends the metadata to the key.
func (r *schemaReader) readMetadata(p *byte) error {
	pairs, ok := metadataOfC(p, nil)
	if !ok {
		return r.fail("its metadata is garbled")
	}
	r.key = binary.AppendUvarint(r.key, uint64(2*pairs))
	metadataOfC(p, func(text []byte) { r.key = appendText(r.key, text) })
	return nil
}

// metadataOfC calls f, unless nil, on each key and value, and gives the number of pairs; false
// where lengths are impossible.
func metadataOfC(p *byte, f func(text []byte)) (pairs int, ok bool) {
	if p == nil {
		return 0, true
	}
	b, used := &buffer{p: unsafe.Pointer(p)}, int64(4)
	n := int64(load[int32](b, 0))
	if n < 0 || n > maxMetadataBytes/8 {
		return 0, false
	}
	for range 2 * n {
		size := int64(load[int32](&buffer{p: unsafe.Add(b.p, used)}, 0))
		if size < 0 || used+4+size > maxMetadataBytes {
			return 0, false
		}
		if f != nil {
			f(unsafe.Slice((*byte)(unsafe.Add(b.p, used+4)), size))
		}
		used += 4 + size
	}
	return int(n), true
}

// specOfC gives the spec of a struct ArrowSchema that was checked.
func specOfC(n *cdata.SchemaNode, top bool) *spec {
	s := &spec{format: string(cString(n.Format))}
	if !top {
		s.name, s.flags = string(cString(n.Name)), n.Flags&knownFlags
	}
	metadataOfC(n.Metadata, func(text []byte) { s.metadata = append(s.metadata, string(text)) })
	for i := range int(n.NumChildren) {
		s.children = append(s.children, specOfC(*at(n.Children, i), false))
	}
	if n.Dictionary != nil {
		s.dictionary = specOfC(n.Dictionary, false)
	}
	return s
}

// cString gives the bytes of a C string without its end; none for NULL.
func cString(p *byte) []byte {
	if p == nil {
		return nil
	}
	n := 0
	for *at(p, n) != 0 {
		n++
	}
	return unsafe.Slice(p, n)
}
