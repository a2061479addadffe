// Package exec runs calculate and merge where the data is: waves of calculates on the vertices of a
// store, their spawns and effects, and the fold of their parts. It does what others decided: where a
// target that is not here runs is the business of its Network.
package exec

import (
	"slices"
	"sync/atomic"

	"dcf/udf"
	"dcf/vertex"
)

// Hash is the identity of a function: its name, version or process, kind, flags and auxiliary data.
type Hash [16]byte

// Function is a registered function, ready to run.
type Function struct {
	Program   udf.Program
	Name      string
	Hash      Hash
	Flags     udf.Flags
	Shared    bool // other workers may have it: builtin, or registered with a version
	Builtin   bool
	Merging   bool // Program.HasMerge, Program.HasFinish
	Finishing bool
	Auxiliary []byte // outside the Go heap
	// Cost is a moving average of what one calculate takes, in nanoseconds; 0: not known.
	cost atomic.Int64
	gone atomic.Bool
	// Large says that calls of it were found to take more than a lane carries.
	Large atomic.Bool
	// special says that a call of it takes more than a calculate: see Plain.
	special atomic.Bool
}

// Plain says that a call of the function on one vertex is one calculate and nothing else: it neither
// updates nor has a finish, and was not dropped.
func (f *Function) Plain() bool { return !f.special.Load() }

// Settle is called once, when the function's fields are set.
func (f *Function) Settle() { f.special.Store(f.Flags&udf.Updates != 0 || f.Finishing) }

// Merges says that parts are folded by a merge, Ordered that their order matters.
func (f *Function) Merges() bool  { return f != nil && f.Merging }
func (f *Function) Ordered() bool { return !f.Merges() || f.Flags&udf.Commutative == 0 }

// Cost gives the measured nanoseconds of one calculate, 0 while unknown.
func (f *Function) Cost() int64 { return f.cost.Load() }

// Measured adds one measurement: that so many calculates took so long together.
func (f *Function) Measured(calculates int, ns int64) {
	each := max(ns/int64(max(calculates, 1)), 1)
	if old := f.cost.Load(); old != 0 {
		each = old + (each-old)/costWeight
	}
	f.cost.Store(max(each, 1))
}

// costWeight is the share that one measurement has in the moving average, inverted.
const costWeight = 8

// Gone says that the function was dropped: nothing new may run it. Drop says so.
func (f *Function) Gone() bool { return f.gone.Load() }

// Drop makes the function gone.
func (f *Function) Drop() {
	f.special.Store(true)
	f.gone.Store(true)
}

// Item is one calculate that is to be done.
type Item struct {
	Function *Function // nil: this worker does not have it
	Name     string    // of the function, where Function is nil
	Hash     Hash
	Target   vertex.ID
	Birth    uint64    // which vertex of that id is meant; 0: whichever there is
	Own      bool      // Arguments are the item's own, not those of the call
	Value    udf.Value // the arguments where Own; owned by the item
	Once     bool
	Framed   bool     // a lane was no way for it: it goes in a frame
	Up       *Path    // what it hangs below; nil: it is a target of the call or of a frame
	Index    uint32   // among its siblings
	Prefix   []uint32 // where it came in a frame: its whole path, borrowed from there
	Brought  *Brought // the target's data, fetched from its owner; nil: it is looked up here
}

// Brought is a vertex that lies elsewhere, fetched to run a function here.
type Brought struct {
	udf.State // it owns the batch
	Group     bool
}

// Release frees what the item owns.
func (it *Item) Release() {
	if it.Value.Batch != nil {
		it.Value.Batch.Release()
		it.Value.Batch = nil
	}
	if it.Brought != nil && it.Brought.Batch != nil {
		it.Brought.Batch.Release()
		it.Brought.Batch = nil
	}
}

// Path is a place in the tree of spawns that has something below it: an index among the siblings,
// below a parent. Without a parent it is a target of the call, or of the frame that brought it here
// with the prefix.
type Path struct {
	parent *Path
	prefix []uint32
	index  uint32
	depth  uint32 // its length
}

// path gives the item's place, for what hangs below it.
func (it *Item) path() *Path {
	if it.Prefix != nil {
		return &Path{prefix: it.Prefix, depth: uint32(len(it.Prefix))}
	}
	p := &Path{parent: it.Up, index: it.Index, depth: 1}
	if it.Up != nil {
		p.depth = it.Up.depth + 1
	}
	return p
}

// Indexes writes the item's place out.
func (it *Item) Indexes() []uint32 {
	if it.Prefix != nil {
		return it.Prefix
	}
	return it.AppendIndexes(nil)
}

// AppendIndexes appends the item's place.
func (it *Item) AppendIndexes(to []uint32) []uint32 {
	if it.Prefix != nil {
		return append(to, it.Prefix...)
	}
	if it.Up == nil {
		return append(to, it.Index)
	}
	to = slices.Grow(to, int(it.Up.depth)+1)
	start := len(to)
	to = to[:start+int(it.Up.depth)+1]
	out := to[start:]
	at := len(out) - 1
	out[at] = it.Index
	p := it.Up
	for ; p.parent != nil; p = p.parent {
		at--
		out[at] = p.index
	}
	if p.prefix != nil {
		copy(out, p.prefix)
	} else {
		out[0] = p.index
	}
	return to
}
