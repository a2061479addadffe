package lane

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"dcf/core/internal/ring"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/cdata"
)

// Call is a call that came over a lane, in memory of the serving side. It is reused.
type Call struct {
	Vertex    vertex.ID
	Birth     uint64
	Function  [16]byte
	Budget    int64 // nanoseconds; 0: not said
	Arguments []byte

	lane   int
	number uint64
	data   [cdata.LaneRequestBytes]byte
}

// Answer is what became of a call. The zero Answer says that it is to be asked as a frame.
type Answer struct {
	Ran     bool // it has a version, and perhaps a part
	HasPart bool
	Version uint64 // of the vertex
	Part    []byte
	Failure *status.Error
	Never   bool // where nothing else is set: further calls of the function are to be asked so, too

	data [cdata.LaneReplyBytes]byte
}

// Clear makes it the zero Answer.
func (a *Answer) Clear() {
	a.Ran, a.HasPart, a.Part, a.Failure, a.Never = false, false, nil, nil, false
}

// Give makes a part, of which there may be none, the answer. Its bytes, MaxPart at most, are copied.
func (a *Answer) Give(version uint64, part []byte, hasPart bool) {
	a.Ran, a.HasPart, a.Version = true, hasPart, version
	a.Part = a.data[:copy(a.data[:], part)]
}

// Server is the serving end of a connection's lanes. One goroutine at a time uses it, but for Traffic and for
// the answers to calls that it took.
type Server struct {
	area           *cdata.LaneArea
	numbers        [Count]atomic.Uint64 // of the last call of each lane
	last           int                  // the lane of the last call
	sent, received atomic.Uint64
}

// NewServer gives the serving end of new lanes. Nobody calls before Serve.
func NewServer(memory []byte) *Server { return &Server{area: area(memory)} }

// Serve says whether somebody looks for calls from now on.
func (s *Server) Serve(on bool) {
	if on {
		s.area.Served.Store(1)
	} else {
		s.area.Served.Store(0)
	}
}

// Ready says whether a call is here.
func (s *Server) Ready() bool { return s.ready() >= 0 }

// ready gives a lane on which a call is, the one of the last call last, or a negative number.
func (s *Server) ready() int {
	used := s.area.Used.Load() & (1<<Count - 1)
	for _, lanes := range [...]uint32{used &^ (2<<s.last - 1), used & (2<<s.last - 1)} {
		for ; lanes != 0; lanes &= lanes - 1 {
			i := bits.TrailingZeros32(lanes)
			if numbered(&s.area.Lanes[i].Request.Word, s.numbers[i].Load()+1) {
				return i
			}
		}
	}
	return -1
}

// Next takes a call, if one is here. One that cannot be is status.Corrupt.
func (s *Server) Next(c *Call) (found bool, err error) {
	at := s.ready()
	if at < 0 {
		return false, nil
	}
	r := &s.area.Lanes[at].Request
	word := r.Word.Load()
	size, kind := int(uint8(word)), uint8(word>>cdata.LaneKindShift)
	if size > len(c.data) || kind > cdata.LaneHurried || kind == cdata.LaneHurried && size < budgetBytes {
		return false, status.Errorf(status.Corrupt, "a call of kind %d has %d bytes, at most %d are possible",
			kind, size, len(c.data))
	}
	c.lane, c.number = at, s.numbers[at].Load()+1
	s.last = at
	c.Vertex, c.Birth, c.Function = r.Vertex, r.Birth, r.Function
	copy(c.data[:], r.Data[:size])
	c.Arguments, c.Budget = c.data[:size], 0
	if kind == cdata.LaneHurried {
		c.Budget = int64(binary.LittleEndian.Uint64(c.Arguments))
		c.Arguments = c.Arguments[budgetBytes:]
	}
	s.numbers[at].Store(c.number)
	s.received.Add(uint64(requestBytes + size))
	return true, nil
}

// Answer answers a call, and wakes the caller if that sleeps. The memory must be mapped.
func (s *Server) Answer(c *Call, a *Answer) {
	pair := &s.area.Lanes[c.lane]
	kind, size := uint8(cdata.LaneElsewhere), 1
	r := &pair.Reply
	r.Version = a.Version
	switch {
	case a.Ran && a.HasPart:
		kind, size = cdata.LaneBytes, copy(r.Data[:], a.Part)
	case a.Ran:
		kind, size = cdata.LaneNothing, 0
	case a.Failure != nil && a.Failure.Detail == "" && codeBytes+len(a.Failure.Message) <= MaxPart:
		binary.LittleEndian.PutUint32(r.Data[:], uint32(a.Failure.Code))
		kind, size = cdata.LaneFailed, codeBytes+copy(r.Data[codeBytes:], a.Failure.Message)
	default:
		r.Data[0] = 0
		if a.Never || a.Failure != nil {
			r.Data[0] = 1
		}
	}
	s.sent.Add(uint64(replyBytes + size))
	r.Word.Store(word(c.number, kind, size))
	ring.Wake(&pair.Asleep)
}

// Traffic counts what passed so far.
func (s *Server) Traffic() (t Traffic) {
	for i := range s.numbers {
		t.Calls += s.numbers[i].Load()
	}
	t.Sent, t.Received = s.sent.Load(), s.received.Load()
	return t
}
