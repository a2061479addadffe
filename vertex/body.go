package vertex

import (
	"fmt"
	"unsafe"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// Body is memory for buffers outside the Go heap, aligned to 64 bytes, with a reference count. Its
// maker fills it and hands it to Assemble; afterwards nobody writes to it.
//
// It is one block, or is made of pieces that stand for one: see NewBodyOf.
type Body cdata.Body

// NewBody gives size bytes of unspecified content with one reference, which the caller releases. It
// fails with status.Exhausted if memory is out.
func NewBody(size int) (*Body, error) {
	body := cdata.NewBody(size)
	if body == nil {
		return nil, errMemory(fmt.Sprintf("%d bytes of data", size))
	}
	return (*Body)(body), nil
}

// Trust says who may still write to a piece of a body.
type Trust int64

const (
	// TrustOwn: nobody. It is memory of this process.
	TrustOwn Trust = iota
	// TrustPublished: another process could, and promised not to.
	TrustPublished
	// TrustNone: another process, at any time.
	TrustNone
)

// Piece is a part of a body.
type Piece struct {
	Bytes []byte // outside the Go heap
	Trust Trust
}

// NewBodyOf makes a body of pieces in their order, with one reference, which the caller releases. A
// range of it lies in one piece, or whoever asks for it gets status.Corrupt. Metadata is only ever
// read from pieces of TrustOwn. Of one of TrustNone Assemble copies what readers rely on, before it
// is checked: bitmaps, offsets, sizes, views, indices, type ids, run ends and text. All else stays
// where it lies, so a writer there can change values, and no more than values.
//
// The pieces of TrustOwn lie in own, whose only reference the body takes over; own may be nil. The
// others stay as they are until released is called, once, when the last reference to the body and
// to all that was made of it is gone. That may be on any thread, within a release callback of Arrow:
// it must not wait for anything. It is not called in a forked child. released may be nil.
//
// It fails with status.Exhausted if memory is out; then own is still the caller's, and released is
// never called.
func NewBodyOf(own *Body, pieces []Piece, released func()) (*Body, error) {
	n, size := 0, int64(0)
	for _, p := range pieces {
		if len(p.Bytes) > 0 {
			n, size = n+1, size+int64(len(p.Bytes))
		}
	}
	body := cdata.NewBodyOf(n, size, released)
	if body == nil {
		return nil, errMemory("the pieces of a body")
	}
	into, start := body.Pieces(), int64(0)
	for _, p := range pieces {
		if size := int64(len(p.Bytes)); size > 0 {
			into[0] = cdata.Piece{Start: start, Bytes: unsafe.Pointer(unsafe.SliceData(p.Bytes)),
				Size: size, Trust: int64(p.Trust)}
			into, start = into[1:], start+size
		}
	}
	if own != nil {
		body.Keep((*cdata.Body)(own))
	}
	return (*Body)(body), nil
}

// Size gives the number of bytes.
func (b *Body) Size() int64 { return (*cdata.Body)(b).Size() }

// Bytes gives the memory, valid while the body is retained; nil where it has pieces.
func (b *Body) Bytes() []byte { return (*cdata.Body)(b).Memory() }

// Own gives the bytes from offset to the end of the body, or of the piece of TrustOwn that offset
// lies in. ok is false where it lies in another piece or outside.
func (b *Body) Own(offset int64) (bytes []byte, ok bool) {
	if offset < 0 || offset > b.Size() {
		return nil, false
	}
	if all := b.Bytes(); all != nil {
		return all[offset:], true
	}
	p := b.piece(offset)
	if p == nil {
		return nil, offset == b.Size()
	}
	return pieceBytes(p)[offset-p.Start:], Trust(p.Trust) == TrustOwn
}

// Value gives a range, valid while the body is retained. What lies in a piece of TrustNone is
// copied. It fails with status.Corrupt where it is not within the body or one of its pieces, and
// with status.Exhausted if memory is out.
func (b *Body) Value(offset, length int64) ([]byte, error) {
	bytes, trust, ok := b.at(offset, length)
	if !ok {
		return nil, status.Errorf(status.Corrupt,
			"a value of %d bytes at %d is outside the body's %d bytes, or not in one of its pieces",
			length, offset, b.Size())
	}
	if trust == TrustNone {
		return b.copyOf(bytes)
	}
	return bytes, nil
}

// at gives a range and who may write to it. ok is false where it is outside, or in several pieces.
func (b *Body) at(offset, length int64) (bytes []byte, trust Trust, ok bool) {
	size := b.Size()
	if length < 0 || offset < 0 || offset > size || length > size-offset {
		return nil, 0, false
	}
	if all := b.Bytes(); all != nil {
		return all[offset : offset+length : offset+length], TrustOwn, true
	}
	p := b.piece(offset)
	if p == nil || length > p.Start+p.Size-offset {
		return nil, 0, length == 0
	}
	from := offset - p.Start
	return pieceBytes(p)[from : from+length : from+length], Trust(p.Trust), true
}

// piece gives the piece that a byte lies in, or nil.
func (b *Body) piece(offset int64) *cdata.Piece {
	pieces := (*cdata.Body)(b).Pieces()
	low, high := 0, len(pieces)
	for low < high {
		if middle := (low + high) / 2; pieces[middle].Start+pieces[middle].Size <= offset {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == len(pieces) {
		return nil
	}
	return &pieces[low]
}

func pieceBytes(p *cdata.Piece) []byte { return unsafe.Slice((*byte)(p.Bytes), p.Size) }

// copyOf copies bytes into memory that the body keeps.
func (b *Body) copyOf(bytes []byte) ([]byte, error) {
	part, err := NewBody(len(bytes))
	if err != nil {
		return nil, err
	}
	arena.Copy(part.Bytes(), bytes)
	(*cdata.Body)(b).Keep((*cdata.Body)(part))
	return part.Bytes(), nil
}

// Retain adds a reference and gives the body back.
func (b *Body) Retain() *Body {
	(*cdata.Body)(b).Retain()
	return b
}

// Release drops a reference and frees the memory with the last. It may be called on any thread.
func (b *Body) Release() { (*cdata.Body)(b).Release() }
