package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHandles(t *testing.T) {
	table := newTable[int](kindVertex, "vertex")
	one, two := 1, 2
	first, err := table.open(&one)
	require.NoError(t, err)
	require.NotZero(t, first)
	require.Same(t, &one, table.get(first))
	require.Nil(t, table.get(0))
	require.Nil(t, table.get(first+1), "a slot that was never used")
	require.Nil(t, table.get(first|1<<31), "a chunk that is not there")
	require.Nil(t, table.get(first^1<<60), "another kind")
	closed, err := table.close(first)
	require.NoError(t, err)
	require.Same(t, &one, closed)
	require.Nil(t, table.get(first))
	_, err = table.close(first)
	require.ErrorIs(t, err, status.BadHandle)
	second, err := table.open(&two)
	require.NoError(t, err)
	require.NotEqual(t, first, second, "the slot is used again under another handle")
	require.Equal(t, uint32(first), uint32(second))
	require.Nil(t, table.get(first))
	require.Same(t, &two, table.get(second))
	require.Equal(t, int64(1), table.live.Load())
}

func TestStaleHandlesSayWhatTheyAre(t *testing.T) {
	table := newTable[int](kindUDF, "UDF")
	for handle, message := range map[uint64]string{
		0:                     "the UDF handle is zero",
		kindVertex<<60 | 7:    "0x2000000000000007 is no handle of a UDF",
		kindUDF<<60 | 1<<32:   "the UDF handle 0x3000000100000000 was given back, or never opened",
		0xffff_ffff_ffff_ffff: "0xffffffffffffffff is no handle of a UDF",
	} {
		_, err := table.must(handle)
		require.ErrorIs(t, err, status.BadHandle)
		require.ErrorContains(t, err, message)
	}
}

// TestGenerationsEnd sees that a slot is retired rather than giving a handle a second time.
func TestGenerationsEnd(t *testing.T) {
	table := newTable[int](kindQueue, "queue")
	object := 1
	handle, err := table.open(&object)
	require.NoError(t, err)
	slot := table.slot(handle)
	slot.tag.Store(kindQueue<<kindShift | lastGeneration - 1)
	last := uint64(slot.tag.Load())<<32 | uint64(uint32(handle))
	_, err = table.close(last)
	require.NoError(t, err)
	next, err := table.open(&object)
	require.NoError(t, err)
	require.NotEqual(t, uint32(handle), uint32(next), "the slot is used up")
	require.Equal(t, uint64(kindQueue), next>>60)
}

// TestHandlesAreSafe opens, looks up and closes from many goroutines: a handle gives its own object
// or nothing.
func TestHandlesAreSafe(t *testing.T) {
	type object struct{ _ uint64 }
	table := newTable[object](kindVertex, "vertex")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wait sync.WaitGroup
	var stale sync.Map
	failures := make(chan string, 64)
	for worker := range uint64(8) {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(seed, worker))
			for i := range 3000 {
				o := &object{}
				handle, err := table.open(o)
				if err != nil || table.get(handle) != o {
					failures <- fmt.Sprintf("open %d: %v", i, err)
					return
				}
				stale.Store(random.IntN(100), handle)
				if old, ok := stale.Load(random.IntN(100)); ok {
					_ = table.get(old.(uint64))
				}
				if closed, err := table.close(handle); err != nil || closed != o || table.get(handle) != nil {
					failures <- fmt.Sprintf("close %d: %v", i, err)
					return
				}
			}
		})
	}
	wait.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	require.Zero(t, table.live.Load())
}

func TestLookupDoesNotAllocate(t *testing.T) {
	table := newTable[int](kindVertex, "vertex")
	object := 1
	handle, err := table.open(&object)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(1000, func() { _ = table.get(handle) }))
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		size int
		want string
	}{
		{"", 0, ""}, {"abc", 3, "abc"}, {"abc", 2, "ab"}, {"aé", 2, "a"}, {"aé", 3, "aé"},
		{"日本", 5, "日"}, {"日本", 2, ""},
	} {
		require.Equal(t, c.want, cut(c.text, c.size))
	}
}

// TestBug sees what is left of a worker whose call panicked.
func TestBug(t *testing.T) {
	w := &worker{}
	handle, err := workers.open(w)
	require.NoError(t, err)
	defer func() { _, _ = workers.close(handle) }()
	require.NoError(t, w.usable())
	failure := broken(handle, "it fell over", []byte("a stack"))
	require.Equal(t, status.Internal, failure.Code)
	require.Contains(t, failure.Message, "it fell over")
	require.Contains(t, failure.Detail, "a stack")
	require.ErrorIs(t, w.usable(), status.Internal)
}

func BenchmarkLookup(b *testing.B) {
	table := newTable[int](kindVertex, "vertex")
	object := 1
	handle, err := table.open(&object)
	require.NoError(b, err)
	for b.Loop() {
		if table.get(handle) == nil {
			b.Fatal("lost")
		}
	}
}
