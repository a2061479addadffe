package core

import (
	"sync"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/internal/lane"
	"dcf/core/status"
	"dcf/udf"
	"dcf/wire"
)

// branch is a part of a task's tree that another worker of this host grows, asked over a lane.
type branch struct {
	caller *lane.Caller
	at     int
	item   exec.Item
}

// maxBranches is how many calculates that a task has to do elsewhere go over lanes, a call each. More are better
// off in one frame.
const maxBranches = 4

var branches = sync.Pool{New: func() any { return new(branch) }}

// branch asks an owner for an item over a lane, or gives nil where that is no way for it.
func (w *Worker) branch(t *exec.Task, it *exec.Item, owner wire.Identity) *branch {
	fn, arguments := it.Function, t.Arguments
	if it.Own {
		arguments = it.Value
	}
	if !t.ReadOnly || fn == nil || fn != t.Called || it.Framed || it.Once || t.Budget <= maxTreeSpawns ||
		fn.Ordered() || !fits(fn, &arguments) {
		return nil
	}
	caller, left := w.peer(owner).Lanes(), clock.Until(t.Deadline)
	if caller == nil || left <= 0 {
		return nil
	}
	at, ok := caller.Take()
	if !ok {
		return nil
	}
	t.Budget -= maxTreeSpawns
	caller.Ask(at, &lane.Request{Vertex: it.Target, Birth: it.Birth, Function: fn.Hash, Budget: int64(left),
		Arguments: arguments.Bytes})
	b := branches.Get().(*branch)
	b.caller, b.at, b.item = caller, at, *it
	return b
}

// Wait waits for the answer. Where it is that a lane is no way for it the item goes in a frame.
func (b *branch) Wait(t *exec.Task) (a exec.Answer) {
	caller, at := b.caller, b.at
	held, err := true, error(nil)
	if !caller.Poll(at) {
		wait := laneWait{caller, at, b.item.Function.Name, t.Cancelled()}
		held, err = wait.sleep(t.Deadline, false)
	}
	a.SpawnsLeft = maxTreeSpawns
	if err == nil && !(held && caller.Answered(at)) {
		a.Items = b.again()
	} else if err == nil {
		a.Moved = caller.Exchanged(at)
		err = b.take(t, &a)
	}
	if err != nil {
		a.Err = status.From(err)
	}
	if held {
		caller.Leave(at)
	}
	b.release()
	return a
}

// take reads the answer, which is here.
func (b *branch) take(t *exec.Task, a *exec.Answer) error {
	reply, err := b.caller.Reply(b.at)
	switch {
	case err != nil:
		return err
	case reply.Failure != nil:
		reply.Failure.Vertex = b.item.Target
		return reply.Failure
	case !reply.Ran:
		if reply.Never {
			b.item.Function.Large.Store(true)
		}
		a.Items = b.again()
		return nil
	}
	runs := uint64(max(reply.Runs, 1))
	t.AddRuns(exec.Runs{Node: b.caller.Node(), Runs: runs})
	a.SpawnsLeft -= min(runs-1, maxTreeSpawns)
	a.Version, a.How = reply.Version, uint16(SharedMem)
	if reply.HasPart {
		t.AddPart(nil, udf.Value{Bytes: reply.Part})
	}
	return nil
}

// again gives the item back, for a frame.
func (b *branch) again() []exec.Item {
	item := b.item
	b.item = exec.Item{}
	item.Prefix, item.Framed = item.Indexes(), true
	return []exec.Item{item}
}

func (b *branch) release() {
	b.item.Release()
	*b = branch{}
	branches.Put(b)
}

// Ready says whether the answer is here.
func (b *branch) Ready() bool { return b.caller.Answered(b.at) || b.caller.Ended() }

// Poll waits for it for a while.
func (b *branch) Poll(time.Duration) { b.caller.Poll(b.at) }

// Flush has nothing to do: it left at once.
func (b *branch) Flush() {}

// Drop gives the lane up: it is free again when the answer has come.
func (b *branch) Drop() {
	b.caller.Leave(b.at)
	b.release()
}
