package exec

import (
	"dcf/core/internal/once"
	"dcf/wire"
)

// Limits of running calls. What goes beyond them fails the call with status.Exhausted.
const (
	// WaveSize is how many calculates of one function run in one go. What they touch should fit in
	// the first cache.
	WaveSize = 16
	// FoldSize is how many parts are gathered before they are folded into one.
	FoldSize = 64
	// MaxDepth is how deep calculates may lie in a call: spawns and groups below each other, the
	// target of the call included. It is what a path may have that travels, or is remembered.
	MaxDepth = min(wire.MaxPathSteps, once.MaxPath)
	// DefaultSpawnBudget is how many calculates one call may spawn in all.
	DefaultSpawnBudget = 1 << 20
	// MaxOnceSets is how many calls with ONCE spawns a worker remembers at a time.
	MaxOnceSets = 1 << 16
	// MaxIdleTasks is how many tasks are kept for reuse.
	MaxIdleTasks = 256
	// maxKeptItems is how much room for items a task keeps for its next use.
	maxKeptItems = 1024
	// MaxParts is how many parts a call without merge may bring home.
	MaxParts = 1 << 20
)
