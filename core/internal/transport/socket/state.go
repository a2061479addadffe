package socket

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// State is a descriptor that is closed when it was given up and the last user has left, so that
// nobody ever uses a number that already means another file.
type State struct {
	FD int
	// Free, which may be nil, is called before the descriptor is closed.
	Free func()
	// state counts the users; closing is added when no more may enter, and it becomes closed
	// when the descriptor is.
	state atomic.Int64
}

const (
	closing = 1 << 32
	closed  = 1 << 40
)

// Enter allows to use the descriptor until Leave, or says that it is given up.
func (s *State) Enter() bool {
	if s.state.Add(1) < closing {
		return true
	}
	s.Leave()
	return false
}

// Leave ends what Enter allowed.
func (s *State) Leave() {
	if s.state.Add(-1) == closing {
		s.finish()
	}
}

// Close gives the descriptor up. It is called once.
func (s *State) Close() {
	if s.state.Add(closing) == closing {
		s.finish()
	}
}

func (s *State) finish() {
	// Users that came and went since then find the state changed.
	if s.state.CompareAndSwap(closing, closed) {
		if s.Free != nil {
			s.Free()
		}
		_ = unix.Close(s.FD)
	}
}
