package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
	"dcf/vertex/cdata"
)

// Once a connection is made, its socket carries words of one byte, some of which are followed by more:
//
//	'.'                               wakes who sleeps on the socket
//	'!' text                          is a listener's refusal; nothing follows it
//	'+' number, 8 bytes; descriptor   introduces a segment of the sender's, read-only
//	'~' descriptor                    is the lifeline: see lender
//	'-'                               asks to lend nothing: the sender could not map it
//
// A descriptor comes with the first byte of its word, which is sent at once. A segment is introduced
// before the ring refers to it. Whoever wants no loans says so before all else.
const (
	wakeUp   = cdata.LaneWake
	refusal  = '!'
	segment  = '+'
	lifeline = '~'
	noLoans  = '-'

	segmentWord = 1 + 8
)

// ears takes what the peer says on the socket. Any goroutine may listen.
type ears struct {
	mu          sync.Mutex
	begun       []byte // a word of which more is to come
	descriptors []int  // that came, of words that did not yet
	lost        bool   // a descriptor, because this process has none left for it
	buffer      [maxRefusalBytes]byte
	control     [64]byte
}

// hear takes all that was said.
func (c *conn) hear() error {
	e := &c.ears
	e.mu.Lock()
	defer e.mu.Unlock()
	for range maxWords {
		n, control, flags, _, err := unix.Recvmsg(c.sock.FD, e.buffer[:], e.control[:],
			unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err != nil || n == 0 {
			return nil
		}
		descriptors, err := rights(e.control[:control])
		e.descriptors = append(e.descriptors, descriptors...)
		e.lost = e.lost || flags&unix.MSG_CTRUNC != 0
		if err == nil {
			err = c.words(e.buffer[:n])
		}
		if err != nil {
			if errors.Is(err, status.Exhausted) { // the next connection goes without
				c.transport.short.Store(clock.After(copyFor))
			}
			return named(c.peer, err)
		}
		if n < len(e.buffer) && control == 0 {
			return nil
		}
	}
	return status.Errorf(status.Corrupt, "%s says more on the socket than there is to say", c.peer)
}

// words acts on what was heard.
func (c *conn) words(b []byte) error {
	e := &c.ears
	for len(e.begun) > 0 || len(b) > 0 {
		if len(e.begun) == 0 {
			if b = bytes.TrimLeft(b, string(wakeUp)); len(b) == 0 {
				break
			}
		}
		size := 1
		if e.begun = append(e.begun, b...); e.begun[0] == segment {
			size = segmentWord
		}
		if len(e.begun) < size {
			return nil
		}
		word := e.begun[:size]
		b, e.begun = e.begun[size:], nil
		if err := c.word(word, b); err != nil || word[0] == refusal {
			return err
		}
	}
	if len(e.descriptors) > 0 {
		return status.Errorf(status.Corrupt, "a descriptor came without a word that says what it is")
	}
	return nil
}

// word acts on one word. The rest is what came behind it.
func (c *conn) word(word, rest []byte) error {
	switch word[0] {
	case refusal:
		c.failure.CompareAndSwap(nil, errRefused(c.peer, rest))
		return nil
	case noLoans:
		c.lender.unwanted.Store(true)
		return nil
	case segment, lifeline:
	default:
		return status.Errorf(status.Corrupt, "the word %q on the socket is unknown", word[0])
	}
	fd, err := c.ears.descriptor()
	if err != nil {
		return err
	}
	if word[0] == lifeline {
		return c.borrower.attach(fd)
	}
	defer func() { _ = unix.Close(fd) }()
	return c.borrower.introduce(binary.LittleEndian.Uint64(word[1:]), fd)
}

// descriptor gives the descriptor of a word, which the caller owns.
func (e *ears) descriptor() (fd int, err error) {
	switch {
	case len(e.descriptors) > 0:
		fd, e.descriptors = e.descriptors[0], e.descriptors[1:]
		return fd, nil
	case e.lost:
		return -1, status.Errorf(status.Exhausted, "there is no descriptor left for the memory that it "+
			"shares: allow more (ulimit -n)")
	}
	return -1, status.Errorf(status.Corrupt, "a word on the socket comes without its descriptor")
}

// free closes what nobody took.
func (e *ears) free() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, fd := range e.descriptors {
		_ = unix.Close(fd)
	}
	e.descriptors = nil
}

// lends says whether the peer wants loans. Before the first one it listens to what the peer said of that.
func (c *conn) lends() bool {
	if !c.lender.asked.Load() {
		if !c.sock.Enter() {
			return false
		}
		err := c.hear()
		c.sock.Leave()
		if err != nil {
			c.Abort(err)
			return false
		}
		c.lender.asked.Store(true)
	}
	return !c.lender.unwanted.Load()
}

// say sends a word with a descriptor, whole or not at all, and says whether it did.
func say(s *socket.State, word []byte, descriptor int) bool {
	if !s.Enter() {
		return false
	}
	defer s.Leave()
	return unix.Sendmsg(s.FD, word, unix.UnixRights(descriptor), nil,
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) == nil
}
