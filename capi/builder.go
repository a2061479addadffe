package main

// #include "capi.h"
import "C"

import (
	"unsafe"

	"dcf/core"
	"dcf/vertex"
	"dcf/vertex/cdata"
)

// builder is what a builder handle stands for.
type builder struct {
	core   *core.Builder
	worker *worker
}

var builders = newTable[builder](kindBuilder, "builder")

func builderOf(handle C.dcf_builder) (*builder, error) {
	b, err := builders.must(uint64(handle.handle))
	if err != nil {
		return nil, err
	}
	return b, b.worker.usable()
}

//export dcf_builder_open
func dcf_builder_open(w C.dcf_worker, schema *C.dcf_schema_const, rows C.int64_t, out *C.dcf_builder,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, openBuilder(w, schema, int64(rows), out))
}

func openBuilder(handle C.dcf_worker, schema *C.struct_ArrowSchema, rows int64,
	out *C.dcf_builder) error {
	w, err := workerOf(handle)
	switch {
	case err != nil:
		return err
	case schema == nil:
		return null("schema")
	case out == nil:
		return null("out")
	}
	s, err := vertex.ImportSchema(unsafe.Pointer(schema))
	if err != nil {
		return err
	}
	opened, err := w.core.Build(s, rows)
	if err != nil {
		return err
	}
	number, err := builders.open(&builder{opened, w})
	if err != nil {
		opened.Abort()
		return err
	}
	out.handle = C.uint64_t(number)
	return nil
}

//export dcf_builder_column
func dcf_builder_column(b C.dcf_builder, column C.size_t, capacity C.int64_t, out *C.dcf_column,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, b.handle)
	return finish(e, builderColumn(b, column, int64(capacity), out))
}

func builderColumn(handle C.dcf_builder, column C.size_t, capacity int64, out *C.dcf_column) error {
	b, err := builderOf(handle)
	if err != nil {
		return err
	}
	if out == nil {
		return null("out")
	}
	if out.struct_size < minStruct {
		return invalid("struct_size is %d: start from DCF_COLUMN_INIT", out.struct_size)
	}
	c, err := b.core.Column(columnNumber(column), capacity)
	if err != nil {
		return err
	}
	full := C.dcf_column{struct_size: out.struct_size, length: C.int64_t(c.Length),
		validity: start(c.Validity), offsets: start(c.Offsets), values: start(c.Values),
		values_bytes: C.size_t(len(c.Values)), children: C.int64_t(c.Children)}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(out)), out.struct_size),
		unsafe.Slice((*byte)(unsafe.Pointer(&full)), unsafe.Sizeof(full)))
	return nil
}

// columnNumber gives a column as Go counts, where what is too large is none.
func columnNumber(column C.size_t) int { return int(min(column, C.size_t(1)<<62)) }

func start(memory []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(memory)) }

//export dcf_builder_dictionary
func dcf_builder_dictionary(b C.dcf_builder, column C.size_t, values *C.struct_ArrowArray,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, b.handle)
	return finish(e, builderDictionary(b, column, values))
}

func builderDictionary(handle C.dcf_builder, column C.size_t, values *C.struct_ArrowArray) error {
	b, err := builderOf(handle)
	if err != nil {
		return err
	}
	if values == nil {
		return null("values")
	}
	return b.core.ImportDictionary(columnNumber(column), unsafe.Pointer(values))
}

//export dcf_builder_commit
func dcf_builder_commit(b C.dcf_builder, options *C.dcf_put_options_const,
	value *C.struct_ArrowArray, out *C.dcf_vertex, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, b.handle)
	return finish(e, commitBuilder(b, options, value, out))
}

func commitBuilder(handle C.dcf_builder, options *C.dcf_put_options, valueOut *C.struct_ArrowArray,
	out *C.dcf_vertex) error {
	b, err := builderOf(handle)
	if err != nil {
		return err
	}
	if out == nil {
		return null("out")
	}
	if err := mayWait(); err != nil {
		return err
	}
	o, err := putOptions(options)
	if err != nil {
		return err
	}
	v, value, err := b.core.Commit(o)
	if err != nil {
		return err
	}
	defer value.Release()
	_, _ = builders.close(uint64(handle.handle)) // an abort meanwhile was first
	if valueOut != nil {
		if err := value.Export(nil, unsafe.Pointer(valueOut)); err != nil {
			v.Release()
			return err
		}
	}
	err = giveVertex(b.worker, v, nil, out)
	if err != nil && valueOut != nil {
		cdata.ReleaseArray(unsafe.Pointer(valueOut))
	}
	return err
}

//export dcf_builder_abort
func dcf_builder_abort(b C.dcf_builder, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, b.handle)
	closed, err := builders.close(uint64(b.handle))
	if err == nil {
		closed.core.Abort()
	}
	return finish(e, err)
}
