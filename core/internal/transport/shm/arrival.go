package shm

import (
	"encoding/binary"

	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// arrival is a frame that is being received as a stream: its header, the references to what is lent, and
// what is left of its body.
type arrival struct {
	header    []byte // as much as came
	headerLen int
	refs      []byte // as much as came
	refsLen   int
	loan      uint64       // 0: nothing is lent
	body      *vertex.Body // nil: there is none, or not yet
	bodyLen   int64
	into      [][]byte // what of the body's own memory is to be filled
	left      int64    // how many bytes of the body are to come; all of them until it is made
}

func (a *arrival) whole() bool { return a.toCome() == 0 }

// toCome is how many bytes are to come, at most: what is lent of the body counts until it is made.
func (a *arrival) toCome() int64 {
	return int64(a.headerLen-len(a.header)) + int64(a.refsLen-len(a.refs)) + a.left
}

func (a *arrival) release() {
	if a.body != nil {
		a.body.Release()
	}
	*a = arrival{header: emptied(a.header), refs: emptied(a.refs)}
}

// emptied gives a buffer back for reuse, unless it grew large.
func emptied(buffer []byte) []byte {
	if cap(buffer) > transport.MaxKeptBytes {
		return nil
	}
	return buffer[:0]
}

// collect takes a message of a frame that comes in pieces, and the bytes that it tells of.
func (i *inbox) collect(kind uint8, message []byte) (err error) {
	s := &i.stream
	switch {
	case s.headerLen == 0 && (kind == kindStart && len(message) == startBytes ||
		kind == kindLent && len(message) == lentBytes):
		if message, err = i.start(kind, message); err != nil {
			return err
		}
	case kind == kindPiece && s.headerLen > 0 && len(message) == pieceBytes:
	default:
		return status.Errorf(status.Corrupt, "%s sent a message of kind %d with %d bytes where that "+
			"cannot be", i.c.peer, kind, len(message))
	}
	size := int64(binary.LittleEndian.Uint32(message))
	if size == 0 || size > maxPiece || size > s.toCome() {
		return i.errPiece(size)
	}
	if err := i.read(size); err != nil {
		return err
	}
	i.ring.EndPiece()
	if s.whole() {
		i.header = s.header
	}
	return nil
}

func (i *inbox) errPiece(size int64) error {
	return status.Errorf(status.Corrupt, "%s sent a piece of %d bytes of a frame of which %d are to "+
		"come", i.c.peer, size, i.stream.toCome())
}

// start begins a frame, and gives what is left of its first message.
func (i *inbox) start(kind uint8, message []byte) (rest []byte, err error) {
	s := &i.stream
	if s.headerLen, s.bodyLen, err = wire.ParsePrefix(message, i.limits); err != nil {
		return nil, err
	}
	s.left, rest = s.bodyLen, message[wire.PrefixBytes:]
	if kind == kindStart {
		return rest, nil
	}
	loan, refs := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint32(rest[8:])
	if loan == 0 || refs == 0 || refs > maxLent || int64(refs) > s.bodyLen {
		return nil, status.Errorf(status.Corrupt, "%s lends %d buffers of a body of %d bytes as loan %d; at "+
			"most %d are possible (maxLent)", i.c.peer, refs, s.bodyLen, loan, maxLent)
	}
	s.loan, s.refsLen = loan, int(refs)*refBytes
	return rest[12:], nil
}

// read reads the bytes of a piece.
func (i *inbox) read(size int64) error {
	s := &i.stream
	rest := i.append(&s.header, s.headerLen, size)
	rest = i.append(&s.refs, s.refsLen, rest)
	if s.body == nil && s.bodyLen > 0 && len(s.refs) == s.refsLen && (s.loan != 0 || rest > 0) {
		if err := i.lay(); err != nil {
			return err
		}
	}
	if rest > s.left {
		return i.errPiece(size)
	}
	s.left -= rest
	for rest > 0 {
		n := min(int64(len(s.into[0])), rest)
		i.ring.Read(s.into[0][:n])
		if s.into[0], rest = s.into[0][n:], rest-n; len(s.into[0]) == 0 {
			s.into = s.into[1:]
		}
	}
	return nil
}

// append reads what a part lacks, of the bytes that are here, and says how many are left. The memory
// grows with what really came, not with what was promised.
func (i *inbox) append(part *[]byte, whole int, here int64) (rest int64) {
	n := int(min(here, int64(whole-len(*part))))
	*part = append(*part, make([]byte, n)...)
	i.ring.Read((*part)[len(*part)-n:])
	return here - int64(n)
}

// lay makes the body.
func (i *inbox) lay() error {
	s := &i.stream
	if s.loan != 0 {
		return i.layLent()
	}
	body, err := vertex.NewBody(int(s.bodyLen))
	if err != nil {
		return i.errMemory(err)
	}
	s.body, s.into = body, [][]byte{body.Bytes()}
	return nil
}

func (i *inbox) errMemory(err error) error {
	return status.Errorf(status.Exhausted, "a frame of %d bytes from %s: %w", i.stream.bodyLen, i.c.peer, err)
}
