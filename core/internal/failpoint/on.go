//go:build failpoint || race

package failpoint

import (
	"os"
	"sync/atomic"
	"syscall"
)

// Enabled says whether points are compiled in.
const Enabled = true

// left counts down to where the process dies, for each point. Not positive: it does not.
var left [count]atomic.Int64

// Hit is where a point is.
func Hit(p Point) {
	if left[p].Load() > 0 && left[p].Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

// Kill has the process kill itself when it reaches a point for the nth time from now on.
func Kill(p Point, n int) { left[p].Store(int64(n)) }
