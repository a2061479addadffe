// Package cdata keeps record batches, their types and what languages made of them outside the Go
// heap, in the structs of the Arrow C Data Interface, so that C may hold and free them on any
// thread without entering Go. It checks nothing and knows no Go Arrow: package vertex does.
package cdata

// #cgo CFLAGS: -std=c11 -Wall -Wextra
// #include "batch.h"
// #include "views.h"
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// The flags of a SchemaNode.
const (
	FlagDictionaryOrdered = C.ARROW_FLAG_DICTIONARY_ORDERED
	FlagNullable          = C.ARROW_FLAG_NULLABLE
	FlagMapKeysSorted     = C.ARROW_FLAG_MAP_KEYS_SORTED
)

// SchemaNode is struct ArrowSchema.
type SchemaNode struct {
	Format      *byte
	Name        *byte
	Metadata    *byte
	Flags       int64
	NumChildren int64
	Children    **SchemaNode
	Dictionary  *SchemaNode
	Release     unsafe.Pointer
	Private     unsafe.Pointer
}

// Array is struct ArrowArray.
type Array struct {
	Length      int64
	NullCount   int64
	Offset      int64
	NumBuffers  int64
	NumChildren int64
	Buffers     *unsafe.Pointer
	Children    **Array
	Dictionary  *Array
	Release     unsafe.Pointer
	Private     unsafe.Pointer
}

// ArrayStream is struct ArrowArrayStream.
type ArrayStream struct {
	GetSchema    unsafe.Pointer
	GetNext      unsafe.Pointer
	GetLastError unsafe.Pointer
	Release      unsafe.Pointer
	Private      unsafe.Pointer
}

// Schema is dcf_schema: a type, with a reference count. See batch.h.
type Schema struct {
	refs  atomic.Int64
	Count int64
	Nodes *SchemaNode
	Slot  uint64
}

// Plain is dcf_plain: a column that hot paths read.
type Plain struct {
	Values unsafe.Pointer
	Type   uint64
}

// Batch is dcf_batch: a value, with a reference count. See batch.h.
type Batch struct {
	Plain      *Plain
	Columns    int64
	Nodes      *Array
	Schema     *Schema
	refs       atomic.Int64
	Count      int64
	Bytes      int64
	Sizes      *int64
	Buffers    *unsafe.Pointer
	NumBuffers int64
	Source     Array
	Bodies     **Body
	NumBodies  int64
	Parents    **Batch
	NumParents int64
	Twin       atomic.Pointer[Batch]
}

// The Go structs have the size of the C ones, or this does not compile.
var (
	_ [C.sizeof_struct_ArrowSchema]byte      = [unsafe.Sizeof(SchemaNode{})]byte{}
	_ [C.sizeof_struct_ArrowArray]byte       = [unsafe.Sizeof(Array{})]byte{}
	_ [C.sizeof_struct_ArrowArrayStream]byte = [unsafe.Sizeof(ArrayStream{})]byte{}
	_ [C.sizeof_dcf_schema]byte              = [unsafe.Sizeof(Schema{})]byte{}
	_ [C.sizeof_dcf_plain]byte               = [unsafe.Sizeof(Plain{})]byte{}
	_ [C.sizeof_dcf_batch]byte               = [unsafe.Sizeof(Batch{})]byte{}
)

// Zeros gives the address of 64 bytes of zeros, which empty buffers point to.
func Zeros() unsafe.Pointer { return unsafe.Pointer(&C.dcf_zeros) }

// Live counts the batches, schemas and bodies that exist in the process.
func Live() (batches, schemas, bodies int) {
	var b, s, m C.int64_t
	C.dcf_live(&b, &s, &m)
	return int(b), int(s), int(m)
}

// NewSchema allocates a schema of nodes structs, with room for links child pointers and extra bytes
// behind it, for the caller to fill; nil if memory is out.
func NewSchema(nodes, links, extra int) (s *Schema, children []*SchemaNode, text []byte) {
	var linksOut **C.struct_ArrowSchema
	var textOut *C.char
	c := C.dcf_schema_new(C.int64_t(nodes), C.int64_t(links), C.size_t(extra), &linksOut, &textOut)
	if c == nil {
		return nil, nil, nil
	}
	return (*Schema)(unsafe.Pointer(c)),
		unsafe.Slice((**SchemaNode)(unsafe.Pointer(linksOut)), links),
		unsafe.Slice((*byte)(unsafe.Pointer(textOut)), extra)
}

// All gives the nodes in pre-order.
func (s *Schema) All() []SchemaNode { return unsafe.Slice(s.Nodes, s.Count) }

// Retain adds a reference.
func (s *Schema) Retain() { s.refs.Add(1) }

// Release drops a reference and frees the schema with the last.
func (s *Schema) Release() { C.dcf_schema_release((*C.dcf_schema)(unsafe.Pointer(s))) }

// Shared says whether anybody beside one holder has a reference.
func (s *Schema) Shared() bool { return s.refs.Load() > 1 }

// Export writes a struct ArrowSchema that holds a reference; false if memory is out.
func (s *Schema) Export(out unsafe.Pointer) bool {
	return C.dcf_schema_export((*C.dcf_schema)(unsafe.Pointer(s)), (*C.struct_ArrowSchema)(out)) == 0
}

// NewBatch allocates a batch of that type for the caller to fill; nil if memory is out.
func NewBatch(schema *Schema, buffers, bodies, parents int) *Batch {
	return (*Batch)(unsafe.Pointer(C.dcf_batch_new((*C.dcf_schema)(unsafe.Pointer(schema)),
		C.int64_t(buffers), C.int64_t(bodies), C.int64_t(parents))))
}

// All gives the nodes in the order of the schema's.
func (b *Batch) All() []Array { return unsafe.Slice(b.Nodes, b.Count) }

// AllSizes gives the bytes of each buffer, in the order of AllBuffers.
func (b *Batch) AllSizes() []int64 { return unsafe.Slice(b.Sizes, b.NumBuffers) }

// AllBuffers gives the buffers of all nodes.
func (b *Batch) AllBuffers() []unsafe.Pointer { return unsafe.Slice(b.Buffers, b.NumBuffers) }

// AllBodies gives the memory that belongs to the batch.
func (b *Batch) AllBodies() []*Body { return unsafe.Slice(b.Bodies, b.NumBodies) }

// AllParents gives the batches whose memory this one uses.
func (b *Batch) AllParents() []*Batch { return unsafe.Slice(b.Parents, b.NumParents) }

// Retain adds a reference.
func (b *Batch) Retain() { b.refs.Add(1) }

// Release drops a reference and frees the batch with the last.
func (b *Batch) Release() {
	if b.refs.Add(-1) == 0 {
		C.dcf_batch_free((*C.dcf_batch)(unsafe.Pointer(b)))
	}
}

// Export writes a struct ArrowArray that holds a reference; false if memory is out.
func (b *Batch) Export(out unsafe.Pointer) bool {
	return C.dcf_batch_export((*C.dcf_batch)(unsafe.Pointer(b)), (*C.struct_ArrowArray)(out)) == 0
}

// ReleaseArray releases a struct ArrowArray, if it is not released yet.
func ReleaseArray(array unsafe.Pointer) { C.dcf_release_array((*C.struct_ArrowArray)(array)) }

// ReleaseSchema releases a struct ArrowSchema, if it is not released yet.
func ReleaseSchema(schema unsafe.Pointer) { C.dcf_release_schema((*C.struct_ArrowSchema)(schema)) }
