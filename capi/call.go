package main

// #include "capi.h"
import "C"

import (
	"sync"
	"unsafe"

	"dcf/core"
	"dcf/core/status"
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

//export dcf_call_run
func dcf_call_run(w C.dcf_worker, calls *C.dcf_call, count C.size_t,
	e *C.dcf_error) (s C.dcf_status) {
	defer guard(e, &s, w.handle)
	return finish(e, runCalls(w, calls, count))
}

func runCalls(handle C.dcf_worker, first *C.dcf_call, count C.size_t) error {
	w, err := workerOf(handle)
	if err != nil {
		return err
	}
	if err := callable(first, count); err != nil || count == 0 {
		return err
	}
	f := frameFor(int(count))
	for i := range int(count) {
		f.load(w, step(first, i))
	}
	err = w.core.Run(f.calls[:len(f.from)])
	for i, c := range f.from {
		if err == nil {
			give(&f.calls[i], c)
		}
		release(&f.calls[i])
	}
	f.close()
	return err
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
