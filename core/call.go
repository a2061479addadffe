package core

import (
	"sync/atomic"
	"time"

	"dcf/core/internal/exec"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// CallFlags choose where a call runs and what is measured.
type CallFlags uint32

// The flags of a call.
const (
	AtOwner CallFlags = 1 // never move the data
	Here    CallFlags = 2 // bring the data to this worker
	Timed   CallFlags = 4 // read the clock for this call
)

// Effects say what a call that ended did to vertices.
type Effects uint16

// The effects of a call.
const (
	EffectsNone     Effects = 0
	EffectsComplete Effects = 1
	EffectsUnknown  Effects = 2 // the answer was lost: call again with the same ticket, or read
)

// Call is one call, in the caller's memory, reused as one likes. From Submit until it comes back
// from Poll it belongs to the worker.
type Call struct {
	UDF             *UDF
	Flags           CallFlags
	Targets         []*Vertex
	TargetIDs       []vertex.ID   // used where Targets is empty
	TargetArguments []udf.Value   // one a target, or nil
	Arguments       udf.Value     // borrowed for the call
	Buffer          []byte        // a small result goes here, and nothing is allocated
	Timeout         time.Duration // 0: the worker's default; negative: do not wait
	Ticket          uint64        // 0: a new call; see Effects
	Tag             any           // the caller's, untouched

	// Results. They are valid until the call is run again or cleared.
	Err          *status.Error
	Result       udf.Value   // owned by the call; Bytes lie in Buffer where they fit
	ResultSize   int         // of a result in bytes
	Parts        []udf.Value // no merge: the parts in order, owned by the call
	Effects      Effects
	Version      uint64 // single target: the version that was read or made
	ServedBy     uint64 // the node that folded it
	ServedHow    ServedHow
	ServedFor    time.Duration // with Timed
	BytesMoved   uint64        // over shared memory or the network, both ways
	BytesFetched uint64        // of those, vertex data brought to the function
	Ran          []NodeRuns    // how many calculates ran on which node

	cancel *atomic.Uint32 // turns non-zero: end early; nil: nobody can ask for that
	later  bool           // it did not run at once
	small  bool           // it went over a lane
	framed bool           // a lane was no way for it: the next run goes as a frame
	rare   bool           // results are set beyond what every call that runs at once writes
	task   *exec.Task     // while it runs
}

// NodeRuns counts the calculates of a call that ran on one node.
type NodeRuns struct {
	Node uint64
	Runs uint64
}

// ServedHow says how far a call went.
type ServedHow uint32

// The distances.
const (
	InProcess ServedHow = 0
	SharedMem ServedHow = 1
	Network   ServedHow = 2
)

// Clear frees what a finished call holds and gives up its ticket.
func (c *Call) Clear() {
	c.rare = true
	c.clearResults()
	if c.Ticket != 0 && c.UDF != nil {
		c.UDF.worker.giveUp(c.Ticket)
	}
	c.Ticket = 0
}

// clearResults makes the call ready to be run. What every call that runs at once writes it leaves to
// that, so a small call costs few stores.
func (c *Call) clearResults() {
	if c.rare {
		c.clearRare()
	}
	c.later = false
}

func (c *Call) clearRare() {
	c.freeResults()
	c.Err, c.Result, c.ResultSize, c.Effects = nil, udf.Value{}, 0, EffectsNone
	c.Version, c.ServedBy, c.ServedHow, c.ServedFor = 0, 0, InProcess, 0
	c.BytesMoved, c.BytesFetched, c.Ran, c.small = 0, 0, c.Ran[:0], false
	c.rare = false
}

func (c *Call) freeResults() {
	freeValue(&c.Result)
	for i := range c.Parts {
		freeValue(&c.Parts[i])
	}
	c.Parts = nil
}

// freeValue frees a value that a call owns: a batch, or bytes that did not fit in its buffer.
func freeValue(v *udf.Value) {
	if v.Batch != nil {
		v.Batch.Release()
	} else if v.OffHeap {
		arena.Free(v.Bytes)
	}
	*v = udf.Value{}
}

// setResult makes a value the call's result: a batch moves, bytes are copied, to the caller's
// buffer where they fit.
func (c *Call) setResult(value *udf.Value) {
	if value.Batch != nil {
		c.Result, *value, c.rare = *value, udf.Value{}, true
		return
	}
	if len(value.Bytes) <= len(c.Buffer) {
		c.giveBytes(value.Bytes)
		return
	}
	c.Result, c.ResultSize, c.rare = keepBytes(value.Bytes), len(value.Bytes), true
}

// giveBytes makes bytes the result that fit in the caller's buffer.
func (c *Call) giveBytes(bytes []byte) {
	n := len(bytes)
	if n == 8 { // a number, mostly: copied without a call
		*(*[8]byte)(c.Buffer) = [8]byte(bytes)
	} else {
		copy(c.Buffer, bytes)
	}
	c.Result.Bytes, c.ResultSize = c.Buffer[:n], n
}

// keepBytes copies bytes into memory of the call.
func keepBytes(bytes []byte) udf.Value {
	kept := arena.Alloc(len(bytes))
	arena.Copy(kept, bytes)
	return udf.Value{Bytes: kept, OffHeap: true}
}

// fail ends the call with an error.
func (c *Call) fail(err error) { c.Err, c.rare = status.From(err), true }
