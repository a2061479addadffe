package store

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"dcf/core/status"
)

// epochs tells when nobody can be reading what was unlinked.
//
// A reader takes a pin: a word of its own, in its own cache line, in which it writes the epoch at
// which it began. A writer unlinks an object and then raises the epoch to R; whoever can still see
// the object holds a pin with an epoch below R, and the object may be freed when there is none.
// This is epoch-based reclamation (Fraser, Practical lock-freedom, 2004, 5.2.3) with one word a
// reader instead of per-thread lists.
type epochs struct {
	current  atomic.Uint64
	overflow atomic.Int64 // readers on pins beyond home
	home     int          // how many pins are tried first: a power of two
	pins     [MaxPins]pinWord
}

// pinWord is 0 while the pin is free, else twice the reader's epoch plus one.
type pinWord struct {
	word atomic.Uint64
	_    [56]byte
}

// Pin protects what its holder reads from a store, from Pin to Unpin. Index is unique among the
// pins that are held at one time, and below MaxPins.
type Pin struct{ index int }

// Index gives the pin's number, for whoever keeps memory one a pin.
func (p Pin) Index() int { return p.index }

// open chooses how many pins readers spread over: enough that those of all processors rarely meet,
// and few, because every pin that was used has memory of its own.
func (e *epochs) open() {
	e.home = homePinsMin
	for e.home < pinsPerProcessor*runtime.GOMAXPROCS(0) && e.home < MaxPins {
		e.home *= 2
	}
}

// pin takes a free word, near one that belongs to the calling stack, so that threads do not share
// cache lines.
func (e *epochs) pin() (Pin, error) {
	var here byte
	start := int(uintptr(unsafe.Pointer(&here))>>12*0x9E3779B1>>16) & (e.home - 1)
	word := e.current.Load()<<1 | 1
	for i := range e.home {
		index := (start + i) & (e.home - 1)
		if e.pins[index].word.CompareAndSwap(0, word) {
			return Pin{index}, nil
		}
	}
	return e.pinOverflow(word)
}

func (e *epochs) pinOverflow(word uint64) (Pin, error) {
	// Raised before the word is written: a writer that reads 0 here unlinked before that.
	e.overflow.Add(1)
	for index := e.home; index < MaxPins; index++ {
		if e.pins[index].word.CompareAndSwap(0, word) {
			return Pin{index}, nil
		}
	}
	e.overflow.Add(-1)
	return Pin{}, status.Errorf(status.Exhausted,
		"%d calls run at this moment (MaxPins): wait for some to end and try again", MaxPins)
}

// tryPin takes the pin of that index if it is free.
func (e *epochs) tryPin(index int) (Pin, bool) {
	if index >= e.home {
		e.overflow.Add(1)
	}
	if e.pins[index].word.CompareAndSwap(0, e.current.Load()<<1|1) {
		return Pin{index}, true
	}
	if index >= e.home {
		e.overflow.Add(-1)
	}
	return Pin{}, false
}

func (e *epochs) unpin(p Pin) {
	e.pins[p.index].word.Store(0)
	if p.index >= e.home {
		e.overflow.Add(-1)
	}
}

// advance starts a new epoch and gives it: whoever pins from now on has at least this one.
func (e *epochs) advance() uint64 { return e.current.Add(1) }

// oldest gives the lowest epoch of any reader, or the largest number if there is none.
func (e *epochs) oldest() uint64 {
	oldest := ^uint64(0)
	last := e.home
	if e.overflow.Load() != 0 {
		last = MaxPins
	}
	for i := range last {
		if word := e.pins[i].word.Load(); word != 0 {
			oldest = min(oldest, word>>1)
		}
	}
	return oldest
}
