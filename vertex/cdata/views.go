package cdata

// #include "views.h"
import "C"

import "unsafe"

// Views is dcf_views: what languages made of one version of a vertex. The zero Views is empty. It
// lies outside the Go heap and is safe for concurrent use, but for Clear.
type Views C.dcf_views

// Get gives the view of that key, or nil. A key is an address that nobody else uses.
func (v *Views) Get(key unsafe.Pointer) unsafe.Pointer {
	return C.dcf_views_get((*C.dcf_views)(v), key)
}

// Set keeps a view, which free, a C function void (*)(void *), is called with once on any thread.
// False: another was first, or memory is out, and the view stays the caller's.
func (v *Views) Set(key, view, free unsafe.Pointer) bool {
	return C.dcf_views_set((*C.dcf_views)(v), key, view, (*[0]byte)(free)) == 0
}

// Clear frees all views. Nobody may use v meanwhile.
func (v *Views) Clear() { C.dcf_views_clear((*C.dcf_views)(v)) }
