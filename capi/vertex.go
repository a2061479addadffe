package main

// #include "capi.h"
import "C"

import (
	"time"
	"unsafe"

	"dcf/core"
	"dcf/core/status"
	"dcf/vertex"
)

// vertexHandle is what a vertex handle stands for.
type vertexHandle struct {
	core   *core.Vertex
	worker *worker
	route  uint64 // under entering: the connection that C calls it over; 0: none
}

var vertices = newTable[vertexHandle](kindVertex, "vertex")

// vertexOf gives the vertex of an open handle, for something that could wait.
func vertexOf(handle C.dcf_vertex) (*core.Vertex, error) {
	v, err := vertices.must(uint64(handle.handle))
	if err != nil {
		return nil, err
	}
	if err := v.worker.usable(); err != nil {
		return nil, err
	}
	return v.core, mayWait()
}

// giveVertex makes a handle of what core opened.
func giveVertex(w *worker, v *core.Vertex, err error, out *C.dcf_vertex) error {
	if err != nil {
		return err
	}
	handle, err := vertices.open(&vertexHandle{core: v, worker: w})
	if err != nil {
		v.Release()
		return err
	}
	if direct := v.Direct(); direct != nil {
		C.dcf_capi_enter(&C.dcf_capi_vertices, C.uint64_t(handle), C.uint64_t(w.handle),
			C.uintptr_t(uintptr(direct)), nil)
	}
	out.handle = C.uint64_t(handle)
	return nil
}

// begin checks what all functions have in common that find or make a vertex.
func begin(handle C.dcf_worker, out *C.dcf_vertex) (*worker, error) {
	w, err := workerOf(handle)
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, null("out")
	}
	return w, mayWait()
}

//export dcf_vertex_put
func dcf_vertex_put(w C.dcf_worker, options *C.dcf_put_options_const, schema *C.struct_ArrowSchema,
	array *C.struct_ArrowArray, out *C.dcf_vertex, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, put(w, options, schema, array, out))
}

func put(handle C.dcf_worker, options *C.dcf_put_options, schema *C.struct_ArrowSchema,
	array *C.struct_ArrowArray, out *C.dcf_vertex) error {
	w, err := begin(handle, out)
	if err != nil {
		return err
	}
	o, err := putOptions(options)
	if err != nil {
		return err
	}
	value, err := batchOf(schema, array)
	if err != nil {
		return err
	}
	v, err := w.core.Put(o, value)
	if err != nil {
		giveBack(value, schema, array)
	}
	return giveVertex(w, v, err, out)
}

//export dcf_vertex_put_stream
func dcf_vertex_put_stream(w C.dcf_worker, options *C.dcf_put_options_const,
	stream *C.struct_ArrowArrayStream, out *C.dcf_vertex, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	defer C.dcf_capi_drop_stream(stream)
	return finish(e, putStream(w, options, stream, out))
}

func putStream(handle C.dcf_worker, options *C.dcf_put_options, stream *C.struct_ArrowArrayStream,
	out *C.dcf_vertex) error {
	w, err := begin(handle, out)
	if err != nil {
		return err
	}
	o, err := putOptions(options)
	if err != nil {
		return err
	}
	if stream == nil {
		return null("stream")
	}
	if stream.release == nil {
		return invalid("the stream was released or moved before: export it again, each export can " +
			"be read once")
	}
	reader, err := vertex.ImportStream(unsafe.Pointer(stream))
	if err != nil {
		return err
	}
	defer reader.Close()
	v, err := w.core.PutStream(o, reader)
	return giveVertex(w, v, err, out)
}

func putOptions(from *C.dcf_put_options) (core.PutOptions, error) {
	var o core.PutOptions
	if from == nil {
		return o, nil
	}
	var in C.dcf_put_options
	if err := sized(from, &in, "DCF_PUT_OPTIONS_INIT"); err != nil {
		return o, err
	}
	if err := known(in.flags, C.DCF_PUT_REPLACE); err != nil {
		return o, err
	}
	if in.reserved != 0 {
		return o, invalid("options->reserved is not zero")
	}
	name, err := text(in.name, "options->name")
	if err != nil {
		return o, err
	}
	shardBy, err := text(in.shard_by, "options->shard_by")
	if err != nil {
		return o, err
	}
	return core.PutOptions{Name: name, Node: uint64(in.node), ShardBy: shardBy,
		ShardCount: int(in.shard_count), Replace: in.flags&C.DCF_PUT_REPLACE != 0,
		Timeout: time.Duration(in.timeout_ns)}, nil
}

//export dcf_vertex_open
func dcf_vertex_open(w C.dcf_worker, id C.dcf_vertex_id, out *C.dcf_vertex,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, openVertex(w, out, func(w *core.Worker) (*core.Vertex, error) {
		return w.Open(idOf(id))
	}))
}

//export dcf_vertex_open_name
func dcf_vertex_open_name(w C.dcf_worker, name C.dcf_bytes, out *C.dcf_vertex,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, openVertex(w, out, func(w *core.Worker) (*core.Vertex, error) {
		name, err := text(name, "name")
		if err != nil {
			return nil, err
		}
		return w.OpenName(name)
	}))
}

func openVertex(handle C.dcf_worker, out *C.dcf_vertex,
	open func(*core.Worker) (*core.Vertex, error)) error {
	w, err := begin(handle, out)
	if err != nil {
		return err
	}
	v, err := open(w.core)
	return giveVertex(w, v, err, out)
}

