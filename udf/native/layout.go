package native

// #include "native.h"
import "C"

import (
	"unsafe"

	"dcf/vertex"
)

// What C is given is filled in as structs of integers: they lie outside the Go heap, and a store of
// an integer costs no write barrier.

// bytes is dcf_bytes.
type bytes struct{ data, size uintptr }

// input is dcf_udf_input.
type input struct {
	structSize      uint32
	vertexKind      uint32
	vertex          vertex.ID
	version         uint64
	schema          uintptr
	array           uintptr
	children        uintptr
	childCount      uintptr
	parents         uintptr
	parentCount     uintptr
	arguments       bytes
	argumentsSchema uintptr
	argumentsArray  uintptr
	auxiliary       bytes
	deadline        int64
	cancelled       uintptr
	batch           uintptr // private_data[0]
	views           uintptr // private_data[1]
}

// part is dcf_part.
type part struct {
	bytes  bytes
	schema uintptr
	array  uintptr
}

// mergeInput is dcf_merge_input.
type mergeInput struct {
	structSize uint32
	partSize   uint32
	parts      uintptr
	partCount  uintptr
	arguments  bytes
	auxiliary  bytes
	batches    uintptr // private_data[0]: an array of as many addresses of batches, or zeros
	reserved   uint64
}

// output is dcf_native_output up to its memory for a part, which Go need not clear.
type output struct {
	api       uintptr
	part      uintptr
	partSize  uintptr
	block     uintptr
	blockSize uintptr
	rare      uintptr
	partKind  uint32
	status    int32
	isFold    uint32
	wantsLog  uint32
	child     vertex.ID
	hasChild  uint32
	_         uint32
}

// direct is dcf_native_program.
type direct struct {
	calculate uintptr
	userData  uintptr
	auxiliary bytes
	flags     uint32
	_         uint32
}

const (
	inputBytes  = unsafe.Sizeof(input{})
	outputBytes = C.sizeof_dcf_native_output
	partBytes   = unsafe.Sizeof(part{})
)

// The Go structs have the layout of the C ones, or this does not compile.
var (
	_ [C.sizeof_dcf_udf_input]byte   = [inputBytes]byte{}
	_ [C.sizeof_dcf_part]byte        = [partBytes]byte{}
	_ [C.sizeof_dcf_merge_input]byte = [unsafe.Sizeof(mergeInput{})]byte{}

	_ [C.sizeof_dcf_native_program]byte = [unsafe.Sizeof(direct{})]byte{}

	_ [unsafe.Offsetof(C.dcf_udf_input{}.children)]byte    = [unsafe.Offsetof(input{}.children)]byte{}
	_ [unsafe.Offsetof(C.dcf_udf_input{}.arguments)]byte   = [unsafe.Offsetof(input{}.arguments)]byte{}
	_ [unsafe.Offsetof(C.dcf_udf_input{}.deadline_ns)]byte = [unsafe.Offsetof(input{}.deadline)]byte{}
	_ [unsafe.Offsetof(C.dcf_udf_input{}.cancelled)]byte   = [unsafe.Offsetof(input{}.cancelled)]byte{}
	_ [unsafe.Offsetof(C.dcf_native_output{}.rare)]byte    = [unsafe.Offsetof(output{}.rare)]byte{}
	_ [unsafe.Offsetof(C.dcf_native_output{}.status)]byte  = [unsafe.Offsetof(output{}.status)]byte{}
	_ [unsafe.Offsetof(C.dcf_native_output{}.child)]byte   = [unsafe.Offsetof(output{}.child)]byte{}
	_ [unsafe.Offsetof(C.dcf_native_output{}.small)]byte   = [unsafe.Sizeof(output{})]byte{}
)

func at[T any](base unsafe.Pointer, index int) *T {
	var size T
	return (*T)(unsafe.Add(base, uintptr(index)*unsafe.Sizeof(size)))
}

// outputAt gives an output of an array.
func outputAt(base unsafe.Pointer, index int) *output {
	return (*output)(unsafe.Add(base, index*outputBytes))
}

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }
