package core

import (
	"sync"
	"sync/atomic"

	"dcf/core/internal/clock"
	"dcf/core/internal/cluster"
	"dcf/core/internal/exec"
	"dcf/core/internal/sched"
	"dcf/vertex"
	"dcf/wire"
)

// Function finds a function by name, for a spawn.
func (w *Worker) Function(name string) *exec.Function { return w.functions.Load().byName[name] }

// Away starts what a task has to do elsewhere: one frame for each destination, or a call over a lane
// where that is little, and a request for each vertex whose data is brought here. What it takes to
// know who owns a vertex it waits for.
func (w *Worker) Away(t *exec.Task, items []exec.Item, pending []exec.Pending) ([]exec.Pending, error) {
	var space [4]*frame
	frames := space[:0]
	var failure error
	for i := range items {
		if failure != nil {
			items[i].Release()
			continue
		}
		owner, err := w.ownerOf(items[i].Target, t.Deadline)
		if err != nil {
			items[i].Release()
			failure = err
			continue
		}
		it := &items[i]
		here := w.pick(CallFlags(t.Place), it.Function, owner) == sched.Here
		if !here && len(items) <= maxBranches {
			if b := w.branch(t, it, owner); b != nil {
				pending = append(pending, b)
				continue
			}
		}
		w.Number(t)
		if here {
			pending = append(pending, w.bring(t, *it, owner))
		} else {
			frames = w.addTo(frames, owner, it)
		}
	}
	if failure != nil {
		for _, f := range frames {
			f.release()
		}
		return pending, failure
	}
	share := t.Budget / uint64(max(len(frames), 1))
	for _, f := range frames {
		t.Budget -= share
		f.budget = share
		w.sendFrame(t, f)
		pending = append(pending, f)
	}
	return pending, nil
}

// pick decides whether the function travels to an owner, or its data comes here. fn is nil where
// this worker does not have the function.
func (w *Worker) pick(flags CallFlags, fn *exec.Function, owner wire.Identity) sched.Choice {
	call := sched.Call{AtOwner: flags&AtOwner != 0, Here: flags&Here != 0, HaveIt: fn != nil}
	if fn != nil {
		call.Private = !fn.Shared
		call.Missing = fn.Shared && w.missing.known(owner, fn.Hash)
	}
	return sched.Pick(call)
}

// ownerOf gives the owner of a vertex that is not in this worker's store: from what is known, or by
// asking.
func (w *Worker) ownerOf(id vertex.ID, deadline int64) (wire.Identity, error) {
	if owner, known := w.knownOwner(id); known {
		return owner, nil
	}
	return w.locate(id, deadline)
}

// knownOwner gives the owner of a vertex that is elsewhere, if that is known here.
func (w *Worker) knownOwner(id vertex.ID) (owner wire.Identity, known bool) {
	if !w.clustered() {
		return owner, false
	}
	v := &w.view
	v.mu.Lock()
	owner, known = v.node.Owner(id)
	v.mu.Unlock()
	return owner, known && owner != w.self
}

// Claim makes a name of a child known before the child exists.
func (w *Worker) Claim(t *exec.Task, id vertex.ID, name string) error {
	if !w.member() {
		return nil
	}
	_, err := w.claim(id, name, false, t.Deadline)
	return err
}

// Linked tells the owners of children about their parent. It is an index that may lag: nobody
// waits for it, and what does not arrive is missing from it.
func (w *Worker) Linked(parent vertex.ID, children []vertex.ID, present bool) {
	direction := uint32(edgesChildren)
	if !present {
		direction = edgesParents
	}
	for _, child := range children {
		if r := w.store.Open(child); r != nil {
			w.store.SetParents(child, []vertex.ID{parent}, present)
			w.store.Release(r)
			continue
		}
		if !w.clustered() {
			continue
		}
		owner, err := w.ownerOf(child, clock.After(backgroundTimeout))
		if err != nil {
			continue // a child that does not exist yet, or no longer
		}
		op := &wire.Operation{Op: wire.OpParents, ID: child, IDs: []vertex.ID{parent}, Direction: direction}
		if err := w.peer(owner).Notify(op); err != nil {
			w.log.Debug("a parent was not announced", "child", child.String(), "error", err)
		}
	}
}

// missing remembers for a while which functions other workers do not have.
type missing struct {
	some atomic.Bool // seen is not empty

	mu   sync.Mutex
	seen map[missingKey]int64 // under mu: until when
}

type missingKey struct {
	node wire.Identity
	hash exec.Hash
}

func (m *missing) add(node wire.Identity, hash exec.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || len(m.seen) >= MaxMissing {
		m.seen = map[missingKey]int64{}
	}
	m.seen[missingKey{node, hash}] = clock.After(MissingFor)
	m.some.Store(true)
}

func (m *missing) known(node wire.Identity, hash exec.Hash) bool {
	if !m.some.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.seen[missingKey{node, hash}]
	if ok && clock.Until(until) < 0 {
		delete(m.seen, missingKey{node, hash})
		m.some.Store(len(m.seen) > 0)
		return false
	}
	return ok
}

func (m *missing) forget(node wire.Identity) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.seen {
		if key.node == node {
			delete(m.seen, key)
		}
	}
}

// missed looks a vertex up again after a node that was taken for its owner did not have it.
func (w *Worker) missed(id vertex.ID, by wire.Identity, deadline int64) (wire.Identity, error) {
	done := w.drive(cluster.Missed{ID: id, By: by}, deadline)
	if done.Err != nil {
		return wire.Identity{}, done.Err
	}
	return done.Owner, nil
}
