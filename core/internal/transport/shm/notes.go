package shm

import (
	"encoding/binary"
	"slices"
	"sync"

	"dcf/core/internal/ring"
	"dcf/core/status"
)

// maxNotes is how many numbers one message carries.
const maxNotes = ring.MaxMessage / 8

// notes are numbers that the peer is to be told, on no thread in particular and without waiting: loans
// that are returned, and segments that are no more. They overtake frames that are queued.
type notes struct {
	mu             sync.Mutex
	returns, gone  []uint64
	sending        bool     // somebody is about to take them
	unsaidReturns  []uint64 // of outbox.mu: those that the ring had no room for
	unsaidSegments []uint64
}

// note has the peer told a number. It waits for nothing.
func (o *outbox) note(kind uint8, number uint64) {
	n := &o.notes
	n.mu.Lock()
	if kind == kindReturn {
		n.returns = append(n.returns, number)
	} else {
		n.gone = append(n.gone, number)
	}
	first := !n.sending
	n.sending = true
	n.mu.Unlock()
	switch {
	case !first: // it goes with those before
	case o.mu.TryLock():
		o.sendNotes()
		o.mu.Unlock()
	default:
		go func() {
			o.mu.Lock()
			o.sendNotes()
			o.mu.Unlock()
		}()
	}
}

// sendNotes sends all notes. The caller holds mu.
func (o *outbox) sendNotes() {
	n := &o.notes
	n.mu.Lock()
	n.unsaidReturns = append(n.unsaidReturns, n.returns...)
	n.unsaidSegments = append(n.unsaidSegments, n.gone...)
	n.returns, n.gone, n.sending = n.returns[:0], n.gone[:0], false
	n.mu.Unlock()
	if o.ended {
		n.unsaidReturns, n.unsaidSegments = nil, nil
		return
	}
	o.putNotes()
	o.publish()
	if o.ring.Wake() {
		wake(&o.c.sock)
	}
	if n.unsaid() > 0 {
		o.follow()
	}
}

func (n *notes) unsaid() int { return len(n.unsaidReturns) + len(n.unsaidSegments) }

// putNotes puts as many notes into the ring as there is room for, and says how many bytes that is.
func (o *outbox) putNotes() (done int64) {
	n := &o.notes
	before := n.unsaid()
	n.unsaidReturns = o.putNumbers(kindReturn, n.unsaidReturns)
	n.unsaidSegments = o.putNumbers(kindForget, n.unsaidSegments)
	return int64(before-n.unsaid()) * 8
}

// putNumbers gives those that there was no room for.
func (o *outbox) putNumbers(kind uint8, all []uint64) []uint64 {
	left := all
	for len(left) > 0 {
		var b [ring.MaxMessage]byte
		some := min(len(left), maxNotes)
		for i, number := range left[:some] {
			binary.LittleEndian.PutUint64(b[8*i:], number)
		}
		if !o.ring.Put(kind, b[:8*some]) {
			break
		}
		left = left[some:]
	}
	return slices.Delete(all, 0, len(all)-len(left))
}

// noted acts on notes of the peer.
func (i *inbox) noted(kind uint8, message []byte) error {
	var all [maxNotes]uint64
	if len(message) == 0 || len(message)%8 != 0 {
		return status.Errorf(status.Corrupt, "%s sent a note of %d bytes", i.c.peer, len(message))
	}
	if kind == kindReturn {
		return i.c.lender.returned(numbers(message, &all))
	}
	return named(i.c.peer, i.c.borrower.forget(numbers(message, &all)))
}

// numbers reads the numbers of a message.
func numbers(message []byte, into *[maxNotes]uint64) []uint64 {
	for i := range len(message) / 8 {
		into[i] = binary.LittleEndian.Uint64(message[8*i:])
	}
	return into[:len(message)/8]
}
