package exec

import (
	"slices"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/once"
	"dcf/core/internal/store"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// update runs the item in wave[0], whose function updates its vertex, on a record on which the
// caller has a handle. It holds the record's lock for as long as the calculate runs, and no other.
func (t *Task) update(r *store.Record) {
	s := t.Engine.Store
	it := t.wave[0]
	t.wave[0] = Item{}
	defer s.Release(r)
	if !s.TryLock(r) {
		if !t.mayBlock {
			t.ready = append(t.ready, it)
			t.blocked = true
			return
		}
		if err := s.Lock(r, time.Duration(clock.Until(t.Deadline)), t.cancelled); err != nil {
			t.fail(status.From(err))
			it.Release()
			return
		}
	}
	t.updateLocked(&it, r)
	s.Unlock(r)
	it.Release()
}

func (t *Task) updateLocked(it *Item, r *store.Record) {
	pin, err := t.Engine.Store.Pin()
	if err != nil {
		t.fail(status.From(err))
		return
	}
	defer t.Engine.Store.Unpin(pin)
	v := r.Current()
	if v == nil { // dropped while the call waited
		t.fail(Gone(it.Target))
		return
	}
	ticket, replay, err := t.begin(it)
	if err != nil {
		t.fail(status.From(err))
		return
	}
	if replay != nil {
		t.replay(it, replay)
		return
	}
	frame := t.Engine.Frames.At(pin)
	defer frame.Scratch.Reset()
	t.fill(it, frame, 0, v.State())
	frame.Prepare(it.Function, 1)
	out := &frame.Outputs[0]
	defer out.Clear()
	it.Function.Program.Calculate(&frame.Wave)
	t.Calculates++
	if out.Failure == nil {
		if err := t.commit(it, r, v, out, ticket); err != nil {
			out.FailWith(status.From(err))
		}
	}
	if out.Failure != nil {
		t.abort(ticket, out.Failure)
	}
	t.take(it, out)
}

// commit makes the effects of one calculate, all of them or none, and records them under ticket.
func (t *Task) commit(it *Item, r *store.Record, v *store.Version, out *udf.Output, ticket once.Ticket) error {
	if len(out.Effects) == 0 {
		return t.end(ticket, out, v.Number(), EffectsNone)
	}
	change, removed := store.ChangeOf(out.Effects)
	if removed {
		if err := t.end(ticket, out, v.Number(), EffectsComplete); err != nil {
			return err
		}
		t.Engine.Store.Drop(r)
		t.Engine.Network.Dropped(it.Target)
		t.Effects = EffectsComplete
		return nil
	}
	made, err := t.makeChildren(out.Effects)
	if err != nil {
		return err
	}
	prepared, err := t.Engine.Store.Prepare(r, v.Number(), change)
	if err != nil {
		t.unmake(made)
		return err
	}
	if err := t.end(ticket, out, v.Number()+1, EffectsComplete); err != nil {
		t.Engine.Store.Discard(prepared)
		t.unmake(made)
		return err
	}
	t.Version = t.Engine.Store.Publish(prepared)
	t.Effects = EffectsComplete
	for i := range slices.Backward(out.Effects) {
		if out.Effects[i].Kind == udf.EffectSetValue {
			out.Effects[i].Value = nil // it moved into the store
			break
		}
	}
	for _, child := range made {
		t.Engine.Store.Release(child)
	}
	t.link(it.Target, change.Add, true)
	t.link(it.Target, change.Remove, false)
	return nil
}

func (t *Task) link(parent vertex.ID, children []vertex.ID, present bool) {
	if len(children) > 0 {
		t.Engine.Network.Linked(parent, children, present)
	}
}

// makeChildren makes the vertices that the effects add; the caller releases or unmakes them.
func (t *Task) makeChildren(effects []udf.Effect) (made []*store.Record, err error) {
	for i := range effects {
		e := &effects[i]
		if e.Kind != udf.EffectAddChild {
			continue
		}
		if e.Name != "" {
			if err = t.Engine.Network.Claim(t, e.ID, e.Name); err != nil {
				t.unmake(made)
				return nil, err
			}
		}
		record, err := t.Engine.Store.Create(store.Vertex{ID: e.ID, Name: e.Name, Value: e.Value})
		if err != nil {
			if e.Name != "" {
				t.Engine.Network.Withdraw(e.ID)
			}
			t.unmake(made)
			return nil, err
		}
		e.Value = nil // the new vertex owns it
		made = append(made, record)
	}
	return made, nil
}

// unmake takes back children that were made for effects which did not come to be.
func (t *Task) unmake(made []*store.Record) {
	for _, r := range made {
		t.Engine.Store.Drop(r)
		if r.ID().Named() {
			t.Engine.Network.Withdraw(r.ID())
		}
		t.Engine.Store.Release(r)
	}
}
