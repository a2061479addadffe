package builtin

import "sync"

// scratch is what the work on one chunk needs; all slices have room for chunkRows rows.
type scratch struct {
	ids, more []uint32 // the group of each row; the numbers of a further key
	dense     []uint32 // numbers or groups of the rows that count, one after another
	rows      []uint32
	ints      []int64
	uints     []uint64
	floats    []float64
	sel       mask // the rows that the where clause chose
	valid     mask
	both      mask
}

var scratches = sync.Pool{New: func() any {
	return &scratch{
		ids: make([]uint32, chunkRows), more: make([]uint32, chunkRows),
		dense: make([]uint32, chunkRows), rows: make([]uint32, chunkRows),
		ints: make([]int64, chunkRows), uints: make([]uint64, chunkRows),
		floats: make([]float64, chunkRows),
		sel:    make(mask, chunkRows/64), valid: make(mask, chunkRows/64),
		both: make(mask, chunkRows/64),
	}
}}
