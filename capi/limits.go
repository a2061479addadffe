package main

// #include "capi.h"
import "C"

// Limits of the C interface. Beyond them a function gives DCF_EXHAUSTED, or DCF_INVALID_ARGUMENT
// for what one call asks for.
const (
	// MaxHandles is how many handles of one kind may be open in the process.
	MaxHandles = C.DCF_CAPI_MAX_HANDLES
	// MaxCallsPerRun is how many calls one dcf_call_run or dcf_queue_submit takes.
	MaxCallsPerRun = C.DCF_CAPI_MAX_CALLS
	// MaxTargets is how many targets one call has.
	MaxTargets = 1 << 24
	// MaxArrays is how many arrays one dcf_array_concat joins.
	MaxArrays = 1 << 24
	// MaxPoll is how many calls one dcf_queue_poll gives, whatever its capacity.
	MaxPoll = 4096
	// MaxKeptCalls is the largest number of calls whose memory is kept for the next run.
	MaxKeptCalls = 1024
	// MaxKeptTargets is the same for targets of calls.
	MaxKeptTargets = 1 << 14
)
