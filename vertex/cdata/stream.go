package cdata

// #include <stdlib.h>
// #include "stream.h"
import "C"

import (
	"runtime/cgo"
	"syscall"
	"unsafe"
)

// Producer is what stands behind an exported stream. One thread calls it at a time, any thread.
type Producer interface {
	// Schema writes a struct ArrowSchema.
	Schema(out unsafe.Pointer) error
	// Next writes a struct ArrowArray, or nothing at the end.
	Next(out unsafe.Pointer) error
	// Close is called once, last.
	Close()
	// Errno gives the number that stands for an error.
	Errno(err error) syscall.Errno
}

// ExportStream writes a struct ArrowArrayStream; false if memory is out, and the producer is not
// taken over.
func ExportStream(out unsafe.Pointer, p Producer) bool {
	h := cgo.NewHandle(p)
	if C.dcf_stream_export(C.uintptr_t(h), (*C.struct_ArrowArrayStream)(out)) != 0 {
		h.Delete()
		return false
	}
	return true
}

//export dcfStreamSchema
func dcfStreamSchema(producer C.uintptr_t, out *C.struct_ArrowSchema, text **C.char) C.int {
	p := cgo.Handle(producer).Value().(Producer)
	return failed(p, p.Schema(unsafe.Pointer(out)), text)
}

//export dcfStreamNext
func dcfStreamNext(producer C.uintptr_t, out *C.struct_ArrowArray, text **C.char) C.int {
	p := cgo.Handle(producer).Value().(Producer)
	return failed(p, p.Next(unsafe.Pointer(out)), text)
}

//export dcfStreamClose
func dcfStreamClose(producer C.uintptr_t) {
	h := cgo.Handle(producer)
	h.Value().(Producer).Close()
	h.Delete()
}

func failed(p Producer, err error, text **C.char) C.int {
	if err == nil {
		return 0
	}
	*text = C.CString(err.Error())
	return C.int(p.Errno(err))
}

// InStream is a stream of another producer, moved here. One goroutine uses it at a time.
type InStream struct{ c *C.struct_ArrowArrayStream }

// TakeStream moves a stream out of the struct, whose release is NULL then; false if memory is out,
// and the stream is released.
func TakeStream(stream unsafe.Pointer) (InStream, bool) {
	c := C.dcf_stream_take((*C.struct_ArrowArrayStream)(stream))
	return InStream{c}, c != nil
}

// Schema has the producer write a struct ArrowSchema, which lies outside the Go heap.
func (s InStream) Schema(out *SchemaNode) (syscall.Errno, string) {
	return s.failed(C.dcf_stream_schema(s.c, (*C.struct_ArrowSchema)(unsafe.Pointer(out))))
}

// Next has the producer write a struct ArrowArray, which lies outside the Go heap.
func (s InStream) Next(out *Array) (syscall.Errno, string) {
	return s.failed(C.dcf_stream_next(s.c, (*C.struct_ArrowArray)(unsafe.Pointer(out))))
}

// failed gives the producer's text for an error, too.
func (s InStream) failed(code C.int) (syscall.Errno, string) {
	if code == 0 {
		return 0, ""
	}
	text := C.dcf_stream_error(s.c)
	if text == nil {
		return syscall.Errno(code), ""
	}
	return syscall.Errno(code), C.GoString(text)
}

// Free releases the stream. Nobody may use it afterwards.
func (s InStream) Free() { C.dcf_stream_free(s.c) }
