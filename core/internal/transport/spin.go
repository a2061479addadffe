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

// maxSpinMisses bounds how rare attempts become: one in 2^maxSpinMisses waits.
const maxSpinMisses = 10

// Poll has look look until it finds something, and says whether it did. It may not try at all.
func (s *Spin) Poll(look func() bool) bool {
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
	for end := clock.After(s.Limit); ; {
		if look() {
			s.miss = 0
			return true
		}
		if clock.Now() >= end {
			s.miss = min(s.miss+1, maxSpinMisses)
			s.skip = 1<<s.miss - 1
			return false
		}
	}
}
