package tcp

const (
	// inboxBytes is the size of a connection's receive buffer while frames are small.
	inboxBytes = 32 << 10
	// flushBytes is how much may gather before Send hands it over by itself: the peer begins with some
	// thirty calls while more are encoded.
	flushBytes = 7 << 10
	// maxPieces is how many pieces one system call sends.
	maxPieces = 256
)
