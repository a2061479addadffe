package builtin

import (
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// number is what the inner loops calculate with.
type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// wide is a number that holds all values of its class.
type wide interface{ ~int64 | ~uint64 | ~float64 }

// class says how the values of a type are read.
type class uint8

const (
	classOther    class = iota // only counted
	classSigned                // int64
	classUnsigned              // uint64
	classFloat                 // float64
	classBool                  // int64: 0 or 1
	classTime                  // int64 without arithmetic: dates, times, durations
	classText
)

func classOf(t arrow.DataType) class {
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64:
		return classSigned
	case arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		return classUnsigned
	case arrow.FLOAT32, arrow.FLOAT64:
		return classFloat
	case arrow.BOOL:
		return classBool
	case arrow.DATE32, arrow.DATE64, arrow.TIME32, arrow.TIME64, arrow.TIMESTAMP, arrow.DURATION:
		return classTime
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		return classText
	case arrow.DICTIONARY:
		if classOf(t.(*arrow.DictionaryType).ValueType) == classText {
			return classText
		}
	}
	return classOther
}

// signed says whether values of the class are read as int64.
func (c class) signed() bool { return c == classSigned || c == classBool || c == classTime }

// reader gives the values of one column chunk by chunk.
type reader[W wide] interface {
	// read gives the values of the rows in m of from..from+rows, in order. They lie in the
	// column itself or in buffer, which has room for all rows.
	read(buffer []W, from, rows int, m mask) []W
	at(row int) W
}

// direct reads a column whose values are as wide as W already.
type direct[W wide] []W

func (d direct[W]) at(row int) W { return d[row] }

func (d direct[W]) read(buffer []W, from, rows int, m mask) []W {
	if m == nil {
		return d[from : from+rows]
	}
	return gather(buffer, d[from:from+rows], m)
}

// widened reads a column of a narrower type.
type widened[T number, W wide] []T

func (d widened[T, W]) at(row int) W { return W(d[row]) }

func (d widened[T, W]) read(buffer []W, from, rows int, m mask) []W {
	values := d[from : from+rows]
	if m != nil {
		return gather(buffer, values, m)
	}
	buffer = buffer[:rows]
	for i, v := range values {
		buffer[i] = W(v)
	}
	return buffer
}

// bitReader reads a column of bool.
type bitReader struct {
	bitmap []byte
	offset int
}

func (b bitReader) at(row int) int64 {
	bit := b.offset + row
	return int64(b.bitmap[bit/8] >> (bit % 8) & 1)
}

func (b bitReader) read(buffer []int64, from, rows int, m mask) []int64 {
	k := 0
	for w := range words(rows) {
		word := loadWord(b.bitmap, b.offset+from+64*w)
		n := min(64, rows-64*w)
		for i := range n {
			if m == nil || m[w]>>i&1 != 0 {
				buffer[k] = int64(word >> i & 1)
				k++
			}
		}
	}
	return buffer[:k]
}

// values gives the fixed-width values of a column from its offset on.
func values[T number](column arrow.Array) []T { return buffer[T](column.Data(), 0) }

// buffer gives the second buffer of an array from its offset on, as Len+extra values.
func buffer[T number](data arrow.ArrayData, extra int) []T {
	if data.Len() == 0 {
		return make([]T, extra) // an empty array may come without buffers
	}
	first := (*T)(unsafe.Pointer(unsafe.SliceData(data.Buffers()[1].Bytes())))
	return unsafe.Slice(first, data.Offset()+data.Len()+extra)[data.Offset():]
}

// signedReader reads a column whose class is signed.
func signedReader(column arrow.Array) reader[int64] {
	switch column.DataType().ID() {
	case arrow.INT8:
		return widened[int8, int64](values[int8](column))
	case arrow.INT16:
		return widened[int16, int64](values[int16](column))
	case arrow.INT32, arrow.DATE32, arrow.TIME32:
		return widened[int32, int64](values[int32](column))
	case arrow.BOOL:
		if column.Len() == 0 {
			return bitReader{}
		}
		return bitReader{column.Data().Buffers()[1].Bytes(), column.Data().Offset()}
	}
	return direct[int64](values[int64](column))
}

// unsignedReader reads a column of classUnsigned.
func unsignedReader(column arrow.Array) reader[uint64] {
	switch column.DataType().ID() {
	case arrow.UINT8:
		return widened[uint8, uint64](values[uint8](column))
	case arrow.UINT16:
		return widened[uint16, uint64](values[uint16](column))
	case arrow.UINT32:
		return widened[uint32, uint64](values[uint32](column))
	}
	return direct[uint64](values[uint64](column))
}

// floatReader reads a column of classFloat.
func floatReader(column arrow.Array) reader[float64] {
	if column.DataType().ID() == arrow.FLOAT32 {
		return widened[float32, float64](values[float32](column))
	}
	return direct[float64](values[float64](column))
}

// dictionaryOf gives the entries of a dictionary column, and nil for other columns. It makes its
// own array of them: the one that array.Dictionary keeps is made without a lock.
func dictionaryOf(column arrow.Array) arrow.Array {
	if column.DataType().ID() != arrow.DICTIONARY {
		return nil
	}
	return array.MakeFromData(column.Data().Dictionary())
}

// codes are the indices of a dictionary column; either reader is nil.
type codes struct {
	signed   reader[int64]
	unsigned reader[uint64]
}

func codesOf(column arrow.Array) codes {
	indices := column.(*array.Dictionary).Indices()
	if classOf(indices.DataType()) == classSigned {
		return codes{signed: signedReader(indices)}
	}
	return codes{unsigned: unsignedReader(indices)}
}

func (c codes) at(row int) int {
	if c.signed != nil {
		return int(c.signed.at(row))
	}
	return int(c.unsigned.at(row))
}

// text gives the strings of a column of classText that is no dictionary. They share its memory.
type text struct {
	short []int32 // offsets of utf8
	long  []int64 // offsets of large_utf8
	bytes []byte
	views *array.StringView
}

func textOf(column arrow.Array) text {
	if views, ok := column.(*array.StringView); ok {
		return text{views: views}
	}
	var t text
	data := column.Data()
	if len(data.Buffers()) > 2 && data.Buffers()[2] != nil {
		t.bytes = data.Buffers()[2].Bytes()
	}
	if column.DataType().ID() == arrow.STRING {
		t.short = buffer[int32](data, 1)
	} else {
		t.long = buffer[int64](data, 1)
	}
	return t
}

func (t *text) at(row int) string {
	switch {
	case t.short != nil:
		return unsafeString(t.bytes[t.short[row]:t.short[row+1]])
	case t.long != nil:
		return unsafeString(t.bytes[t.long[row]:t.long[row+1]])
	}
	return t.views.Value(row)
}

func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// readerOf reads a column whose class is read as W.
func readerOf[W wide](column arrow.Array) reader[W] {
	var r any
	switch c := classOf(column.DataType()); {
	case c.signed():
		r = signedReader(column)
	case c == classUnsigned:
		r = unsignedReader(column)
	default:
		r = floatReader(column)
	}
	return r.(reader[W])
}