//export dcf_vertex_info_get
func dcf_vertex_info_get(v C.dcf_vertex, out *C.dcf_vertex_info, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, v.handle)
	return finish(e, vertexInfo(v, out))
}

func vertexInfo(handle C.dcf_vertex, out *C.dcf_vertex_info) error {
	v, err := vertexOf(handle)
	if err != nil {
		return err
	}
	if out == nil {
		return null("out")
	}
	if out.struct_size < minStruct {
		return invalid("struct_size is %d: start from DCF_VERTEX_INFO_INIT", out.struct_size)
	}
	info, err := v.Info()
	if err != nil {
		return err
	}
	full := C.dcf_vertex_info{struct_size: out.struct_size, kind: C.uint32_t(info.Kind),
		owner_node: C.uint64_t(info.Owner), version: C.uint64_t(info.Version),
		rows: C.int64_t(info.Rows), bytes: C.int64_t(info.Bytes),
		child_count: C.uint64_t(info.Children)}
	*(*vertex.ID)(unsafe.Pointer(&full.id)) = info.ID
	copy(unsafe.Slice((*byte)(unsafe.Pointer(out)), out.struct_size),
		unsafe.Slice((*byte)(unsafe.Pointer(&full)), unsafe.Sizeof(full)))
	return nil
}

//export dcf_vertex_name
func dcf_vertex_name(v C.dcf_vertex, buffer unsafePointer, size C.size_t, sizeOut *C.size_t,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, v.handle)
	return finish(e, vertexName(v, buffer, size, sizeOut))
}

func vertexName(handle C.dcf_vertex, buffer unsafe.Pointer, size C.size_t, out *C.size_t) error {
	v, err := vertexOf(handle)
	switch {
	case err != nil:
		return err
	case out == nil:
		return null("size_out")
	case buffer == nil && size > 0:
		return null("buffer")
	}
	name, err := v.Name()
	if err != nil {
		return err
	}
	copy(unsafe.Slice((*byte)(buffer), min(size, C.size_t(len(name)))), name)
	*out = C.size_t(len(name))
	return nil
}

//export dcf_vertex_export
func dcf_vertex_export(v C.dcf_vertex, timeout C.int64_t, schema *C.struct_ArrowSchema,
	array *C.struct_ArrowArray, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, v.handle)
	return finish(e, exportVertex(v, time.Duration(timeout), schema, array))
}

func exportVertex(handle C.dcf_vertex, timeout time.Duration, schema *C.struct_ArrowSchema,
	array *C.struct_ArrowArray) error {
	v, err := vertexOf(handle)
	switch {
	case err != nil:
		return err
	case schema == nil:
		return null("schema_out")
	case array == nil:
		return null("array_out")
	}
	value, _, err := v.Export(timeout)
	if err != nil {
		return err
	}
	if value == nil {
		return status.Errorf(status.NotFound,
			"the vertex has no value: if it is a group, dcf_vertex_stream gives its shards").
			WithVertex(v.ID())
	}
	defer value.Release()
	return value.Export(unsafe.Pointer(schema), unsafe.Pointer(array))
}

//export dcf_vertex_set
func dcf_vertex_set(v C.dcf_vertex, expected C.uint64_t, schema *C.struct_ArrowSchema,
	array *C.struct_ArrowArray, version *C.uint64_t, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, v.handle)
	return finish(e, setVertex(v, uint64(expected), schema, array, version))
}

func setVertex(handle C.dcf_vertex, expected uint64, schema *C.struct_ArrowSchema,
	array *C.struct_ArrowArray, out *C.uint64_t) error {
	v, err := vertexOf(handle)
	if err != nil {
		return err
	}
	value, err := batchOf(schema, array)
	if err != nil {
		return err
	}
	version, err := v.Set(expected, value)
	if err != nil {
		giveBack(value, schema, array)
		return err
	}
	if out != nil {
		*out = C.uint64_t(version)
	}
	return nil
}

//export dcf_vertex_link
func dcf_vertex_link(from C.dcf_vertex, to C.dcf_vertex_id, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, from.handle)
	v, err := vertexOf(from)
	if err == nil {
		err = v.Link(idOf(to))
	}
	return finish(e, err)
}

//export dcf_vertex_unlink
func dcf_vertex_unlink(from C.dcf_vertex, to C.dcf_vertex_id, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, from.handle)
	v, err := vertexOf(from)
	if err == nil {
		err = v.Unlink(idOf(to))
	}
	return finish(e, err)
}

//export dcf_vertex_release
func dcf_vertex_release(v C.dcf_vertex, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, v.handle)
	C.dcf_capi_leave(&C.dcf_capi_vertices, v.handle)
	closed, err := vertices.close(uint64(v.handle))
	C.dcf_capi_leave(&C.dcf_capi_routes, v.handle) // what enterSmall enters later it takes out itself
	if err == nil && !closed.worker.closed.Load() {
		closed.core.Release()
	}
	return finish(e, err)
}

//export dcf_vertex_drop
func dcf_vertex_drop(v C.dcf_vertex, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, v.handle)
	dropped, err := vertexOf(v)
	if err == nil {
		err = dropped.Drop()
	}
	return finish(e, err)
}
