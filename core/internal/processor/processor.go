// Package processor says on which processor a thread runs, and moves it to another one.
package processor

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Current gives the processor on which the calling thread runs; a negative number where the system does not say.
func Current() int {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return -1
	}
	return int(cpu)
}

// Leave moves the calling thread from a processor to any other one that it may use, and says whether it did. The
// thread may use the same ones as before; until something speaks against it, the system leaves it where it is.
func Leave(cpu int) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var allowed unix.CPUSet
	if unix.SchedGetaffinity(0, &allowed) != nil {
		return false
	}
	others := allowed
	others.Clear(cpu)
	if others.Count() == 0 || unix.SchedSetaffinity(0, &others) != nil {
		return false
	}
	return unix.SchedSetaffinity(0, &allowed) == nil
}
