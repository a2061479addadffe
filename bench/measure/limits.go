package measure

// MaxBlockBytes is the longest line that a driver may print: the samples of all threads of one
// block.
const MaxBlockBytes = 64 << 20

// MaxDisturbance is how many times slower than Case.ExpectedFloorNs a floor may be before the run
// counts as disturbed.
const MaxDisturbance = 1.5
