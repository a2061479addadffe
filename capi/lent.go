package main

// #include "capi.h"
import "C"

import (
	"time"
	"unsafe"

	"dcf/core"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// lent is what calls refer to that is neither the caller's nor core's: lists of targets and
// arguments. Lists grow; what was cut from a list before it moved stays valid.
type lent struct {
	targets   []*core.Vertex
	arguments []udf.Value
	batches   []*vertex.Batch
}

func (l *lent) close() {
	l.targets = l.targets[:0]
	if len(l.arguments)+len(l.batches) == 0 {
		return
	}
	clear(l.arguments)
	for _, b := range l.batches {
		b.Release()
	}
	clear(l.batches)
	l.arguments, l.batches = l.arguments[:0], l.batches[:0]
}

const callFlags = C.DCF_CALL_AT_OWNER | C.DCF_CALL_HERE | C.DCF_CALL_TIMED | C.DCF_CALL_INLINE

// load unpacks the caller's call into core's.
func (l *lent) load(w *worker, from *C.dcf_call, to *core.Call) error {
	if from.struct_size != C.sizeof_dcf_call || from.flags&^callFlags != 0 {
		if err := strange(from); err != nil {
			return err
		}
	}
	if from.private_data != 0 {
		renew(from)
	}
	if from.more != nil {
		if err := prepare(from); err != nil {
			return err
		}
	}
	u := udfs.get(uint64(from.udf.handle))
	if u == nil || u.worker != w {
		return strayUDF(u, from.udf)
	}
	to.UDF, to.Flags = u.core, core.CallFlags(from.flags&^C.DCF_CALL_INLINE)
	to.Timeout, to.Ticket = time.Duration(from.timeout_ns), uint64(from.ticket)
	if err := l.loadTargets(w, from, to); err != nil {
		return err
	}
	if from.arguments.size != 0 && from.arguments.data == nil {
		return null("call->arguments.data")
	}
	to.Arguments = udf.Value{OffHeap: true,
		Bytes: unsafe.Slice((*byte)(from.arguments.data), from.arguments.size)}
	to.Buffer = noBuffer
	if from.buffer != nil {
		to.Buffer = unsafe.Slice((*byte)(from.buffer), from.buffer_size)
	} else if from.buffer_size != 0 {
		return null("call->buffer")
	}
	if from.more != nil {
		return l.loadMore(from, to)
	}
	return nil
}

// noBuffer tells an empty result from none.
var noBuffer = []byte{}

// strange refuses calls of another libdcf, and unknown flags.
func strange(from *C.dcf_call) error {
	var known C.dcf_call
	if from.struct_size < C.sizeof_dcf_call {
		return invalid("call->struct_size is %d: start from DCF_CALL_INIT", from.struct_size)
	}
	if err := sized(from, &known, "DCF_CALL_INIT"); err != nil {
		return err
	}
	if from.flags&^callFlags != 0 {
		return invalid("call->flags has the unknown bits %#x", uint32(from.flags&^callFlags))
	}
	return nil
}

// prepare frees what an earlier run of the call left.
func prepare(from *C.dcf_call) error {
	more := from.more
	if more.struct_size < C.sizeof_dcf_call_more {
		return invalid("call->more->struct_size is %d: start from DCF_CALL_MORE_INIT", more.struct_size)
	}
	var known C.dcf_call_more
	if more.struct_size > C.sizeof_dcf_call_more {
		if err := sized(more, &known, "DCF_CALL_MORE_INIT"); err != nil {
			return err
		}
	}
	switch more.held {
	case 0:
	case 1:
		C.dcf_capi_clear_results(from)
	default:
		return invalid("call->more->held is %d: start from DCF_CALL_MORE_INIT", more.held)
	}
	return nil
}

func strayUDF(u *udfHandle, handle C.dcf_udf) error {
	if u == nil {
		return udfs.bad(uint64(handle.handle))
	}
	return status.Errorf(status.BadHandle, "the UDF handle %#x belongs to another worker: open the "+
		"function with this one", uint64(handle.handle))
}

func (l *lent) loadTargets(w *worker, from *C.dcf_call, to *core.Call) error {
	n := int(from.target_count)
	if from.target_count > MaxTargets {
		return invalid("%d targets are more than MaxTargets = %d: put them in a group, or make several "+
			"calls", uint64(from.target_count), MaxTargets)
	}
	to.Targets, to.TargetIDs, to.TargetArguments = nil, nil, nil
	if from.targets == nil {
		if n == 0 {
			return nil
		}
		if from.more == nil || from.more.target_ids == nil {
			return null("call->targets, and call->more->target_ids too,")
		}
		to.TargetIDs = unsafe.Slice((*vertex.ID)(unsafe.Pointer(from.more.target_ids)), n)
		return nil
	}
	start := len(l.targets)
	for i, target := range unsafe.Slice(from.targets, n) {
		v := vertices.get(uint64(target.handle))
		if v == nil || v.worker != w {
			return strayTarget(i, v, uint64(target.handle))
		}
		l.targets = append(l.targets, v.core)
	}
	to.Targets = l.targets[start:len(l.targets):len(l.targets)]
	return nil
}

func strayTarget(i int, v *vertexHandle, handle uint64) error {
	if v == nil {
		return status.Errorf(status.BadHandle, "call->targets[%d]: %s", i,
			status.From(vertices.bad(handle)).Message)
	}
	return status.Errorf(status.BadHandle, "call->targets[%d]: the vertex handle %#x belongs to "+
		"another worker: open the vertex with this one", i, handle)
}

// loadMore unpacks what is rarer.
func (l *lent) loadMore(from *C.dcf_call, to *core.Call) error {
	more := from.more
	if more.arguments_schema != nil || more.arguments_array != nil {
		batch, err := copyOf(more.arguments_schema, more.arguments_array)
		if err != nil {
			return err
		}
		l.batches = append(l.batches, batch)
		to.Arguments = udf.Value{Batch: batch}
	}
	if more.target_arguments == nil {
		return nil
	}
	start := len(l.arguments)
	for _, b := range unsafe.Slice(more.target_arguments, int(from.target_count)) {
		in, err := view(b, "call->more->target_arguments")
		if err != nil {
			return err
		}
		l.arguments = append(l.arguments, udf.Value{Bytes: in, OffHeap: true})
	}
	to.TargetArguments = l.arguments[start:len(l.arguments):len(l.arguments)]
	return nil
}

// copyOf copies a record batch that the caller keeps: arguments may be used, by another worker that
// is cut off, for longer than the call lasts.
func copyOf(schema *C.struct_ArrowSchema, array *C.struct_ArrowArray) (*vertex.Batch, error) {
	if schema == nil || array == nil || schema.release == nil || array.release == nil {
		return nil, invalid("call->more: arguments_schema and arguments_array must both be there and " +
			"not be released")
	}
	var schemaCopy C.struct_ArrowSchema
	var arrayCopy C.struct_ArrowArray
	C.dcf_capi_borrow(schema, array, &schemaCopy, &arrayCopy)
	borrowed, err := vertex.Import(unsafe.Pointer(&schemaCopy), unsafe.Pointer(&arrayCopy))
	if err != nil {
		return nil, err
	}
	defer borrowed.Release()
	return vertex.Concat([]*vertex.Batch{borrowed})
}
