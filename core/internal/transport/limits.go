package transport

import "time"

// Limits that all transports share.
const (
	// MaxQueuedBytes is how much may wait for a peer that does not take it before requests to it
	// get status.Exhausted, or wait, and requests of it are not read. One frame may exceed it.
	MaxQueuedBytes = 64 << 20
	// StallAfter is how long a peer may take nothing of what is queued before it is cut.
	StallAfter = 10 * time.Second
	// Slice is how long one sleep in the system lasts at most: between them interrupts are asked.
	Slice = 50 * time.Millisecond
	// MaxKeptBytes is what one buffer keeps from frame to frame.
	MaxKeptBytes = 256 << 10
)
