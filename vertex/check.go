package vertex

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf8"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow/bitutil"

	"dcf/vertex/cdata"
)

// check verifies a draft, so that whoever follows its offsets, indices and ids stays within its
// buffers, and brings it into the form that batches have: null counts are known, a bitmap without
// nulls is dropped, and no buffer but a bitmap is a null pointer. Buffers may be unaligned. With
// text it verifies UTF-8, too.
func (d *draft) check(text bool) error {
	top := &d.arrays[0]
	if top.length < 0 || top.length > MaxRows {
		return d.fail(0, "it has %d rows, and may have from 0 to %d (MaxRows)", top.length, MaxRows)
	}
	return d.checkNode(0, text)
}

// checkNode verifies an array and what is below it.
func (d *draft) checkNode(node int, text bool) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	if a.length < 0 || a.offset < 0 || a.length > maxLength || a.offset > maxLength {
		return d.fail(node, "length %d and offset %d are not possible", a.length, a.offset)
	}
	for _, child := range l.children {
		if err := d.checkNode(child, text); err != nil {
			return err
		}
	}
	if l.dictionary > 0 {
		if err := d.checkNode(l.dictionary, text); err != nil {
			return err
		}
	}
	if err := d.checkNulls(node); err != nil {
		return err
	}
	if err := d.checkValues(node, text); err != nil {
		return err
	}
	for i := range a.count {
		if b := d.buffer(node, i); b.size == 0 && (i > 0 || !l.nullable()) {
			b.p = cdata.Zeros()
		}
	}
	return nil
}

// checkNulls verifies the bitmap and counts the nulls.
func (d *draft) checkNulls(node int) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	switch {
	case l.kind == kindNull:
		a.nulls = a.length
		return nil
	case !l.nullable():
		if a.nulls > 0 {
			return d.fail(node, "a %s has no nulls of its own, and %d are declared",
				l.arrow.Name(), a.nulls)
		}
		a.nulls = 0
		return nil
	}
	bitmap := d.buffer(node, 0)
	if a.nulls == 0 || bitmap.p == nil || bitmap.size == 0 && a.length == 0 {
		if a.nulls > 0 {
			return d.fail(node, "%d nulls are declared, and there is no validity bitmap", a.nulls)
		}
		a.nulls, *bitmap = 0, buffer{}
		return nil
	}
	if need := bytesOfBits(a.offset + a.length); bitmap.size < need {
		return d.fail(node, "the validity bitmap has %d bytes and needs %d", bitmap.size, need)
	}
	valid := bitutil.CountSetBits(bitmap.bytes(), int(a.offset), int(a.length))
	nulls := a.length - int64(valid)
	if a.nulls >= 0 && a.nulls != nulls {
		return d.fail(node, "%d nulls are declared, and the validity bitmap has %d", a.nulls, nulls)
	}
	if a.nulls = nulls; nulls == 0 {
		*bitmap = buffer{}
	}
	return nil
}

func bytesOfBits(n int64) int64 { return (n + 7) / 8 }

// need verifies that a buffer has room for count elements of width bytes.
func (d *draft) need(node, i int, what string, count, width int64) error {
	b := d.buffer(node, i)
	high, need := bits.Mul64(uint64(count), uint64(width))
	switch {
	case high != 0 || need > math.MaxInt64:
		return d.fail(node, "%d elements of %d bytes are not possible", count, width)
	case b.size < int64(need):
		return d.fail(node, "the buffer of %s has %d bytes and needs %d", what, b.size, need)
	case b.p == nil && need > 0:
		return d.fail(node, "the buffer of %s is missing", what)
	}
	return nil
}

// childNeeds verifies that a child has at least that many values.
func (d *draft) childNeeds(child int, need int64) error {
	if have := d.arrays[child].length; have < need {
		return d.fail(child, "it has %d values, and what contains it needs %d", have, need)
	}
	return nil
}

func (d *draft) checkValues(node int, text bool) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	end := a.offset + a.length
	switch l.kind {
	case kindBool:
		return d.need(node, 1, "values", bytesOfBits(end), 1)
	case kindFixed:
		return d.need(node, 1, "values", end, l.width)
	case kindBinary:
		return d.checkBinary(node, text)
	case kindView:
		return d.checkViews(node, text)
	case kindList, kindMap:
		return d.checkList(node)
	case kindListView:
		if l.width == 4 {
			return checkListView[int32](d, node)
		}
		return checkListView[int64](d, node)
	case kindFixedList:
		high, need := bits.Mul64(uint64(end), uint64(l.width))
		if high != 0 || need > maxLength {
			return d.fail(node, "%d lists of %d values are not possible", end, l.width)
		}
		return d.childNeeds(l.children[0], int64(need))
	case kindStruct:
		for _, child := range l.children {
			if err := d.childNeeds(child, end); err != nil {
				return err
			}
		}
	case kindSparseUnion, kindDenseUnion:
		return d.checkUnion(node)
	case kindRunEnd:
		return d.checkRunEnds(node)
	case kindDictionary:
		return d.checkIndices(node)
	}
	return nil
}

