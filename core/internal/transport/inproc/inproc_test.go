package inproc

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/transporttest"
	"dcf/vertex/arena"
)

// No goroutine and no batch may be left at the end.
func TestMain(m *testing.M) {
	before, _ := arena.Usage()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if after, _ := arena.Usage(); code == 0 && after != before {
			fmt.Fprintf(os.Stderr, "%d bytes of batches before the tests, %d after\n", before, after)
			code = 1
		}
		os.Exit(code)
	}))
}

func TestConformance(t *testing.T) {
	var names atomic.Uint64
	transporttest.Run(t, transporttest.Subject{
		New:     func() transport.Transport { return New() },
		Address: func(*testing.T) string { return fmt.Sprintf("inproc://test-%d", names.Add(1)) },
		Nobody:  "inproc://nobody",
		Wrong:   "inproc:nobody",
	})
}
