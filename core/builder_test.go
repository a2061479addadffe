package core

import (
	"sync"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// numberSchema has a column x of float64 and a text t.
func numberSchema(t testing.TB) *vertex.Schema {
	s, err := vertex.SchemaOf(arrow.NewSchema([]arrow.Field{
		{Name: "x", Type: arrow.PrimitiveTypes.Float64}, {Name: "t", Type: arrow.BinaryTypes.String}}, nil))
	require.NoError(t, err)
	return s
}

// floats gives the values of a column of float64.
func floats(t testing.TB, b *Builder, column int) []float64 {
	c, err := b.Column(column, 0)
	require.NoError(t, err)
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(c.Values))), c.Length)
}

// built makes a builder whose x is 0, 1, 2, ... and whose texts are empty.
func built(t testing.TB, w *Worker, rows int64) *Builder {
	b, err := w.Build(numberSchema(t), rows)
	require.NoError(t, err)
	t.Cleanup(b.Abort)
	for i, x := 0, floats(t, b, 0); i < len(x); i++ {
		x[i] = float64(i)
	}
	return b
}

func TestBuildAndCommit(t *testing.T) {
	w := open(t, Options{})
	b := built(t, w, 100)
	require.EqualValues(t, 1, stat(w, "builders"))
	require.EqualValues(t, 800+404, stat(w, "builders.bytes"))
	require.EqualValues(t, 800+404, stat(w, "vertices.bytes"), "the limit counts it")
	first := &floats(t, b, 0)[0]
	v, value, err := b.Commit(PutOptions{Name: "built"})
	require.NoError(t, err)
	value.Release()
	require.Zero(t, stat(w, "builders"))
	require.Zero(t, stat(w, "builders.bytes"))
	require.EqualValues(t, 800+2*404, stat(w, "vertices.bytes"), "offsets are there twice")

	got, _, err := v.Export(0)
	require.NoError(t, err)
	require.Same(t, first, &got.Float64(0)[0], "nothing is copied")
	require.Equal(t, 99.0, got.Float64(0)[99])
	got.Release()
	_, err = b.Column(0, 0)
	require.Equal(t, status.BadHandle, status.Of(err))
	_, _, err = b.Commit(PutOptions{})
	require.Equal(t, status.BadHandle, status.Of(err))
	b.Abort()
	require.NoError(t, v.Drop())
	v.Release()
	w.Reclaim()
	require.Zero(t, stat(w, "vertices.bytes"))
}

// A commit that fails leaves the builder as it was, and its memory counted.
func TestCommitsThatFail(t *testing.T) {
	w := open(t, Options{})
	put(t, w, "taken", 1)
	before := stat(w, "vertices.bytes")
	b := built(t, w, 10)
	during := stat(w, "vertices.bytes")
	text, err := b.Column(1, 8)
	require.NoError(t, err)
	offsets := unsafe.Slice((*int32)(unsafe.Pointer(&text.Offsets[0])), 11)
	offsets[4] = 9
	_, _, err = b.Commit(PutOptions{Name: "taken"})
	require.Equal(t, status.InvalidArgument, status.Of(err))
	require.ErrorContains(t, err, `column "t"`)
	offsets[4] = 0
	_, _, err = b.Commit(PutOptions{Name: "taken"})
	require.Equal(t, status.AlreadyExists, status.Of(err))
	_, _, err = b.Commit(PutOptions{Name: "x", Node: 77})
	require.Error(t, err)
	_, _, err = b.Commit(PutOptions{Name: "x", ShardBy: "missing"})
	require.Error(t, err)
	require.Equal(t, during+8, stat(w, "vertices.bytes"))

	v, value, err := b.Commit(PutOptions{Name: "taken", Replace: true})
	require.NoError(t, err)
	require.EqualValues(t, 10, value.Rows())
	value.Release()
	v.Release()
	b = built(t, w, 10)
	b.Abort()
	b.Abort()
	w.Reclaim()
	require.EqualValues(t, before-8+80+8+2*44, stat(w, "vertices.bytes"))
}

