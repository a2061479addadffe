// Package native runs functions of this process behind C function pointers, as include/dcf.h
// declares them. A wave is one crossing into C, whatever its size, and what the callbacks answer is
// gathered by plain C. It knows no worker, and it never runs a callback on a thread of its own.
package native

// #cgo CFLAGS: -std=c11 -Wall -Wextra -I${SRCDIR}/../../include -I${SRCDIR}/../../vertex/cdata
// #include "native.h"
import "C"

import (
	"sync/atomic"
	"unsafe"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex/arena"
)

// Callbacks is the Code of a native Definition: C functions, and what they are given. Calculate is
// required.
type Callbacks struct {
	Calculate unsafe.Pointer // dcf_calculate_fn
	Merge     unsafe.Pointer // dcf_merge_fn, or nil
	Finish    unsafe.Pointer // dcf_merge_fn, or nil
	UserData  unsafe.Pointer
	// UserDataFree is a void (*)(void *) or nil. It is called once, on any goroutine, after the
	// last callback returned.
	UserDataFree unsafe.Pointer
	// Registration, where it is not nil, holds UserDataFree back until it was accepted.
	Registration *Registration
}

// Registration tells a program whether the registration that it was made for came about: user data
// is freed only of functions that were registered. The zero Registration is not accepted yet.
type Registration struct{ halves atomic.Int32 }

// Accept says that the registration came about.
func (r *Registration) Accept(c *Callbacks) { r.half(c) }

// half frees the user data when both have happened: the acceptance, and the end of the program.
func (r *Registration) half(c *Callbacks) {
	if (r == nil || r.halves.Add(1) == 2) && c.UserDataFree != nil {
		C.dcf_native_call_free(C.uintptr_t(uintptr(c.UserDataFree)),
			C.uintptr_t(uintptr(c.UserData)))
	}
}

// Kind is the kind of functions behind C function pointers; a Definition's Code is a Callbacks.
type Kind struct{}

var _ udf.Kind = Kind{}

// ID gives KindNative.
func (Kind) ID() udf.KindID { return udf.KindNative }

// Load makes a program of Callbacks.
func (Kind) Load(def *udf.Definition) (udf.Program, error) {
	c, ok := def.Code.(Callbacks)
	if !ok || c.Calculate == nil {
		return nil, status.Errorf(status.InvalidArgument,
			"the function %q has no calculate: give the address of one", def.Name)
	}
	p := &program{code: c, updates: def.Flags&udf.Updates != 0}
	if len(def.Auxiliary) > 0 {
		p.auxiliary = arena.Alloc(len(def.Auxiliary))
		if p.auxiliary == nil {
			return nil, status.Errorf(status.Exhausted,
				"no memory for the %d bytes of auxiliary data of function %q", len(def.Auxiliary),
				def.Name)
		}
		copy(p.auxiliary, def.Auxiliary)
	}
	if !p.updates && c.Finish == nil {
		p.makeDirect(def.Flags)
	}
	return p, nil
}

// makeDirect makes what C needs to call the function without Go. Where there is no memory for it,
// calls go through Go.
func (p *program) makeDirect(flags udf.Flags) {
	block := arena.Alloc(int(unsafe.Sizeof(direct{})))
	if block == nil {
		return
	}
	p.direct = (*direct)(unsafe.Pointer(unsafe.SliceData(block)))
	*p.direct = direct{calculate: uintptr(p.code.Calculate), userData: uintptr(p.code.UserData),
		auxiliary: p.aux(), flags: uint32(flags)}
}

// Direct gives a dcf_native_program, by which C can call a function of this kind without Go for as
// long as the program is not closed; nil where it must not: the function updates, or has a finish,
// or is of another kind.
func Direct(of udf.Program) unsafe.Pointer {
	if p, ok := of.(*program); ok {
		return unsafe.Pointer(p.direct)
	}
	return nil
}

// program is one function. It is immutable.
type program struct {
	code      Callbacks
	updates   bool
	auxiliary []byte  // an arena block, so that C may see it
	direct    *direct // an arena block; nil: C cannot call it by itself
}

var _ udf.Program = (*program)(nil)

func (p *program) HasMerge() bool  { return p.code.Merge != nil }
func (p *program) HasFinish() bool { return p.code.Finish != nil }

func (p *program) Close() {
	arena.Free(p.auxiliary)
	p.auxiliary = nil
	if p.direct != nil {
		arena.Free(unsafe.Slice((*byte)(unsafe.Pointer(p.direct)), unsafe.Sizeof(*p.direct)))
	}
	p.code.Registration.half(&p.code)
}

// InCallback says whether the calling thread is inside a native callback: what waits for callbacks
// to return must not be called from one. It means something only below a call from C.
func InCallback() bool { return C.dcf_native_in_callback() != 0 }

// InUpdate says whether the calling thread is inside a callback of a function that updates: that
// holds a vertex and must not wait. It means something only below a call from C, and costs a load
// while no such callback runs in the process.
func InUpdate() bool {
	running := (*atomic.Uint32)(unsafe.Pointer(&C.dcf_native_updates_running))
	return running.Load() != 0 && C.dcf_native_in_update() != 0
}

// The limits of package udf hold in C too, or this does not compile.
var (
	_ [udf.MaxSpawnsPerCalculate]byte  = [C.DCF_NATIVE_MAX_SPAWNS]byte{}
	_ [udf.MaxEffectsPerCalculate]byte = [C.DCF_NATIVE_MAX_EFFECTS]byte{}
	_ [udf.MaxLogBytes]byte            = [C.DCF_NATIVE_MAX_LOG_BYTES]byte{}
	_ [udf.MaxNameBytes]byte           = [C.DCF_NATIVE_MAX_NAME_BYTES]byte{}
)
