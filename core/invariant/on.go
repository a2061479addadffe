//go:build invariants || race

package invariant

// Enabled says whether checks are compiled in.
const Enabled = true
