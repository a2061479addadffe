package lane

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"dcf/core/internal/clock"
	"dcf/core/internal/failpoint"
	"dcf/core/internal/processor"
	"dcf/core/internal/ring"
	"dcf/core/internal/transport/futex"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/cdata"
)

// Request is a call as its caller has it.
type Request struct {
	Vertex    vertex.ID
	Birth     uint64
	Function  [16]byte
	Budget    int64  // nanoseconds; 0: not said
	Arguments []byte // MaxArguments at most
}

// Caller is the calling end of a connection's lanes. Any goroutines, and threads of C, use it: each takes
// a lane, asks, waits, and leaves it.
type Caller struct {
	c      *cdata.Lanes
	number uint64 // of the connection
	wake   func() // wakes a server that sleeps on something else than the ring
	slow   func() // is called where an answer does not come soon

	answers [cdata.MaxLanes]Answer // of whoever has the lane

	mu       sync.Mutex
	closed   bool    // under mu: c belongs to another connection
	finished Traffic // under mu: of a closed one
}

// connections numbers the connections of this process, so that a thread which has the address of lanes sees
// whether they still are those that it means.
var connections atomic.Uint64

// homes are the memory of all callers. C has its addresses, so it stays.
var homes struct {
	mu     sync.Mutex
	free   []*cdata.Lanes
	all    []*atomic.Pointer[Caller] // by the lanes' index
	pinner runtime.Pinner
}

// NewCaller gives the calling end of new lanes. asleep is the server's word of the ring; where that says
// that it sleeps elsewhere wake wakes it, or C by itself at the connection's socket. That stays open until
// Close has returned.
func NewCaller(memory []byte, asleep *uint32, socket int, wake func()) *Caller {
	h := &homes
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &Caller{number: connections.Add(1), wake: wake, slow: func() {}}
	if n := len(h.free); n > 0 {
		c.c, h.free = h.free[n-1], h.free[:n-1]
	} else {
		c.c = &cdata.Lanes{Index: uint32(len(h.all))}
		h.pinner.Pin(c.c)
		h.all = append(h.all, new(atomic.Pointer[Caller]))
	}
	l := c.c
	l.Area, l.Asleep, l.Node, l.Socket = area(memory), asleep, 0, int32(socket)
	l.Used.Store(0)
	l.Ended.Store(0)
	l.Skip.Store(0)
	l.Missed.Store(0)
	for i := range l.Lanes {
		lane := &l.Lanes[i]
		lane.Number = 0
		lane.Calls.Store(0)
		lane.Sent.Store(0)
		lane.Received.Store(0)
		lane.Spun.Store(0)
		lane.Holder.Store(c.number << 1)
	}
	h.all[l.Index].Store(c)
	return c
}

// At gives the caller that C knows by an index; nil: it is closed.
func At(index uint32) *Caller {
	homes.mu.Lock()
	defer homes.mu.Unlock()
	if int(index) >= len(homes.all) {
		return nil
	}
	return homes.all[index].Load()
}

// Direct gives what C needs to call: the address of dcf_lanes, and the number of the connection.
func (c *Caller) Direct() (lanes unsafe.Pointer, number uint64) { return unsafe.Pointer(c.c), c.number }

// SetSpin sets how long callers poll before they sleep. It is called before the first call.
func (c *Caller) SetSpin(spin time.Duration) { c.c.SpinNs = int64(spin) }

// Serves says which node the server is, and what is to be called where a call takes it long: somebody may
// have to look whether it lives. It is called before the first call.
func (c *Caller) Serves(node uint64, slow func()) { c.c.Node, c.slow = node, slow }

// Open is how many calls are asked and not answered.
func (c *Caller) Open() (open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.Ended() {
		return 0
	}
	for i := range c.c.Lanes {
		if c.c.Lanes[i].Holder.Load()&1 != 0 {
			open++
		}
	}
	return open
}

// Node gives the node that the server is.
func (c *Caller) Node() uint64 { return c.c.Node }

// Take takes a watched lane for one call; Leave must follow. It is false where none is free, or nobody serves
// them.
func (c *Caller) Take() (at int, ok bool) {
	for at = range Watched {
		lane := &c.c.Lanes[at]
		if !lane.Holder.CompareAndSwap(c.number<<1, c.number<<1|1) {
			continue
		}
		if c.c.Ended.Load() == 0 && c.c.Area.Served.Load() != 0 && c.Answered(at) {
			c.use(uint32(1) << at)
			return at, true
		}
		c.Leave(at) // the answer to a call that was given up is still to come
	}
	return 0, false
}

