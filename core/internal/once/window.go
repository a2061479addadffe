package once

import (
	"dcf/core/invariant"
	"dcf/core/status"
	"dcf/wire"
)

// Window is what an owner remembers of updates, so that a duplicate gets the outcome of the first
// instead of a second run. Make it with NewWindow; it is not safe for concurrent use.
type Window[T any] struct {
	limits     Limits
	callers    map[wire.Identity]*caller
	dead       graveyard
	table      table[T]
	generation uint32 // of the ticket that was given out last
	bytes      int64  // of all recorded entries
}

// caller is one incarnation's part of a window. Each of its entries is in its heap and in the
// table's index; what runs on below the floor is in neither, and only its ticket finds it.
type caller struct {
	floor uint64
	heap  []int32 // slots of entries, the lowest sequence first
	bytes int64
}

// NewWindow makes an empty window. Zero limits are the defaults.
func NewWindow[T any](limits Limits) *Window[T] {
	limits = limits.orDefaults()
	return &Window[T]{
		limits:  limits,
		callers: map[wire.Identity]*caller{},
		dead:    newGraveyard(limits.Dead),
		table:   newTable[T](),
	}
}

// Step takes one event and says what to do about it. Outcomes that nobody needs any more are
// appended to released and are the driver's to release, best after it gave up its lock. A step
// allocates nothing in the steady state, where paths are short.
func (w *Window[T]) Step(event *Event[T], released []T) (Action[T], []T) {
	switch event.Kind {
	case Begin:
		return w.begin(event, released)
	case End:
		return w.end(event, released)
	case Abort:
		return w.abort(event), released
	case Raise:
		if c := w.caller(event.Caller); c != nil {
			released = w.raise(c, event.Floor, released)
		}
		return Action[T]{Verdict: Noted}, released
	case Dead:
		return Action[T]{Verdict: Noted}, w.bury(event.Caller, released)
	}
	return refuse[T](status.Errorf(status.Internal, "once: there is no event of kind %d",
		event.Kind)), released
}

// Close empties the window: it appends every outcome to released. What runs on is unknown to it.
func (w *Window[T]) Close(released []T) []T {
	for slot := range w.table.entries {
		if e := &w.table.entries[slot]; e.state == applied {
			released = append(released, e.outcome)
		}
	}
	w.callers, w.table, w.bytes = map[wire.Identity]*caller{}, newTable[T](), 0
	return released
}

// Entries is how many updates the window remembers or sees running.
func (w *Window[T]) Entries() int { return w.table.used }

// Bytes is the memory that is counted against the limits.
func (w *Window[T]) Bytes() int64 { return w.bytes }

// Callers is how many incarnations have a window.
func (w *Window[T]) Callers() int { return len(w.callers) }

func (w *Window[T]) begin(event *Event[T], released []T) (Action[T], []T) {
	if event.Sequence == 0 || len(event.Path) > MaxPath {
		return refuse[T](status.Errorf(status.InvalidArgument,
			"an update needs a sequence from 1 and a path of at most %d steps; this one has "+
				"sequence %d and %d steps", MaxPath, event.Sequence, len(event.Path))), released
	}
	c := w.caller(event.Caller)
	if c == nil {
		return w.noCaller(event.Caller), released
	}
	released = w.raise(c, event.Floor, released)
	if event.Sequence < c.floor {
		return refuse[T](status.Errorf(status.Aborted,
			"update %d of node %d was given up by its caller, which is at %d already: "+
				"nothing was applied by this request", event.Sequence, event.Caller.Node,
			c.floor).WithVertex(event.Vertex)), released
	}
	hash := hashOf(event.Caller, event.Sequence, event.Vertex, event.Path)
	if slot := w.table.find(hash, c, event.Sequence, event.Vertex, event.Path); slot != none {
		return w.again(slot), released
	}
	if err := w.full(c, event); err != nil {
		return Action[T]{Verdict: Refuse, Err: err, Undecided: true}, released
	}
	w.generation++
	slot := w.table.insert(hash, c, event.Sequence, event.Vertex, event.Path)
	w.table.entries[slot].generation = w.generation
	w.table.push(c, slot)
	return Action[T]{Verdict: Run, Ticket: w.table.entries[slot].ticket(slot)}, released
}

// again answers a duplicate.
func (w *Window[T]) again(slot int32) Action[T] {
	e := &w.table.entries[slot]
	switch e.state {
	case running:
		e.waited = true
		return Action[T]{Verdict: Wait, Ticket: e.ticket(slot)}
	case failed:
		if e.err != nil {
			err := *e.err
			return refuse[T](&err)
		}
		return refuse[T](status.Errorf(status.Aborted, "this update failed before and nothing "+
			"was applied; its failure was not kept: start it over as a new call").
			WithVertex(e.vertex))
	}
	return Action[T]{Verdict: Replay, Outcome: e.outcome}
}

func (w *Window[T]) end(event *Event[T], released []T) (Action[T], []T) {
	slot := w.running(event.Ticket)
	if slot == none {
		return w.noTicket(event.Ticket), released
	}
	e := &w.table.entries[slot]
	if e.owner == nil { // its caller is past it: nobody can ask again
		action := Action[T]{Verdict: Recorded, Waited: e.waited}
		w.table.remove(slot)
		return action, append(released, event.Outcome)
	}
	bytes := e.cost(event.Bytes)
	if err := w.tooLarge(e.owner, bytes); err != nil {
		return refuse[T](err), released
	}
	w.charge(e, bytes)
	e.state, e.outcome = applied, event.Outcome
	return Action[T]{Verdict: Recorded, Waited: e.waited}, released
}

