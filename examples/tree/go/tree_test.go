package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/bench/process"
	"dcf/core"
)

// raceDetector says that the test runs under it.
var raceDetector bool

func TestMain(m *testing.M) {
	// The profiler's table fills page by page, with each new stack that it samples: that is memory
	// of the test, not of dcf.
	runtime.MemProfileRate = 0
	goleak.VerifyTestMain(m)
}

func eachWay(t *testing.T, test func(t *testing.T, first, second *core.Worker)) {
	for _, over := range []string{"one", "inproc", "tcp"} {
		t.Run(over, func(t *testing.T) {
			first, second, err := workers(over)
			require.NoError(t, err)
			defer closeAll(first, second)
			test(t, first, second)
		})
	}
}

func TestAnswers(t *testing.T) {
	eachWay(t, func(t *testing.T, first, second *core.Worker) {
		tr, err := build(first, second, "")
		require.NoError(t, err)
		for distance, want := range []int64{600, 1305, 2120, 2136} {
			sum, err := tr.maxAdjacentSum(distance)
			require.NoError(t, err)
			require.Equal(t, want, sum, "distance %d", distance)
		}
		largest, smallest, err := tr.swapLargestAndSmallest()
		require.NoError(t, err)
		require.Equal(t, tr.vertices[13].ID(), largest.ID)
		require.Equal(t, tr.vertices[0].ID(), smallest.ID)
		for _, want := range []int64{2136, 82136} {
			sum, err := tr.graphSum()
			require.NoError(t, err)
			require.Equal(t, want, sum)
		}
		require.NoError(t, tr.drop())
	})
}

// Fresh trees, over and over: the answers stay and the memory does not grow. The first trees are
// built by many threads at once, more than a later moment needs: what a process has once for each
// thread or for each call under way (a stack, a heap of malloc's, a page of a pool) is there when
// memory is looked at first, and what comes after that is a leak.
func TestManyTrees(t *testing.T) {
	eachWay(t, func(t *testing.T, first, second *core.Worker) {
		rounds := 10_000
		if t.Name() == "TestManyTrees/tcp" {
			rounds = 1_500 // each makes some sixty round trips
		}
		const settled, threads, step = 1_000, 20, 1_000
		require.NoError(t, byThreads(threads, func(thread int) error {
			return trees(first, second, fmt.Sprint(thread, "."), settled/threads)
		}))
		before, grown := resident(t, first, second), 0
		for done := settled; done < rounds; done += step {
			require.NoError(t, trees(first, second, "", min(step, rounds-done)))
			grown = resident(t, first, second) - before
			t.Logf("resident after %d trees: %+d KiB", min(done+step, rounds), grown>>10)
		}
		if !raceDetector {
			require.LessOrEqual(t, grown, 1<<20, "resident memory grew")
		}
	})
}

// byThreads runs a function on so many threads of the system at once.
func byThreads(count int, function func(thread int) error) error {
	results := make(chan error, count)
	var all sync.WaitGroup
	all.Add(count)
	for i := range count {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
			results <- function(i)
		}()
	}
	var err error
	for range count {
		err = errors.Join(err, <-results)
	}
	return err
}

// trees builds fresh trees, one after another, and asks each twice.
func trees(first, second *core.Worker, prefix string, count int) error {
	for range count {
		tr, err := build(first, second, prefix)
		if err != nil {
			return err
		}
		for _, want := range []int64{2136, 82136} {
			sum, err := tr.graphSum()
			if err != nil {
				return err
			}
			if sum != want {
				return fmt.Errorf("the sum is %d, not %d", sum, want)
			}
		}
		if err := tr.drop(); err != nil {
			return err
		}
	}
	return nil
}

// resident gives the bytes of this process that are in memory, after what is garbage was given back.
// It is the least of some looks with trees between them: pages that a processor keeps for its next
// allocation, or a buffer under way, come and go; what leaked is there each time. The kernel sums
// over the mappings: the count of /proc/self/statm may be off by some hundred KiB.
func resident(t *testing.T, first, second *core.Worker) int {
	least := math.MaxInt
	for range 5 {
		require.NoError(t, trees(first, second, "", 10))
		debug.FreeOSMemory()
		kib, err := process.ResidentKiB(os.Getpid())
		require.NoError(t, err)
		least = min(least, int(kib)<<10)
	}
	return least
}
