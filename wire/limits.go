package wire

// Limits of what one frame may hold. Sending more gets status.Exhausted, or
// status.InvalidArgument for a text; receiving more gets status.Corrupt, or status.Exhausted where
// only the receiver's own setting (Limits) is exceeded.
const (
	// MaxHeaderBytes is the size of a frame's header, padding included.
	MaxHeaderBytes = 256 << 20
	// MaxBodyBytes is the size of a frame's body.
	MaxBodyBytes = 64 << 30
	// MaxTargets is the number of targets of a Call.
	MaxTargets = 1 << 20
	// MaxParts is the number of parts of a Reply.
	MaxParts = 1 << 20
	// MaxPathSteps is the length of one path.
	MaxPathSteps = 4096
	// MaxPathsSteps is the length of all paths of a frame together.
	MaxPathsSteps = 16 << 20
	// MaxUDFs is the number of functions that a Call names.
	MaxUDFs = 4096
	// MaxIDs is the number of vertex ids of an Operation or a Reply.
	MaxIDs = 4 << 20
	// MaxInfos is the number of vertices that a Reply describes.
	MaxInfos = 1 << 20
	// MaxNodes is the number of nodes that a frame describes, and counts runs of.
	MaxNodes = 65535
	// MaxStats is the number of counters of a Reply.
	MaxStats = 1 << 20
	// MaxAddresses is the number of addresses of a node, MaxAddressBytes the length of one.
	MaxAddresses    = 64
	MaxAddressBytes = 1024
	// MaxNameBytes is the length of a name of a vertex, a function, a counter or a host.
	MaxNameBytes = 255
	// MaxTextBytes is the length of an error's message and of its detail; a sender cuts the rest.
	MaxTextBytes = 1 << 20
	// MaxInlineBytes is the size of a value in bytes that travels in the header; a larger one
	// travels in the body, where it is not copied. MaxInlineTotal bounds them together.
	MaxInlineBytes = 64 << 10
	MaxInlineTotal = 16 << 20
	// MaxBatches is the number of values in the body of one frame.
	MaxBatches = 1 << 16
)

// Limits of Arrow data, from peers and from files. Beyond them data is status.Corrupt.
const (
	// MaxMetadataBytes is the size of the metadata of one Arrow message, MaxSchemaBytes that of a
	// schema, MaxFooterBytes that of a file's footer.
	MaxMetadataBytes = 16 << 20
	MaxSchemaBytes   = 4 << 20
	MaxFooterBytes   = 64 << 20
	// MaxFields is the number of fields of a schema, nested ones included, MaxDictionaries that of
	// its dictionaries.
	MaxFields       = 16384
	MaxDictionaries = 4096
	// MaxFieldPaths is the length of the paths of all fields of a schema together: a path is the
	// name of a field and those of the fields that it is nested in.
	MaxFieldPaths = 16 << 20
	// MaxFileBatches is the number of batches, and that of dictionary batches, of a file.
	MaxFileBatches = 1 << 20
	// MaxTimezoneBytes is the length of the name of a time zone.
	MaxTimezoneBytes = 255
	// MaxUnionTypes is the number of types of a union.
	MaxUnionTypes = 128
)

const (
	// maxTableDepth is how deep FlatBuffers tables may be nested: the deepest are Arrow fields.
	maxTableDepth = 80
	// visitFactor bounds the work of a verification: bytes visited, those that are reached on
	// several ways counted as often, are at most this many times the bytes given.
	visitFactor = 4
	// maxKeptSchemas is the number of schemas that a Decoder or Encoder remembers.
	maxKeptSchemas = 64
	// maxKeptNames is the number of function names that a Decoder remembers.
	maxKeptNames = 256
	// maxKeptBytes is the memory that an Encoder or Decoder keeps from frame to frame, each buffer.
	maxKeptBytes = 1 << 20
)

// Limits are what a receiver is willing to take; zero fields mean the largest value that the
// protocol allows.
type Limits struct {
	HeaderBytes int
	BodyBytes   int64
}
