package main

// #include "capi.h"
import "C"

import (
	"strings"
	"unsafe"

	"dcf/core"
	"dcf/vertex"
)

// giveTable makes a stream of a table.
func giveTable(t *tableOf, out *C.struct_ArrowArrayStream) error {
	b, err := t.batch()
	if err != nil {
		return err
	}
	return vertex.ExportBatches(unsafe.Pointer(out), b.Schema(), []*vertex.Batch{b})
}

// streamable checks what functions have in common that give a table of a worker.
func streamable(handle C.dcf_worker, out *C.struct_ArrowArrayStream) (*worker, error) {
	w, err := workerOf(handle)
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, null("out")
	}
	return w, mayWait()
}

//export dcf_worker_nodes
func dcf_worker_nodes(w C.dcf_worker, out *C.struct_ArrowArrayStream,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, nodes(w, out))
}

func nodes(handle C.dcf_worker, out *C.struct_ArrowArrayStream) error {
	w, err := streamable(handle, out)
	if err != nil {
		return err
	}
	all, err := w.core.Nodes()
	if err != nil {
		return err
	}
	t := &tableOf{rows: len(all)}
	numbers(t, "node", formatUint64, all, func(n core.NodeInfo) uint64 { return n.Node })
	numbers(t, "incarnation", formatUint32, all, func(n core.NodeInfo) uint32 { return n.Incarnation })
	bools(t, "self", all, func(n core.NodeInfo) bool { return n.Self })
	bools(t, "member", all, func(n core.NodeInfo) bool { return n.Member })
	bools(t, "directory", all, func(n core.NodeInfo) bool { return n.Directory })
	bools(t, "alive", all, func(n core.NodeInfo) bool { return n.Alive })
	texts(t, "addresses", all, func(n core.NodeInfo) string { return strings.Join(n.Addresses, ",") })
	numbers(t, "round_trip_ns", formatInt64, all, func(n core.NodeInfo) int64 {
		return int64(n.RoundTrip)
	})
	return giveTable(t, out)
}

//export dcf_worker_vertices
func dcf_worker_vertices(w C.dcf_worker, prefix C.dcf_bytes, out *C.struct_ArrowArrayStream,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, listVertices(w, prefix, out))
}

func listVertices(handle C.dcf_worker, prefix C.dcf_bytes, out *C.struct_ArrowArrayStream) error {
	w, err := streamable(handle, out)
	if err != nil {
		return err
	}
	start, err := text(prefix, "prefix")
	if err != nil {
		return err
	}
	all, err := w.core.Vertices(start)
	if err != nil {
		return err
	}
	t := &tableOf{rows: len(all)}
	numbers(t, "id", formatID, all, func(v core.VertexInfo) vertex.ID { return v.ID })
	texts(t, "name", all, func(v core.VertexInfo) string { return v.Name })
	numbers(t, "kind", formatUint32, all, func(v core.VertexInfo) uint32 { return uint32(v.Kind) })
	numbers(t, "owner", formatUint64, all, func(v core.VertexInfo) uint64 { return v.Owner })
	numbers(t, "version", formatUint64, all, func(v core.VertexInfo) uint64 { return v.Version })
	numbers(t, "rows", formatInt64, all, func(v core.VertexInfo) int64 { return v.Rows })
	numbers(t, "bytes", formatInt64, all, func(v core.VertexInfo) int64 { return v.Bytes })
	numbers(t, "children", formatUint64, all, func(v core.VertexInfo) uint64 {
		return uint64(v.Children)
	})
	return giveTable(t, out)
}

//export dcf_worker_stats
func dcf_worker_stats(w C.dcf_worker, out *C.struct_ArrowArrayStream,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, stats(w, out))
}

func stats(handle C.dcf_worker, out *C.struct_ArrowArrayStream) error {
	w, err := streamable(handle, out)
	if err != nil {
		return err
	}
	all := append(w.core.Stats(),
		core.Stat{Name: "handles.workers", Value: workers.live.Load()},
		core.Stat{Name: "handles.vertices", Value: vertices.live.Load()},
		core.Stat{Name: "handles.udfs", Value: udfs.live.Load()},
		core.Stat{Name: "handles.queues", Value: queues.live.Load()},
		core.Stat{Name: "handles.builders", Value: builders.live.Load()},
		core.Stat{Name: "handles.tickets", Value: tickets.live.Load()})
	t := &tableOf{rows: len(all)}
	texts(t, "name", all, func(s core.Stat) string { return s.Name })
	numbers(t, "peer", formatUint64, all, func(s core.Stat) uint64 { return s.Peer })
	numbers(t, "value", formatInt64, all, func(s core.Stat) int64 { return s.Value })
	return giveTable(t, out)
}

//export dcf_vertex_edges
func dcf_vertex_edges(v C.dcf_vertex, direction C.uint32_t, out *C.struct_ArrowArrayStream,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, v.handle)
	return finish(e, edges(v, uint32(direction), out))
}

func edges(handle C.dcf_vertex, direction uint32, out *C.struct_ArrowArrayStream) error {
	v, err := vertexOf(handle)
	if err != nil {
		return err
	}
	if out == nil {
		return null("out")
	}
	var ids []vertex.ID
	switch direction {
	case 1:
		ids, err = v.Children()
	case 2:
		ids, err = v.Parents()
	default:
		err = invalid("direction is %d: 1 is children, 2 is parents", direction)
	}
	if err != nil {
		return err
	}
	t := &tableOf{rows: len(ids)}
	numbers(t, "id", formatID, ids, func(id vertex.ID) vertex.ID { return id })
	return giveTable(t, out)
}

//export dcf_vertex_stream
func dcf_vertex_stream(v C.dcf_vertex, out *C.struct_ArrowArrayStream,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, v.handle)
	return finish(e, streamVertex(v, out))
}

func streamVertex(handle C.dcf_vertex, out *C.struct_ArrowArrayStream) error {
	v, err := vertexOf(handle)
	if err != nil {
		return err
	}
	if out == nil {
		return null("out")
	}
	reader, err := v.Stream(0)
	if err != nil {
		return err
	}
	return vertex.ExportStream(unsafe.Pointer(out), reader.Schema(), reader.Next, reader.Close)
}

// giveParts makes a stream of a call's parts; see DCF_RESULT_PARTS.
func giveParts(call *core.Call, out *C.struct_ArrowArrayStream) error {
	parts := call.Parts
	batches := make([]*vertex.Batch, 0, len(parts))
	for i := range parts {
		b := parts[i].Batch
		if (b == nil) != (parts[0].Batch == nil) || b != nil && b.Schema() != parts[0].Batch.Schema() {
			return invalid("part %d of the result is of another type than the first: a function without "+
				"merge must give parts of one type", i)
		}
		if b != nil {
			batches = append(batches, b.Retain())
		}
	}
	if len(batches) > 0 {
		return vertex.ExportBatches(unsafe.Pointer(out), batches[0].Schema(), batches)
	}
	t := &tableOf{rows: len(parts)}
	blobs(t, "part", len(parts), func(i int) []byte { return parts[i].Bytes })
	return giveTable(t, out)
}
