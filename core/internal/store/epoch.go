package store

import (
	"runtime"
	"sync"
	"unsafe"

	"dcf/core/status"
	"dcf/vertex/cdata"
)

// epochs tells when nobody can be reading what was unlinked.
//
// A reader takes a pin: a word of its own, in its own cache line, in which it writes the epoch at
// which it began. A writer unlinks an object and then raises the epoch to R; whoever can still see
// the object holds a pin with an epoch below R, and the object may be freed when there is none.
// This is epoch-based reclamation (Fraser, Practical lock-freedom, 2004, 5.2.3) with one word a
// reader instead of per-thread lists.
//
// C pins in the same words, and may do so late, with the address of a store that was closed: so the
// memory is never given back, only used for another store.
type epochs struct{ c *cdata.Epochs }

// Pin protects what its holder reads from a store, from Pin to Unpin. Index is unique among the
// pins that are held at one time, and below MaxPins.
type Pin struct{ index int }

// Index gives the pin's number, for whoever keeps memory one a pin.
func (p Pin) Index() int { return p.index }

// idleEpochs are those of closed stores. They stay where they are, as C was given their addresses.
var idleEpochs struct {
	mu     sync.Mutex
	free   []*cdata.Epochs // under mu
	pinner runtime.Pinner  // under mu: holds all that were ever made
}

// open takes epochs into use and chooses how many pins readers spread over: enough that those of all
// processors rarely meet, and few, because every pin that was used has memory of its own.
func (e *epochs) open() {
	idle := &idleEpochs
	idle.mu.Lock()
	if n := len(idle.free); n > 0 {
		e.c, idle.free = idle.free[n-1], idle.free[:n-1]
	} else {
		e.c = new(cdata.Epochs)
		idle.pinner.Pin(e.c)
	}
	idle.mu.Unlock()
	home := uint32(homePinsMin)
	for home < uint32(pinsPerProcessor*runtime.GOMAXPROCS(0)) && home < MaxPins {
		home *= 2
	}
	e.c.Home = home
	e.c.Pressing.Store(0)
}

// close gives the epochs back. Nobody holds a pin.
func (e *epochs) close() {
	for i := range e.c.Pins {
		e.c.Pins[i].Calls = 0
	}
	idleEpochs.mu.Lock()
	idleEpochs.free = append(idleEpochs.free, e.c)
	idleEpochs.mu.Unlock()
}

// pin takes a free word, near one that belongs to the calling stack, so that threads do not share
// cache lines.
func (e *epochs) pin() (Pin, error) {
	p, ok := e.pinHome()
	if ok {
		return p, nil
	}
	return e.pinNear(p.index + 1)
}

// pinHome takes the word that belongs to the calling stack; where it is not free it is only named.
func (e *epochs) pinHome() (Pin, bool) {
	var here byte
	start := uint32(uintptr(unsafe.Pointer(&here)) >> 12 * 0x9E3779B1 >> 16)
	index := int(start & (e.c.Home - 1) & (MaxPins - 1))
	return Pin{index}, e.c.Pins[index].Word.CompareAndSwap(0, e.c.Current.Load()<<1|1)
}

func (e *epochs) pinNear(start int) (Pin, error) {
	word := e.c.Current.Load()<<1 | 1
	mask := int(e.c.Home - 1)
	for i := range mask + 1 {
		index := (start + i) & mask
		if e.c.Pins[index].Word.CompareAndSwap(0, word) {
			return Pin{index}, nil
		}
	}
	return e.pinOverflow(word)
}

func (e *epochs) pinOverflow(word uint64) (Pin, error) {
	// Raised before the word is written: a writer that reads 0 here unlinked before that.
	e.c.Overflow.Add(1)
	for index := int(e.c.Home); index < MaxPins; index++ {
		if e.c.Pins[index].Word.CompareAndSwap(0, word) {
			return Pin{index}, nil
		}
	}
	e.c.Overflow.Add(-1)
	return Pin{}, status.Errorf(status.Exhausted,
		"%d calls run at this moment (MaxPins): wait for some to end and try again", MaxPins)
}

// tryPin takes the pin of that index if it is free.
func (e *epochs) tryPin(index int) (Pin, bool) {
	beyond := index >= int(e.c.Home)
	if beyond {
		e.c.Overflow.Add(1)
	}
	if e.c.Pins[index].Word.CompareAndSwap(0, e.c.Current.Load()<<1|1) {
		return Pin{index}, true
	}
	if beyond {
		e.c.Overflow.Add(-1)
	}
	return Pin{}, false
}

func (e *epochs) unpin(p Pin) {
	e.c.Pins[p.index].Word.Store(0)
	if p.index >= int(e.c.Home) {
		e.c.Overflow.Add(-1)
	}
}

// advance starts a new epoch and gives it: whoever pins from now on has at least this one.
func (e *epochs) advance() uint64 { return e.c.Current.Add(1) }

// oldest gives the lowest epoch of any reader, or the largest number if there is none.
func (e *epochs) oldest() uint64 {
	oldest := ^uint64(0)
	last := int(e.c.Home)
	if e.c.Overflow.Load() != 0 {
		last = MaxPins
	}
	for i := range last {
		if word := e.c.Pins[i].Word.Load(); word != 0 {
			oldest = min(oldest, word>>1)
		}
	}
	return oldest
}
