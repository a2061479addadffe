package builtin

import (
	"math/bits"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// filter makes a column of the rows in m, of which there are count.
func filter(column arrow.Array, m mask, count int) (arrow.Array, error) {
	t := column.DataType()
	switch t.ID() {
	case arrow.NULL:
		return array.NewNull(count), nil
	case arrow.BOOL:
		data := column.Data()
		picked := pick(data.Buffers()[1].Bytes(), data.Offset(), m, count)
		return assemble(t, count, pickValid(column, m, count), picked.bitmap()), nil
	case arrow.STRING, arrow.BINARY:
		return filterText[int32](column, m, count), nil
	case arrow.LARGE_STRING, arrow.LARGE_BINARY:
		return filterText[int64](column, m, count), nil
	case arrow.EXTENSION:
		return filterRuns(column, m)
	}
	if fixed, ok := t.(arrow.FixedWidthDataType); ok && len(column.Data().Children()) == 0 {
		return filterFixed(column, fixed.BitWidth()/8, m, count), nil
	}
	return filterRuns(column, m)
}

// filterFixed moves values of so many bytes each; those of a dictionary are its indices.
func filterFixed(column arrow.Array, width int, m mask, count int) arrow.Array {
	var body []byte
	switch width {
	case 1:
		body = bytesOf(gather(make([]uint8, count), values[uint8](column), m))
	case 2:
		body = bytesOf(gather(make([]uint16, count), values[uint16](column), m))
	case 4:
		body = bytesOf(gather(make([]uint32, count), values[uint32](column), m))
	case 8:
		body = bytesOf(gather(make([]uint64, count), values[uint64](column), m))
	default:
		from := column.Data().Buffers()[1].Bytes()[column.Data().Offset()*width:]
		body = make([]byte, 0, count*width)
		m.each(func(row int) { body = append(body, from[row*width:(row+1)*width]...) })
	}
	made := assemble(indexType(column), count, pickValid(column, m, count), body)
	if column.DataType().ID() != arrow.DICTIONARY {
		return made
	}
	data := made.Data()
	dictionary := column.Data().Dictionary().(*array.Data)
	return array.MakeFromData(array.NewDataWithDictionary(
		column.DataType(), count, data.Buffers(), data.NullN(), 0, dictionary))
}

// indexType gives the type of the values that lie in a column's own buffer.
func indexType(column arrow.Array) arrow.DataType {
	if d, ok := column.DataType().(*arrow.DictionaryType); ok {
		return d.IndexType
	}
	return column.DataType()
}

// filterText moves values of any length with offsets of type O.
func filterText[O int32 | int64](column arrow.Array, m mask, count int) arrow.Array {
	from := buffer[O](column.Data(), 1)
	offsets := make([]O, 1, count+1)
	m.each(func(row int) {
		offsets = append(offsets, offsets[len(offsets)-1]+from[row+1]-from[row])
	})
	body := make([]byte, 0, offsets[count])
	if len(column.Data().Buffers()) > 2 && column.Data().Buffers()[2] != nil {
		text := column.Data().Buffers()[2].Bytes()
		m.each(func(row int) { body = append(body, text[from[row]:from[row+1]]...) })
	}
	return assemble(column.DataType(), count, pickValid(column, m, count), bytesOf(offsets), body)
}

// filterRuns puts slices of the column together, one for each run of rows.
func filterRuns(column arrow.Array, m mask) (arrow.Array, error) {
	var runs []arrow.Array
	start, end := 0, 0 // of the run so far
	m.each(func(row int) {
		if row != end {
			if end > start {
				runs = append(runs, array.NewSlice(column, int64(start), int64(end)))
			}
			start = row
		}
		end = row + 1
	})
	runs = append(runs, array.NewSlice(column, int64(start), int64(end)))
	return array.Concatenate(runs, memory.DefaultAllocator)
}

// pickValid gives the validity of the rows in m; nil: none is null.
func pickValid(column arrow.Array, m mask, count int) mask {
	data := column.Data()
	bitmap := data.Buffers()[0]
	if bitmap == nil || bitmap.Len() == 0 || data.NullN() == 0 {
		return nil
	}
	return pick(bitmap.Bytes(), data.Offset(), m, count)
}

// pick gives the bits of the rows in m, one after another.
func pick(bitmap []byte, offset int, m mask, count int) mask {
	out := make(mask, words(count))
	k := 0
	m.each(func(row int) {
		bit := offset + row
		out[k/64] |= uint64(bitmap[bit/8]>>(bit%8)&1) << (k % 64)
		k++
	})
	return out
}

// each calls f with each row in m, in order.
func (m mask) each(f func(row int)) {
	for w, word := range m {
		for ; word != 0; word &= word - 1 {
			f(w*64 + bits.TrailingZeros64(word))
		}
	}
}

// keep clears all but the first limit bits that are set.
func (m mask) keep(limit int64) {
	for w, word := range m {
		n := int64(bits.OnesCount64(word))
		for ; n > limit; n-- {
			word &^= 1 << (63 - bits.LeadingZeros64(word))
		}
		m[w] = word
		limit -= n
	}
}
