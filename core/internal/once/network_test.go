package once

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// The tests below let callers update vertices of one owner over a network that loses, delays,
// repeats and reorders requests and replies, while callers retry, give up and die. A naive count
// of what was applied is the judge.

// key is one update in the eyes of the judge.
type key struct {
	caller   wire.Identity
	sequence uint64
	path     uint32
}

type request struct {
	key
	floor uint64
}

type answer uint8

const (
	answerOK      answer = iota + 1
	answerFailed         // nothing was applied, and never will be
	answerRefused        // nothing was applied by this copy
)

type reply struct {
	key
	answer answer
	value  int // of the outcome
}

// sender is a caller with its updates under way.
type sender struct {
	identity  wire.Identity
	sequences Sequences
	sent      map[uint64]int // how often each unfinished update was sent
	paths     map[uint64]uint32
	order     []uint64
}

// outcome counts how often it is given back.
type outcome struct {
	value    int
	released int
}

type network struct {
	t        *testing.T
	random   *rand.Rand
	window   *Window[*outcome]
	limits   Limits
	senders  []*sender
	died     map[wire.Identity]bool
	requests []request
	replies  []reply
	running  map[Ticket][]request // the update and the duplicates that wait for it
	tickets  []Ticket
	outcomes []*outcome
	applied  map[key]int
	values   map[key]int
	promised map[key]answer // what callers were told, for good
}

func TestExactlyOnce(t *testing.T) {
	for round := range uint64(60) {
		random := rand.New(rand.NewPCG(*seed, round))
		limits := Limits{}
		if round%2 == 1 {
			limits = Limits{Callers: 4, Entries: 24, EntriesPerCaller: 12, Bytes: 20 * entryBytes,
				BytesPerCaller: 11 * entryBytes}
		}
		n := &network{t: t, random: random, window: NewWindow[*outcome](limits),
			limits: limits.orDefaults(), died: map[wire.Identity]bool{},
			running: map[Ticket][]request{}, applied: map[key]int{}, values: map[key]int{},
			promised: map[key]answer{}}
		for node := range uint64(3) {
			n.senders = append(n.senders, newSender(node+1, 1))
		}
		for range 1500 {
			n.step()
			n.check()
		}
		n.drain()
		n.judge()
		if t.Failed() {
			t.Fatalf("round %d of -seed %d", round, *seed)
		}
	}
}

func newSender(node uint64, incarnation uint32) *sender {
	return &sender{identity: wire.Identity{Node: node, Incarnation: incarnation},
		sent: map[uint64]int{}, paths: map[uint64]uint32{}}
}

func (n *network) step() {
	s := n.senders[n.random.IntN(len(n.senders))]
	switch choice := n.random.IntN(100); {
	case choice < 20:
		n.send(s, n.begin(s))
	case choice < 30 && len(s.order) > 0: // again, after a lost reply or out of impatience
		n.send(s, s.order[n.random.IntN(len(s.order))])
	case choice < 33 && len(s.order) > 0: // give one up
		n.finish(s, s.order[n.random.IntN(len(s.order))])
	case choice < 34:
		n.kill(s)
	case choice < 40 && len(n.requests) > 0: // lose one
		take(n.random, &n.requests)
	case choice < 44 && len(n.replies) > 0:
		take(n.random, &n.replies)
	case choice < 65 && len(n.requests) > 0:
		n.serve(take(n.random, &n.requests))
	case choice < 82 && len(n.tickets) > 0:
		n.end(take(n.random, &n.tickets))
	case len(n.replies) > 0:
		n.receive(take(n.random, &n.replies))
	}
}

func (n *network) begin(s *sender) uint64 {
	sequence, err := s.sequences.Begin()
	require.NoError(n.t, err)
	s.order = append(s.order, sequence)
	s.paths[sequence] = uint32(n.random.IntN(2))
	return sequence
}

func (n *network) send(s *sender, sequence uint64) {
	s.sent[sequence]++
	n.requests = append(n.requests, request{floor: s.sequences.Floor(),
		key: key{s.identity, sequence, s.paths[sequence]}})
}

func (n *network) finish(s *sender, sequence uint64) {
	s.sequences.Finish(sequence)
	delete(s.sent, sequence)
	delete(s.paths, sequence)
	for i, other := range s.order {
		if other == sequence {
			s.order = append(s.order[:i], s.order[i+1:]...)
			return
		}
	}
}

func (n *network) kill(s *sender) {
	n.died[s.identity] = true
	n.note(Event[*outcome]{Kind: Dead, Caller: s.identity})
	*s = *newSender(s.identity.Node, s.identity.Incarnation+1)
}

// serve is the owner taking a request.
func (n *network) serve(r request) {
	action := n.note(Event[*outcome]{Kind: Begin, Caller: r.caller, Sequence: r.sequence,
		Floor: r.floor, Path: []uint32{r.path}, Vertex: vertex.NameID("counter")})
	switch action.Verdict {
	case Run:
		require.False(n.t, n.died[r.caller], "an update of a dead caller runs")
		n.running[action.Ticket] = []request{r}
		n.tickets = append(n.tickets, action.Ticket)
	case Wait:
		require.Contains(n.t, n.running, action.Ticket)
		n.running[action.Ticket] = append(n.running[action.Ticket], r)
	case Replay:
		require.Zero(n.t, action.Outcome.released, "a released outcome is replayed")
		n.answer(r, action.Outcome.value)
	case Refuse:
		kind := answerFailed
		if action.Undecided {
			kind = answerRefused
		}
		n.replies = append(n.replies, reply{key: r.key, answer: kind})
	}
}

