package native

// #cgo noescape dcf_native_calculate
// #cgo noescape dcf_native_fold
// #include "native.h"
import "C"

import (
	"runtime"
	"unsafe"

	"dcf/udf"
	"dcf/vertex"
)

// copyBytes is the size up to which Go memory that a callback is to see is copied; what is larger
// is pinned where it lies, which costs some 100 ns.
const copyBytes = 4 << 10

// lender makes memory visible to C for the length of one wave or fold.
type lender struct {
	scratch *udf.Scratch
	pinner  runtime.Pinner
	pinned  bool
	// What was lent last: the calculates of one call have their arguments in common.
	last   unsafe.Pointer
	size   int
	copied uintptr
}

// lend gives an address of size bytes at p that C may read.
func (l *lender) lend(p unsafe.Pointer, size int, offHeap bool) uintptr {
	if offHeap || size == 0 {
		return uintptr(p)
	}
	if p == l.last && size == l.size {
		return l.copied
	}
	l.last, l.size = p, size
	if size > copyBytes {
		l.pinner.Pin(p)
		l.pinned = true
		l.copied = uintptr(p)
		return l.copied
	}
	to := l.scratch.Alloc(size)
	copy(unsafe.Slice((*byte)(to), size), unsafe.Slice((*byte)(p), size))
	l.copied = uintptr(to)
	return l.copied
}

func (l *lender) value(v *udf.Value) bytes {
	p := unsafe.Pointer(unsafe.SliceData(v.Bytes))
	return bytes{l.lend(p, len(v.Bytes), v.OffHeap), uintptr(len(v.Bytes))}
}

func (l *lender) ids(ids []vertex.ID) uintptr {
	return l.lend(unsafe.Pointer(unsafe.SliceData(ids)), len(ids)*len(vertex.ID{}), false)
}

func (l *lender) close() {
	if l.pinned {
		l.pinner.Unpin()
	}
}

// Calculate runs the wave in one crossing.
func (p *program) Calculate(wave *udf.Wave) {
	n := len(wave.Inputs)
	inputs := wave.Scratch.Alloc(n * int(inputBytes))
	outputs := wave.Scratch.Alloc(n * outputBytes)
	l := lender{scratch: wave.Scratch}
	for i := range wave.Inputs {
		p.fill(at[input](inputs, i), &wave.Inputs[i], &l)
		p.start(outputAt(outputs, i), &wave.Outputs[i])
	}
	updates := C.uint32_t(0)
	if p.updates {
		updates = 1
	}
	C.dcf_native_calculate((C.dcf_calculate_fn)(p.code.Calculate),
		C.uintptr_t(uintptr(p.code.UserData)), C.uintptr_t(uintptr(inputs)),
		C.uintptr_t(uintptr(outputs)), C.size_t(n), updates)
	for i := range wave.Outputs {
		take(outputAt(outputs, i), &wave.Outputs[i])
	}
	l.close()
}

func (p *program) fill(to *input, in *udf.Input, l *lender) {
	*to = input{structSize: uint32(inputBytes), vertexKind: C.DCF_VERTEX_LOCAL, vertex: in.Vertex,
		version: in.Version, views: address(in.Views), auxiliary: p.aux(), deadline: in.Deadline,
		cancelled: address(in.Cancelled)}
	if in.Remote {
		to.vertexKind = C.DCF_VERTEX_REMOTE
	}
	if b := in.Batch; b != nil {
		to.schema, to.array, to.batch = uintptr(b.CSchema()), uintptr(b.CArray()), address(b)
	}
	if len(in.Children) > 0 {
		to.children, to.childCount = l.ids(in.Children), uintptr(len(in.Children))
	}
	if parents := in.Parents(); len(parents) > 0 {
		to.parents, to.parentCount = l.ids(parents), uintptr(len(parents))
	}
	if given := in.Arguments.Bytes; in.Arguments.OffHeap {
		to.arguments = bytes{address(unsafe.SliceData(given)), uintptr(len(given))}
	} else if in.Arguments.Batch != nil || len(given) > 0 {
		to.arguments = l.value(&in.Arguments)
		to.argumentsSchema, to.argumentsArray = arrow(in.Arguments.Batch)
	}
}

// start makes an output empty.
func (p *program) start(to *output, out *udf.Output) {
	*to = output{api: uintptr(unsafe.Pointer(&C.dcf_native_api))}
	if out.Log != nil {
		to.wantsLog = 1
	}
	if p.updates && out.NewID != nil {
		to.child, to.hasChild = out.NewID(), 1
	}
}

func (p *program) aux() bytes {
	return bytes{uintptr(unsafe.Pointer(unsafe.SliceData(p.auxiliary))), uintptr(len(p.auxiliary))}
}

// arrow gives the addresses of a batch's structs, zeros without a batch.
func arrow(b *vertex.Batch) (schema, array uintptr) {
	if b == nil {
		return 0, 0
	}
	return uintptr(b.CSchema()), uintptr(b.CArray())
}

// Merge folds parts.
func (p *program) Merge(in *udf.MergeInput, out *udf.Output) { p.fold(p.code.Merge, in, out) }

// Finish makes a result.
func (p *program) Finish(in *udf.MergeInput, out *udf.Output) { p.fold(p.code.Finish, in, out) }

func (p *program) fold(fn unsafe.Pointer, in *udf.MergeInput, out *udf.Output) {
	n := len(in.Parts)
	l := lender{scratch: in.Scratch}
	parts := in.Scratch.Alloc(n * int(partBytes))
	batches := in.Scratch.Alloc(n * int(unsafe.Sizeof(uintptr(0))))
	for i := range in.Parts {
		v, to := &in.Parts[i], at[part](parts, i)
		to.bytes = l.value(v)
		to.schema, to.array = arrow(v.Batch)
		*at[uintptr](batches, i) = address(v.Batch)
	}
	input := (*mergeInput)(in.Scratch.Alloc(int(unsafe.Sizeof(mergeInput{}))))
	*input = mergeInput{structSize: C.sizeof_dcf_merge_input, partSize: uint32(partBytes),
		parts: uintptr(parts), partCount: uintptr(n), arguments: l.value(&in.Arguments),
		auxiliary: p.aux(), batches: uintptr(batches)}
	answer := (*output)(in.Scratch.Alloc(outputBytes))
	p.start(answer, out)
	answer.isFold, answer.hasChild = 1, 0
	C.dcf_native_fold((C.dcf_merge_fn)(fn), C.uintptr_t(uintptr(p.code.UserData)),
		C.uintptr_t(address(input)), C.uintptr_t(address(answer)))
	take(answer, out)
	l.close()
}
