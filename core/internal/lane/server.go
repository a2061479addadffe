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
	Runs    uint32 // how many calculates ran; 0: one. More than one, and the part has MaxTreePart bytes at most
	Version uint64 // of the vertex
	Part    []byte
	Failure *status.Error // one of those that Fail took
	Never   bool          // where nothing else is set: further calls of the function are to be asked so, too

	data [cdata.LaneReplyBytes]byte
}

// Clear makes it the zero Answer.
func (a *Answer) Clear() {
	a.Ran, a.HasPart, a.Runs, a.Version, a.Part, a.Failure, a.Never = false, false, 0, 0, nil, nil, false
}

// Give makes a part, of which there may be none, the answer. Its bytes, MaxPart at most, are copied.
func (a *Answer) Give(version uint64, part []byte, hasPart bool) {
	a.Ran, a.HasPart, a.Version = true, hasPart, version
	a.Part = a.data[:copy(a.data[:], part)]
}

// Fail makes a failure the answer, if it fits.
func (a *Answer) Fail(version uint64, err *status.Error) bool {
	if err.Detail != "" || err.OS != 0 || codeBytes+len(err.Message) > MaxPart {
		return false
	}
	a.Failure, a.Version = err, version
	return true
}

// Server is the serving end of a connection's lanes. One goroutine at a time uses it, but for Traffic and for
// the answers to calls that it took.
type Server struct {
	area           *cdata.LaneArea
	numbers        [cdata.MaxLanes]uint64 // of the last call of each lane
	last           int                    // the lane of the last call that no bell told of
	rung           uint64                 // belled lanes that are still to be looked at
	sent, received atomic.Uint64
	calls          atomic.Uint64
	barrier        atomic.Uint64
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

// Waker gives the processor of the thread that woke this end last; a negative number: not known.
func (s *Server) Waker() int { return int(s.area.Waker.Load()) - 1 }

// Ready says whether calls are here.
func (s *Server) Ready() bool {
	return s.watched() >= 0 || s.rung|s.area.Bell.Load() != 0
}

// watched gives a watched lane on which a call is, the one of the last call last, or a negative number.
func (s *Server) watched() int {
	used := s.area.Used.Load() & (1<<Watched - 1)
	for _, lanes := range [...]uint32{used &^ (2<<s.last - 1), used & (2<<s.last - 1)} {
		for ; lanes != 0; lanes &= lanes - 1 {
			if i := bits.TrailingZeros32(lanes); s.called(i) {
				return i
			}
		}
	}
	return -1
}

// called says whether a call is on a lane.
func (s *Server) called(lane int) bool {
	return numbered(&s.area.Lanes[lane].Request.Word, s.numbers[lane]+1)
}

// Take takes calls, as many as are here and have room, and says how many. One that cannot be is
// status.Corrupt.
func (s *Server) Take(calls []Call) (n int, err error) {
	bytes := 0
	for n < len(calls) {
		at := s.next()
		if at < 0 {
			break
		}
		size, err := s.take(at, &calls[n])
		if err != nil {
			return 0, err
		}
		bytes += requestBytes + size
		n++
	}
	if n > 0 {
		count(&s.calls, n)
		count(&s.received, bytes)
	}
	return n, nil
}

// next gives a lane on which a call is, or a negative number.
func (s *Server) next() int {
	if s.rung == 0 {
		if at := s.watched(); at >= 0 {
			s.last = at
			return at
		}
		if s.area.Bell.Load() != 0 {
			s.rung = s.area.Bell.Swap(0)
		}
	}
	for s.rung != 0 {
		at := Watched + bits.TrailingZeros64(s.rung)
		s.rung &= s.rung - 1
		if s.called(at) {
			return at
		}
	}
	return -1
}

// take copies the call that is on a lane.
func (s *Server) take(at int, c *Call) (size int, err error) {
	r := &s.area.Lanes[at].Request
	word := r.Word.Load()
	size = int(uint8(word))
	kind := uint8(word >> cdata.LaneKindShift)
	if size > len(c.data) || kind > cdata.LaneHurried || kind == cdata.LaneHurried && size < budgetBytes {
		return 0, status.Errorf(status.Corrupt, "a call of kind %d has %d bytes, at most %d are possible",
			kind, size, len(c.data))
	}
	s.numbers[at]++
	c.lane, c.number = at, s.numbers[at]
	c.Vertex, c.Birth, c.Function = r.Vertex, r.Birth, r.Function
	if size <= fewBytes {
		*(*[fewBytes]byte)(c.data[:]) = *(*[fewBytes]byte)(r.Data[:])
	} else {
		copy(c.data[:], r.Data[:size])
	}
	c.Arguments, c.Budget = c.data[:size], 0
	if kind == cdata.LaneHurried {
		c.Budget = int64(binary.LittleEndian.Uint64(c.Arguments))
		c.Arguments = c.Arguments[budgetBytes:]
	}
	return size, nil
}

// fewBytes is how many bytes of data stand beside the rest of a request, and are copied without a call.
const fewBytes = 16

const wordBytes = 8

// Answer answers calls, at most MaxTogether, and wakes their callers where they sleep. The memory must be mapped.
func (s *Server) Answer(calls []Call, answers []Answer) {
	bytes := 0
	for i := range answers {
		_, size := answers[i].shape()
		bytes += replyBytes + size
	}
	s.sent.Add(uint64(bytes)) // before a caller may ask for it
	for i := range calls {
		s.write(&calls[i], &answers[i])
	}
	// Who goes to sleep says so and then looks: this looks in the other order.
	s.barrier.Add(1)
	for i := range calls {
		if asleep := &s.area.Lanes[calls[i].lane].Asleep; atomic.LoadUint32(asleep) != cdata.LaneAwake {
			ring.Wake(asleep)
		}
	}
}

// shape says what kind of reply the answer is, and how many bytes of data it has.
func (a *Answer) shape() (kind uint8, size int) {
	switch {
	case a.Ran && a.Runs > 1:
		return cdata.LaneTree, treeBytes + len(a.Part)
	case a.Ran && a.HasPart:
		return cdata.LaneBytes, len(a.Part)
	case a.Ran:
		return cdata.LaneNothing, 0
	case a.Failure != nil:
		return cdata.LaneFailed, codeBytes + len(a.Failure.Message)
	}
	return cdata.LaneElsewhere, 1
}

// write writes a reply, its word last. The caller polls the line: what comes between the first store to it and
// the last, an atomic operation above all, is time in which its processor takes the line back.
func (s *Server) write(c *Call, a *Answer) {
	r := &s.area.Lanes[c.lane].Reply
	kind, size := a.shape()
	r.Version = a.Version
	switch {
	case kind == cdata.LaneBytes && size == wordBytes: // a number, mostly: copied without a call
		*(*[wordBytes]byte)(r.Data[:]) = [wordBytes]byte(a.Part)
	case kind == cdata.LaneBytes:
		copy(r.Data[:], a.Part)
	case kind == cdata.LaneTree:
		binary.LittleEndian.PutUint32(r.Data[:], a.Runs)
		binary.LittleEndian.PutUint32(r.Data[4:], flagOf(a.HasPart))
		copy(r.Data[treeBytes:], a.Part)
	case kind == cdata.LaneFailed:
		binary.LittleEndian.PutUint32(r.Data[:], uint32(a.Failure.Code))
		copy(r.Data[codeBytes:], a.Failure.Message)
	case kind == cdata.LaneElsewhere:
		r.Data[0] = byte(flagOf(a.Never))
	}
	store(&r.Word, word(c.number, kind, size))
}

func flagOf(set bool) uint32 {
	if set {
		return 1
	}
	return 0
}

// Traffic counts what passed so far.
func (s *Server) Traffic() Traffic {
	return Traffic{Calls: s.calls.Load(), Sent: s.sent.Load(), Received: s.received.Load()}
}
