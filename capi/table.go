package main

// #include "capi.h"
import "C"

import (
	"unsafe"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// The types of columns, as the Arrow C Data Interface writes them.
const (
	formatUint32 = "I"
	formatUint64 = "L"
	formatInt64  = "l"
	formatBool   = "b"
	formatText   = "u"
	formatBlob   = "Z" // large_binary
	formatID     = "w:16"
)

// tableOf gathers the columns of a small table without nulls.
type tableOf struct {
	rows    int
	columns []column
}

type column struct {
	name, format    string
	offsets, values []byte
}

// bytesOf gives the memory of plain values.
func bytesOf[T any](values []T) []byte {
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))),
		uintptr(len(values))*unsafe.Sizeof(one))
}

func numbers[R, T any](t *tableOf, name, format string, rows []R, of func(R) T) {
	values := make([]T, len(rows))
	for i := range rows {
		values[i] = of(rows[i])
	}
	t.columns = append(t.columns, column{name: name, format: format, values: bytesOf(values)})
}

func bools[R any](t *tableOf, name string, rows []R, of func(R) bool) {
	bits := make([]byte, (len(rows)+7)/8)
	for i := range rows {
		if of(rows[i]) {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	t.columns = append(t.columns, column{name: name, format: formatBool, values: bits})
}

func texts[R any](t *tableOf, name string, rows []R, of func(R) string) {
	offsets, values := make([]int32, 1, len(rows)+1), []byte(nil)
	for i := range rows {
		values = append(values, of(rows[i])...)
		offsets = append(offsets, int32(len(values)))
	}
	t.columns = append(t.columns,
		column{name: name, format: formatText, offsets: bytesOf(offsets), values: values})
}

func blobs(t *tableOf, name string, rows int, of func(i int) []byte) {
	offsets, values := make([]int64, 1, rows+1), []byte(nil)
	for i := range rows {
		values = append(values, of(i)...)
		offsets = append(offsets, int64(len(values)))
	}
	t.columns = append(t.columns,
		column{name: name, format: formatBlob, offsets: bytesOf(offsets), values: values})
}

// batch makes a record batch of the table, in one block of memory.
func (t *tableOf) batch() (*vertex.Batch, error) {
	head := len(t.columns) * C.sizeof_dcf_capi_column
	total := align(head)
	for _, c := range t.columns {
		total += align(len(c.name)+1) + align(len(c.format)+1) + align(len(c.offsets)) +
			align(len(c.values)) + arena.Align
	}
	block := arena.Alloc(total)
	if block == nil {
		return nil, status.Errorf(status.Exhausted, "no memory for a table of %d bytes", total)
	}
	clear(block)
	descriptions := unsafe.Slice((*C.dcf_capi_column)(unsafe.Pointer(unsafe.SliceData(block))),
		len(t.columns))
	at := align(head)
	place := func(content []byte, room int) C.size_t {
		start := at
		copy(block[at:], content)
		at += align(room)
		return C.size_t(start)
	}
	for i, c := range t.columns {
		d := &descriptions[i]
		d.name = place([]byte(c.name), len(c.name)+1)
		d.format = place([]byte(c.format), len(c.format)+1)
		if c.offsets != nil {
			d.offsets = place(c.offsets, len(c.offsets))
		}
		d.values = place(c.values, max(len(c.values), 1))
	}
	return t.assemble(block)
}

// assemble takes over the block.
func (t *tableOf) assemble(block []byte) (*vertex.Batch, error) {
	var schema C.struct_ArrowSchema
	var array C.struct_ArrowArray
	made := C.dcf_capi_table(unsafe.Pointer(unsafe.SliceData(block)), C.size_t(len(block)),
		C.size_t(len(t.columns)), C.int64_t(t.rows), &schema, &array)
	if made != C.DCF_OK {
		arena.Free(block)
		return nil, status.Errorf(status.Code(made), "no memory for a table of %d rows", t.rows)
	}
	return vertex.Import(unsafe.Pointer(&schema), unsafe.Pointer(&array))
}

func align(size int) int { return (size + arena.Align - 1) &^ (arena.Align - 1) }
