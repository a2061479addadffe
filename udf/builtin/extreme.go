package builtin

import (
	"math"

	"github.com/apache/arrow/go/v17/arrow"
)

// extreme keeps the least or the greatest value. NaN counts only where there is nothing else.
type extreme[W wide] struct {
	greatest bool
	t        arrow.DataType // of the values
	values   []W
	seen     []bool
}

func newExtreme[W wide](greatest bool, t arrow.DataType) *extreme[W] {
	return &extreme[W]{greatest: greatest, t: t}
}

// start gives what every value but NaN replaces.
func (e *extreme[W]) start() W {
	var w any
	switch any(W(0)).(type) {
	case int64:
		w = int64(math.MaxInt64)
		if e.greatest {
			w = int64(math.MinInt64)
		}
	case uint64:
		w = uint64(math.MaxUint64)
		if e.greatest {
			w = uint64(0)
		}
	default:
		w = math.NaN()
	}
	return w.(W)
}

func (e *extreme[W]) grow(groups int) {
	if len(e.values) < groups {
		e.values = extend(e.values, groups, e.start())
		e.seen = extend(e.seen, groups, false)
	}
}

// beatsLeast and beatsGreatest say whether v replaces the value kept so far; only NaN is unequal to
// itself.
func beatsLeast[W wide](v, kept W) bool    { return v < kept || kept != kept }
func beatsGreatest[W wide](v, kept W) bool { return v > kept || kept != kept }

func (e *extreme[W]) add(ids []uint32, values []W) {
	switch {
	case len(values) == 0:
	case ids == nil && e.greatest:
		kept := e.values[0]
		for _, v := range values {
			if beatsGreatest(v, kept) {
				kept = v
			}
		}
		e.values[0], e.seen[0] = kept, true
	case ids == nil:
		kept := e.values[0]
		for _, v := range values {
			if beatsLeast(v, kept) {
				kept = v
			}
		}
		e.values[0], e.seen[0] = kept, true
	default:
		e.addGroups(ids, values)
	}
}

func (e *extreme[W]) addGroups(ids []uint32, values []W) {
	all, seen := e.values, e.seen
	values = values[:len(ids)]
	if e.greatest {
		for i, id := range ids {
			if beatsGreatest(values[i], all[id]) {
				all[id] = values[i]
			}
			seen[id] = true
		}
		return
	}
	for i, id := range ids {
		if beatsLeast(values[i], all[id]) {
			all[id] = values[i]
		}
		seen[id] = true
	}
}

// valid gives the groups that saw a value.
func (e *extreme[W]) valid(order []uint32) mask {
	valid := make(mask, words(len(order)))
	for i, id := range order {
		if e.seen[id] {
			valid.set(i)
		}
	}
	return valid
}

func (e *extreme[W]) column(order []uint32) arrow.Array {
	return makeColumn(e.t, take(e.values, order), e.valid(order))
}

func (e *extreme[W]) columns() []arrow.Array {
	return []arrow.Array{e.column(upTo(len(e.values)))}
}

func (e *extreme[W]) fold(ids []uint32, columns []arrow.Array, from int) {
	read := readerOf[W](columns[0])
	for i, id := range ids {
		if columns[0].IsNull(from + i) {
			continue
		}
		v, kept := read.at(from+i), e.values[id]
		if e.greatest && beatsGreatest(v, kept) || !e.greatest && beatsLeast(v, kept) {
			e.values[id] = v
		}
		e.seen[id] = true
	}
}

// upTo gives 0, 1, ..., n-1.
func upTo(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}
