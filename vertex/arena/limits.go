package arena

// #include "segment.h"
import "C"

// Limits of memory that other processes on the host may map. Beyond one of them blocks lie in
// ordinary memory; a foreign segment beyond them gets status.InvalidArgument.
const (
	// MaxSegments is how many segments a process has; each takes a descriptor.
	MaxSegments = C.DCF_MAX_SEGMENTS
	// MaxSegmentBytes is the size of the largest segment, its own or a foreign one.
	MaxSegmentBytes = 256 << 30
	// MaxSharedBytes is how many bytes all segments of a process have at most.
	MaxSharedBytes = 1 << 40
)
