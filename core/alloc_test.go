//go:build !race

package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/udf"
)

// A call of another worker allocates nothing, neither at the caller nor at the server, which runs in the
// same process here. (The race detector makes pools forget, so it is not asked.)
func TestRemoteCallsDoNotAllocate(t *testing.T) {
	workers := members(t, 2, "tcp", common)
	put(t, workers[1], "there", 1)
	there, err := workers[0].OpenName("there")
	require.NoError(t, err)
	defer there.Release()
	calls := []Call{{UDF: function(t, workers[0], "value"), Targets: []*Vertex{there}, Buffer: make([]byte, 8),
		Arguments: udf.Value{Bytes: make([]byte, 16)}}}
	run := func() {
		if workers[0].Run(calls) != nil || calls[0].Err != nil {
			panic("failed")
		}
	}
	for range 100 {
		run() // the function's cost is known from here on, and it runs where it is read
	}
	require.Zero(t, testing.AllocsPerRun(500, run))
}

func TestCallsOfAQueueDoNotAllocate(t *testing.T) {
	w, _, there, q := far(t, "tcp", common)
	calls, done := submitted(function(t, w, "value"), 64, there), make([]*Call, 64)
	run := func() {
		if q.Submit(calls) != nil {
			panic("failed")
		}
		for got := 0; got < len(calls); {
			n, err := q.Poll(done, patience)
			if err != nil || n == 0 {
				panic("failed")
			}
			got += n
		}
	}
	for range 100 {
		run()
	}
	require.Zero(t, testing.AllocsPerRun(200, run))
}
