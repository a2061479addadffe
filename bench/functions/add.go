// Package functions has in Go what bench/c/functions.c has in C.
package functions

import (
	"encoding/binary"

	"dcf/udf"
)

// Add gives bench.add: the number in the arguments and the first of an int64 vertex. An empty
// version makes it private to its process.
func Add(version string) udf.Definition {
	return udf.Definition{Kind: udf.KindGo, Name: "bench.add", Version: version,
		Flags: udf.Short | udf.Commutative, Code: udf.Func{Calculate: add, Merge: merge}}
}

func add(in *udf.Input, out *udf.Output) error {
	sum := uint64(in.Batch.Int64(0)[0]) + binary.LittleEndian.Uint64(in.Arguments.Bytes)
	binary.LittleEndian.PutUint64(out.Reserve(8), sum)
	return nil
}

func merge(in *udf.MergeInput, out *udf.Output) error {
	var sum uint64
	for i := range in.Parts {
		sum += binary.LittleEndian.Uint64(in.Parts[i].Bytes)
	}
	binary.LittleEndian.PutUint64(out.Reserve(8), sum)
	return nil
}
