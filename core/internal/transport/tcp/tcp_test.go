package tcp

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/transporttest"
	"dcf/vertex/arena"
)

// No goroutine, no descriptor and no batch may be left at the end.
func TestMain(m *testing.M) {
	before, _ := arena.Usage()
	files := transporttest.Descriptors()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if after, _ := arena.Usage(); code == 0 && after != before {
			fmt.Fprintf(os.Stderr, "%d bytes of batches before the tests, %d after\n", before, after)
			code = 1
		}
		// The Go runtime opens an epoll and an event descriptor when it first needs them.
		if after := transporttest.Descriptors(); code == 0 && after > files+2 {
			fmt.Fprintf(os.Stderr, "%d descriptors before the tests, %d after\n", files, after)
			code = 1
		}
		os.Exit(code)
	}))
}

func TestConformance(t *testing.T) {
	nobody := filepath.Join(t.TempDir(), "nobody.sock")
	for name, subject := range map[string]transporttest.Subject{
		"tcp": {
			Address: func(*testing.T) string { return "tcp://127.0.0.1:0" },
			Nobody:  "tcp://127.0.0.1:1", Wrong: "tcp://127.0.0.1",
		},
		"tcp6": {
			Address: func(*testing.T) string { return "tcp://[::1]:0" },
			Nobody:  "tcp://[::1]:1", Wrong: "tcp://::1",
		},
		"unix": {
			Address: func(t *testing.T) string {
				return "unix://" + filepath.Join(t.TempDir(), "dcf.sock")
			},
			Nobody: "unix://" + nobody, Wrong: "unix://relative",
		},
	} {
		subject.New = func() transport.Transport { return New() }
		t.Run(name, func(t *testing.T) { transporttest.Run(t, subject) })
	}
}
