// Package vertex holds what a vertex is made of: its identity and its value, an Arrow record
// batch whose memory lies outside the Go heap. It knows no worker, no owner and no network.
package vertex

import (
	"unsafe"

	"dcf/core/status"
	"dcf/vertex/cdata"
)

// Batch is an immutable Arrow record batch with a reference count. The struct itself and all that
// it points to lie outside the Go heap: a *Batch costs the collector nothing, may be kept in
// memory that the collector does not see, and may be released by C on any thread.
//
// Whoever makes or retains a Batch releases it once. Its top level has offset 0 and no nulls;
// columns may have offsets of their own. Everything that a reader may follow was checked when the
// batch was made: lengths, offsets, indices, type ids and run ends, and for what Assemble made also
// UTF-8. All methods are safe for concurrent use.
type Batch struct{ c cdata.Batch }

// Retain adds a reference and gives the batch back.
func (b *Batch) Retain() *Batch {
	b.c.Retain()
	return b
}

// Release drops a reference and frees the batch with the last.
func (b *Batch) Release() { b.c.Release() }

// Rows gives the number of rows.
func (b *Batch) Rows() int64 { return b.c.Nodes.Length }

// Columns gives the number of columns.
func (b *Batch) Columns() int { return int(b.c.Columns) }

// Bytes gives the size of all buffers, as counted against memory limits. A slice keeps all the
// memory alive that it is a part of, and counts its share.
func (b *Batch) Bytes() int64 { return b.c.Bytes }

// Schema gives the batch's type.
func (b *Batch) Schema() *Schema { return schemas.slots.get(b.c.Schema.Slot) }

// CSchema gives the batch's struct ArrowSchema, borrowed, valid while the batch is retained. It
// must not be released or written to.
func (b *Batch) CSchema() unsafe.Pointer { return unsafe.Pointer(b.c.Schema.Nodes) }

// CArray gives the batch's struct ArrowArray, borrowed, valid while the batch is retained. It must
// not be released or written to.
func (b *Batch) CArray() unsafe.Pointer { return unsafe.Pointer(b.c.Nodes) }

// Int64 gives the values of an int64 column without nulls, or nil where the column is another one.
// They are borrowed and valid while the batch is retained.
func (b *Batch) Int64(column int) []int64 {
	if uint(column) < uint(b.c.Columns) {
		if p := at(b.c.Plain, column); p.Type == plainInt64 {
			return valuesAt[int64](p.Values, b.c.Nodes.Length)
		}
	}
	return nil
}

// Float64 gives the values of a float64 column without nulls, or nil where the column is another
// one. They are borrowed and valid while the batch is retained.
func (b *Batch) Float64(column int) []float64 {
	if uint(column) < uint(b.c.Columns) {
		if p := at(b.c.Plain, column); p.Type == plainFloat64 {
			return valuesAt[float64](p.Values, b.c.Nodes.Length)
		}
	}
	return nil
}

// valuesAt gives the n values of a column. It is unsafe.Slice without its look for an overflow,
// which costs as much as reading some of them: lengths were checked when the batch was made.
func valuesAt[T any](first unsafe.Pointer, n int64) []T { return (*[maxValues]T)(first)[:n:n] }

// maxValues is more than fit into memory.
const maxValues = 1 << 40

// The types of a cdata.Plain.
const (
	plainInt64   = 'l'
	plainFloat64 = 'g'
)

// Export writes the batch as a struct ArrowSchema and a struct ArrowArray, which the caller owns;
// each may be nil. They share the batch's memory and keep it alive until they are released, which
// is done in C alone, on any thread. It fails with status.Exhausted if memory is out.
func (b *Batch) Export(schemaOut, arrayOut unsafe.Pointer) error {
	if arrayOut != nil && !b.c.Export(arrayOut) {
		return errMemory("the export of a batch")
	}
	if schemaOut != nil && !b.c.Schema.Export(schemaOut) {
		if arrayOut != nil {
			cdata.ReleaseArray(arrayOut)
		}
		return errMemory("the export of a schema")
	}
	return nil
}

// ExportSchema writes the batch's type as a struct ArrowSchema, which the caller owns.
func (b *Batch) ExportSchema(out unsafe.Pointer) error { return b.Export(out, nil) }

// at gives the address of element i of an array in C.
func at[T any](first *T, i int) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(first), uintptr(i)*unsafe.Sizeof(*first)))
}

func errMemory(what string) *status.Error {
	return status.Errorf(status.Exhausted,
		"the system has no memory for %s: free some, or give the process more", what)
}
