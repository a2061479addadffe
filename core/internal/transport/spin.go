package transport

import (
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
)

// Spin polls for a while before a receiver sleeps. Where something comes soon after, but polling does
// not see it, it does so more and more rarely: what is awaited takes longer, or its sender cannot run
// because this one does. A long sleep says nothing about that, as polling cost little beside it: the
// next wait polls, once. Neither does what is there at the first look: two ends that share a processor
// find it so when one ran in the other's place, and nothing ever by polling. One goroutine at a time
// uses it.
type Spin struct {
	Limit time.Duration // of one attempt; 0: never

	skip   uint32 // waits to go until the next attempt
	miss   uint32 // attempts in a row that found nothing
	missed int64  // when the last wait that found nothing began to sleep; 0: it found something
}

const (
	// maxSpinMisses bounds how rare attempts become: one in 2^maxSpinMisses waits.
	maxSpinMisses = 8
	// longSleeps is how many times an attempt's Limit a sleep lasts after which the next wait polls.
	longSleeps = 20
	// looksPerClock is how many looks are taken from one reading of the clock to the next: it costs
	// about as much as they do, and what comes soon needs none.
	looksPerClock = 8
)

// SpinLimit gives how long to poll at most: not at all on one processor, where what is awaited cannot
// happen meanwhile.
func SpinLimit(asked time.Duration) time.Duration {
	var allowed unix.CPUSet
	if unix.SchedGetaffinity(0, &allowed) == nil && allowed.Count() == 1 {
		return 0
	}
	return asked
}

// InVain says that the last Poll looked, and found nothing.
func (s *Spin) InVain() bool { return s.miss > 0 && s.skip == 1<<s.miss-1 }

// Poll has look look until it finds something, for wait at most, and says whether it did. It may not
// try at all.
func (s *Spin) Poll(wait time.Duration, look func() bool) bool {
	if s.Limit <= 0 {
		return false
	}
	if s.missed != 0 {
		now := clock.Now()
		if now-s.missed > longSleeps*int64(s.Limit) {
			s.skip = 0
		}
		s.missed = 0
		if s.skip > 0 {
			s.skip--
			s.missed = now
			return false
		}
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
			s.skip, s.missed = 1<<s.miss-1, now
			return false
		}
	}
}
