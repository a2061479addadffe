package vertex

// Limits of what a vertex may be. A request beyond one gets status.InvalidArgument, or
// status.Unsupported where it concerns a type.
const (
	// MaxNameBytes is the length of a vertex's name in UTF-8.
	MaxNameBytes = 255
	// MaxColumns is the number of columns of a batch.
	MaxColumns = 4096
	// MaxDepth is how deep types may be nested.
	MaxDepth = 64
	// MaxRows is the number of rows of a batch.
	MaxRows = 1 << 40
	// MaxNodeID is the largest node id.
	MaxNodeID = 1<<32 - 1
	// MaxSchemas is how many unused schemas the process keeps before it forgets them.
	MaxSchemas = 1024
)
