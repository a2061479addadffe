package futex

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	waitShared = 0 // FUTEX_WAIT
	wakeShared = 1 // FUTEX_WAKE
)

// Wait sleeps while a word of memory that processes may share is value, until Wake or for wait at most.
// It may end early.
func Wait(word *uint32, value uint32, wait time.Duration) {
	if wait <= 0 {
		return
	}
	timeout := unix.NsecToTimespec(int64(wait))
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), waitShared, uintptr(value),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
}

// Wake wakes whoever sleeps in Wait at a word. It never blocks.
func Wake(word *uint32) {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), wakeShared, 1, 0, 0, 0)
}
