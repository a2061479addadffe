// Package floors is the least that a call between C and Go can do: an empty Go export, and one
// that calls a C function. The benchmarks compare dcf with them. It never calls dcf.
package floors

/*
#cgo CFLAGS: -O2
#include "floors.h"
#include "thread.h"

static uint64_t call(bench_floor_fn function, uintptr_t user_data, uint64_t argument) {
  return function(user_data, argument);
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

//export bench_floor_empty
func bench_floor_empty(argument C.uint64_t) C.uint64_t { return argument }

//export bench_floor_callback
func bench_floor_callback(
	function C.bench_floor_fn, userData C.uintptr_t, argument C.uint64_t,
) C.uint64_t {
	return C.call(function, userData, argument)
}

// Thread is a C thread that calls the empty export when it is told to, so that a Go program can
// measure what a C program pays.
type Thread struct{ c *C.floor_thread }

// NewThread starts a thread. Close ends it.
func NewThread() (*Thread, error) {
	c := C.floor_thread_open()
	if c == nil {
		return nil, fmt.Errorf("floors: cannot start a thread: the system has no memory or threads left")
	}
	return &Thread{c}, nil
}

// Block calls the empty export for blockNs, batch calls a sample, and writes what a call of each
// sample took, in nanoseconds, into samples. It gives the number of samples and the time of all.
func (t *Thread) Block(blockNs int64, batch int, samples []float32) (count int, elapsedNs int64) {
	n := C.floor_thread_block(t.c, C.int64_t(blockNs), C.size_t(batch),
		(*C.float)(unsafe.Pointer(unsafe.SliceData(samples))), C.size_t(len(samples)),
		(*C.int64_t)(unsafe.Pointer(&elapsedNs)))
	return int(n), elapsedNs
}

// Close ends the thread and waits for it.
func (t *Thread) Close() { C.floor_thread_close(t.c) }
