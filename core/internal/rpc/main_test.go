package rpc

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"dcf/vertex/arena"
)

// No goroutine and no descriptor may be left at the end.
func TestMain(m *testing.M) {
	if address := os.Getenv(serveVariable); address != "" {
		os.Exit(serveProcess(address))
	}
	before := descriptors()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		// The Go runtime opens an epoll and an event descriptor when it first needs them.
		if after := descriptors(); after > before+2 {
			fmt.Fprintf(os.Stderr, "%d descriptors before the tests, %d after\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
}

func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(entries) - arena.Shared().Descriptors // which stay for what comes next
}
