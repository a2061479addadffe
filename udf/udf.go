// Package udf is the contract between functions and what runs them: what a user-defined function
// is (Definition), what it is given (Input, MergeInput), what it may answer (Output), and how a
// kind of function is executed (Kind, Program). It runs nothing itself.
package udf

import (
	"sync/atomic"

	"dcf/vertex"
	"dcf/vertex/cdata"
)

// Flags declare what a function does. Their numbers are part of the C interface.
type Flags uint32

// The flags.
const (
	Updates      Flags = 1 // may have effects: calls on one vertex run one after another
	Commutative  Flags = 2 // parts may be folded in any order
	Short        Flags = 4 // never blocks, runs some microseconds at most
	CallerThread Flags = 8 // runs only on the thread that called
)

// KindID names a kind of function. The numbers are part of the C interface and the wire format.
type KindID uint32

// The kinds.
const (
	KindNative  KindID = 0 // callbacks of this process behind C function pointers
	KindBuiltin KindID = 4 // known to every node by name
	KindGo      KindID = 5 // Go functions of this process
)

// Definition is a function as its user registers it. The slices are copied at registration.
type Definition struct {
	Kind      KindID
	Flags     Flags
	Name      string
	Version   string // equal name and version promise equal functions; empty: private to the process
	Auxiliary []byte // part of the function's identity; every callback sees it
	Code      any    // what the kind needs: Func for KindGo, native.Callbacks for KindNative
}

// Kind turns definitions into programs. There is one Kind for each KindID in core/kinds.go, and
// each passes udftest.Run.
type Kind interface {
	// ID gives the kind's number.
	ID() KindID
	// Load checks the definition and makes the program that runs it.
	Load(def *Definition) (Program, error)
}

// Program runs one function. Its methods may be called from any number of threads at once, always
// with a Wave or Fold that nobody else uses. They do not panic: a failure of the user's code is
// recorded in its Output.
type Program interface {
	// Calculate runs calculate on every input and writes the output of the same index.
	Calculate(wave *Wave)
	// HasMerge and HasFinish say which of the optional functions there are.
	HasMerge() bool
	HasFinish() bool
	// Merge folds in.Parts, of which there are at least two, into out.
	Merge(in *MergeInput, out *Output)
	// Finish makes the result of the only part.
	Finish(in *MergeInput, out *Output)
	// Close frees what the program holds. It is called once, after the last callback returned.
	Close()
}

// Value is bytes or a record batch; the zero Value is no bytes. A Value does not own its batch
// unless the place that holds it says so.
type Value struct {
	Bytes []byte
	Batch *vertex.Batch // nil: the value is Bytes
	// OffHeap says that Bytes do not lie in the Go heap, so that C may be given their address.
	OffHeap bool
}

// Size gives the bytes that the value occupies.
func (v Value) Size() int64 {
	if v.Batch != nil {
		return v.Batch.Bytes()
	}
	return int64(len(v.Bytes))
}

// Input is what one calculate is given. All of it is borrowed and valid until Calculate returns.
// What is the same for many calculates lies elsewhere, so that an input is made by a few stores.
type Input struct {
	*State
	*Terms
	Arguments Value
}

// State is one version of a vertex. It does not change, but for what it points to.
type State struct {
	Vertex   vertex.ID
	Version  uint64
	Batch    *vertex.Batch // nil: the vertex has no value
	Children []vertex.ID
	// Views caches what languages make of this version; nil: do not cache.
	Views  *cdata.Views
	Edges  *atomic.Pointer[cdata.IDList] // the index of parents; nil: not known here
	Remote bool                          // the data was fetched for this call
}

// Parents gives the vertex's parents as an index has them that may lag.
func (s *State) Parents() []vertex.ID {
	if s.Edges == nil {
		return nil
	}
	return vertex.IDsOf(s.Edges.Load())
}

// Terms are what calculates of one function are given, whatever their vertices and arguments.
type Terms struct {
	Auxiliary []byte
	Deadline  int64          // CLOCK_MONOTONIC nanoseconds; 0: none
	Cancelled *atomic.Uint32 // turns non-zero: stop soon; never nil, outside the Go heap
}

// MergeInput is what merge and finish are given, borrowed for the call.
type MergeInput struct {
	Parts     []Value // at least one; for finish exactly one
	Arguments Value   // of the call
	Auxiliary []byte
	Scratch   *Scratch
}

// Wave is a batch of calculates of one program.
type Wave struct {
	Inputs  []Input
	Outputs []Output // as many as Inputs, each cleared
	Scratch *Scratch
}

// Spawn asks for a function to run on another vertex, as part of the same call.
type Spawn struct {
	Target    vertex.ID
	UDF       string // empty: the running one
	Arguments Value  // owned by the Spawn
	Once      bool   // run once per call for equal function, target and arguments
}

// EffectKind says what an Effect does.
type EffectKind uint8

// The effects. All concern the vertex that the calculate ran on.
const (
	EffectSetValue EffectKind = 1 // Value, or none where it is nil
	EffectAddChild EffectKind = 2 // makes vertex ID, named Name where that is not empty, and links it
	EffectLink     EffectKind = 3 // appends ID to the children
	EffectUnlink   EffectKind = 4 // removes ID from the children
	EffectRemove   EffectKind = 5 // drops the vertex
)

// Effect is one change to the running vertex. It owns its Value.
type Effect struct {
	Kind  EffectKind
	ID    vertex.ID
	Name  string
	Value *vertex.Batch
}
