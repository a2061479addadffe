package udf_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/cdata"
)

func liveBatches() int {
	batches, _, _ := cdata.Live()
	return batches
}

// Whatever an output owns is released by Clear, and by what replaces it.
func TestClearReleases(t *testing.T) {
	before := liveBatches()
	out := udf.Output{NewID: func() vertex.ID { return vertex.ID{15: 1} }}
	for range 3 {
		out.Batch(vertex.Int64Batch("n", 1))
		out.Batch(vertex.Int64Batch("n", 2))
		require.Equal(t, before+1, liveBatches(), "the part that was replaced is still there")
		require.NoError(t, out.SetValue(vertex.Int64Batch("n", 3)))
		_, err := out.AddChild("", vertex.Int64Batch("n", 4))
		require.NoError(t, err)
		require.NoError(t, out.Spawn(udf.Spawn{Arguments: udf.Value{Batch: vertex.Int64Batch("n", 5)}}))
		out.Fail("first", "detail")
		out.Fail("second", "")
		require.Equal(t, before+4, liveBatches())
		require.Equal(t, "first", out.Failure.Message)

		out.Clear()
		require.Equal(t, before, liveBatches())
		require.False(t, out.HasPart)
		require.Empty(t, out.Spawns)
		require.Empty(t, out.Effects)
		require.Nil(t, out.Failure)
		require.Equal(t, udf.Value{}, out.Part)
	}
	out.Batch(vertex.Int64Batch("n", 1))
	out.Bytes([]byte("instead"))
	require.Equal(t, before, liveBatches())
	require.Equal(t, "instead", string(out.Part.Bytes))
}

// A runner takes a batch out by setting its place to nil.
func TestClearLeavesWhatWasTaken(t *testing.T) {
	before := liveBatches()
	var out udf.Output
	out.Batch(vertex.Int64Batch("n", 1, 2))
	taken := out.Part.Batch
	out.Part, out.HasPart = udf.Value{}, false
	require.NoError(t, out.SetValue(taken.Retain()))
	value := out.Effects[0].Value
	out.Effects[0].Value = nil
	out.Clear()
	require.Equal(t, []int64{1, 2}, taken.Int64(0))
	taken.Release()
	value.Release()
	require.Equal(t, before, liveBatches())
}

func TestOutputLimits(t *testing.T) {
	before := liveBatches()
	out := udf.Output{NewID: func() vertex.ID { return vertex.ID{15: 1} }}

	_, err := out.AddChild(strings.Repeat("x", vertex.MaxNameBytes), nil)
	require.NoError(t, err)
	_, err = out.AddChild(strings.Repeat("x", vertex.MaxNameBytes+1), vertex.Int64Batch("n", 1))
	require.ErrorIs(t, err, status.InvalidArgument)
	require.ErrorContains(t, err, "at most 255 bytes, this one has 256")
	require.Len(t, out.Effects, 1)

	for len(out.Effects) < udf.MaxEffectsPerCalculate {
		require.NoError(t, out.Link(vertex.ID{}))
	}
	err = out.SetValue(vertex.Int64Batch("n", 1))
	require.ErrorIs(t, err, status.Exhausted)
	require.ErrorContains(t, err, "MaxEffectsPerCalculate")
	require.ErrorIs(t, out.Remove(), status.Exhausted)
	require.Len(t, out.Effects, udf.MaxEffectsPerCalculate)

	for len(out.Spawns) < udf.MaxSpawnsPerCalculate {
		if err := out.Spawn(udf.Spawn{}); err != nil {
			require.NoError(t, err)
		}
	}
	err = out.Spawn(udf.Spawn{Arguments: udf.Value{Batch: vertex.Int64Batch("n", 1)}})
	require.ErrorIs(t, err, status.Exhausted)
	require.ErrorContains(t, err, "MaxSpawnsPerCalculate")
	require.Len(t, out.Spawns, udf.MaxSpawnsPerCalculate)
	require.Equal(t, before, liveBatches(), "what was refused was not released")
	out.Clear()
}

// What an output is given is copied: the giver may change it at once.
func TestOutputCopies(t *testing.T) {
	var out udf.Output
	part, arguments := []byte("part"), []byte("arguments")
	out.Bytes(part)
	require.NoError(t, out.Spawn(udf.Spawn{Arguments: udf.Value{Bytes: arguments}}))
	clear(part)
	clear(arguments)
	require.Equal(t, "part", string(out.Part.Bytes))
	require.Equal(t, "arguments", string(out.Spawns[0].Arguments.Bytes))

	copy(out.Reserve(3), "abc")
	require.Equal(t, "abc", string(out.Part.Bytes))
	require.Empty(t, out.Reserve(0))
	require.True(t, out.HasPart, "no bytes are a part, too")
}

// A named child has the id of its name; an unnamed one a new id.
func TestAddChildGivesID(t *testing.T) {
	out := udf.Output{NewID: func() vertex.ID { return vertex.ID{15: 9} }}
	id, err := out.AddChild("name", nil)
	require.NoError(t, err)
	require.Equal(t, vertex.NameID("name"), id)
	id, err = out.AddChild("", nil)
	require.NoError(t, err)
	require.Equal(t, vertex.ID{15: 9}, id)
	require.Equal(t, id, out.Effects[1].ID)
}

func TestBytesPartAllocatesNothing(t *testing.T) {
	var out udf.Output
	part := make([]byte, 64)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		out.Bytes(part)
		out.Clear()
	}))
	p, err := udf.GoKind{}.Load(&udf.Definition{Kind: udf.KindGo, Name: "echo",
		Code: udf.Func{Calculate: echo}})
	require.NoError(t, err)
	wave := udf.Wave{Inputs: make([]udf.Input, 4), Outputs: make([]udf.Output, 4)}
	for i := range wave.Inputs {
		wave.Inputs[i].Arguments.Bytes = part
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		p.Calculate(&wave)
		for i := range wave.Outputs {
			wave.Outputs[i].Clear()
		}
	}))
}

// A buffer that one big answer needed is not kept for ever.
func TestBigBufferIsDropped(t *testing.T) {
	var out udf.Output
	out.Reserve(udf.MaxKeptBufferBytes + 1)
	out.Clear()
	require.LessOrEqual(t, cap(out.Reserve(1)), udf.MaxKeptBufferBytes)
}

func TestScratch(t *testing.T) {
	var s udf.Scratch
	defer s.Close()
	require.NotNil(t, s.Alloc(0), "also before anything else")
	require.NotNil(t, s.Alloc(4<<10-64))
	require.NotNil(t, s.Alloc(0), "and where all is used")
	s.Reset()
	for range 2 {
		a, b := s.Alloc(10), s.Alloc(10)
		require.Equal(t, uintptr(64), uintptr(b)-uintptr(a), "aligned to 64 bytes, one after another")
		require.NotNil(t, s.Alloc(1<<20))
		require.Equal(t, uintptr(128), uintptr(s.Alloc(0))-uintptr(a), "a large one lies elsewhere")
		s.Reset()
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		s.Alloc(1000)
		s.Reset()
	}))
}
