// Package udftest is the conformance suite of udf.Kind: what every kind of function must do,
// written once and run for each. A kind that passes may be listed in core/kinds.go. The suite runs
// programs directly; it knows no worker and no kind.
package udftest

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// Function is one of the functions that a kind is tried with.
type Function string

// The functions, and what they do.
const (
	// Echo gives its arguments as its part: bytes for bytes, a batch for a batch.
	Echo Function = "echo"
	// Sum sums the int64 column "value". Its result, after merge and finish where it has them, is
	// 8 bytes, little-endian, or a batch of one int64.
	Sum Function = "sum"
	// Fail fails with FailMessage and FailDetail where its arguments are the bytes "fail", and
	// gives the bytes "fine" otherwise.
	Fail Function = "fail"
	// Panic panics, throws or raises PanicMessage where its arguments are the bytes "panic", and
	// gives the bytes "fine" otherwise.
	Panic Function = "panic"
	// Spawn spawns SpawnUDF on every child, once, with its own arguments, and gives no part.
	Spawn Function = "spawn"
	// Effects sets the value to one int64 column "value" of 1, 2, 3; adds a child MadeName with that
	// value, too, and one without name and value; links, then unlinks the vertex's first child;
	// removes the vertex; and gives no part.
	Effects Function = "effects"
	// Big gives BigBytes bytes, byte i being i % 251.
	Big Function = "big"
	// Rubbish gives a part that is no valid batch; that makes it fail.
	Rubbish Function = "rubbish"
	// Wait waits until it is cancelled and then fails with status.Cancelled or gives any part.
	Wait Function = "wait"
)

// What the functions say.
const (
	FailMessage  = "no luck"
	FailDetail   = "it happened in line 7"
	PanicMessage = "boom"
	SpawnUDF     = "another"
	MadeName     = "made"
	BigBytes     = 3 << 20
)

// patience is how long the suite waits for what must happen; it is far beyond what that takes.
const patience = 30 * time.Second

// Suite is one kind and how it expresses the functions.
type Suite struct {
	Kind udf.Kind
	// Define gives the definition of a function. It may register clean-ups with t.
	Define func(t *testing.T, f Function) udf.Definition
	// Arguments gives what Sum must be called with; nil: no arguments.
	Arguments func(t *testing.T) udf.Value
	// Without says of the functions that the kind cannot express why not.
	Without map[Function]string

	arguments udf.Value // of Sum
}

var checks = []struct {
	function Function
	name     string
	run      func(t *testing.T, s *Suite)
}{
	{Echo, "echo", checkEcho},
	{Echo, "echo of batches", checkEchoBatch},
	{Echo, "concurrent echo", checkConcurrent},
	{Sum, "sum", checkSum},
	{Sum, "sum in any grouping", checkGrouping},
	{Sum, "concurrent sum", checkConcurrentSum},
	{Fail, "fail", checkFail},
	{Panic, "panic", checkPanic},
	{Spawn, "spawn", checkSpawn},
	{Effects, "effects", checkEffects},
	{Big, "big", checkBig},
	{Rubbish, "rubbish", checkRubbish},
	{Wait, "wait", checkWait},
}

// Run tries a kind with every function that it can express.
func Run(t *testing.T, s Suite) {
	for f, reason := range s.Without {
		require.NotEmpty(t, reason, "say why the kind is without %q", f)
		require.True(t, slices.Contains(functions(), f), "there is no function %q", f)
	}
	if s.Arguments != nil {
		s.arguments = s.Arguments(t)
	}
	t.Run("definition", func(t *testing.T) { checkDefinition(t, &s) })
	for _, check := range checks {
		if reason, without := s.Without[check.function]; without {
			t.Logf("without %s: %s", check.name, reason)
			continue
		}
		t.Run(check.name, func(t *testing.T) {
			before := live()
			check.run(t, &s)
			require.Equal(t, before, live(), "batches or their memory were leaked or freed twice")
		})
	}
}

func functions() []Function {
	var all []Function
	for _, check := range checks {
		all = append(all, check.function)
	}
	return all
}

// live counts what exists of batches and their memory.
func live() [2]int {
	batches, _, bodies := cdata.Live()
	return [2]int{batches, bodies}
}

// run loads a function, passes its program to f, and closes it.
func (s *Suite) run(t *testing.T, function Function, f func(p udf.Program)) {
	def := s.Define(t, function)
	require.Equal(t, s.Kind.ID(), def.Kind)
	p, err := s.Kind.Load(&def)
	require.NoError(t, err)
	defer p.Close()
	f(p)
}

// bench is a wave with what its inputs need.
type bench struct {
	udf.Wave
	scratch   udf.Scratch
	cancelled *atomic.Uint32
	block     []byte
	nextID    byte
}

// newBench makes a wave of n inputs without vertex values and arguments.
func newBench(n int) *bench {
	b := &bench{block: arena.Alloc(arena.Align)}
	clear(b.block)
	b.cancelled = (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(b.block)))
	b.Inputs, b.Outputs = make([]udf.Input, n), make([]udf.Output, n)
	b.Scratch = &b.scratch
	for i := range b.Inputs {
		b.Inputs[i].State = &udf.State{Vertex: vertex.ID{15: byte(i)}}
		b.Inputs[i].Terms = &udf.Terms{Cancelled: b.cancelled}
		b.Outputs[i].NewID = func() vertex.ID { b.nextID++; return vertex.ID{0: 1, 15: b.nextID} }
	}
	return b
}

// free releases what the outputs still own.
func (b *bench) free() {
	b.clear()
	b.scratch.Close()
	arena.Free(b.block)
}

func (b *bench) clear() {
	for i := range b.Outputs {
		b.Outputs[i].Clear()
	}
	b.scratch.Reset()
}

// fold merges parts, where there are several and the program has a merge, and finishes.
func fold(
	t require.TestingT, p udf.Program, arguments udf.Value, parts []udf.Value,
) (*udf.Output, error) {
	out := &udf.Output{}
	var scratch udf.Scratch
	defer scratch.Close()
	in := udf.MergeInput{Parts: parts, Arguments: arguments, Scratch: &scratch}
	if len(parts) > 1 {
		p.Merge(&in, out)
		if out.Failure != nil {
			return out, out.Failure
		}
		require.True(t, out.HasPart, "merge gave no part")
	} else {
		keep(out, parts[0])
	}
	if !p.HasFinish() {
		return out, nil
	}
	last := &udf.Output{}
	scratch.Reset()
	in.Parts = []udf.Value{out.Part}
	p.Finish(&in, last)
	out.Clear()
	if last.Failure != nil {
		return last, last.Failure
	}
	require.True(t, last.HasPart, "finish gave no result")
	return last, nil
}

// keep makes an output that owns a copy of a part.
func keep(out *udf.Output, part udf.Value) {
	if part.Batch != nil {
		out.Batch(part.Batch.Retain())
	} else {
		out.Bytes(part.Bytes)
	}
}

func checkDefinition(t *testing.T, s *Suite) {
	def := udf.Definition{Kind: s.Kind.ID(), Name: "a function that is not defined"}
	_, err := s.Kind.Load(&def)
	code := status.Of(err)
	require.Contains(t, []status.Code{status.InvalidArgument, status.NotFound}, code,
		"a definition without a function must be refused: %v", err)
	require.ErrorContains(t, err, def.Name, "the message must name the function")
}
