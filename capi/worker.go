package main

// #include "capi.h"
import "C"

import (
	"sync/atomic"
	"time"

	"dcf/core"
	"dcf/core/status"
	"dcf/udf/native"
)

// The kinds of handles, which stand in their top bits.
const (
	kindWorker  = 1
	kindVertex  = 2
	kindUDF     = 3
	kindQueue   = 4
	kindTicket  = 5 // what a call whose effects are unknown holds; see call.go
	kindBuilder = 6
)

// worker is what a worker handle stands for.
type worker struct {
	core   *core.Worker
	handle uint64
	broken atomic.Bool // it met a bug
	closed atomic.Bool
}

var workers = newTable[worker](kindWorker, "worker")

// usable says why a worker takes nothing more, or nil.
func (w *worker) usable() error {
	if w.broken.Load() {
		return status.Errorf(status.Internal,
			"an earlier call met a bug in libdcf, and the worker takes no more: close it")
	}
	if w.closed.Load() {
		return status.Errorf(status.BadHandle, "the handle's worker was closed")
	}
	return nil
}

// workerOf gives the worker of an open handle.
func workerOf(handle C.dcf_worker) (*worker, error) {
	w, err := workers.must(uint64(handle.handle))
	if err != nil {
		return nil, err
	}
	return w, w.usable()
}

// owner gives the worker that an open handle of any kind belongs to, or nil.
func owner(handle uint64) *worker {
	switch handle >> 60 {
	case kindWorker:
		return workers.get(handle)
	case kindVertex:
		if v := vertices.get(handle); v != nil {
			return v.worker
		}
	case kindUDF:
		if u := udfs.get(handle); u != nil {
			return u.worker
		}
	case kindQueue:
		if q := queues.get(handle); q != nil {
			return q.worker
		}
	case kindBuilder:
		if b := builders.get(handle); b != nil {
			return b.worker
		}
	}
	return nil
}

// mayWait refuses what could wait inside a callback of a function that updates: its vertex is held.
func mayWait() error {
	if native.InUpdate() {
		return status.Errorf(status.Unsupported, "a function with DCF_UDF_UPDATES holds its vertex "+
			"while it runs and must not call what can wait: spawn instead")
	}
	return nil
}

// mayEnd refuses what waits for callbacks to return inside one.
func mayEnd() error {
	if native.InCallback() {
		return status.Errorf(status.Unsupported, "inside a callback this would wait for the callback "+
			"itself: call it from outside")
	}
	return nil
}

//export dcf_worker_open
func dcf_worker_open(options *C.dcf_worker_options_const, out *C.dcf_worker,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, 0)
	return finish(e, openWorker(options, out))
}

func openWorker(options *C.dcf_worker_options, out *C.dcf_worker) error {
	if out == nil {
		return null("out")
	}
	if err := mayWait(); err != nil {
		return err
	}
	o, err := optionsOf(options)
	if err != nil {
		return err
	}
	opened, err := core.Open(o)
	if err != nil {
		return err
	}
	w := &worker{core: opened}
	if w.handle, err = workers.open(w); err != nil {
		_ = opened.Close(0) // the error that counts is that of the handle
		return err
	}
	C.dcf_capi_enter(&C.dcf_capi_workers, C.uint64_t(w.handle), C.uint64_t(opened.NodeID()),
		C.uintptr_t(uintptr(opened.Direct())), nil)
	out.handle = C.uint64_t(w.handle)
	return nil
}

//export dcf_worker_close
func dcf_worker_close(w C.dcf_worker, timeout C.int64_t, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, closeWorker(uint64(w.handle), time.Duration(timeout)))
}

func closeWorker(handle uint64, timeout time.Duration) error {
	if _, err := workers.must(handle); err != nil {
		return err
	}
	if err := mayEnd(); err != nil {
		return err
	}
	C.dcf_capi_leave(&C.dcf_capi_workers, C.uint64_t(handle))
	w, err := workers.close(handle)
	if err != nil {
		return err
	}
	w.closed.Store(true)
	return w.core.Close(timeout)
}

//export dcf_worker_node_id
func dcf_worker_node_id(w C.dcf_worker, out *C.uint64_t, e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, nodeID(w, out))
}

func nodeID(handle C.dcf_worker, out *C.uint64_t) error {
	w, err := workerOf(handle)
	if err != nil {
		return err
	}
	if out == nil {
		return null("out")
	}
	*out = C.uint64_t(w.core.NodeID())
	return nil
}
