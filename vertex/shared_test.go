package vertex

import (
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"dcf/vertex/arena"
)

func TestSharedTwins(t *testing.T) {
	rng := newRand(t)
	require.NoError(t, arena.Share(arena.Options{}))
	small := Int64Batch("n", 1, 2)
	same := small.Shared()
	require.Same(t, small, same, "what is small travels as it is")
	same.Release()
	small.Release()

	there := Int64Batch("n", make([]int64, 10_000)...)
	same = there.Shared()
	require.Same(t, there, same, "it is there already")
	same.Release()
	there.Release()

	// Memory of Go's heap stands for what was taken over from elsewhere.
	values := make([]int64, 100_000)
	for i := range values {
		values[i] = rng.Int64()
	}
	used, _ := arena.Usage()
	b := borrowed(t, values)
	other, _ := arena.Usage()
	twins := make([]*Batch, 8)
	var all sync.WaitGroup
	for i := range twins {
		all.Go(func() { twins[i] = b.Shared() })
	}
	all.Wait()
	for _, twin := range twins {
		require.Same(t, twins[0], twin, "it is made once")
		require.NotSame(t, b, twin)
	}
	now, _ := arena.Usage()
	require.Equal(t, 800_000, now-other)
	require.Equal(t, values, twins[0].Int64(0))
	require.Same(t, b.Schema(), twins[0].Schema())
	require.True(t, twins[0].shared())
	require.EqualValues(t, 800_000, b.Bytes())
	for _, twin := range twins[1:] {
		twin.Release()
	}
	b.Release()
	require.Equal(t, values, twins[0].Int64(0), "it outlives what it was made of")
	twins[0].Release()
	now, _ = arena.Usage()
	require.Equal(t, used, now)
}

// borrowed gives a batch whose memory is not the arena's.
func borrowed(t testing.TB, values []int64) *Batch {
	s := Int64Batch("n", 1)
	defer s.Release()
	d := newDraft(s.Schema(), 0, "")
	defer d.free()
	n := int64(len(values))
	d.add(d.set(0, n, 0, 0), buffer{})
	column := d.set(1, n, 0, 0)
	d.add(column, buffer{})
	d.add(column, buffer{unsafe.Pointer(unsafe.SliceData(values)), 8 * n})
	b, err := d.batch(owners{})
	require.NoError(t, err)
	return b
}
