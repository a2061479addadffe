// Package invariant checks what must always hold. Checks are compiled in with the build tag
// `invariants` and under the race detector, and cost nothing otherwise.
package invariant

import "fmt"

// Check panics if the condition is false and checks are compiled in. It is for broken
// invariants of dcf's own code, never for what a user or a peer can cause.
func Check(condition bool, format string, args ...any) {
	if Enabled && !condition {
		panic("invariant broken: " + fmt.Sprintf(format, args...))
	}
}
