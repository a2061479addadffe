package builtin

import (
	"math/bits"

	"github.com/apache/arrow/go/v17/arrow"
)

// total is a sum of 128 bits in two's complement: no number of 64-bit values that fits into memory
// overflows it. So the order of rows and parts never decides whether a sum overflows.
type total struct{ lo, hi uint64 }

func (t *total) add(lo, hi uint64) {
	var carry uint64
	t.lo, carry = bits.Add64(t.lo, lo, 0)
	t.hi += hi + carry
}

// float gives the nearest float64, within one rounding of each half.
func (t total) float(signed bool) float64 {
	if signed && int64(t.hi) < 0 {
		lo, borrow := bits.Sub64(0, t.lo, 0)
		hi, _ := bits.Sub64(0, t.hi, borrow)
		return -total{lo, hi}.float(false)
	}
	return float64(t.hi)*(1<<64) + float64(t.lo)
}

// integerSum adds integers.
type integerSum[W int64 | uint64] struct{ totals []total }

// isSigned says whether W has negative values; the compiler knows.
func isSigned[W int64 | uint64]() bool { return W(0)-1 < W(1) }

// upper gives the upper 64 bits of a value widened to 128.
func upper[W int64 | uint64](v W) uint64 {
	if isSigned[W]() {
		return uint64(int64(v) >> 63)
	}
	return 0
}

func (s *integerSum[W]) grow(groups int) { s.totals = extend(s.totals, groups, total{}) }

func (s *integerSum[W]) add(ids []uint32, values []W) {
	if ids == nil {
		s.addAll(values)
		return
	}
	totals := s.totals
	for i, id := range ids {
		v := values[i]
		totals[id].add(uint64(v), upper(v))
	}
}

// addAll sums the two halves of the values apart: over a chunk neither can overflow, and there is
// no carry from value to value.
func (s *integerSum[W]) addAll(values []W) {
	var low uint64
	var high W
	for _, v := range values {
		low += uint64(uint32(v))
		high += v >> 32
	}
	s.totals[0].add(uint64(high)<<32, upper(high)<<32|uint64(high)>>32)
	s.totals[0].add(low, 0)
}

func (s *integerSum[W]) columns() []arrow.Array {
	hi, lo := make([]W, len(s.totals)), make([]uint64, len(s.totals))
	for i, t := range s.totals {
		hi[i], lo[i] = W(t.hi), t.lo
	}
	t := arrow.DataType(arrow.PrimitiveTypes.Uint64)
	if isSigned[W]() {
		t = arrow.PrimitiveTypes.Int64
	}
	return []arrow.Array{makeColumn(t, hi, nil), makeColumn(arrow.PrimitiveTypes.Uint64, lo, nil)}
}

func (s *integerSum[W]) fold(ids []uint32, columns []arrow.Array, from int) {
	hi, lo := values[W](columns[0])[from:], values[uint64](columns[1])[from:]
	for i, id := range ids {
		s.totals[id].add(lo[i], uint64(hi[i]))
	}
}

// fits says whether a total is a value of W.
func fits[W int64 | uint64](t total) bool { return t.hi == upper(W(t.lo)) }

// floatSum adds floats; NaN stays NaN.
type floatSum struct{ sums []float64 }

func (s *floatSum) grow(groups int) { s.sums = extend(s.sums, groups, 0) }

func (s *floatSum) add(ids []uint32, values []float64) {
	if ids == nil {
		s.sums[0] += sumOf(values)
		return
	}
	sums := s.sums
	for i, id := range ids {
		sums[id] += values[i]
	}
}

// sumOf adds in eight lanes, which overlap in the processor, and rounds less than one lane would.
func sumOf(values []float64) float64 {
	var a, b, c, d, e, f, g, h float64
	for len(values) >= 8 {
		v := values[:8:8]
		a, b, c, d = a+v[0], b+v[1], c+v[2], d+v[3]
		e, f, g, h = e+v[4], f+v[5], g+v[6], h+v[7]
		values = values[8:]
	}
	for _, v := range values {
		a += v
	}
	return ((a + b) + (c + d)) + ((e + f) + (g + h))
}

func (s *floatSum) columns() []arrow.Array {
	return []arrow.Array{makeColumn(arrow.PrimitiveTypes.Float64, s.sums, nil)}
}

func (s *floatSum) fold(ids []uint32, columns []arrow.Array, from int) {
	sums := values[float64](columns[0])[from:]
	for i, id := range ids {
		s.sums[id] += sums[i]
	}
}