func (w *Window[T]) abort(event *Event[T]) Action[T] {
	slot := w.running(event.Ticket)
	if slot == none {
		return w.noTicket(event.Ticket)
	}
	e := &w.table.entries[slot]
	action := Action[T]{Verdict: Noted, Waited: e.waited}
	if e.owner == nil {
		w.table.remove(slot)
		return action
	}
	e.state = failed
	if event.Err != nil { // it is kept where there is room
		bytes := e.cost(int64(len(event.Err.Message) + len(event.Err.Detail)))
		if w.tooLarge(e.owner, bytes) == nil {
			w.charge(e, bytes)
			e.err = event.Err
		}
	}
	return action
}

func (w *Window[T]) charge(e *entry[T], bytes int64) {
	e.bytes = bytes
	e.owner.bytes += bytes
	w.bytes += bytes
}

// raise forgets what lies below floor. What still runs there is cut loose: its end is told by its
// ticket and kept by nobody.
func (w *Window[T]) raise(c *caller, floor uint64, released []T) []T {
	if floor <= c.floor {
		return released
	}
	c.floor = floor
	for len(c.heap) > 0 && w.table.entries[c.heap[0]].sequence < floor {
		released = w.forget(c.heap[0], released)
	}
	if len(c.heap) == 0 && cap(c.heap) > keptSlots {
		c.heap = nil
	}
	return released
}

func (w *Window[T]) forget(slot int32, released []T) []T {
	e := &w.table.entries[slot]
	c := e.owner
	w.table.unindex(slot)
	if e.state == running {
		e.owner = nil
		return released
	}
	if e.state == applied {
		released = append(released, e.outcome)
	}
	c.bytes -= e.bytes
	w.bytes -= e.bytes
	w.table.remove(slot)
	return released
}

func (w *Window[T]) bury(identity wire.Identity, released []T) []T {
	if c := w.callers[identity]; c != nil {
		for len(c.heap) > 0 {
			released = w.forget(c.heap[len(c.heap)-1], released)
		}
		delete(w.callers, identity)
		invariant.Check(c.bytes == 0, "once: %d bytes left of a dead caller", c.bytes)
	}
	w.dead.add(identity)
	return released
}

// caller finds or makes the window of an incarnation: nil where it is dead, or one too many.
func (w *Window[T]) caller(identity wire.Identity) *caller {
	if c := w.callers[identity]; c != nil {
		return c
	}
	if len(w.callers) >= w.limits.Callers || w.dead.has(identity) {
		return nil
	}
	c := &caller{}
	w.callers[identity] = c
	return c
}

func (w *Window[T]) running(ticket Ticket) int32 {
	slot := int32(uint32(ticket))
	if slot < 0 || int(slot) >= len(w.table.entries) {
		return none
	}
	if e := &w.table.entries[slot]; e.state != running || e.ticket(slot) != ticket {
		return none
	}
	return slot
}

// full says whether one more entry is too much. Some room is kept for each caller's oldest
// update: as long as that is not finished the floor stays, and nothing is forgotten. Were it
// refused for lack of room, it would be refused for ever.
func (w *Window[T]) full(c *caller, event *Event[T]) *status.Error {
	if event.Sequence == c.floor {
		if len(c.heap) < w.limits.EntriesPerCaller && w.table.used < w.limits.Entries {
			return nil
		}
	}
	switch {
	case len(c.heap) >= w.limits.EntriesPerCaller-reserve(w.limits.EntriesPerCaller):
		return status.Errorf(status.Exhausted, "%d updates of node %d are remembered here, "+
			"which is the limit: it must finish or clear its oldest call (number %d) first",
			len(c.heap), event.Caller.Node, c.floor)
	case w.table.used >= w.limits.Entries-reserve(w.limits.Entries):
		return status.Errorf(status.Exhausted, "%d updates of %d callers are remembered here, "+
			"which is the limit: try again once callers finished some", w.table.used,
			len(w.callers))
	}
	return w.tooLarge(c, entryBytes)
}

// reserve is the part of a limit of entries that only oldest updates may use.
func reserve(limit int) int { return max(limit/16, 1) }

// tooLarge says whether so many more bytes are too much.
func (w *Window[T]) tooLarge(c *caller, bytes int64) *status.Error {
	switch {
	case bytes > w.limits.BytesPerCaller-c.bytes:
		return status.Errorf(status.Exhausted, "the outcomes of this caller's updates hold %d "+
			"bytes here, and %d more exceed the limit of %d: it must finish or clear its "+
			"oldest call (number %d) first, or return smaller parts", c.bytes, bytes,
			w.limits.BytesPerCaller, c.floor)
	case bytes > w.limits.Bytes-w.bytes:
		return status.Errorf(status.Exhausted, "the outcomes of updates hold %d bytes here, "+
			"and %d more exceed the limit of %d: try again once callers finished some",
			w.bytes, bytes, w.limits.Bytes)
	}
	return nil
}

func (w *Window[T]) noCaller(identity wire.Identity) Action[T] {
	if w.dead.has(identity) {
		return refuse[T](status.Errorf(status.Aborted, "incarnation %d of node %d was declared dead: "+
			"nothing runs for it any more; restart that worker", identity.Incarnation,
			identity.Node))
	}
	return Action[T]{Verdict: Refuse, Undecided: true, Err: status.Errorf(status.Exhausted,
		"%d callers are known here, which is the limit: close workers that are not needed",
		len(w.callers))}
}

func (w *Window[T]) noTicket(ticket Ticket) Action[T] {
	return refuse[T](status.Errorf(status.Internal,
		"once: no update runs under ticket %#x", uint64(ticket)))
}

func refuse[T any](err *status.Error) Action[T] { return Action[T]{Verdict: Refuse, Err: err} }
