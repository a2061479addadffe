package store

import "dcf/vertex/cdata"

// Limits of a store. What goes beyond them gets status.Exhausted with the limit's name.
const (
	// MaxVertices is how many vertices one worker may own.
	MaxVertices = 1 << 28
	// MaxChildren is how long a vertex's list of children may be.
	MaxChildren = 1 << 24
	// MaxParents is how many parents the index keeps for one vertex; more are not recorded.
	MaxParents = 1 << 24
	// MaxRetired is how many superseded versions and vertices wait at most for their readers
	// before an update looks for those that have none left.
	MaxRetired = 32
	// MaxRetiredBytes is how much value memory they may hold before that.
	MaxRetiredBytes = 1 << 20
	// MaxPins is how many calls may read vertices at the same moment.
	MaxPins = cdata.MaxPins
	// homePinsMin and pinsPerProcessor give how many pins are tried first.
	homePinsMin      = 8
	pinsPerProcessor = 4
)
