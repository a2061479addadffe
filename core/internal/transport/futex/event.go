// Package futex lets a thread sleep until another one wakes it, with a deadline and without the
// Go scheduler: waking a goroutine that is bound to a foreign thread costs several times as much.
// It is for waits that end soon; a goroutine that waits here holds its thread.
package futex

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The values of an Event's word.
const (
	empty    = 0
	set      = 1
	sleeping = 2
)

const (
	waitPrivate = 0x80 // FUTEX_WAIT | FUTEX_PRIVATE_FLAG
	wakePrivate = 0x81 // FUTEX_WAKE | FUTEX_PRIVATE_FLAG
)

// Event is set by any goroutine and waited for by one. The zero Event is not set.
type Event struct{ word atomic.Uint32 }

// Set ends the present or the next Wait.
func (e *Event) Set() {
	if e.word.Swap(set) == sleeping {
		// Waking never blocks, so the scheduler need not know of the call.
		_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX,
			uintptr(unsafe.Pointer(&e.word)), wakePrivate, 1, 0, 0, 0)
	}
}

// Wait sleeps until Set or until wait is over, and says whether the event was set. It takes the
// event with it: the next Wait needs another Set.
func (e *Event) Wait(wait time.Duration) bool {
	if e.Take() {
		return true
	}
	if wait <= 0 || !e.word.CompareAndSwap(empty, sleeping) {
		return e.Take()
	}
	timeout := unix.NsecToTimespec(int64(wait))
	// However the call ends, the word says what happened.
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&e.word)), waitPrivate, sleeping,
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if e.word.CompareAndSwap(sleeping, empty) {
		return false
	}
	return e.Take()
}

// Take says whether the event is set, and takes it, without waiting.
func (e *Event) Take() bool {
	return e.word.Load() == set && e.word.CompareAndSwap(set, empty)
}
