package shm

import (
	"sync"

	"golang.org/x/sys/unix"

	"dcf/core/status"
)

// borrower is what one end of a connection knows of the other's memory. Bodies that lie there may be
// used longer than the connection lasts: so long their segments stay mapped, and the lifeline open.
type borrower struct {
	mu       sync.Mutex
	segments map[uint64]*foreign // by the peer's numbers
	line     int                 // the end of the lifeline; 0: none
	held     int                 // loans that were not returned
	over     bool                // no more loans come
}

// attach takes over the peer's lifeline.
func (b *borrower) attach(line int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over || b.line != 0 {
		_ = unix.Close(line)
	}
	if b.line != 0 {
		return status.Errorf(status.Corrupt, "it sent a second lifeline")
	}
	if !b.over {
		b.line = line
	}
	return nil
}

// introduce makes a segment known by its number.
func (b *borrower) introduce(number uint64, fd int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over:
		return nil
	case b.segments[number] != nil:
		return status.Errorf(status.Corrupt, "it introduces segment %d again", number)
	case len(b.segments) >= maxSegments:
		return status.Errorf(status.Corrupt, "it introduces more than %d segments (maxSegments)", maxSegments)
	}
	f, err := mapForeign(fd)
	if err != nil {
		return err
	}
	if b.segments == nil {
		b.segments = map[uint64]*foreign{}
	}
	b.segments[number] = f
	return nil
}

// forget forgets segments that the peer has no more.
func (b *borrower) forget(numbers []uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, number := range numbers {
		f := b.segments[number]
		if f == nil {
			return status.Errorf(status.Corrupt, "it takes segment %d back, which it did not introduce", number)
		}
		delete(b.segments, number)
		f.release()
	}
	return nil
}

// segment gives a segment, with a reference of the caller's, or nil.
func (b *borrower) segment(number uint64) *foreign {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.segments[number]
	if f != nil {
		f.retain()
	}
	return f
}

// hold counts a loan.
func (b *borrower) hold() {
	b.mu.Lock()
	b.held++
	b.mu.Unlock()
}

// drop says that a loan was returned.
func (b *borrower) drop() {
	b.mu.Lock()
	b.held--
	b.settle()
	b.mu.Unlock()
}

// end says that no more loans come.
func (b *borrower) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	for _, f := range b.segments {
		f.release()
	}
	b.segments = nil
	b.settle()
}

// settle closes the lifeline once it is of no more use.
func (b *borrower) settle() {
	if b.over && b.held == 0 && b.line != 0 {
		_ = unix.Close(b.line)
		b.line = 0
	}
}
