package main

// #include "capi.h"
import "C"

import (
	"sync"
	"unsafe"

	"dcf/core"
	"dcf/core/status"
	"dcf/udf"
	"dcf/udf/native"
)

// frame is the memory that one dcf_call_run needs beside its caller's. Frames are reused, so that a
// call allocates nothing.
type frame struct {
	calls []core.Call
	from  []*C.dcf_call // the caller's, for each of calls
	lent
}

var frames = sync.Pool{New: func() any { return new(frame) }}

// frameFor gives a frame with room for n calls.
func frameFor(n int) *frame {
	f := frames.Get().(*frame)
	if len(f.calls) < n {
		f.calls = make([]core.Call, n)
	}
	return f
}

// close gives the frame back. What its lists still refer to is kept alive until they are written
// again, or until the collector empties the pool.
func (f *frame) close() {
	f.from = f.from[:0]
	f.lent.close()
	if len(f.calls) <= MaxKeptCalls && cap(f.targets) <= MaxKeptTargets {
		frames.Put(f)
	}
}

// dcf_capi_run is dcf_call_run, from the first call on that C could not run by itself.
//
//export dcf_capi_run
func dcf_capi_run(w C.dcf_worker, calls *C.dcf_call, count, done C.size_t,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, runCalls(w, calls, int(done), count))
}

func runCalls(handle C.dcf_worker, first *C.dcf_call, done int, count C.size_t) error {
	w, err := workerOf(handle)
	if err == nil {
		err = callable(first, count)
	}
	switch {
	case err != nil && done > 0: // the worker was closed meanwhile
		refuseAll(first, done, int(count), err)
		return err
	case err != nil || count == 0:
		return err
	}
	f := frameFor(int(count) - done)
	for i := done; i < int(count); i++ {
		f.load(w, step(first, i))
	}
	err = w.core.Run(f.calls[:len(f.from)])
	if count == 1 && err == nil && len(f.from) == 1 && f.calls[0].Small() {
		enterSmall(w, first)
	}
	for i, c := range f.from {
		if err == nil {
			give(&f.calls[i], c)
		} else {
			refuse(c, status.From(err))
		}
		release(&f.calls[i])
	}
	f.close()
	return err
}

func refuseAll(first *C.dcf_call, from, to int, err error) {
	for i := from; i < to; i++ {
		refuse(step(first, i), status.From(err))
	}
}

// dcf_capi_resume goes on with a call whose calculate C has run, under a pin that it holds, where the
// output is more than C can give. It gives the pin back, or says 0 where the worker was closed.
//
//export dcf_capi_resume
func dcf_capi_resume(handle C.uint64_t, c *C.dcf_call, version C.uint64_t, pin C.uint32_t,
	output C.uintptr_t) (resumed C.int32_t) {
	var s C.dcf_status
	defer func() {
		if s != C.DCF_OK {
			c.status = s
		}
	}()
	defer guard(c.error, &s, handle)
	from := *(*unsafe.Pointer)(unsafe.Pointer(&output)) // memory of C
	f := frameFor(1)
	w, err := workerOf(C.dcf_worker{handle: handle})
	if err == nil {
		err = f.lent.load(w, c, &f.calls[0])
	}
	if err != nil { // a handle was given back while its function ran
		discard(from)
		refuse(c, status.From(err))
		f.close()
		return 0
	}
	resumed = 1 // from here on the pin is Go's, also where a bug ends this in a panic
	w.core.Resume(int(pin), (*[1]core.Call)(f.calls), uint64(version), func(out *udf.Output) {
		native.Take(from, out)
	})
	give(&f.calls[0], c)
	release(&f.calls[0])
	f.close()
	return resumed
}

// dcf_capi_try is dcf_call_try where C cannot say what is wrong: it runs none.
//
//export dcf_capi_try
func dcf_capi_try(w C.dcf_worker, calls *C.dcf_call, count C.size_t, done *C.size_t,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	_, err := workerOf(w)
	if err == nil {
		err = callable(calls, count)
	}
	if err == nil && done == nil {
		err = null("done_out")
	}
	if err == nil {
		*done = 0
	}
	return finish(e, err)
}

//export dcf_capi_discard
func dcf_capi_discard(output C.uintptr_t) {
	discard(*(*unsafe.Pointer)(unsafe.Pointer(&output))) // memory of C
}

// discard frees an output of C's that nobody takes.
func discard(output unsafe.Pointer) {
	var out udf.Output
	native.Take(output, &out)
	out.Clear()
}

//export dcf_capi_reclaim
func dcf_capi_reclaim(handle C.uint64_t) {
	if w := workers.get(uint64(handle)); w != nil {
		w.core.Reclaim()
	}
}

// callable checks what dcf_call_run and dcf_queue_submit have in common.
func callable(first *C.dcf_call, count C.size_t) error {
	switch {
	case count == 0:
		return mayWait()
	case first == nil:
		return null("calls")
	case count > MaxCallsPerRun:
		return invalid("%d calls at once are more than MaxCallsPerRun = %d: make several batches",
			uint64(count), MaxCallsPerRun)
	case first.struct_size < C.sizeof_dcf_call:
		return invalid("calls[0].struct_size is %d: start from DCF_CALL_INIT", first.struct_size)
	}
	return mayWait()
}

// step gives the i-th call of an array, which may have been built with a longer struct.
func step(first *C.dcf_call, i int) *C.dcf_call {
	return (*C.dcf_call)(unsafe.Add(unsafe.Pointer(first), uintptr(i)*uintptr(first.struct_size)))
}

// load unpacks a call. One that is wrong in itself ends here.
func (f *frame) load(w *worker, from *C.dcf_call) {
	call := &f.calls[len(f.from)]
	if err := f.lent.load(w, from, call); err != nil {
		refuse(from, status.From(err))
		return
	}
	f.from = append(f.from, from)
}

// refuse ends a call that did not run.
func refuse(c *C.dcf_call, err *status.Error) {
	c.result_kind, c.result_size, c.effects = C.DCF_RESULT_NONE, 0, C.DCF_EFFECTS_NONE
	c.status = fill(c.error, err)
}

// release frees results that were not given away. The ticket lives on in the caller's call.
func release(call *core.Call) {
	if call.Result.Batch != nil || call.Result.OffHeap || call.Parts != nil {
		call.Ticket = 0
		call.Clear()
	}
}
