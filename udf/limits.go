package udf

// Limits of what one callback may ask for; beyond them it gets status.Exhausted, or
// status.InvalidArgument for what a definition says.
const (
	// MaxNameBytes is the length of a function's name, MaxVersionBytes that of its version.
	MaxNameBytes    = 255
	MaxVersionBytes = 255
	// MaxAuxiliaryBytes is the size of a function's auxiliary data.
	MaxAuxiliaryBytes = 64 << 20
	// MaxSpawnsPerCalculate is how often one calculate may spawn.
	MaxSpawnsPerCalculate = 1 << 20
	// MaxEffectsPerCalculate is how many effects one calculate may have.
	MaxEffectsPerCalculate = 1 << 20
	// MaxLogBytes is how long a text a function may log; the rest is cut.
	MaxLogBytes = 4096
	// MaxKeptBufferBytes is the largest buffer that an output keeps for the next call.
	MaxKeptBufferBytes = 64 << 10
)
