package exec

import (
	"bytes"
	"sync"

	"dcf/core/internal/once"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// applied remembers what updates of other processes came to, so that one that is sent again gets
// the same answer and is not run again.
type applied struct {
	mu     sync.Mutex
	window *once.Window[*outcome] // under mu
}

// close releases every outcome.
func (a *applied) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.window != nil {
		for _, o := range a.window.Close(nil) {
			o.release()
		}
		a.window = nil
	}
}

// outcome is what an update came to: its own part, and what it spawned.
type outcome struct {
	hasPart bool
	part    udf.Value // owned
	spawns  []udf.Spawn
	version uint64
	effects Effects
	answer  any // of an operation
}

func (o *outcome) release() {
	if o == nil {
		return
	}
	if o.part.Batch != nil {
		o.part.Batch.Release()
	}
	for i := range o.spawns {
		if b := o.spawns[i].Arguments.Batch; b != nil {
			b.Release()
		}
	}
}

// step drives the window.
func (a *applied) step(event *once.Event[*outcome], use func(once.Action[*outcome])) {
	var space [4]*outcome
	a.mu.Lock()
	if a.window == nil {
		a.window = once.NewWindow[*outcome](once.Limits{})
	}
	action, released := a.window.Step(event, space[:0])
	use(action)
	a.mu.Unlock()
	for _, o := range released {
		o.release()
	}
}

// begin asks whether an update of a foreign call may run. It gives a ticket, or the copy of an
// outcome that stands for running it again, which the caller releases.
func (t *Task) begin(it *Item) (ticket once.Ticket, replay *outcome, err error) {
	if !t.Foreign || t.Origin.Sequence == 0 {
		return 0, nil, nil
	}
	event := once.Event[*outcome]{Kind: once.Begin,
		Caller:   wire.Identity{Node: t.Origin.Node, Incarnation: t.Origin.Incarnation},
		Sequence: t.Origin.Sequence, Floor: t.Origin.Floor, Path: it.Indexes(), Vertex: it.Target}
	t.Engine.applied.step(&event, func(action once.Action[*outcome]) {
		switch action.Verdict {
		case once.Run:
			ticket = action.Ticket
		case once.Replay:
			replay = action.Outcome.copy()
		case once.Refuse:
			err = action.Err
			if action.Undecided && t.Resent {
				t.Effects = EffectsUnknown
			}
		default: // Wait cannot be: the vertex's lock is held for as long as an update runs
			err = status.Errorf(status.Internal, "an update of vertex %v runs twice", it.Target)
		}
	})
	return ticket, replay, err
}

// end records what an update came to, before its effects are published; an error means that they
// must not be.
func (t *Task) end(ticket once.Ticket, out *udf.Output, version uint64, effects Effects) (err error) {
	if ticket == 0 {
		return nil
	}
	o := &outcome{version: version, effects: effects}
	if out.HasPart {
		o.hasPart, o.part = true, cloneValue(out.Part)
	}
	size := o.part.Size()
	for i := range out.Spawns {
		s := out.Spawns[i]
		s.Arguments = cloneValue(s.Arguments)
		size += s.Arguments.Size()
		o.spawns = append(o.spawns, s)
	}
	event := once.Event[*outcome]{Kind: once.End, Ticket: ticket, Outcome: o, Bytes: size}
	t.Engine.applied.step(&event, func(action once.Action[*outcome]) {
		if action.Verdict == once.Refuse {
			err = action.Err
		}
	})
	if err != nil {
		o.release()
	}
	return err
}

// abort says that an update failed with err and nothing was applied.
func (t *Task) abort(ticket once.Ticket, err *status.Error) {
	if ticket != 0 {
		event := once.Event[*outcome]{Kind: once.Abort, Ticket: ticket, Err: err}
		t.Engine.applied.step(&event, func(once.Action[*outcome]) {})
	}
}

// replay answers with what the update came to when it ran.
func (t *Task) replay(it *Item, o *outcome) {
	t.Version, t.Effects = o.version, t.Effects.Join(o.effects)
	if o.hasPart {
		t.addPart(it, &o.part)
	}
	t.spawn(it, o.spawns)
	o.release()
}

// Finished tells how far a caller is: what it sent below the floor is forgotten.
func (e *Engine) Finished(caller wire.Identity, floor uint64) {
	event := once.Event[*outcome]{Kind: once.Raise, Caller: caller, Floor: floor}
	e.applied.step(&event, func(once.Action[*outcome]) {})
	e.once.finished(caller, floor)
}

// Dead tells that an incarnation is gone for good.
func (e *Engine) Dead(caller wire.Identity) {
	event := once.Event[*outcome]{Kind: once.Dead, Caller: caller}
	e.applied.step(&event, func(once.Action[*outcome]) {})
	e.once.finished(caller, ^uint64(0))
}

func (o *outcome) copy() *outcome {
	c := *o
	c.part = cloneValue(o.part)
	c.spawns = make([]udf.Spawn, len(o.spawns))
	for i, s := range o.spawns {
		s.Arguments = cloneValue(s.Arguments)
		c.spawns[i] = s
	}
	return &c
}

// cloneValue makes a value that owns what it holds.
func cloneValue(v udf.Value) udf.Value {
	if v.Batch != nil {
		return udf.Value{Batch: v.Batch.Retain()}
	}
	return udf.Value{Bytes: bytes.Clone(v.Bytes)}
}

// Exactly runs an update of another process that is no calculate, once: what it answered is given
// again to one that is sent again. id tells apart what one sequence does.
func (e *Engine) Exactly(origin Origin, id vertex.ID, run func() (any, error)) (answer any, err error) {
	if origin.Sequence == 0 {
		return run()
	}
	event := once.Event[*outcome]{Kind: once.Begin,
		Caller:   wire.Identity{Node: origin.Node, Incarnation: origin.Incarnation},
		Sequence: origin.Sequence, Floor: origin.Floor, Vertex: id}
	var ticket once.Ticket
	e.applied.step(&event, func(action once.Action[*outcome]) {
		switch action.Verdict {
		case once.Run:
			ticket = action.Ticket
		case once.Replay:
			answer = action.Outcome.answer
		case once.Refuse:
			err = action.Err
		default:
			err = status.Errorf(status.Aborted, "the same update is running already: ask again")
		}
	})
	if ticket == 0 {
		return answer, err
	}
	if answer, err = run(); err == nil {
		// An End is refused where its outcome is too large to be kept.
		event = once.Event[*outcome]{Kind: once.End, Ticket: ticket, Outcome: &outcome{answer: answer}}
		refused := false
		e.applied.step(&event, func(a once.Action[*outcome]) { refused = a.Verdict == once.Refuse })
		if !refused {
			return answer, nil
		}
	}
	event = once.Event[*outcome]{Kind: once.Abort, Ticket: ticket, Err: status.From(err)}
	e.applied.step(&event, func(once.Action[*outcome]) {})
	return answer, err
}
