package shm

import "time"

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
	// maxRefusalBytes is the length of a listener's words to a dialer that it refuses.
	maxRefusalBytes = 512
)