func TestBuiltShards(t *testing.T) {
	workers := members(t, 2, "inproc", common)
	b := built(t, workers[0], 10)
	v, value, err := b.Commit(PutOptions{Name: "shards", ShardCount: 4})
	require.NoError(t, err)
	value.Release()
	defer v.Release()
	info, err := v.Info()
	require.NoError(t, err)
	require.Equal(t, 4, info.Children)

	b = built(t, workers[0], 10)
	there, value, err := b.Commit(PutOptions{Name: "there", Node: workers[1].NodeID()})
	require.NoError(t, err)
	defer there.Release()
	b.Abort()
	require.Equal(t, 9.0, value.Float64(0)[9], "the value outlives builder and worker")
	value.Release()
	info, err = there.Info()
	require.NoError(t, err)
	require.EqualValues(t, 10, info.Rows)
	require.Equal(t, workers[1].NodeID(), info.Owner)
}

func TestBuildersHaveLimits(t *testing.T) {
	w := open(t, Options{MemoryLimit: 1 << 20})
	_, err := w.Build(numberSchema(t), 1<<20)
	require.Equal(t, status.Exhausted, status.Of(err))
	require.ErrorContains(t, err, "memory limit")
	big := built(t, w, 1<<15) // more than half of the limit without its offsets' copy
	_, err = big.Column(1, 1<<20)
	require.Equal(t, status.Exhausted, status.Of(err))
	v, value, err := big.Commit(PutOptions{})
	require.NoError(t, err, "it is not counted twice")
	value.Release()
	require.NoError(t, v.Drop())
	v.Release()
	w.Reclaim()

	var all []*Builder
	for range MaxBuilders {
		b, err := w.Build(numberSchema(t), 0)
		require.NoError(t, err)
		all = append(all, b)
	}
	_, err = w.Build(numberSchema(t), 0)
	require.ErrorContains(t, err, "MaxBuilders")
	for _, b := range all {
		b.Abort()
	}
	require.Zero(t, stat(w, "builders"))
	require.Zero(t, stat(w, "vertices.bytes"))
}

// A builder keeps its memory when its worker closes under whoever fills it in.
func TestABuilderOfAClosedWorker(t *testing.T) {
	used, _ := arena.Usage()
	w, err := Open(Options{})
	require.NoError(t, err)
	b := built(t, w, 10)
	x := floats(t, b, 0)
	require.NoError(t, w.Close(patience))
	x[3] = 7
	_, err = b.Column(0, 0)
	require.Equal(t, status.BadHandle, status.Of(err))
	_, _, err = b.Commit(PutOptions{})
	require.Equal(t, status.BadHandle, status.Of(err))
	_, err = w.Build(numberSchema(t), 1)
	require.Equal(t, status.BadHandle, status.Of(err))
	b.Abort()
	after, _ := arena.Usage()
	require.LessOrEqual(t, after, used)
}

// Goroutines commit and abort one builder at once: one of them ends it.
func TestOneEndOfABuilder(t *testing.T) {
	w := open(t, Options{})
	for range 200 {
		b := built(t, w, 4)
		var threads sync.WaitGroup
		committed := make(chan *Vertex, 4)
		for i := range 4 {
			threads.Go(func() {
				if i == 3 {
					b.Abort()
					return
				}
				v, value, err := b.Commit(PutOptions{})
				if err == nil {
					value.Release()
					committed <- v
					return
				}
				if code := status.Of(err); code != status.BadHandle && code != status.Aborted {
					t.Errorf("%v", err)
				}
			})
		}
		threads.Wait()
		close(committed)
		require.LessOrEqual(t, len(committed), 1)
		for v := range committed {
			require.NoError(t, v.Drop())
			v.Release()
		}
	}
	w.Reclaim()
	require.Zero(t, stat(w, "builders"))
	require.Zero(t, stat(w, "builders.bytes"))
	require.Zero(t, stat(w, "vertices.bytes"))
}
