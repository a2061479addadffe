package main

// #include "capi.h"
import "C"

import (
	"sync"
	"unsafe"

	"dcf/core"
	"dcf/core/status"
)

// entering is held by whoever enters a handle for C or takes one out because its way is over: a slot of C's
// tables has one writer at a time, also where a handle was given back and its place is another one's.
var entering sync.Mutex

// enterSmall lets C make the calls that are like one that went over a lane.
func enterSmall(w *worker, c *C.dcf_call) {
	target := uint64(c.targets.handle)
	v, u := vertices.get(target), udfs.get(uint64(c.udf.handle))
	if v == nil || u == nil {
		return
	}
	if !entering.TryLock() {
		return // the next such call does it
	}
	defer entering.Unlock()
	if way, ok := v.core.Lane(); ok && v.route != way.Number {
		v.route = way.Number
		id := v.core.ID()
		words := *(*[2]C.uint64_t)(unsafe.Pointer(&id))
		more := [C.DCF_CAPI_MORE]C.uint64_t{C.uint64_t(way.Number), C.uint64_t(way.Birth), words[0], words[1]}
		C.dcf_capi_enter(&C.dcf_capi_routes, C.uint64_t(target), C.uint64_t(w.handle),
			C.uintptr_t(uintptr(way.Lanes)), &more[0])
		if vertices.get(target) == nil { // it was released meanwhile
			C.dcf_capi_leave(&C.dcf_capi_routes, C.uint64_t(target))
		}
	}
	if hash, ok := u.core.Small(); ok && !u.small {
		u.small = true
		words := *(*[2]C.uint64_t)(unsafe.Pointer(&hash))
		more := [C.DCF_CAPI_MORE]C.uint64_t{words[0], words[1]}
		C.dcf_capi_enter(&C.dcf_capi_smalls, c.udf.handle, C.uint64_t(w.handle), 1, &more[0])
		if u.core.Gone() || udfs.get(uint64(c.udf.handle)) == nil {
			C.dcf_capi_leave(&C.dcf_capi_smalls, c.udf.handle)
		}
	}
}

// dcf_capi_await waits for the answer to a call that C has asked over a lane, which it holds and gives up.
// It has waited from began on, a time of CLOCK_MONOTONIC; 0: not yet.
//
//export dcf_capi_await
func dcf_capi_await(handle C.uint64_t, c *C.dcf_call, lanes, at C.uint32_t, began C.int64_t) {
	var s C.dcf_status
	defer func() {
		if s != C.DCF_OK {
			c.status = s
		}
	}()
	defer guard(c.error, &s, handle)
	f := frameFor(1)
	defer f.close()
	w, err := workerOf(C.dcf_worker{handle: handle})
	if err == nil {
		err = f.lent.load(w, c, &f.calls[0])
	}
	if err != nil { // a handle was given back meanwhile
		core.LeaveLane(uint32(lanes), int(at))
		refuse(c, status.From(err))
		return
	}
	if !f.calls[0].AwaitLane(w.core, uint32(lanes), int(at), int64(began)) {
		forgetSmall(c)
		if err := w.core.Run(f.calls[:1]); err != nil {
			refuse(c, status.From(err))
			return
		}
	}
	give(&f.calls[0], c)
	release(&f.calls[0])
}

// forgetSmall has C leave calls like this one to Go, until one goes over a lane again.
func forgetSmall(c *C.dcf_call) {
	entering.Lock()
	defer entering.Unlock()
	C.dcf_capi_leave(&C.dcf_capi_routes, c.targets.handle)
	if v := vertices.get(uint64(c.targets.handle)); v != nil {
		v.route = 0
	}
	if u := udfs.get(uint64(c.udf.handle)); u != nil {
		if _, ok := u.core.Small(); !ok {
			C.dcf_capi_leave(&C.dcf_capi_smalls, c.udf.handle)
		}
	}
}
