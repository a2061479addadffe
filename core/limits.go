package core

import (
	"time"

	"dcf/core/internal/exec"
)

// Limits and defaults of a worker. What goes beyond a limit gets status.Exhausted with its name.
const (
	// DefaultTimeout is how long anything waits that was not told otherwise.
	DefaultTimeout = 30 * time.Second
	// DefaultSpin is how long a socket is polled before whoever reads it sleeps: longer than a short
	// call takes, of which going to sleep and waking up would be half.
	DefaultSpin = 50 * time.Microsecond
	// MaxTasks is how many calls of other workers run or wait here at a time. New calls may take
	// half of them; the rest is for calls that belong to a tree that is already under way.
	MaxTasks = 4096
	// MaxFrameDepth is how many frames may lie between a call and a calculate that it caused.
	MaxFrameDepth = 1024
	// MaxFunctions is how many functions may be registered.
	MaxFunctions = 1 << 16
	// MaxShards is into how many shards one table may be put.
	MaxShards = 1 << 16
	// MaxBuilders is how many builders of a worker may be open. Their bytes count against its memory
	// limit.
	MaxBuilders = 1 << 12
	// MaxQueued is how many calls a queue has under way at a time.
	MaxQueued = 1 << 16
	// InlineCost is how long a function may take, in nanoseconds, to be run by the goroutine that
	// reads requests.
	InlineCost = 50_000
	// MissingFor is how long a worker remembers that another one does not have a function.
	MissingFor = time.Second
	// MaxMissing is how many such facts it remembers.
	MaxMissing = 1 << 14
	// MaxResends is how often a request whose connection broke is sent again, over a quarter of a
	// second in all.
	MaxResends = 8
	// leastProcessors is how many goroutines the Go runtime of libdcf and dcfnode runs at a time, at
	// least: more than there are CPUs, since a thread that waits in the system counts for a while.
	leastProcessors = 8
	// gatherWindow is how many calls of one Run are looked at to find those of one function.
	gatherWindow = 4 * exec.WaveSize
	// interruptSlice is how often a wait asks whether it was interrupted.
	interruptSlice = 50 * time.Millisecond
)
