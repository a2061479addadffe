package tcp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// sockState is a descriptor that is closed when it was given up and the last user has left, so
// that nobody ever uses a number that already means another file.
type sockState struct {
	fd int
	// state counts the users; closing is added when no more may enter, and it becomes closed
	// when the descriptor is.
	state atomic.Int64
}

const (
	closing = 1 << 32
	closed  = 1 << 40
)

// enter allows to use the descriptor until leave, or says that it is given up.
func (s *sockState) enter() bool {
	if s.state.Add(1) < closing {
		return true
	}
	s.leave()
	return false
}

func (s *sockState) leave() {
	if s.state.Add(-1) == closing {
		s.finish()
	}
}

// close gives the descriptor up. It is called once.
func (s *sockState) close() {
	if s.state.Add(closing) == closing {
		s.finish()
	}
}

func (s *sockState) finish() {
	// Users that came and went since then find the state changed.
	if s.state.CompareAndSwap(closing, closed) {
		_ = unix.Close(s.fd)
	}
}
