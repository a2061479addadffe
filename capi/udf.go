package main

// #include "capi.h"
import "C"

import (
	"time"
	"unsafe"

	"dcf/core"
	"dcf/udf"
	"dcf/udf/native"
)

// udfHandle is what a UDF handle stands for.
type udfHandle struct {
	core   *core.UDF
	worker *worker
	small  bool // under entering: C knows it for calls over lanes
}

var udfs = newTable[udfHandle](kindUDF, "UDF")

func giveUDF(w *worker, u *core.UDF, err error, out *C.dcf_udf) error {
	if err != nil {
		return err
	}
	handle, err := udfs.open(&udfHandle{core: u, worker: w})
	if err != nil {
		u.Release()
		return err
	}
	if direct := u.Direct(); direct != nil {
		C.dcf_capi_enter(&C.dcf_capi_udfs, C.uint64_t(handle), C.uint64_t(w.handle),
			C.uintptr_t(uintptr(direct)), nil)
		if u.Gone() { // hide may not have seen it
			C.dcf_capi_leave(&C.dcf_capi_udfs, C.uint64_t(handle))
		}
	}
	out.handle = C.uint64_t(handle)
	return nil
}

// hide keeps C from calling a function by any of its handles.
func hide(u *core.UDF) {
	udfs.each(func(handle uint64, open *udfHandle) {
		if open.core.Is(u) {
			C.dcf_capi_leave(&C.dcf_capi_udfs, C.uint64_t(handle))
			C.dcf_capi_leave(&C.dcf_capi_smalls, C.uint64_t(handle))
		}
	})
}

//export dcf_udf_register
func dcf_udf_register(w C.dcf_worker, definition *C.dcf_udf_definition_const, out *C.dcf_udf,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, register(w, definition, out))
}

func register(handle C.dcf_worker, from *C.dcf_udf_definition, out *C.dcf_udf) error {
	w, err := workerOf(handle)
	switch {
	case err != nil:
		return err
	case from == nil:
		return null("definition")
	case out == nil:
		return null("out")
	}
	def, callbacks, err := definitionOf(from)
	if err != nil {
		return err
	}
	u, err := w.core.Register(def)
	if err != nil {
		return err
	}
	if err := giveUDF(w, u, nil, out); err != nil {
		return err
	}
	callbacks.Registration.Accept(callbacks)
	return nil
}

func definitionOf(from *C.dcf_udf_definition) (udf.Definition, *native.Callbacks, error) {
	var def udf.Definition
	var in C.dcf_udf_definition
	if err := sized(from, &in, "DCF_UDF_DEFINITION_INIT"); err != nil {
		return def, nil, err
	}
	const flags = C.DCF_UDF_UPDATES | C.DCF_UDF_COMMUTATIVE | C.DCF_UDF_SHORT | C.DCF_UDF_CALLER_THREAD
	if err := known(in.flags, flags); err != nil {
		return def, nil, err
	}
	if in.kind != C.DCF_UDF_NATIVE || in.reserved != 0 {
		return def, nil, invalid("definition->kind must be DCF_UDF_NATIVE and reserved zero: a " +
			"builtin is opened by its name with dcf_udf_open")
	}
	name, err := text(in.name, "definition->name")
	if err != nil {
		return def, nil, err
	}
	version, err := text(in.version, "definition->version")
	if err != nil {
		return def, nil, err
	}
	auxiliary, err := view(in.auxiliary, "definition->auxiliary")
	if err != nil {
		return def, nil, err
	}
	c := native.Callbacks{Calculate: unsafe.Pointer(in.calculate), Merge: unsafe.Pointer(in.merge),
		Finish: unsafe.Pointer(in.finish), UserData: in.user_data,
		UserDataFree: unsafe.Pointer(in.user_data_free), Registration: &native.Registration{}}
	return udf.Definition{Kind: udf.KindNative, Flags: udf.Flags(in.flags), Name: name,
		Version: version, Auxiliary: auxiliary, Code: c}, &c, nil
}

//export dcf_udf_open
func dcf_udf_open(w C.dcf_worker, name C.dcf_bytes, out *C.dcf_udf,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, openUDF(w, name, out))
}

func openUDF(handle C.dcf_worker, name C.dcf_bytes, out *C.dcf_udf) error {
	w, err := workerOf(handle)
	if err != nil {
		return err
	}
	if out == nil {
		return null("out")
	}
	called, err := text(name, "name")
	if err != nil {
		return err
	}
	u, err := w.core.OpenUDF(called)
	return giveUDF(w, u, err, out)
}

//export dcf_udf_release
func dcf_udf_release(u C.dcf_udf, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, u.handle)
	C.dcf_capi_leave(&C.dcf_capi_udfs, u.handle)
	closed, err := udfs.close(uint64(u.handle))
	C.dcf_capi_leave(&C.dcf_capi_smalls, u.handle) // as with dcf_vertex_release
	if err == nil && !closed.worker.closed.Load() {
		closed.core.Release()
	}
	return finish(e, err)
}

//export dcf_udf_drop
func dcf_udf_drop(u C.dcf_udf, timeout C.int64_t, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, u.handle)
	return finish(e, dropUDF(uint64(u.handle), time.Duration(timeout)))
}

func dropUDF(handle uint64, timeout time.Duration) error {
	u, err := udfs.must(handle)
	if err != nil {
		return err
	}
	if err := u.worker.usable(); err != nil {
		return err
	}
	if err := mayEnd(); err != nil {
		return err
	}
	if err := u.core.Unregister(); err != nil {
		return err
	}
	hide(u.core)
	if err := u.core.Discard(timeout); err != nil {
		return err
	}
	_, err = udfs.close(handle)
	return err
}
