package once

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

var seed = flag.Uint64("seed", 0, "seed of the randomised tests; 0: a new one")

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()>>1 | 1
	}
	fmt.Printf("once: -seed %d\n", *seed)
	if err := flag.Set("rapid.seed", strconv.FormatUint(*seed, 10)); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

var (
	alice = wire.Identity{Node: 2, Incarnation: 7}
	bob   = wire.Identity{Node: 3, Incarnation: 9}
	root  = vertex.NameID("root")
)

// desk drives a window and keeps what it gave back.
type desk struct {
	*Window[string]
	released []string
}

func newDesk(limits Limits) *desk { return &desk{Window: NewWindow[string](limits)} }

func (d *desk) step(event Event[string]) (action Action[string]) {
	action, d.released = d.Step(&event, d.released)
	return action
}

func (d *desk) begin(caller wire.Identity, sequence, floor uint64, path ...uint32) Action[string] {
	return d.step(Event[string]{Kind: Begin, Caller: caller, Sequence: sequence, Floor: floor,
		Path: path, Vertex: root})
}

func (d *desk) end(ticket Ticket, outcome string) Action[string] {
	return d.step(Event[string]{Kind: End, Ticket: ticket, Outcome: outcome,
		Bytes: int64(len(outcome))})
}

func (d *desk) abort(ticket Ticket, failure string) Action[string] {
	return d.step(Event[string]{Kind: Abort, Ticket: ticket,
		Err: status.Errorf(status.UDFFailed, "%s", failure)})
}

func TestWindowDuplicates(t *testing.T) {
	d := newDesk(Limits{})
	first := d.begin(alice, 1, 1)
	require.Equal(t, Run, first.Verdict)
	require.NotZero(t, first.Ticket)

	second := d.begin(alice, 1, 1)
	require.Equal(t, Wait, second.Verdict)
	require.Equal(t, first.Ticket, second.Ticket)

	end := d.end(first.Ticket, "part")
	require.Equal(t, Recorded, end.Verdict)
	require.True(t, end.Waited)

	third := d.begin(alice, 1, 1)
	require.Equal(t, Replay, third.Verdict)
	require.Equal(t, "part", third.Outcome)
	require.Empty(t, d.released)
	require.Equal(t, 1, d.Entries())
}

func TestWindowKeys(t *testing.T) {
	d := newDesk(Limits{})
	long := make([]uint32, 3*inlinePath)
	for name, begin := range map[string]func() Action[string]{
		"plain":          func() Action[string] { return d.begin(alice, 1, 1) },
		"other caller":   func() Action[string] { return d.begin(bob, 1, 1) },
		"other sequence": func() Action[string] { return d.begin(alice, 2, 1) },
		"path":           func() Action[string] { return d.begin(alice, 1, 1, 0) },
		"longer path":    func() Action[string] { return d.begin(alice, 1, 1, 0, 0) },
		"long path":      func() Action[string] { return d.begin(alice, 1, 1, long...) },
		"other incarnation": func() Action[string] {
			return d.begin(wire.Identity{Node: alice.Node, Incarnation: 8}, 1, 1)
		},
		"other vertex": func() Action[string] {
			return d.step(Event[string]{Kind: Begin, Caller: alice, Sequence: 1,
				Vertex: vertex.NameID("leaf")})
		},
	} {
		require.Equal(t, Run, begin().Verdict, name)
		require.Equal(t, Wait, begin().Verdict, name)
	}
	require.Equal(t, 8, d.Entries())
	long[0] = 1 // the window must have copied it
	require.Equal(t, Run, d.begin(alice, 1, 1, long...).Verdict)
}

