package ring

// Pause tells the processor that this is a loop that waits for another one's store.
//
//go:noescape
func Pause()
