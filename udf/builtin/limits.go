package builtin

// Limits of what one call of a builtin may ask for. Beyond the first three a call gets
// status.InvalidArgument, beyond the others status.Exhausted.
const (
	// MaxKeys is the number of columns to group by.
	MaxKeys = 32
	// MaxAggregates is the number of functions of one aggregate.
	MaxAggregates = 256
	// MaxColumns is the number of columns to select.
	MaxColumns = 4096
	// MaxGroups is the number of distinct keys.
	MaxGroups = 1 << 28
	// MaxKeyBytes is the size of the text of one key column of a result.
	MaxKeyBytes = 1<<31 - 1
)

// maxNamesShown is how many columns a message lists.
const maxNamesShown = 50

// chunkRows is how many rows are aggregated at a time: what is known of one chunk stays in the
// first two levels of cache. It is a multiple of 64, so that a chunk's masks are whole words.
const chunkRows = 8192
