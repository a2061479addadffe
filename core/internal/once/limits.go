package once

// Limits of a Window. A zero field means the default. What would exceed one is refused with
// status.Exhausted before it runs, so a window's memory is bounded in entries and in bytes.
type Limits struct {
	Callers          int   // incarnations with a window
	Entries          int   // updates remembered or running, of all callers
	EntriesPerCaller int   // of one caller
	Bytes            int64 // of outcomes, of all callers
	BytesPerCaller   int64 // of one caller
	Dead             int   // incarnations remembered as dead; the oldest is forgotten first
}

// The defaults of Limits.
const (
	MaxCallers                     = 1 << 16
	MaxEntries                     = 1 << 20
	MaxEntriesPerCaller            = 1 << 18
	MaxOutcomeBytes                = 256 << 20
	MaxOutcomeBytesPerCaller       = 64 << 20
	MaxDead                        = 1 << 12
	MaxPath                        = 1 << 12 // components of a path; longer ones are refused
	inlinePath                     = 6       // components that are kept without an allocation
	entryBytes               int64 = 128     // what an entry itself counts against the limits of bytes
	keptSlots                      = 1 << 12 // an empty window gives memory back that is larger
)

// MaxOutstanding is how far the sequences that a Sequences hands out may run ahead of its oldest
// unfinished one.
const MaxOutstanding = MaxEntriesPerCaller

func (l Limits) orDefaults() Limits {
	fill(&l.Callers, MaxCallers)
	fill(&l.Entries, MaxEntries)
	fill(&l.EntriesPerCaller, MaxEntriesPerCaller)
	fill(&l.Bytes, MaxOutcomeBytes)
	fill(&l.BytesPerCaller, MaxOutcomeBytesPerCaller)
	fill(&l.Dead, MaxDead)
	return l
}

func fill[N int | int64](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}