// use has the server look at a lane.
func (c *Caller) use(lane uint32) {
	if c.c.Used.Load()&lane == 0 {
		c.c.Used.Or(lane)
		c.c.Area.Used.Or(lane)
	}
}

// Held says that C took a lane and hands it over. What the one who had it before wrote in Go happened before:
// C's taking is nothing that Go's memory model knows, so the word is looked at once more.
func (c *Caller) Held(at int) { c.c.Lanes[at].Holder.Load() }

// Leave gives a lane back.
func (c *Caller) Leave(at int) { c.c.Lanes[at].Holder.Store(c.number << 1) }

// Without runs f while others may have the lane, and the connection may be closed. It says whether the
// lane is taken again, with the same call on it.
func (c *Caller) Without(at int, f func()) bool {
	lane := &c.c.Lanes[at]
	number := lane.Number
	c.Leave(at)
	f()
	if !lane.Holder.CompareAndSwap(c.number<<1, c.number<<1|1) {
		return false
	}
	if lane.Number != number {
		c.Leave(at)
		return false
	}
	return true
}

// Ask sends a call over a taken lane.
func (c *Caller) Ask(at int, request *Request) {
	lane, pair := &c.c.Lanes[at], &c.c.Area.Lanes[at]
	r := &pair.Request
	r.Vertex, r.Birth, r.Function = request.Vertex, request.Birth, request.Function
	kind, size := uint8(cdata.LanePatient), 0
	if request.Budget > 0 {
		kind, size = cdata.LaneHurried, budgetBytes
		binary.LittleEndian.PutUint64(r.Data[:], uint64(request.Budget))
	}
	size += copy(r.Data[size:], request.Arguments)
	lane.Number++
	count(&lane.Calls, 1)
	count(&lane.Sent, requestBytes+size)
	failpoint.Hit(failpoint.CallWritten)
	r.Word.Store(word(lane.Number, kind, size))
	failpoint.Hit(failpoint.CallAsked)
	c.Wake()
}

// Wake wakes the server, if it sleeps.
func (c *Caller) Wake() {
	c.Waking()
	if ring.Wake(c.c.Asleep) {
		c.wake()
	}
}

// Waking tells the server, if it sleeps, on which processor this thread is, which wakes it next.
func (c *Caller) Waking() {
	if atomic.LoadUint32(c.c.Asleep) != cdata.LaneAwake {
		c.c.Area.Waker.Store(uint32(processor.Current() + 1))
	}
}

// Answered says whether the answer to the last call of a lane is here.
func (c *Caller) Answered(at int) bool {
	return numbered(&c.c.Area.Lanes[at].Reply.Word, c.c.Lanes[at].Number)
}

// Ended says that the connection is over.
func (c *Caller) Ended() bool { return c.c.Ended.Load() != 0 }

const (
	// looksPerClock is how many looks are taken from one reading of the clock to the next.
	looksPerClock = 16
	// maxMissed bounds how rare polling becomes that sees nothing: one call in 2^maxMissed.
	maxMissed = 8
	// longSleeps is how many times as long as polling a sleep lasts after which the next call polls.
	longSleeps = 20
)

// Poll looks for the answer for a while, and says whether it is here. Where polling did not see the last
// ones it does so more rarely, as transport.Spin has it; C does the same.
func (c *Caller) Poll(at int) bool {
	l := c.c
	if c.Answered(at) {
		count(&l.Lanes[at].Spun, 1)
		return true
	}
	if l.SpinNs <= 0 {
		return false
	}
	if skip := l.Skip.Load(); skip > 0 {
		l.Skip.Store(skip - 1)
		return false
	}
	until := int64(0)
	for look := 1; !c.Ended(); look++ {
		ring.Pause()
		if c.Answered(at) {
			count(&l.Lanes[at].Spun, 1)
			if l.Missed.Load() != 0 {
				l.Missed.Store(0)
			}
			return true
		}
		if look%looksPerClock != 0 {
			continue
		}
		now := clock.Now()
		if until == 0 {
			until = now + l.SpinNs
		} else if now >= until {
			break
		}
	}
	missed := min(l.Missed.Load()+1, maxMissed)
	l.Missed.Store(missed)
	l.Skip.Store(1<<missed - 1)
	return false
}

