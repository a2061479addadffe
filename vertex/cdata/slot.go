package cdata

// #include "slot.h"
import "C"

import "unsafe"

// Slot is dcf_slot: the name that C has for a Go object.
type Slot struct {
	Number uint64
	next   *Slot
}

var _ [C.sizeof_dcf_slot]byte = [unsafe.Sizeof(Slot{})]byte{}

// NewSlot gives a slot of that number, or nil if memory is out.
func NewSlot(number uint64) *Slot {
	return (*Slot)(unsafe.Pointer(C.dcf_slot_new(C.uint64_t(number))))
}

// DropSlot gives the C function that frees a slot, void (*)(void *).
func DropSlot() unsafe.Pointer { return unsafe.Pointer(C.dcf_slot_drop) }

// Drop does what C does when it frees a slot.
func (s *Slot) Drop() { C.dcf_slot_drop(unsafe.Pointer(s)) }

// DroppedSlots calls f with the number of each slot that was dropped since the last time.
func DroppedSlots(f func(number uint64)) {
	for slot := C.dcf_slot_dropped(); slot != nil; slot = C.dcf_slot_next(slot) {
		f(uint64(slot.number))
	}
}
