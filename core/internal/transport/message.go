package transport

import (
	"unsafe"

	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// values calls visit with every value of a message.
func values(message any, visit func(v *udf.Value)) {
	switch m := message.(type) {
	case *wire.Call:
		visit(&m.Arguments)
		for i := range m.Targets {
			visit(&m.Targets[i].Arguments)
		}
	case *wire.Reply:
		visit(&m.Value)
		for i := range m.Parts {
			visit(&m.Parts[i].Value)
		}
	case *wire.Operation:
		visit(&m.Value)
	}
}

// RetainBatches gives the batches of a message, each with a reference of the caller's.
func RetainBatches(message any) []*vertex.Batch {
	var batches []*vertex.Batch
	values(message, func(v *udf.Value) {
		if v.Batch != nil {
			batches = append(batches, v.Batch.Retain())
		}
	})
	return batches
}

// ReleaseBatches gives back the references that a message owns.
func ReleaseBatches(message any) {
	switch m := message.(type) {
	case *wire.Call:
		releaseBatch(&m.Arguments)
		for i := range m.Targets {
			releaseBatch(&m.Targets[i].Arguments)
		}
	case *wire.Reply:
		releaseBatch(&m.Value)
		for i := range m.Parts {
			releaseBatch(&m.Parts[i].Value)
		}
	case *wire.Operation:
		releaseBatch(&m.Value)
	}
}

func releaseBatch(v *udf.Value) {
	if v.Batch != nil {
		v.Batch.Release()
		v.Batch = nil
	}
}

// Borrows says whether piece is memory of a value in bytes of the message.
func Borrows(message any, piece []byte) bool {
	at, found := address(piece), false
	values(message, func(v *udf.Value) {
		start := address(v.Bytes)
		found = found || v.Batch == nil && at >= start && at < start+uintptr(len(v.Bytes))
	})
	return found
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// BulkBytes gives how many bytes of a message would travel in the body of its frame.
func BulkBytes(message any) int64 {
	switch m := message.(type) {
	case *wire.Call:
		n := bulk(&m.Arguments)
		for i := range m.Targets {
			n += bulk(&m.Targets[i].Arguments)
		}
		return n
	case *wire.Reply:
		n := bulk(&m.Value)
		for i := range m.Parts {
			n += bulk(&m.Parts[i].Value)
		}
		return n
	case *wire.Operation:
		return bulk(&m.Value)
	}
	return 0
}

func bulk(v *udf.Value) int64 {
	if v.Batch != nil || len(v.Bytes) > wire.MaxInlineBytes {
		return v.Size()
	}
	return 0
}