func TestWindowRemembersFailures(t *testing.T) {
	d := newDesk(Limits{})
	first := d.begin(alice, 4, 4)
	require.Equal(t, Wait, d.begin(alice, 4, 4).Verdict)
	aborted := d.abort(first.Ticket, "division by zero")
	require.Equal(t, Noted, aborted.Verdict)
	require.True(t, aborted.Waited)
	again := d.begin(alice, 4, 4)
	require.Equal(t, Refuse, again.Verdict)
	require.ErrorIs(t, again.Err, status.UDFFailed)
	require.Equal(t, "division by zero", again.Err.Message)
	require.False(t, again.Undecided)

	silent := d.begin(alice, 5, 4)
	d.step(Event[string]{Kind: Abort, Ticket: silent.Ticket})
	again = d.begin(alice, 5, 4)
	require.ErrorIs(t, again.Err, status.Aborted)
	require.Contains(t, again.Err.Message, "failed before")
	d.step(Event[string]{Kind: Raise, Caller: alice, Floor: 6})
	require.Zero(t, d.Entries())
	require.Zero(t, d.Bytes())
}

func TestWindowFloor(t *testing.T) {
	d := newDesk(Limits{})
	for sequence := uint64(1); sequence <= 4; sequence++ {
		action := d.begin(alice, sequence, 1)
		if sequence != 2 {
			d.end(action.Ticket, strconv.FormatUint(sequence, 10))
		}
	}
	straggler := d.begin(alice, 2, 1)
	require.Equal(t, Wait, straggler.Verdict)

	require.Equal(t, Noted, d.step(Event[string]{Kind: Raise, Caller: alice, Floor: 4}).Verdict)
	require.ElementsMatch(t, []string{"1", "3"}, d.released)
	require.Equal(t, 2, d.Entries(), "the outcome of 4, and 2 that still runs")

	below := d.begin(alice, 2, 1) // its low floor does not lower the window's
	require.Equal(t, Refuse, below.Verdict)
	require.ErrorIs(t, below.Err, status.Aborted)
	require.Contains(t, below.Err.Message, "update 2 of node 2 was given up")

	end := d.end(straggler.Ticket, "2")
	require.Equal(t, Recorded, end.Verdict)
	require.True(t, end.Waited)
	require.ElementsMatch(t, []string{"1", "3", "2"}, d.released)
	require.Equal(t, Replay, d.begin(alice, 4, 4).Verdict)

	require.Equal(t, Run, d.begin(alice, 9, 9).Verdict, "a request's own floor counts")
	require.ElementsMatch(t, []string{"1", "3", "2", "4"}, d.released)
	require.Equal(t, 1, d.Entries())
}

func TestWindowDead(t *testing.T) {
	d := newDesk(Limits{Dead: 2})
	running := d.begin(alice, 1, 1)
	d.end(d.begin(alice, 2, 1).Ticket, "two")
	d.end(d.begin(bob, 1, 1).Ticket, "bob's")
	require.Equal(t, Noted, d.step(Event[string]{Kind: Dead, Caller: alice}).Verdict)
	require.Equal(t, []string{"two"}, d.released)

	late := d.begin(alice, 3, 1)
	require.Equal(t, Refuse, late.Verdict)
	require.ErrorIs(t, late.Err, status.Aborted)
	require.Contains(t, late.Err.Message, "declared dead")
	d.step(Event[string]{Kind: Raise, Caller: alice, Floor: 9})

	require.Equal(t, Noted, d.abort(running.Ticket, "one").Verdict)
	require.Equal(t, []string{"two"}, d.released)
	require.Equal(t, Replay, d.begin(bob, 1, 1).Verdict, "others keep theirs")
	require.Equal(t, 1, d.Callers())

	for node := range uint64(5) { // as many dead as one likes take bounded memory
		d.step(Event[string]{Kind: Dead, Caller: wire.Identity{Node: 100 + node}})
	}
	require.Len(t, d.dead.set, 2)
	require.Len(t, d.dead.ring, 2)
	require.True(t, d.dead.has(wire.Identity{Node: 104}))
	require.False(t, d.dead.has(wire.Identity{Node: 102}))
}

