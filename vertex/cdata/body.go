package cdata

// #include "batch.h"
// #include "body.h"
import "C"

import (
	"runtime/cgo"
	"sync/atomic"
	"unsafe"

	"dcf/vertex/arena"
)

// Piece is dcf_piece: a part of a body.
type Piece struct {
	Start int64
	Bytes unsafe.Pointer
	Size  int64
	Trust int64
}

// Body is dcf_body: memory with a reference count. See batch.h.
type Body struct {
	refs      atomic.Int64
	bytes     unsafe.Pointer
	size      uintptr
	pieces    *Piece
	numPieces int64
	kept      unsafe.Pointer
	next      unsafe.Pointer
	released  unsafe.Pointer
	owner     uintptr
}

// The Go structs have the size of the C ones, or this does not compile.
var (
	_ [C.sizeof_dcf_piece]byte = [unsafe.Sizeof(Piece{})]byte{}
	_ [C.sizeof_dcf_body]byte  = [unsafe.Sizeof(Body{})]byte{}
)

// NewBody gives size bytes of unspecified content with one reference, or nil if memory is out.
func NewBody(size int) *Body {
	block := arena.Alloc(size)
	if block == nil {
		return nil
	}
	body := C.dcf_body_new(unsafe.Pointer(unsafe.SliceData(block)), C.size_t(size))
	if body == nil {
		arena.Free(block)
	}
	return (*Body)(unsafe.Pointer(body))
}

// NewBodyOf gives a body of n pieces, which the caller fills, and of size bytes in total; nil if
// memory is out. released, unless nil, is called once, when the last reference is gone, on whatever
// thread that is, also within a release callback of C; but not in a forked child, where Go is dead.
func NewBodyOf(n int, size int64, released func()) *Body {
	body := (*Body)(unsafe.Pointer(C.dcf_body_of(C.int64_t(n))))
	if body != nil {
		body.size = uintptr(size)
		if released != nil {
			body.owner = uintptr(cgo.NewHandle(released))
			body.released = unsafe.Pointer(C.dcf_body_tell)
		}
	}
	return body
}

//export dcfBodyReleased
func dcfBodyReleased(owner C.uintptr_t) {
	h := cgo.Handle(owner)
	released := h.Value().(func())
	h.Delete()
	released()
}

// Memory gives the bytes, valid while the body is retained; nil where it has pieces.
func (b *Body) Memory() []byte {
	if b.bytes == nil {
		return nil
	}
	return unsafe.Slice((*byte)(b.bytes), b.size)
}

// Size gives the bytes of the whole.
func (b *Body) Size() int64 { return int64(b.size) }

// Pieces gives the pieces, in order and without gaps; none where the body is one block.
func (b *Body) Pieces() []Piece { return unsafe.Slice(b.pieces, b.numPieces) }

// Keep makes b keep a body, whose only reference it takes over.
func (b *Body) Keep(part *Body) {
	C.dcf_body_keep((*C.dcf_body)(unsafe.Pointer(b)), (*C.dcf_body)(unsafe.Pointer(part)))
}

// Retain adds a reference.
func (b *Body) Retain() { b.refs.Add(1) }

// Release drops a reference and frees the body with the last.
func (b *Body) Release() { C.dcf_body_release((*C.dcf_body)(unsafe.Pointer(b))) }
