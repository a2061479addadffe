package main

// #include "capi.h"
import "C"

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"dcf/vertex"
)

// view gives bytes that lie in the caller's memory.
func view(b C.dcf_bytes, parameter string) ([]byte, error) {
	if b.size == 0 {
		return nil, nil
	}
	if b.data == nil {
		return nil, null(parameter + ".data")
	}
	return unsafe.Slice((*byte)(b.data), b.size), nil
}

// text copies a text of the caller.
func text(b C.dcf_bytes, parameter string) (string, error) {
	in, err := view(b, parameter)
	if err != nil {
		return "", err
	}
	s := string(in)
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return "", invalid("%s is %q: text is UTF-8 without NUL bytes", parameter, cut(s, 64))
	}
	return s, nil
}

// list splits a comma-separated text.
func list(text string) []string {
	var out []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// sized copies a struct of the caller, which starts with its size, over defaults. A smaller one
// leaves the defaults; of a larger one the part that is not known here must be zero.
func sized[T any](from *T, into *T, macro string) error {
	size, known := uintptr(*(*C.uint32_t)(unsafe.Pointer(from))), unsafe.Sizeof(*into)
	if size < minStruct {
		return invalid("struct_size is %d: start from %s", size, macro)
	}
	in := unsafe.Slice((*byte)(unsafe.Pointer(from)), size)
	if size > known && !isZero(in[known:]) {
		return invalid("struct_size is %d, and what lies beyond the %d bytes that libdcf %s knows "+
			"is not zero: the caller was built for a later libdcf, use that", size, known, version)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(into)), known), in)
	return nil
}

// minStruct is the size of struct_size and what stands beside it.
const minStruct = 8

func isZero(bytes []byte) bool {
	for _, b := range bytes {
		if b != 0 {
			return false
		}
	}
	return true
}

// known refuses flags that have no meaning.
func known(flags, all C.uint32_t) error {
	if unknown := flags &^ all; unknown != 0 {
		return invalid("flags has the unknown bits %#x", uint32(unknown))
	}
	return nil
}

// batchOf takes a record batch over from the caller; nil where both are NULL.
func batchOf(schema *C.struct_ArrowSchema, array *C.struct_ArrowArray) (*vertex.Batch, error) {
	switch {
	case schema == nil && array == nil:
		return nil, nil
	case schema == nil:
		return nil, null("schema")
	case array == nil:
		return nil, null("array")
	case schema.release == nil || array.release == nil:
		return nil, invalid("the array or its schema was released or moved before: " +
			"export it again, each export can be given away once")
	}
	return vertex.Import(unsafe.Pointer(schema), unsafe.Pointer(array))
}

// giveBack makes a batch the caller's again, where what it was taken over for failed. Where memory
// is out for that, the structs stay released and the batch is gone.
func giveBack(b *vertex.Batch, schema *C.struct_ArrowSchema, array *C.struct_ArrowArray) {
	if b != nil {
		_ = b.Export(unsafe.Pointer(schema), unsafe.Pointer(array))
		b.Release()
	}
}

func idOf(id C.dcf_vertex_id) vertex.ID { return *(*vertex.ID)(unsafe.Pointer(&id)) }
