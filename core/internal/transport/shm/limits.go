package shm

import (
	"time"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/futex"
	"dcf/vertex/arena"
)

const (
	// greetTimeout is how long a dialer may take to hand its memory over.
	greetTimeout = 5 * time.Second
	// maxGreetings is how many connections of a listener may be at that, or wait for Accept, at a time;
	// more wait in the system.
	maxGreetings = 64
	// maxPiece is how much of a large frame is handed over at a time, and minPiece how much room is
	// waited for: while one end fills a piece the other one empties another.
	maxPiece = 64 << 10
	minPiece = 16 << 10
	// publishSlots is how much may gather before Send shows it to the peer by itself: a peer that polls
	// begins with it while more is encoded.
	publishSlots = 64
	// spinLooks is how often the ring is looked at before a spinning receiver sees to anything else.
	spinLooks = 16
	// aroundRounds is after how many rounds through its connections a group looks at their sockets, and
	// quietRounds after how many a connection that had nothing is left to its socket: some
	// milliseconds of calls.
	aroundRounds = 128
	quietRounds  = 8192
	// maxFew is how many connections a group looks at, and sleeps on the words of, at a time; of more it
	// leaves the quiet ones to their sockets.
	maxFew = futex.MaxWords
	// largeBytes is the size of a frame from which taking it in may hold others up: some 100 us.
	largeBytes = 1 << 20
	// minLentBytes is the size of a buffer from which it is lent rather than copied.
	minLentBytes = 16 << 10
	// maxLent is how many buffers of one frame are lent; further ones are copied.
	maxLent = 16 << 10
	// maxLoans is how many frames that a peer has not given back may be lent over a connection, and
	// maxLentBytes how many bytes; more is copied.
	maxLoans     = 16 << 10
	maxLentBytes = 64 << 30
	// maxFlightBytes is how many bytes may be lent by frames that the peer has not taken yet; more is
	// copied, and so queued, where back pressure sees it.
	maxFlightBytes = 4 * transport.MaxQueuedBytes
	// maxSegments is how many segments a peer is told of over a connection, and may tell of. One that
	// is gone no longer counts.
	maxSegments = arena.MaxSegments
	// maxAnnounced is how many segments a peer is told of as soon as it is connected.
	maxAnnounced = 8
	// maxMappedBytes is how many bytes of addresses the segments of all other processes take.
	maxMappedBytes = 16 << 40
	// copyFor is how long a process that could not map what it was lent asks peers that it meets to copy.
	copyFor = time.Minute
	// maxWords is how often the socket is read at a time: a peer that never stops writes to nobody.
	maxWords = 4 * maxSegments
	// maxRefusalBytes is the length of a listener's words to a dialer that it refuses.
	maxRefusalBytes = 512
)
