package core

import (
	"runtime"
	"time"
)

// UseProcessors makes sure that the Go runtime has some processors to run on, as libdcf and dcfnode
// do when they start. A thread that waits in a socket or for another thread keeps its processor of
// the runtime for a while. Where none is left, whoever wakes is parked and waits until the runtime
// has taken one back, which costs two switches of threads and up to 10 ms: 64 calling threads on two
// CPUs got half as many calls done with two processors as with eight. With one the runtime takes it
// away from a single caller after 20 us, and wakes another thread for it.
func UseProcessors() {
	if runtime.GOMAXPROCS(0) < leastProcessors {
		runtime.GOMAXPROCS(leastProcessors)
	}
}

// spin gives how long a socket is polled.
func spin(asked time.Duration) time.Duration {
	if asked == 0 {
		return DefaultSpin
	}
	return max(asked, 0)
}
