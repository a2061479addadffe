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

// MaxWords is how many words WaitAny takes.
const MaxWords = 64

// words is what the system is told of each word, a struct futex_waitv.
type words [MaxWords]struct {
	value   uint64
	address *uint32
	flags   uint32
	_       uint32
}

const (
	sysWaitv   = 449 // on all architectures
	wordsOf32  = 2   // FUTEX2_SIZE_U32
	ofTheClock = unix.CLOCK_MONOTONIC
)

// Words are several words to wait for. One goroutine uses them.
type Words struct {
	all   words
	count int
}

// Clear forgets all words.
func (w *Words) Clear() { w.count = 0 }

// Add adds a word, of at most MaxWords.
func (w *Words) Add(word *uint32) {
	entry := &w.all[w.count]
	entry.address, entry.flags = word, wordsOf32
	w.count++
}

// Wait sleeps while each word is value, until a Wake at one of them, or until a time of
// CLOCK_MONOTONIC. It may end early. False: the system cannot do that.
func (w *Words) Wait(value uint32, until int64) bool {
	for i := range w.count {
		w.all[i].value = uint64(value)
	}
	timeout := unix.NsecToTimespec(until)
	_, _, errno := unix.Syscall6(sysWaitv, uintptr(unsafe.Pointer(&w.all)), uintptr(w.count), 0,
		uintptr(unsafe.Pointer(&timeout)), ofTheClock, 0)
	return errno != unix.ENOSYS && errno != unix.EPERM
}
