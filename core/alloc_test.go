//go:build !race

package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/udf"
)

// A call over a socket allocates nothing at the caller. The server, which runs in the same process
// here, keeps two small objects for each request: who may still cancel it must not meet its
// successor. (The race detector makes pools forget, so it is not asked.)
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
	require.LessOrEqual(t, testing.AllocsPerRun(500, run), 2.0)
}