// end lets a running update succeed or fail, and answers all that wait for it.
func (n *network) end(ticket Ticket) {
	waiting := n.running[ticket]
	delete(n.running, ticket)
	update := waiting[0].key
	result := &outcome{value: 1 + n.random.IntN(1000)}
	n.outcomes = append(n.outcomes, result)
	event := Event[*outcome]{Kind: End, Ticket: ticket, Outcome: result,
		Bytes: int64(n.random.IntN(int(2 * entryBytes)))}
	failure := Event[*outcome]{Kind: Abort, Ticket: ticket,
		Err: status.Errorf(status.UDFFailed, "%d", n.random.IntN(1000))}
	if n.random.IntN(4) == 0 {
		event = failure
	}
	action := n.note(event)
	if action.Verdict == Refuse { // no room for the outcome: it must not be applied
		require.Equal(n.t, status.Exhausted, action.Err.Code)
		event = failure
		action = n.note(event)
	}
	if event.Kind == Abort {
		result.value = 0
		result.released++ // it stays the driver's
	}
	require.Equal(n.t, len(waiting) > 1, action.Waited)
	if action.Verdict == Recorded {
		n.applied[update]++
		n.values[update] = result.value
	}
	for _, r := range waiting {
		n.answer(r, result.value)
	}
}

func (n *network) answer(r request, value int) {
	kind := answerOK
	if value == 0 {
		kind = answerFailed
	}
	n.replies = append(n.replies, reply{key: r.key, answer: kind, value: value})
}

// receive is a caller taking a reply. A refusal decides only what was sent once.
func (n *network) receive(r reply) {
	s := n.senders[r.caller.Node-1]
	if s.identity != r.caller || s.sent[r.sequence] == 0 {
		return
	}
	switch {
	case r.answer == answerOK:
		require.Equal(n.t, n.values[r.key], r.value, "the outcome is another update's")
		n.promised[r.key] = answerOK
	case r.answer == answerFailed || s.sent[r.sequence] == 1:
		n.promised[r.key] = answerFailed
	default:
		return
	}
	n.finish(s, r.sequence)
}

// note steps the window and gives back what it no longer needs.
func (n *network) note(event Event[*outcome]) Action[*outcome] {
	action, released := n.window.Step(&event, nil)
	for _, o := range released {
		o.released++
		require.Equal(n.t, 1, o.released, "released twice")
	}
	return action
}

// check runs after every step, so it calls require only for what is wrong.
func (n *network) check() {
	w, l := n.window, &n.limits
	if w.Entries() > l.Entries || w.Bytes() > l.Bytes || w.Callers() > l.Callers {
		require.Fail(n.t, "a limit is broken", "%d entries, %d bytes, %d callers", w.Entries(),
			w.Bytes(), w.Callers())
	}
	for identity, c := range w.callers {
		if len(c.heap) > l.EntriesPerCaller || c.bytes > l.BytesPerCaller {
			require.Fail(n.t, "a limit is broken", "caller %v has %d entries, %d bytes", identity,
				len(c.heap), c.bytes)
		}
		for _, slot := range c.heap {
			if w.table.entries[slot].sequence < c.floor {
				require.Fail(n.t, "what lies below the floor is not forgotten")
			}
		}
	}
}

// drain delivers everything that is still under way. Then callers send what they do not know the
// fate of until they do, which must come to an end, whatever the limits are.
func (n *network) drain() {
	n.deliver()
	for range 1000 {
		settled := true
		for _, s := range n.senders {
			for _, sequence := range s.order {
				settled = false
				n.send(s, sequence)
			}
			n.note(Event[*outcome]{Kind: Raise, Caller: s.identity, Floor: s.sequences.Floor()})
		}
		if n.deliver(); settled {
			break
		}
	}
	for _, s := range n.senders {
		require.Empty(n.t, s.order, "its caller never learns what became of it")
	}
}

func (n *network) deliver() {
	for len(n.requests)+len(n.replies)+len(n.tickets) > 0 {
		switch {
		case len(n.requests) > 0:
			n.serve(take(n.random, &n.requests))
		case len(n.tickets) > 0:
			n.end(take(n.random, &n.tickets))
		default:
			n.receive(take(n.random, &n.replies))
		}
		n.check()
	}
}

func (n *network) judge() {
	for update, times := range n.applied {
		require.Equal(n.t, 1, times, "%+v was applied again", update)
	}
	ok := 0
	for update, told := range n.promised {
		want := 0
		if told == answerOK {
			want = 1
			ok++
		}
		require.Equal(n.t, want, n.applied[update], "%+v, whose caller was told %d", update, told)
	}
	require.Positive(n.t, ok)
	require.Zero(n.t, n.window.Entries())
	require.Zero(n.t, n.window.Bytes())
	for _, o := range n.outcomes {
		require.Equal(n.t, 1, o.released, fmt.Sprintf("outcome %d is leaked", o.value))
	}
}

// take removes one element at random.
func take[E any](random *rand.Rand, from *[]E) E {
	s := *from
	i := random.IntN(len(s))
	e := s[i]
	s[i] = s[len(s)-1]
	*from = s[:len(s)-1]
	return e
}
