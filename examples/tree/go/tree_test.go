package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// Fresh trees, over and over: the answers stay and the memory does not grow.
func TestManyTrees(t *testing.T) {
	eachWay(t, func(t *testing.T, first, second *core.Worker) {
		rounds, settled := 10_000, 1_000
		if t.Name() == "TestManyTrees/tcp" {
			rounds = 1_500 // each makes some sixty round trips
		}
		var before int
		for i := range rounds {
			if i == settled {
				before = resident(t)
			}
			once(t, first, second)
		}
		grown := resident(t) - before
		require.LessOrEqual(t, grown, 1<<20, "resident memory grew")
	})
}

func once(t *testing.T, first, second *core.Worker) {
	tr, err := build(first, second, "")
	require.NoError(t, err)
	for _, want := range []int64{2136, 82136} {
		sum, err := tr.graphSum()
		require.NoError(t, err)
		require.Equal(t, want, sum)
	}
	require.NoError(t, tr.drop())
}

// resident gives the bytes of this process that are in memory, after what is garbage was given back.
func resident(t *testing.T) int {
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var size, pages int
	_, err = fmt.Fscan(bytes.NewReader(statm), &size, &pages)
	require.NoError(t, err)
	return pages * os.Getpagesize()
}
