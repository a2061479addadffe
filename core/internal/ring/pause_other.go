//go:build !amd64

package ring

// Pause would tell the processor that this is a loop that waits for another one's store.
func Pause() {}
