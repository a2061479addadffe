package shm

import (
	"encoding/binary"

	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/vertex"
	"dcf/wire"
)

// The kinds of the ring's messages. A frame travels in one message of its own, without its prefix, or as a
// stream: a message that starts it, with the prefix, and as many that go on with it as it takes. The bytes
// of the header and the body stand in the queue of bytes, and each of these messages says how many more
// of them are there now.
const (
	kindFrame = 1 // a frame's header
	kindStart = 2 // prefix, uint32
	kindPiece = 3 // uint32
)

const (
	startBytes = wire.PrefixBytes + 4
	pieceBytes = 4
)

// small says whether a frame without a body, of that size with its prefix, travels in one message.
func small(size int) bool { return size <= wire.PrefixBytes+ring.MaxMessage }

// parcel is a frame on its way into the ring.
type parcel struct {
	head    []byte // the prefix, until the frame is started, and what is left of the header
	body    [][]byte
	left    int64 // bytes of head and body
	started bool
	kept    *transport.Segment // what keeps the body's memory, or nil where the sender does
}

// put puts as much of a frame into the ring as there is room for, a piece at most, and says how much that
// is, the prefix included.
func (p *parcel) put(to *ring.Producer) (done int64) {
	if !p.started && len(p.body) == 0 && small(len(p.head)) {
		if !to.Put(kindFrame, p.head[wire.PrefixBytes:]) {
			return 0
		}
		done, p.left = p.left, 0
		return done
	}
	before := p.left
	var message [startBytes]byte
	kind, at := uint8(kindPiece), 0
	if !p.started {
		kind, at = kindStart, wire.PrefixBytes
	}
	size := min(p.left-int64(at), maxPiece)
	room := int64(to.Room(int(min(size, minPiece))))
	if room < min(size, minPiece) || room == 0 {
		return 0
	}
	if !p.started {
		copy(message[:], p.head)
		p.head, p.started = p.head[at:], true
	}
	size = min(size, room)
	binary.LittleEndian.PutUint32(message[at:], uint32(size))
	p.left -= int64(at) + size
	p.write(to, size)
	to.Put(kind, message[:at+4])
	return before - p.left
}

// write writes a piece of a frame.
func (p *parcel) write(to *ring.Producer, size int64) {
	n := min(int64(len(p.head)), size)
	to.Write(p.head[:n])
	p.head, size = p.head[n:], size-n
	for size > 0 {
		n = min(int64(len(p.body[0])), size)
		to.Write(p.body[0][:n])
		if p.body[0], size = p.body[0][n:], size-n; len(p.body[0]) == 0 {
			p.body = p.body[1:]
		}
	}
	to.EndPiece()
}

func (p *parcel) release() {
	if p.kept != nil {
		p.kept.Release()
	}
	*p = parcel{}
}

// arrival is a frame that is being received as a stream.
type arrival struct {
	header    []byte // as much as came
	headerLen int
	body      *vertex.Body // nil: there is none, or not yet
	bodyLen   int64
	bodyGot   int64
}

func (a *arrival) whole() bool { return len(a.header) == a.headerLen && a.bodyGot == a.bodyLen }

func (a *arrival) release() {
	if a.body != nil {
		a.body.Release()
	}
	header := a.header[:0]
	if cap(header) > transport.MaxKeptBytes {
		header = nil
	}
	*a = arrival{header: header}
}
