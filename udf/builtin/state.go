package builtin

import (
	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
)

// state is one running aggregate of every group. What it has seen travels in a part as columns
// with a row for each group, and is folded into the state of another part; folding is associative
// and commutative, up to the rounding of floats.
type state interface {
	// grow makes room for that many groups; new ones have seen nothing.
	grow(groups int)
	// columns gives the state of the groups as columns of a part.
	columns() []arrow.Array
	// fold adds what columns of a part of the same kind say of its rows from.. on: row from+i
	// belongs to group ids[i].
	fold(ids []uint32, columns []arrow.Array, from int)
}

// kernel is a state that is fed values: value i belongs to group ids[i], all belong to group 0
// where ids is nil. None of them is null.
type kernel[W wide] interface {
	state
	add(ids []uint32, values []W)
}

// counter counts rows, or values that are not null.
type counter struct{ counts []int64 }

func (c *counter) grow(groups int) { c.counts = extend(c.counts, groups, 0) }

func (c *counter) add(ids []uint32, rows int) {
	if ids == nil {
		c.counts[0] += int64(rows)
		return
	}
	counts := c.counts
	for _, id := range ids {
		counts[id]++
	}
}

func (c *counter) columns() []arrow.Array {
	return []arrow.Array{makeColumn(arrow.PrimitiveTypes.Int64, c.counts, nil)}
}

func (c *counter) fold(ids []uint32, columns []arrow.Array, from int) {
	counts := values[int64](columns[0])[from:]
	for i, id := range ids {
		c.counts[id] += counts[i]
	}
}

// extend lengthens a slice with copies of value.
func extend[T any](s []T, length int, value T) []T {
	for len(s) < length {
		s = append(s, value)
	}
	return s
}

// foreign is the failure for a part that this function did not make.
func foreign(what string) error {
	return status.Errorf(status.Corrupt,
		"a part is none of this function: %s; all nodes must run the same version of dcf", what)
}
