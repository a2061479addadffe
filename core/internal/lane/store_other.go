//go:build !amd64 || race

package lane

import "sync/atomic"

// store stores after all that was written before.
func store(to *atomic.Uint64, value uint64) { to.Store(value) }