// Sleep sleeps until the answer is here, the connection has ended, or the time is over, and says whether
// the answer is here.
func (c *Caller) Sleep(at int, wait time.Duration) bool {
	word := &c.c.Area.Lanes[at].Asleep
	atomic.StoreUint32(word, ring.Armed)
	began := clock.Now()
	if !c.Answered(at) && !c.Ended() {
		futex.Wait(word, ring.Armed, wait)
	}
	atomic.StoreUint32(word, cdata.LaneAwake)
	if clock.Now()-began > longSleeps*c.c.SpinNs {
		c.c.Skip.Store(0)
	}
	if c.Answered(at) {
		return true
	}
	c.slow()
	return false
}

// Reply reads the answer, which is good until Leave. One that cannot be is status.Corrupt.
func (c *Caller) Reply(at int) (*Answer, error) {
	to := &c.answers[at]
	to.Clear()
	lane, r := &c.c.Lanes[at], &c.c.Area.Lanes[at].Reply
	word := r.Word.Load()
	size, kind := int(uint8(word)), uint8(word>>cdata.LaneKindShift)
	if size > len(to.data) {
		return nil, status.Errorf(status.Corrupt, "an answer has %d bytes, at most %d are possible", size,
			len(to.data))
	}
	copy(to.data[:], r.Data[:size])
	to.Version = r.Version
	data := to.data[:size]
	count(&lane.Received, replyBytes+size)
	failpoint.Hit(failpoint.AnswerTaken)
	switch {
	case kind == cdata.LaneBytes:
		to.Ran, to.HasPart, to.Part = true, true, data
	case kind == cdata.LaneNothing:
		to.Ran = true
	case kind == cdata.LaneTree && size >= treeBytes:
		to.Ran, to.Runs = true, max(binary.LittleEndian.Uint32(data), 1)
		if binary.LittleEndian.Uint32(data[4:]) != 0 {
			to.HasPart, to.Part = true, data[treeBytes:]
		}
	case kind == cdata.LaneFailed && size >= codeBytes:
		code := status.Code(binary.LittleEndian.Uint32(data))
		if code <= status.OK || code >= status.Count {
			return nil, status.Errorf(status.Corrupt, "an answer has the status %d, which is none of a failure", code)
		}
		to.Failure = status.Errorf(code, "%s", data[codeBytes:])
		to.Failure.Node = c.c.Node
	case kind == cdata.LaneElsewhere && size == 1:
		to.Never = data[0] != 0
	default:
		return nil, status.Errorf(status.Corrupt, "an answer of kind %d has %d bytes", kind, size)
	}
	return to, nil
}

// Exchanged gives how many bytes the last call of a lane and its answer took.
func (c *Caller) Exchanged(at int) uint64 {
	pair := &c.c.Area.Lanes[at]
	return requestBytes + replyBytes + pair.Request.Word.Load()&0xff + pair.Reply.Word.Load()&0xff
}

// End says that the connection is over: nobody takes a lane any more, and who waits returns.
func (c *Caller) End() {
	c.c.Ended.Store(1)
	for i := range c.c.Lanes {
		if c.c.Lanes[i].Holder.Load()&1 != 0 { // who takes it from now on sees that it is over
			word := &c.c.Area.Lanes[i].Asleep
			atomic.StoreUint32(word, cdata.LaneAwake)
			futex.Wake(word)
		}
	}
}

// Close waits until all have left, after End. From then on the memory is not used.
func (c *Caller) Close() {
	for i := range c.c.Lanes {
		for !c.c.Lanes[i].Holder.CompareAndSwap(c.number<<1, 0) {
			time.Sleep(leaveWait)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished, c.closed = c.traffic(), true
	homes.mu.Lock()
	defer homes.mu.Unlock()
	homes.all[c.c.Index].Store(nil)
	homes.free = append(homes.free, c.c)
}

// leaveWait is how often Close looks whether a thread has left its lane: one that is in C does so within
// SetSpin's time, unless it is kept from running.
const leaveWait = 20 * time.Microsecond

func (c *Caller) traffic() (t Traffic) {
	for i := range c.c.Lanes {
		lane := &c.c.Lanes[i]
		t.Calls += lane.Calls.Load()
		t.Sent += lane.Sent.Load()
		t.Received += lane.Received.Load()
		t.Spun += lane.Spun.Load()
	}
	return t
}

// Traffic counts what passed so far.
func (c *Caller) Traffic() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.finished
	}
	return c.traffic()
}
