package transport

import (
	"dcf/vertex"
	"dcf/wire"
)

// Segment is a part of what one end sends that waits for the other, and what keeps its memory alive.
type Segment struct {
	Pieces [][]byte // what is left of it

	encoder *wire.Encoder // that the pieces alias, or nil
	batches []*vertex.Batch
}

// Keep makes a segment of the body of f, as encoder gave it, from byte done on. Batches are retained,
// the encoder stays with the segment, and the values in bytes, which are the caller's, are copied.
// next is the encoder for what follows.
func Keep(f *wire.Frame, body [][]byte, done int, encoder *wire.Encoder) (s *Segment, next *wire.Encoder) {
	s = &Segment{}
	for _, piece := range body {
		if done >= len(piece) {
			done -= len(piece)
			continue
		}
		piece = piece[done:]
		done = 0
		if Borrows(f.Message, piece) {
			piece = append([]byte(nil), piece...)
		}
		s.Pieces = append(s.Pieces, piece)
	}
	if len(s.Pieces) == 0 {
		return s, encoder
	}
	s.batches = RetainBatches(f.Message)
	s.encoder = encoder
	return s, new(wire.Encoder)
}

// Release gives back what the segment kept.
func (s *Segment) Release() {
	if s.encoder != nil {
		s.encoder.Release()
	}
	for _, b := range s.batches {
		b.Release()
	}
	*s = Segment{}
}
