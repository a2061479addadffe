package builtin

import (
	"cmp"
	"math"
	"math/big"

	"github.com/apache/arrow/go/v17/arrow"
)

// bounds are the values from low to high, both included, or all others. low over high: none.
type bounds[W wide] struct {
	low, high W
	others    bool
}

// rangeMatcher compares the values of a column with bounds: every comparison becomes one.
type rangeMatcher[W wide] struct {
	reader reader[W]
	bounds bounds[W]
}

func newRange[W wide](r reader[W], b bounds[W]) matcher { return &rangeMatcher[W]{r, b} }

func (m *rangeMatcher[W]) match(dst mask, from, rows int, s *scratch) {
	values := m.reader.read(bufferOf[W](s), from, rows, nil)
	low, high := m.bounds.low, m.bounds.high
	for w := range dst {
		var word uint64
		for i, v := range values[64*w : min(64*w+64, rows)] {
			word |= (bitOf(v >= low) & bitOf(v <= high)) << (i & 63)
		}
		dst[w] = word
	}
	if m.bounds.others {
		for w := range dst {
			dst[w] = ^dst[w]
		}
		dst.trim(rows)
	}
}

// bufferOf gives the scratch buffer of the type.
func bufferOf[W wide](s *scratch) []W {
	var b any
	switch any(W(0)).(type) {
	case int64:
		b = s.ints
	case uint64:
		b = s.uints
	default:
		b = s.floats
	}
	return b.([]W)
}

// line is the order of a class's values, for the translation of a comparison into bounds.
type line[W wide] struct {
	least, greatest W
	// nearest rounds a number to a value; the accuracy says on which side of the number it lies.
	nearest    func(*big.Float) (W, big.Accuracy)
	next, prev func(W) W // never beyond the ends
}

// bounds translates a comparison with a number; nil is NaN. The comparison is exact: no number is
// rounded to the column's type first.
func (l *line[W]) bounds(op string, number *big.Float) bounds[W] {
	all, none := bounds[W]{low: l.least, high: l.greatest}, l.none()
	if op == "!=" {
		b := l.bounds("==", number)
		b.others = true
		return b
	}
	if number == nil {
		return none
	}
	v, side := l.nearest(number)
	below, above := side == big.Below, side == big.Above // v is below, above the number
	switch op {
	case "==":
		if side != big.Exact {
			return none
		}
		return bounds[W]{low: v, high: v}
	case "<", "<=":
		if above || side == big.Exact && op == "<" {
			if v == l.least {
				return none
			}
			v = l.prev(v)
		}
		all.high = v
	default:
		if below || side == big.Exact && op == ">" {
			if v == l.greatest {
				return none
			}
			v = l.next(v)
		}
		all.low = v
	}
	return all
}

func (l *line[W]) none() bounds[W] { return bounds[W]{low: l.greatest, high: l.least} }

var signedLine = line[int64]{
	least: math.MinInt64, greatest: math.MaxInt64,
	nearest: func(f *big.Float) (int64, big.Accuracy) { return f.Int64() },
	next:    func(v int64) int64 { return v + 1 },
	prev:    func(v int64) int64 { return v - 1 },
}

var unsignedLine = line[uint64]{
	least: 0, greatest: math.MaxUint64,
	nearest: func(f *big.Float) (uint64, big.Accuracy) { return f.Uint64() },
	next:    func(v uint64) uint64 { return v + 1 },
	prev:    func(v uint64) uint64 { return v - 1 },
}

var floatLine = line[float64]{
	least: math.Inf(-1), greatest: math.Inf(1),
	nearest: func(f *big.Float) (float64, big.Accuracy) { return f.Float64() },
	next:    func(v float64) float64 { return math.Nextafter(v, math.Inf(1)) },
	prev:    func(v float64) float64 { return math.Nextafter(v, math.Inf(-1)) },
}

func signedRange(op string, n *big.Float) bounds[int64]    { return signedLine.bounds(op, n) }
func unsignedRange(op string, n *big.Float) bounds[uint64] { return unsignedLine.bounds(op, n) }
func floatRange(op string, n *big.Float) bounds[float64]   { return floatLine.bounds(op, n) }

func signedWord(op string, v int64) bounds[int64] {
	return signedLine.bounds(op, new(big.Float).SetInt64(v))
}

// textMatcher compares the strings of a column byte by byte.
type textMatcher struct {
	text  text
	op    string
	value string
}

// entryMatcher looks the answer for each dictionary entry up.
type entryMatcher struct {
	codes   codes
	matches []uint64 // by entry: 0 or 1
}

func newTextMatcher(column arrow.Array, op, value string) matcher {
	entries := dictionaryOf(column)
	if entries == nil {
		return &textMatcher{textOf(column), op, value}
	}
	t := textMatcher{textOf(entries), op, value}
	e := &entryMatcher{codes: codesOf(column), matches: make([]uint64, entries.Len())}
	for i := range e.matches {
		e.matches[i] = t.bit(i)
	}
	return e
}

// bit says as 1 whether the row matches.
func (t *textMatcher) bit(row int) uint64 {
	order := cmp.Compare(t.text.at(row), t.value)
	var matches bool
	switch t.op {
	case "==":
		matches = order == 0
	case "!=":
		matches = order != 0
	case "<":
		matches = order < 0
	case "<=":
		matches = order <= 0
	case ">":
		matches = order > 0
	default:
		matches = order >= 0
	}
	return bitOf(matches)
}

// bitOf is compiled without a branch, which random data would make costly.
func bitOf(condition bool) uint64 {
	var bit uint64
	if condition {
		bit = 1
	}
	return bit
}

func (t *textMatcher) match(dst mask, from, rows int, _ *scratch) {
	dst.fill(rows, false)
	for i := range rows {
		dst[i/64] |= t.bit(from+i) << (i % 64)
	}
}

// match leaves out indices beyond the dictionary: a null row may have any.
func (e *entryMatcher) match(dst mask, from, rows int, _ *scratch) {
	dst.fill(rows, false)
	for i := range rows {
		if code := uint(e.codes.at(from + i)); code < uint(len(e.matches)) {
			dst[i/64] |= e.matches[code] << (i % 64)
		}
	}
}
