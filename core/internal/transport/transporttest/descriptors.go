package transporttest

import (
	"os"

	"dcf/vertex/arena"
)

// Descriptors counts the descriptors of this process, but those of the arena's memory, which stay for
// what comes next. It is for leak checks: the Go runtime itself opens an epoll and an event descriptor
// when it first needs them.
func Descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(entries) - arena.Shared().Descriptors
}
