package tcp

import (
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
)

// spinner polls a socket for a while before a receiver sleeps. Where polling does not help it does
// so more and more rarely. What is there at the first look says nothing about that: two ends that
// share a processor find it so when one ran in the other's place, and nothing ever by polling.
type spinner struct {
	limit time.Duration // 0: never
	skip  uint32        // waits to go until the next attempt
	miss  uint32        // attempts in a row that found nothing
}

// maxSpinMisses bounds how rare attempts become: one in 2^maxSpinMisses waits.
const maxSpinMisses = 10

// receive polls, and says whether anything came of it.
func (s *spinner) receive(fd int, into []byte) (n int, errno unix.Errno, hit bool) {
	if s.skip > 0 {
		s.skip--
		return 0, unix.EAGAIN, false
	}
	if n, errno = receiveNow(fd, into); errno != unix.EAGAIN {
		return n, errno, true
	}
	for end := clock.After(s.limit); ; {
		if n, errno = receiveNow(fd, into); errno != unix.EAGAIN {
			s.miss = 0
			return n, errno, true
		}
		if clock.Now() >= end {
			s.miss = min(s.miss+1, maxSpinMisses)
			s.skip = 1<<s.miss - 1
			return 0, unix.EAGAIN, false
		}
	}
}
