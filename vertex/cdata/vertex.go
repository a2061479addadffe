package cdata

// #include "vertex.h"
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// IDList is dcf_id_list: the ids follow it.
type IDList struct {
	Refs  atomic.Int32
	Count uint32
	_     [56]byte
}

// Version is dcf_vertex_version: one state of a vertex. See vertex.h.
type Version struct {
	Number   uint64
	Batch    *Batch
	Schema   *SchemaNode
	Array    *Array
	Children *IDList
	Views    Views
	Index    uint32
	Group    uint32
	_        uint64
}

// SetBatch gives a new version its value.
func (v *Version) SetBatch(b *Batch) {
	if b != nil {
		v.Batch, v.Schema, v.Array = b, b.Schema.Nodes, b.Nodes
	}
}

// Record is dcf_record: one vertex.
type Record struct {
	ID       [16]byte
	Current  atomic.Pointer[Version]
	Parents  atomic.Pointer[IDList]
	Name     unsafe.Pointer
	NameSize uint32
	Index    uint32
	Lock     atomic.Uint32
	Refs     atomic.Int32
	Birth    uint64
}

// MaxPins is how many readers one store has at a time.
const MaxPins = C.DCF_MAX_PINS

// Pin is dcf_pin: a reader's place.
type Pin struct {
	Word  atomic.Uint64
	Calls int64
	_     [48]byte
}

// Epochs is dcf_epochs: the pins of one store.
type Epochs struct {
	Current  atomic.Uint64
	Home     uint32
	Pressing atomic.Uint32
	Overflow atomic.Int64
	_        [40]byte
	Pins     [MaxPins]Pin
}

// The Go structs have the layout of the C ones, or this does not compile.
var (
	_ [C.sizeof_dcf_id_list]byte        = [unsafe.Sizeof(IDList{})]byte{}
	_ [C.sizeof_dcf_vertex_version]byte = [unsafe.Sizeof(Version{})]byte{}
	_ [C.sizeof_dcf_record]byte         = [unsafe.Sizeof(Record{})]byte{}
	_ [C.sizeof_dcf_pin]byte            = [unsafe.Sizeof(Pin{})]byte{}
	_ [C.sizeof_dcf_epochs]byte         = [unsafe.Sizeof(Epochs{})]byte{}

	_ [unsafe.Offsetof(C.dcf_vertex_version{}.children)]byte = [unsafe.Offsetof(Version{}.Children)]byte{}
	_ [unsafe.Offsetof(C.dcf_vertex_version{}.views)]byte    = [unsafe.Offsetof(Version{}.Views)]byte{}
	_ [unsafe.Offsetof(C.dcf_vertex_version{}.group)]byte    = [unsafe.Offsetof(Version{}.Group)]byte{}
	_ [unsafe.Offsetof(C.dcf_record{}.current)]byte          = [unsafe.Offsetof(Record{}.Current)]byte{}
	_ [unsafe.Offsetof(C.dcf_record{}.parents)]byte          = [unsafe.Offsetof(Record{}.Parents)]byte{}
	_ [unsafe.Offsetof(C.dcf_pin{}.calls)]byte               = [unsafe.Offsetof(Pin{}.Calls)]byte{}
	_ [unsafe.Offsetof(C.dcf_epochs{}.home)]byte             = [unsafe.Offsetof(Epochs{}.Home)]byte{}
	_ [unsafe.Offsetof(C.dcf_epochs{}.pressing)]byte         = [unsafe.Offsetof(Epochs{}.Pressing)]byte{}
	_ [unsafe.Offsetof(C.dcf_epochs{}.overflow)]byte         = [unsafe.Offsetof(Epochs{}.Overflow)]byte{}
	_ [unsafe.Offsetof(C.dcf_epochs{}.pins)]byte             = [unsafe.Offsetof(Epochs{}.Pins)]byte{}
)