// load reads an element of a buffer that may be unaligned.
func load[T int8 | int16 | int32 | int64](b *buffer, i int64) T {
	p := unsafe.Add(b.p, i*int64(unsafe.Sizeof(T(0))))
	switch unsafe.Sizeof(T(0)) {
	case 1:
		return T(*(*int8)(p))
	case 2:
		return T(binary.NativeEndian.Uint16((*[2]byte)(p)[:]))
	case 4:
		return T(binary.NativeEndian.Uint32((*[4]byte)(p)[:]))
	}
	return T(binary.NativeEndian.Uint64((*[8]byte)(p)[:]))
}

// loadWide reads an element of a buffer of integers of width bytes.
func loadWide(b *buffer, width, i int64) int64 {
	switch width {
	case 1:
		return int64(load[int8](b, i))
	case 2:
		return int64(load[int16](b, i))
	case 4:
		return int64(load[int32](b, i))
	}
	return load[int64](b, i)
}

// checkOffsets verifies the offsets of lists and bytes: monotone, and from 0 to limit. It gives the
// first and the last.
func (d *draft) checkOffsets(node int, limit int64) (first, last int64, err error) {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	b := d.buffer(node, 1)
	end := a.offset + a.length
	if end == 0 && b.size == 0 {
		// An array without values may do without its one offset.
		*b = buffer{cdata.Zeros(), l.width}
		return 0, 0, nil
	}
	if err = d.need(node, 1, "offsets", end+1, l.width); err != nil {
		return 0, 0, err
	}
	first, last = loadWide(b, l.width, a.offset), loadWide(b, l.width, end)
	if first < 0 || last > limit {
		return 0, 0, d.fail(node, "its offsets go from %d to %d, and must stay within 0 and %d, which "+
			"value %d does not", first, last, limit, d.outside(node, limit))
	}
	var bad int64
	if l.width == 4 {
		bad = decreases[int32](b, a.offset, end)
	} else {
		bad = decreases[int64](b, a.offset, end)
	}
	if bad >= 0 {
		return 0, 0, d.fail(node, "offset %d is smaller than the one before it, where value %d starts",
			bad-a.offset, bad-a.offset-1)
	}
	return first, last, nil
}

// outside gives the first value that an offset puts outside 0 and limit.
func (d *draft) outside(node int, limit int64) int64 {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	for i := range a.length {
		offset := loadWide(d.buffer(node, 1), l.width, a.offset+i)
		end := loadWide(d.buffer(node, 1), l.width, a.offset+i+1)
		if offset < 0 || end < 0 || end > limit {
			return i
		}
	}
	return 0
}

// decreases gives the first index above from, up to end, whose value is below the one before; -1 if
// there is none.
func decreases[T int32 | int64](b *buffer, from, end int64) int64 {
	before := load[T](b, from)
	for i := from + 1; i <= end; i++ {
		offset := load[T](b, i)
		if offset < before {
			return i
		}
		before = offset
	}
	return -1
}

func (d *draft) checkBinary(node int, text bool) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	data := d.buffer(node, 2)
	first, last, err := d.checkOffsets(node, data.size)
	if err != nil {
		return err
	}
	if data.p == nil && last > 0 {
		return d.fail(node, "the buffer of bytes is missing, and its values have %d", last)
	}
	if !text || !l.utf8 || first == last {
		return nil
	}
	// Text that is valid as a whole is valid in parts, if none starts or ends within a rune.
	all := data.bytes()[:last]
	whole := utf8.Valid(all[first:])
	between := func(i int64) bool { return whole && (i == last || utf8.RuneStart(all[i])) }
	offsets := d.buffer(node, 1)
	for i := a.offset; i < a.offset+a.length; i++ {
		from, to := loadWide(offsets, l.width, i), loadWide(offsets, l.width, i+1)
		if between(from) && between(to) || d.null(node, i) {
			continue
		}
		if !utf8.Valid(all[from:to]) {
			return d.fail(node, "value %d is not UTF-8", i-a.offset)
		}
	}
	return nil
}

// null says whether the slot i, counted without the offset, is null.
func (d *draft) null(node int, i int64) bool {
	bitmap := d.buffer(node, 0)
	return bitmap.p != nil && *(*byte)(unsafe.Add(bitmap.p, i/8))>>(i%8)&1 == 0
}

func (d *draft) checkViews(node int, text bool) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	end := a.offset + a.length
	if err := d.need(node, 1, "views", end, viewBytes); err != nil {
		return err
	}
	views := d.buffer(node, 1)
	for i := a.offset; i < end; i++ {
		if d.null(node, i) {
			continue
		}
		value, ok := d.view(node, views, i)
		if !ok {
			return d.fail(node, "the view of value %d points outside its %d data buffers, "+
				"or its prefix differs from what it points to", i-a.offset, a.count-2)
		}
		if text && l.utf8 && !utf8.Valid(value) {
			return d.fail(node, "value %d is not UTF-8", i-a.offset)
		}
	}
	return nil
}

