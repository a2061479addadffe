package exec

import (
	"log/slog"
	"time"

	"dcf/core/internal/store"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// Engine runs calls against one store.
type Engine struct {
	Store   *store.Store
	Frames  Frames
	Network Network
	IDs     *vertex.Source
	Log     *slog.Logger // nil: what functions log is dropped
	once    onceSets
	applied applied
	idle    idleTasks
}

// NewEngine makes an engine over a store.
func NewEngine(s *store.Store, network Network, ids *vertex.Source, log *slog.Logger) *Engine {
	e := &Engine{Store: s, Network: network, IDs: ids, Log: log}
	e.Frames.engine = e
	return e
}

// Network is what a task needs of other workers.
type Network interface {
	// Function finds a function by name for a spawn; nil: this worker has none of that name.
	Function(name string) *Function
	// Away takes items whose targets are not in the store. For each it decides where it runs, and
	// starts what is needed: the answers are waited for later, and appended to pending. It takes
	// over the items. It may block: no pin is held. An error fails the call.
	Away(t *Task, items []Item, pending []Pending) ([]Pending, error)
	// Number gives the task's call a sequence, where it has none yet.
	Number(t *Task)
	// Claim makes a named vertex known in the cluster as owned here, before it exists.
	// Withdraw takes that back.
	Claim(t *Task, id vertex.ID, name string) error
	Withdraw(id vertex.ID)
	// Linked tells the owners of children that parent has them as children now, or no longer.
	Linked(parent vertex.ID, children []vertex.ID, present bool)
	// Dropped tells that a vertex of this worker is gone.
	Dropped(id vertex.ID)
}

// Pending is something under way elsewhere.
type Pending interface {
	// Wait gives the answer, and hands the parts and runs of other workers to the task. It blocks
	// until the task's deadline at most. It is called once.
	Wait(t *Task) Answer
	// Ready says whether Wait would give its answer without waiting for another worker.
	Ready() bool
	// Poll waits for the answer for a while, without taking it.
	Poll(d time.Duration)
	// Flush makes what was started leave at once.
	Flush()
	// Drop gives up interest: the answer is not waited for, and what is under way is cancelled.
	Drop()
}

// Answer is what came back from another worker, beside parts: how it went, or items that are to run
// here because their data was brought.
type Answer struct {
	Err        *status.Error
	Effects    Effects
	Items      []Item
	SpawnsLeft uint64
	How        uint16 // as core.ServedHow: how far away it ran
	Moved      uint64 // bytes over shared memory or the network, both ways
	Fetched    uint64 // of those, vertex data
	Version    uint64
}

// Part is what one calculate came to, or a fold of several.
type Part struct {
	Path  []uint32 // nil where the order does not matter
	Value udf.Value
}

// Runs counts the calculates that ran on one node.
type Runs struct{ Node, Runs uint64 }

// Effects say what a call did to vertices.
type Effects uint16

// The effects.
const (
	EffectsNone     Effects = 0
	EffectsComplete Effects = 1
	EffectsUnknown  Effects = 2
)

// Join gives the effects of two halves of one call.
func (e Effects) Join(other Effects) Effects { return max(e, other) }

// Close frees what the engine holds. Nothing may run.
func (e *Engine) Close() {
	e.Frames.Close()
	e.applied.close()
	e.idle.close()
}
