package main

// #include "capi.h"
import "C"

import (
	"unsafe"

	"dcf/vertex"
)

//export dcf_array_concat
func dcf_array_concat(schema *C.dcf_schema_const, arrays *C.dcf_array_const_pointer, count C.size_t,
	out *C.struct_ArrowArray, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, 0)
	return finish(e, concat(schema, arrays, count, out))
}

func concat(schema *C.struct_ArrowSchema, arrays *C.dcf_array_const_pointer, count C.size_t,
	out *C.struct_ArrowArray) error {
	switch {
	case schema == nil:
		return null("schema")
	case arrays == nil && count > 0:
		return null("arrays")
	case out == nil:
		return null("out")
	case count > MaxArrays:
		return invalid("count is %d, and at most %d arrays are joined (MaxArrays)", count, MaxArrays)
	}
	all := unsafe.Slice((*unsafe.Pointer)(unsafe.Pointer(arrays)), count)
	joined, err := vertex.Join(unsafe.Pointer(schema), all)
	if err != nil {
		return err
	}
	defer joined.Release()
	return joined.Export(nil, unsafe.Pointer(out))
}
