//go:build !race

package lane

import "sync/atomic"

// store stores after all that was written before, as processors of this kind always do. It need not have
// happened when it returns, unlike atomic's: stores to lines that another processor has go on together.
//
//go:noescape
func store(to *atomic.Uint64, value uint64)
