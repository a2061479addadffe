// Package clock reads the monotonic clock in the unit that deadlines have everywhere in dcf:
// nanoseconds of CLOCK_MONOTONIC, the same clock that C callers and other processes of this host
// read.
package clock

import (
	"time"
	_ "unsafe" // for go:linkname
)

//go:linkname nanotime runtime.nanotime
func nanotime() int64

// Now gives the monotonic time in nanoseconds.
func Now() int64 { return nanotime() }

// After gives the deadline that lies d from now. A d that is too long for the clock gives the
// latest deadline there is.
func After(d time.Duration) int64 {
	now := nanotime()
	if d > 0 && now+int64(d) < now {
		return 1<<63 - 1
	}
	return now + int64(d)
}

// Until gives the time left until a deadline, negative once it has passed.
func Until(deadline int64) time.Duration { return time.Duration(deadline - nanotime()) }