// view gives the bytes that view i stands for; false if it is wrong.
func (d *draft) view(node int, views *buffer, i int64) ([]byte, bool) {
	view := (*[viewBytes]byte)(unsafe.Add(views.p, i*viewBytes))
	size := int64(int32(binary.NativeEndian.Uint32(view[:])))
	if size < 0 {
		return nil, false
	}
	if size <= viewInline {
		return view[4 : 4+size], true
	}
	index := int64(int32(binary.NativeEndian.Uint32(view[8:])))
	from := int64(int32(binary.NativeEndian.Uint32(view[12:])))
	if index < 0 || from < 0 || index >= int64(d.arrays[node].count-2) {
		return nil, false
	}
	data := d.buffer(node, int(2+index))
	if data.p == nil || from+size > data.size {
		return nil, false
	}
	value := data.bytes()[from : from+size]
	return value, [4]byte(view[4:]) == [4]byte(value)
}

func (d *draft) checkList(node int) error {
	l := &d.schema.layouts[node]
	child := l.children[0]
	if _, _, err := d.checkOffsets(node, d.arrays[child].length); err != nil {
		return err
	}
	if l.kind != kindMap {
		return nil
	}
	for _, solid := range []int{child, d.schema.layouts[child].children[0]} {
		if d.arrays[solid].nulls != 0 {
			return d.fail(solid, "the entries and keys of a map cannot be null")
		}
	}
	return nil
}

func checkListView[T int32 | int64](d *draft, node int) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	end, limit := a.offset+a.length, d.arrays[l.children[0]].length
	for i, what := range []string{"offsets", "sizes"} {
		if err := d.need(node, 1+i, what, end, l.width); err != nil {
			return err
		}
	}
	offsets, sizes := d.buffer(node, 1), d.buffer(node, 2)
	for i := a.offset; i < end; i++ {
		from, size := int64(load[T](offsets, i)), int64(load[T](sizes, i))
		if from < 0 || size < 0 || from > limit || size > limit-from {
			return d.fail(node, "list %d has offset %d and size %d, and there are %d values",
				i-a.offset, from, size, limit)
		}
	}
	return nil
}

func (d *draft) checkUnion(node int) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	end, dense := a.offset+a.length, l.kind == kindDenseUnion
	if err := d.need(node, 0, "type ids", end, 1); err != nil {
		return err
	}
	if dense {
		if err := d.need(node, 1, "offsets", end, 4); err != nil {
			return err
		}
	} else {
		for _, child := range l.children {
			if err := d.childNeeds(child, end); err != nil {
				return err
			}
		}
	}
	ids := d.buffer(node, 0)
	for i := a.offset; i < end; i++ {
		id := load[int8](ids, i)
		if id < 0 || l.codes[id] < 0 {
			return d.fail(node, "value %d has type id %d, which the union does not have",
				i-a.offset, id)
		}
		if !dense {
			continue
		}
		at := int64(load[int32](d.buffer(node, 1), i))
		if have := d.arrays[l.children[l.codes[id]]].length; at < 0 || at >= have {
			return d.fail(node, "value %d has offset %d, and its child has %d values",
				i-a.offset, at, have)
		}
	}
	return nil
}

func (d *draft) checkRunEnds(node int) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	ends := &d.arrays[l.children[0]]
	if ends.nulls != 0 {
		return d.fail(l.children[0], "run ends cannot be null")
	}
	if err := d.childNeeds(l.children[1], ends.length); err != nil {
		return err
	}
	b, width, before := d.buffer(l.children[0], 1), d.schema.layouts[l.children[0]].width, int64(0)
	for i := range ends.length {
		end := loadWide(b, width, ends.offset+i)
		if end <= before {
			return d.fail(l.children[0], "run end %d is %d, and the one before it %d", i, end, before)
		}
		before = end
	}
	if before < a.offset+a.length {
		return d.fail(l.children[0], "the runs end at %d, and the array at %d", before, a.offset+a.length)
	}
	return nil
}

func (d *draft) checkIndices(node int) error {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	end := a.offset + a.length
	if err := d.need(node, 1, "indices", end, l.width); err != nil {
		return err
	}
	b, limit := d.buffer(node, 1), uint64(d.arrays[l.dictionary].length)
	for i := a.offset; i < end; i++ {
		index := uint64(loadWide(b, l.width, i))
		if l.unsigned && l.width < 8 {
			index &= 1<<(8*l.width) - 1
		}
		if index >= limit && !d.null(node, i) {
			return d.fail(node, "value %d has index %d, and its dictionary has %d values",
				i-a.offset, int64(index), limit)
		}
	}
	return nil
}
