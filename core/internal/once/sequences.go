package once

import (
	"math/bits"

	"dcf/core/status"
)

// Sequences is the caller's side: it numbers a worker's updating calls and knows the floor, the
// lowest number that is not finished. A call is finished when its answer came, or when its caller
// gave it up: a ticket kept for another try keeps its number, and with it the floor, where it is.
// The zero value is ready; it is not safe for concurrent use.
//
//	sequence, err := sequences.Begin()
//	... send requests with sequence and sequences.Floor(), again after a lost reply ...
//	sequences.Finish(sequence)
type Sequences struct {
	// last is the sequence that was handed out last. Those in (last-span, last] have a bit in
	// finished, at the sequence modulo MaxOutstanding; all lower ones are finished.
	last     uint64
	span     uint64
	finished []uint64
}

const wordBits = 64

// Begin hands out the next sequence, from 1. It returns status.Exhausted when the oldest
// unfinished one is MaxOutstanding behind.
func (s *Sequences) Begin() (uint64, error) {
	if s.span == MaxOutstanding {
		return 0, status.Errorf(status.Exhausted, "update %d is not finished, and %d were begun "+
			"since: wait for it, call it again with its ticket, or clear it", s.Floor(),
			MaxOutstanding-1)
	}
	if s.finished == nil {
		s.finished = make([]uint64, MaxOutstanding/wordBits)
	}
	s.last++
	s.span++
	word, bit := place(s.last)
	s.finished[word] &^= bit
	return s.last, nil
}

// Unfinished says whether the sequence was handed out and not finished: only then may it be used
// for another try.
func (s *Sequences) Unfinished(sequence uint64) bool {
	if sequence > s.last || sequence < s.Floor() {
		return false
	}
	word, bit := place(sequence)
	return s.finished[word]&bit == 0
}

// Finish says that nobody will send or ask for the sequence again. One that is finished already,
// or was never handed out, is left alone.
func (s *Sequences) Finish(sequence uint64) {
	if !s.Unfinished(sequence) {
		return
	}
	word, bit := place(sequence)
	s.finished[word] |= bit
	for s.span > 0 {
		word, bit := place(s.Floor())
		offset := uint64(bits.TrailingZeros64(bit))
		done := uint64(bits.TrailingZeros64(^(s.finished[word] >> offset)))
		done = min(done, wordBits-offset, s.span)
		if done == 0 {
			return
		}
		s.span -= done
	}
}

// Floor is the lowest sequence that is not finished; all below it are.
func (s *Sequences) Floor() uint64 { return s.last - s.span + 1 }

// Outstanding is how far the newest sequence is ahead of the floor, counting both.
func (s *Sequences) Outstanding() int { return int(s.span) }

func place(sequence uint64) (word, bit uint64) {
	at := sequence % MaxOutstanding
	return at / wordBits, 1 << (at % wordBits)
}
