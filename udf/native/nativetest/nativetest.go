// Package nativetest holds C functions for tests of native functions: one that does what its
// arguments say, sums, and others that show what they were given. Nothing but tests uses it.
package nativetest

// #cgo CFLAGS: -std=gnu11 -Wall -Wextra -I${SRCDIR}/../../../include -I${SRCDIR}/..
// #include "nativetest.h"
// #include <stdlib.h>
import "C"

import (
	"sync/atomic"
	"unsafe"

	"dcf/udf/native"
)

// State is what callbacks share with their test. It lies outside the Go heap; Close frees it.
type State struct{ c *C.dcf_nativetest_state }

// NewState makes a state whose latch is shut.
func NewState() *State {
	return &State{(*C.dcf_nativetest_state)(C.calloc(1, C.sizeof_dcf_nativetest_state))}
}

// Close frees the state. No callback may run.
func (s *State) Close() { C.free(unsafe.Pointer(s.c)) }

func (s *State) int64(p *C.int64_t) int64 { return (*atomic.Int64)(unsafe.Pointer(p)).Load() }
func (s *State) int32(p *C.int32_t) int32 { return (*atomic.Int32)(unsafe.Pointer(p)).Load() }

// Calculates, Folds, Frees and ViewsFreed count what happened.
func (s *State) Calculates() int64 { return s.int64(&s.c.calculates) }
func (s *State) Folds() int64      { return s.int64(&s.c.folds) }
func (s *State) Frees() int64      { return s.int64(&s.c.frees) }
func (s *State) ViewsFreed() int64 { return s.int64(&s.c.views_freed) }

// Waiting counts the callbacks that stand at the latch.
func (s *State) Waiting() int32 { return s.int32(&s.c.waiting) }

// Open opens the latch for good.
func (s *State) Open() { (*atomic.Int32)(unsafe.Pointer(&s.c.open)).Store(1) }

// WasInCallback and WasInUpdate say what the last script callback found about its thread.
func (s *State) WasInCallback() bool { return s.int32(&s.c.in_callback) != 0 }
func (s *State) WasInUpdate() bool   { return s.int32(&s.c.in_update) != 0 }

func (s *State) callbacks(calculate, merge, finish unsafe.Pointer) native.Callbacks {
	return native.Callbacks{Calculate: calculate, Merge: merge, Finish: finish,
		UserData: unsafe.Pointer(s.c), UserDataFree: C.dcf_nativetest_free}
}

// Script does what its arguments say; script.c has the commands. Without merge.
func (s *State) Script() native.Callbacks {
	return s.callbacks(C.dcf_nativetest_script, nil, nil)
}

// ScriptJoined is Script with a merge that joins the parts.
func (s *State) ScriptJoined() native.Callbacks {
	return s.callbacks(C.dcf_nativetest_script, C.dcf_nativetest_join, nil)
}

// Sum adds up the first column, an int64 without nulls; a part is 8 bytes in host order.
func (s *State) Sum() native.Callbacks {
	return s.callbacks(C.dcf_nativetest_sum, C.dcf_nativetest_add, C.dcf_nativetest_same)
}

// Describe gives all that an input says.
func (s *State) Describe() native.Callbacks {
	return s.callbacks(C.dcf_nativetest_describe, nil, nil)
}

// Overreach has a merge and a finish that try to spawn and to have effects.
func (s *State) Overreach() native.Callbacks {
	return s.callbacks(C.dcf_nativetest_sum, C.dcf_nativetest_overreach, C.dcf_nativetest_overreach)
}

// Suite gives the functions of udftest.Suite by name, and false for one that C cannot express.
func (s *State) Suite(name string) (native.Callbacks, bool) {
	calculates := map[string]unsafe.Pointer{
		"echo":    C.dcf_nativetest_echo,
		"fail":    C.dcf_nativetest_fail,
		"spawn":   C.dcf_nativetest_spawn,
		"effects": C.dcf_nativetest_effects,
		"big":     C.dcf_nativetest_big,
		"rubbish": C.dcf_nativetest_rubbish,
		"wait":    C.dcf_nativetest_wait,
	}
	if name == "sum" {
		return s.Sum(), true
	}
	calculate, ok := calculates[name]
	return s.callbacks(calculate, nil, nil), ok
}

// ReleaseOnThread releases a struct ArrowArray on a thread that C made and Go does not know.
func ReleaseOnThread(array unsafe.Pointer) { C.dcf_nativetest_release_on_thread(array) }
