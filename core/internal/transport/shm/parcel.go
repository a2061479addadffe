package shm

import (
	"encoding/binary"

	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/wire"
)

// The kinds of the ring's messages. A frame travels in one message of its own, without its prefix, or as a
// stream: a message that starts it, with the prefix, and as many that go on with it as it takes. The bytes
// of the header and the body stand in the queue of bytes, and each of these messages says how many more
// of them are there now. A frame that lends starts with a message that also has the number of the loan,
// and how many buffers of the body are lent; their references (see refBytes) stand between the header and
// what is left of the body.
//
// Between all of these there may be notes: loans that the sender returns, and segments of its own that the
// receiver is to forget.
const (
	kindFrame = 1 // a frame's header
	kindStart = 2 // prefix, uint32
	kindPiece = 3 // uint32
	kindLent  = 4 // prefix, the loan in 8 bytes, uint32 buffers, uint32

	kindReturn = 5 // up to maxNotes loans, 8 bytes each
	kindForget = 6 // as many segments
)

const (
	startBytes = wire.PrefixBytes + 4
	pieceBytes = 4
	lentBytes  = startBytes + 12
)

// small says whether a frame without a body, of that size with its prefix, travels in one message.
func small(size int) bool { return size <= wire.PrefixBytes+ring.MaxMessage }

// parcel is a frame on its way into the ring.
type parcel struct {
	head    []byte // the prefix, until the frame is started, and what is left of the header
	body    [][]byte
	left    int64  // bytes of head and body
	loan    uint64 // 0: it lends nothing
	lent    int64  // bytes of body that are lent
	refs    uint32 // how many buffers it lends; the references are the start of body
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
	prefix := 0
	if !p.started {
		prefix = wire.PrefixBytes
	}
	size := min(p.left-int64(prefix), maxPiece)
	room := int64(to.Room(int(min(size, minPiece))))
	if room < min(size, minPiece) || room == 0 {
		return 0
	}
	size = min(size, room)
	var buffer [lentBytes]byte
	kind, message := p.begin(buffer[:0])
	p.left -= int64(prefix) + size
	p.write(to, size)
	to.Put(kind, binary.LittleEndian.AppendUint32(message, uint32(size)))
	return before - p.left
}

// begin begins the message that tells of the next piece.
func (p *parcel) begin(message []byte) (kind uint8, begun []byte) {
	if p.started {
		return kindPiece, message
	}
	message = append(message, p.head[:wire.PrefixBytes]...)
	p.head, p.started = p.head[wire.PrefixBytes:], true
	if p.loan == 0 {
		return kindStart, message
	}
	message = binary.LittleEndian.AppendUint64(message, p.loan)
	return kindLent, binary.LittleEndian.AppendUint32(message, p.refs)
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