func TestWindowLimits(t *testing.T) {
	big := string(make([]byte, 1000))
	for _, c := range []struct {
		name   string
		limits Limits
		fill   func(d *desk) Action[string]
		want   string

		undecided bool
	}{
		{"entries of a caller", Limits{EntriesPerCaller: 3}, func(d *desk) Action[string] {
			d.begin(alice, 1, 1)
			d.begin(alice, 2, 1)
			return d.begin(alice, 3, 1)
		}, "2 updates of node 2 are remembered here", true},
		{"entries", Limits{Entries: 3}, func(d *desk) Action[string] {
			d.begin(alice, 1, 1)
			d.begin(bob, 1, 1)
			return d.begin(alice, 2, 1)
		}, "2 updates of 2 callers", true},
		{"callers", Limits{Callers: 1}, func(d *desk) Action[string] {
			d.begin(alice, 1, 1)
			return d.begin(bob, 1, 1)
		}, "1 callers are known here", true},
		{"bytes of a caller, at the end", Limits{BytesPerCaller: 1500},
			func(d *desk) Action[string] {
				d.end(d.begin(alice, 1, 1).Ticket, big)
				return d.end(d.begin(alice, 2, 1).Ticket, big)
			}, "exceed the limit of 1500", false},
		{"bytes of a caller, at the start", Limits{BytesPerCaller: 1200},
			func(d *desk) Action[string] {
				d.end(d.begin(alice, 1, 1).Ticket, big)
				return d.begin(alice, 2, 1)
			}, "or return smaller parts", true},
		{"bytes", Limits{Bytes: 1500}, func(d *desk) Action[string] {
			d.end(d.begin(alice, 1, 1).Ticket, big)
			return d.end(d.begin(bob, 1, 1).Ticket, big)
		}, "the outcomes of updates hold", false},
		{"an impossible size", Limits{}, func(d *desk) Action[string] {
			return d.step(Event[string]{Kind: End, Ticket: d.begin(alice, 1, 1).Ticket,
				Bytes: 1<<63 - 1})
		}, "exceed the limit", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(c.limits)
			action := c.fill(d)
			require.Equal(t, Refuse, action.Verdict)
			require.ErrorIs(t, action.Err, status.Exhausted)
			require.Contains(t, action.Err.Message, c.want)
			require.Equal(t, action.Undecided, c.undecided)
			require.Equal(t, Wait.orReplay(), d.begin(alice, 1, 1).Verdict.orReplay(),
				"a full window still answers duplicates")
		})
	}
}

// orReplay makes the two answers to a duplicate equal.
func (v Verdict) orReplay() Verdict {
	if v == Wait {
		return Replay
	}
	return v
}

func TestWindowKeepsRoomForTheOldest(t *testing.T) {
	for name, limits := range map[string]Limits{
		"entries of a caller": {EntriesPerCaller: 4},
		"entries":             {Entries: 4},
		"bytes of a caller":   {BytesPerCaller: 3 * entryBytes},
		"bytes":               {Bytes: 3 * entryBytes},
	} {
		d := newDesk(limits)
		for sequence := uint64(2); sequence <= 4; sequence++ { // the request of 1 was lost
			d.end(d.begin(alice, sequence, 1).Ticket, "")
		}
		require.Equal(t, Refuse, d.begin(alice, 5, 1).Verdict, name)
		oldest := d.begin(alice, 1, 1)
		require.Equal(t, Run, oldest.Verdict, name)
		if d.end(oldest.Ticket, "").Verdict == Refuse {
			require.Equal(t, Noted, d.abort(oldest.Ticket, "no room").Verdict, name)
		}
		require.Equal(t, Run, d.begin(alice, 5, 5).Verdict, name)
	}
}

func TestWindowTooLargeAnOutcome(t *testing.T) {
	d := newDesk(Limits{BytesPerCaller: 300})
	first := d.begin(alice, 1, 1)
	require.Equal(t, Refuse, d.end(first.Ticket, string(make([]byte, 500))).Verdict)
	require.Equal(t, Noted, d.abort(first.Ticket, string(make([]byte, 400))).Verdict)
	again := d.begin(alice, 1, 1)
	require.Equal(t, Refuse, again.Verdict)
	require.ErrorIs(t, again.Err, status.Aborted)
	require.Contains(t, again.Err.Message, "failed before")
	d.step(Event[string]{Kind: Raise, Caller: alice, Floor: 2})
	require.Empty(t, d.released, "what is refused stays its owner's")
	require.Zero(t, d.Entries())
	require.Zero(t, d.Bytes())
}

