package main

// #include "capi.h"
import "C"

import (
	"fmt"
	"runtime/debug"
	"unicode/utf8"
	"unsafe"

	"dcf/core/status"
)

// unsafePointer is C's void*.
type unsafePointer = unsafe.Pointer

// finish gives the status of err and fills e with it.
func finish(e *C.dcf_error, err error) C.dcf_status {
	if err == nil {
		return C.DCF_OK
	}
	return fill(e, status.From(err))
}

func fill(e *C.dcf_error, err *status.Error) C.dcf_status {
	code := C.dcf_status(err.Code)
	if e == nil {
		return code
	}
	e.status, e.os_error, e.node = code, C.int32_t(err.OS), C.uint64_t(err.Node)
	*(*[16]byte)(unsafe.Pointer(&e.vertex)) = err.Vertex
	room := unsafe.Slice((*byte)(unsafe.Pointer(&e.message[0])), len(e.message))
	n := copy(room, cut(err.Message, len(room)-1))
	room[n] = 0
	return code
}

// cut shortens text to at most size bytes, between two characters.
func cut(text string, size int) string {
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return text[:size]
}

// guard turns a panic, which is a bug of dcf, into DCF_INTERNAL. Nobody knows what the panic left
// half done, so the worker that the handle belongs to refuses further calls.
func guard(e *C.dcf_error, s *C.dcf_status, handle C.uint64_t) {
	if p := recover(); p != nil {
		*s = fill(e, broken(uint64(handle), p, debug.Stack()))
	}
}

// broken records that a worker met a bug, and gives the error that says so.
func broken(handle uint64, p any, stack []byte) *status.Error {
	if w := owner(handle); w != nil {
		w.broken.Store(true)
		C.dcf_capi_leave(&C.dcf_capi_workers, C.uint64_t(w.handle))
	}
	return status.Errorf(status.Internal, "a bug in libdcf %s, please report it: panic: %v", version,
		p).WithDetail(fmt.Sprintf("%v\n%s", p, stack))
}

func invalid(format string, args ...any) *status.Error {
	return status.Errorf(status.InvalidArgument, format, args...)
}

// null is the error of a parameter that must not be NULL.
func null(parameter string) *status.Error {
	return invalid("%s is NULL, which it must not be", parameter)
}
