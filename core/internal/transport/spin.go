package transport

import (
	"time"

	"dcf/core/internal/clock"
)

// Spin polls for a while before a receiver sleeps. Where polling does not help it does so more and
// more rarely. What is there at the first look says nothing about that: two ends that share a
// processor find it so when one ran in the other's place, and nothing ever by polling. One goroutine
// at a time uses it.
type Spin struct {
	Limit time.Duration // of one attempt; 0: never

	skip uint32 // waits to go until the next attempt
	miss uint32 // attempts in a row that found nothing
}

const (
	// maxSpinMisses bounds how rare attempts become: one in 2^maxSpinMisses waits.
	maxSpinMisses = 10
	// looksPerClock is how many looks are taken from one reading of the clock to the next: it costs
	// about as much as they do, and what comes soon needs none.
	looksPerClock = 8
)

// Poll has look look until it finds something, for wait at most, and says whether it did. It may not
// try at all.
func (s *Spin) Poll(wait time.Duration, look func() bool) bool {
	if s.Limit <= 0 {
		return false
	}
	if s.skip > 0 {
		s.skip--
		return false
	}
	if look() {
		return true
	}
	for end := int64(0); ; {
		for range looksPerClock {
			if look() {
				s.miss = 0
				return true
			}
		}
		switch now := clock.Now(); {
		case end == 0:
			end = now + int64(min(s.Limit, wait))
		case now >= end:
			s.miss = min(s.miss+1, maxSpinMisses)
			s.skip = 1<<s.miss - 1
			return false
		}
	}
}
