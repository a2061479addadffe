package rpc

import (
	"sync"
	"sync/atomic"

	"dcf/core/internal/lane"
)

// server is what a link has for requests of the other side, besides who reads them.
type server struct {
	lanes    *lane.Server // nil: no small calls come
	mu       sync.Mutex
	requests map[uint64]*Request // that were not answered when Serve returned, or can be cancelled
	open     atomic.Int32        // unanswered
	over     bool                // the session ended
}

// enter remembers a request that may be cancelled.
func (s *server) enter(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.entered || r.answered {
		return
	}
	if s.over {
		r.cancelLocked()
		return
	}
	r.entered = true
	if s.requests == nil {
		s.requests = map[uint64]*Request{}
	}
	s.requests[r.Header.CallID] = r
}

// leave forgets a request that is being answered.
func (s *server) leave(r *Request) {
	s.open.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.answered, r.canceller = true, nil
	if r.entered {
		r.entered = false
		delete(s.requests, r.Header.CallID)
	}
}

// onCancel sets what to tell when r is cancelled. A request whose Serve runs is entered when that
// returns, or takes too long: until then nobody reads what could cancel it.
func (s *server) onCancel(r *Request, c Canceller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.answered {
		return
	}
	r.canceller = c
	if r.cancelled || s.over {
		r.cancelled = true
		c.Cancel()
	}
}

// cancel cancels a request. Its answer may be on the way.
func (s *server) cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.requests[id]; r != nil {
		r.cancelLocked()
	}
}

// cancelLocked tells the handler, once.
func (r *Request) cancelLocked() {
	if !r.cancelled && r.canceller != nil {
		r.canceller.Cancel()
	}
	r.cancelled = true
}

// abandon cancels all requests, for the session is over.
func (s *server) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, r := range s.requests {
		r.cancelLocked()
	}
}
