package builtin

import (
	"encoding/binary"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"dcf/core/status"
)

// makeColumn makes a column of a fixed-width type out of wide values; valid nil: none is null. It
// may keep values.
func makeColumn[W wide](t arrow.DataType, values []W, valid mask) arrow.Array {
	var body []byte
	switch t.ID() {
	case arrow.BOOL:
		body = packBits(values)
	case arrow.INT8, arrow.UINT8:
		body = narrow[W, uint8](values)
	case arrow.INT16, arrow.UINT16:
		body = narrow[W, uint16](values)
	case arrow.INT32, arrow.UINT32, arrow.DATE32, arrow.TIME32:
		body = narrow[W, uint32](values)
	case arrow.FLOAT32:
		narrowed := make([]float32, len(values))
		for i, v := range values {
			narrowed[i] = float32(v)
		}
		body = bytesOf(narrowed)
	default:
		body = bytesOf(values)
	}
	return assemble(t, len(values), valid, body)
}

// narrow keeps the low bits of integers, which is all there is of values that were widened.
func narrow[W wide, T uint8 | uint16 | uint32](values []W) []byte {
	out := make([]T, len(values))
	for i, v := range values {
		out[i] = T(v)
	}
	return bytesOf(out)
}

func packBits[W wide](values []W) []byte {
	out := make(mask, words(len(values)))
	for i, v := range values {
		if v != 0 {
			out[i/64] |= 1 << (i % 64)
		}
	}
	return out.bitmap()
}

// makeText makes a utf8 column; valid nil: none is null.
func makeText(name string, values []string, valid mask) (arrow.Array, error) {
	size := 0
	for _, v := range values {
		size += len(v)
	}
	if size > MaxKeyBytes {
		return nil, status.Errorf(status.Exhausted, "the distinct values of column %q have %d "+
			"bytes together; a result may have %d (MaxKeyBytes): group by something shorter",
			name, size, MaxKeyBytes)
	}
	offsets := make([]int32, 0, len(values)+1)
	body := make([]byte, 0, size)
	for _, v := range values {
		offsets = append(offsets, int32(len(body)))
		body = append(body, v...)
	}
	offsets = append(offsets, int32(len(body)))
	return assemble(arrow.BinaryTypes.String, len(values), valid, bytesOf(offsets), body), nil
}

// assemble makes an array out of its validity and its other buffers.
func assemble(t arrow.DataType, rows int, valid mask, bodies ...[]byte) arrow.Array {
	buffers := make([]*memory.Buffer, 1+len(bodies))
	nullRows := 0
	if valid != nil {
		if nullRows = rows - valid.count(); nullRows > 0 {
			buffers[0] = memory.NewBufferBytes(valid.bitmap())
		}
	}
	for i, body := range bodies {
		buffers[1+i] = memory.NewBufferBytes(body)
	}
	return array.MakeFromData(array.NewData(t, rows, buffers, nil, nullRows, 0))
}

// bitmap gives the mask as Arrow's bitmap, which has the same order of bits.
func (m mask) bitmap() []byte {
	out := make([]byte, 8*len(m))
	for w, word := range m {
		binary.LittleEndian.PutUint64(out[8*w:], word)
	}
	return out
}

func (m mask) set(row int) { m[row/64] |= 1 << (row % 64) }

func bytesOf[T number](values []T) []byte {
	if len(values) == 0 {
		return []byte{}
	}
	var zero T
	size := len(values) * int(unsafe.Sizeof(zero))
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), size)
}