func TestWindowClose(t *testing.T) {
	d := newDesk(Limits{})
	d.end(d.begin(alice, 1, 1).Ticket, "one")
	running := d.begin(alice, 2, 1)
	d.abort(d.begin(bob, 1, 1).Ticket, "failed")
	require.Equal(t, []string{"one"}, d.Close(nil))
	require.Zero(t, d.Entries())
	require.Zero(t, d.Bytes())
	require.Equal(t, Refuse, d.end(running.Ticket, "two").Verdict)
}

func TestWindowBadEvents(t *testing.T) {
	d := newDesk(Limits{})
	ended := d.begin(alice, 1, 1).Ticket
	d.end(ended, "")
	for name, c := range map[string]struct {
		event Event[string]
		want  status.Code
	}{
		"no kind":     {Event[string]{}, status.Internal},
		"no sequence": {Event[string]{Kind: Begin, Caller: alice}, status.InvalidArgument},
		"endless path": {Event[string]{Kind: Begin, Caller: alice, Sequence: 1,
			Path: make([]uint32, MaxPath+1)}, status.InvalidArgument},
		"no ticket":      {Event[string]{Kind: End}, status.Internal},
		"ended already":  {Event[string]{Kind: End, Ticket: ended}, status.Internal},
		"aborts at ease": {Event[string]{Kind: Abort, Ticket: ended}, status.Internal},
		"wild ticket":    {Event[string]{Kind: Abort, Ticket: 1<<64 - 1}, status.Internal},
	} {
		action := d.step(c.event)
		require.Equal(t, Refuse, action.Verdict, name)
		require.True(t, errors.Is(action.Err, c.want), "%s: %v", name, action.Err)
	}
}

func TestWindowGivesMemoryBack(t *testing.T) {
	d := newDesk(Limits{})
	for path := range uint32(keptSlots + 1) {
		d.begin(alice, 1, 1, path)
	}
	d.step(Event[string]{Kind: Raise, Caller: alice, Floor: 2})
	require.Equal(t, keptSlots+1, d.Entries(), "they still run")
	for slot := range d.table.entries {
		d.end(d.table.entries[slot].ticket(int32(slot)), "")
		if d.Entries() == 0 {
			break
		}
	}
	require.Zero(t, d.Entries())
	require.Empty(t, d.table.entries)
	require.Nil(t, d.callers[alice].heap)
}

func TestWindowAllocatesNothing(t *testing.T) {
	w := NewWindow[string](Limits{})
	released := make([]string, 0, 16)
	path := []uint32{1, 2, 3}
	sequence := uint64(0)
	update := func() {
		sequence++
		begin := Event[string]{Kind: Begin, Caller: alice, Sequence: sequence,
			Floor: max(sequence, 64) - 63, Path: path, Vertex: root}
		var action Action[string]
		action, released = w.Step(&begin, released[:0])
		end := Event[string]{Kind: End, Ticket: action.Ticket, Outcome: "part", Bytes: 4}
		action, released = w.Step(&end, released)
		_, released = w.Step(&begin, released)
	}
	for range 1000 {
		update()
	}
	require.Zero(t, testing.AllocsPerRun(1000, update))
	require.Equal(t, 64, w.Entries())
}

func BenchmarkWindow(b *testing.B) {
	w := NewWindow[string](Limits{})
	released := make([]string, 0, 16)
	for i := range b.N {
		sequence := uint64(i) + 1
		action, _ := w.Step(&Event[string]{Kind: Begin, Caller: alice, Sequence: sequence,
			Floor: max(sequence, 64) - 63, Vertex: root}, released[:0])
		w.Step(&Event[string]{Kind: End, Ticket: action.Ticket}, released[:0])
	}
}
