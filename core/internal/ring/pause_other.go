//go:build !amd64

package ring

// pause would tell the processor that this is a loop that waits for another one's store.
func pause() {}
