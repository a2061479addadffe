package tcp

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport"
	"dcf/vertex"
	"dcf/wire"
)

// segment is a part of the stream that waits for the socket, and what keeps its memory alive.
type segment struct {
	pieces  [][]byte      // what is left of it
	encoder *wire.Encoder // that the pieces alias, or nil
	batches []*vertex.Batch
}

// keep makes a segment of the body of f from byte done on. Batches are retained, the encoder stays
// with the segment, and the values in bytes, which are the caller's, are copied.
func (o *outbox) keep(f *wire.Frame, body [][]byte, done int) *segment {
	s := &segment{}
	for _, piece := range body {
		if done >= len(piece) {
			done -= len(piece)
			continue
		}
		piece = piece[done:]
		done = 0
		if transport.Borrows(f.Message, piece) {
			piece = append([]byte(nil), piece...)
		}
		s.pieces = append(s.pieces, piece)
	}
	if len(s.pieces) > 0 {
		s.batches = transport.RetainBatches(f.Message)
		s.encoder, o.encoder = o.encoder, new(wire.Encoder)
	}
	return s
}

func (s *segment) release() {
	if s.encoder != nil {
		s.encoder.Release()
	}
	for _, b := range s.batches {
		b.Release()
	}
	*s = segment{}
}

// advance removes the first n bytes from pieces.
func advance(pieces []unix.Iovec, n int) []unix.Iovec {
	for n > 0 {
		length := int(pieces[0].Len)
		if n < length {
			base := unsafe.Pointer(pieces[0].Base)
			pieces[0].Base = (*byte)(unsafe.Add(base, n))
			pieces[0].SetLen(length - n)
			break
		}
		n -= length
		pieces = pieces[1:]
	}
	return pieces
}
