package builtin

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// The oracle works row by row on plain values and shares nothing with what it judges.

// valueAt gives nil, int64, uint64, float64, bool or string.
func valueAt(a arrow.Array, row int) any {
	if a.IsNull(row) {
		return nil
	}
	switch a := a.(type) {
	case *array.Int8:
		return int64(a.Value(row))
	case *array.Int16:
		return int64(a.Value(row))
	case *array.Int32:
		return int64(a.Value(row))
	case *array.Int64:
		return a.Value(row)
	case *array.Date32:
		return int64(a.Value(row))
	case *array.Timestamp:
		return int64(a.Value(row))
	case *array.Uint8:
		return uint64(a.Value(row))
	case *array.Uint16:
		return uint64(a.Value(row))
	case *array.Uint32:
		return uint64(a.Value(row))
	case *array.Uint64:
		return a.Value(row)
	case *array.Float32:
		return float64(a.Value(row))
	case *array.Float64:
		return a.Value(row)
	case *array.Boolean:
		return a.Value(row)
	case *array.String:
		return strings.Clone(a.Value(row))
	case *array.LargeString:
		return strings.Clone(a.Value(row))
	case *array.StringView:
		return strings.Clone(a.Value(row))
	case *array.Dictionary:
		return valueAt(a.Dictionary(), a.GetValueIndex(row))
	}
	panic(fmt.Sprintf("the oracle does not know %T", a))
}

// compareValues orders two values that are not nil; ok is false where one is NaN.
func compareValues(a, b any) (order int, ok bool) {
	if s, isText := a.(string); isText {
		return cmp.Compare(s, b.(string)), true
	}
	x, y := exact(a), exact(b)
	if x == nil || y == nil {
		return 0, false
	}
	return x.Cmp(y), true
}

// exact gives a number without rounding; nil: NaN.
func exact(v any) *big.Float {
	f := new(big.Float).SetPrec(200)
	switch v := v.(type) {
	case int64:
		return f.SetInt64(v)
	case uint64:
		return f.SetUint64(v)
	case bool:
		if v {
			return f.SetInt64(1)
		}
		return f
	case float64:
		if math.IsNaN(v) {
			return nil
		}
		return f.SetFloat64(v)
	}
	panic(fmt.Sprintf("%T is no number", v))
}

type condition struct {
	column, op string
	value      any
}

func (c *condition) holds(r arrow.Record, row int) bool {
	if c == nil {
		return true
	}
	v := valueAt(r.Column(r.Schema().FieldIndices(c.column)[0]), row)
	switch {
	case c.op == "is_null":
		return v == nil
	case v == nil:
		return false
	case c.op == "is_not_null":
		return true
	}
	order, ok := compareValues(v, c.value)
	switch c.op {
	case "==":
		return ok && order == 0
	case "!=":
		return !ok || order != 0
	case "<":
		return ok && order < 0
	case "<=":
		return ok && order <= 0
	case ">":
		return ok && order > 0
	}
	return ok && order >= 0
}

// expect gives the rows of the result of an aggregate: keys, then values; nil where a sum
// overflows.
func expect(r arrow.Record, by []string, list []aggregate, where *condition) [][]any {
	type group struct {
		key  []any
		rows []int
	}
	groups := map[string]*group{}
	if len(by) == 0 {
		groups["[]"] = &group{}
	}
	for row := range int(r.NumRows()) {
		if !where.holds(r, row) {
			continue
		}
		key := []any{}
		for _, name := range by {
			key = append(key, valueAt(r.Column(r.Schema().FieldIndices(name)[0]), row))
		}
		id := fmt.Sprintf("%#v", key)
		if len(by) == 0 {
			id = "[]"
		}
		if groups[id] == nil {
			groups[id] = &group{key: key}
		}
		groups[id].rows = append(groups[id].rows, row)
	}
	out := make([][]any, 0, len(groups))
	for _, g := range groups {
		line := slices.Clone(g.key)
		for _, a := range list {
			v, ok := expectOne(r, g.rows, a)
			if !ok {
				return nil
			}
			line = append(line, v)
		}
		out = append(out, line)
	}
	slices.SortFunc(out, func(a, b []any) int {
		for k := range by {
			switch {
			case a[k] == nil && b[k] == nil:
			case a[k] == nil:
				return 1
			case b[k] == nil:
				return -1
			default:
				if order, _ := compareValues(a[k], b[k]); order != 0 {
					return order
				}
			}
		}
		return 0
	})
	return out
}

// expectOne aggregates rows; ok is false where a sum overflows.
func expectOne(r arrow.Record, rows []int, a aggregate) (result any, ok bool) {
	if a.column == "" {
		return int64(len(rows)), true
	}
	column := r.Column(r.Schema().FieldIndices(a.column)[0])
	var present []any
	for _, row := range rows {
		if v := valueAt(column, row); v != nil {
			present = append(present, v)
		}
	}
	switch a.function {
	case "count":
		return int64(len(present)), true
	case "min", "max":
		return expectExtreme(present, a.function == "max"), true
	}
	sum, isNaN := new(big.Float).SetPrec(2000), false
	for _, v := range present {
		if x := exact(v); x != nil {
			sum.Add(sum, x)
		} else {
			isNaN = true
		}
	}
	count := big.NewFloat(float64(len(present)))
	switch a.function {
	case "sum":
		return expectSum(column.DataType(), sum, isNaN)
	case "mean":
		if len(present) == 0 {
			return nil, true
		}
		return rounded(new(big.Float).SetPrec(2000).Quo(sum, count), isNaN), true
	}
	if int64(len(present)) <= a.ddof {
		return nil, true
	}
	mean, squares := new(big.Float).SetPrec(2000).Quo(sum, count), new(big.Float).SetPrec(2000)
	for _, v := range present {
		if x := exact(v); x != nil {
			d := new(big.Float).SetPrec(2000).Sub(x, mean)
			squares.Add(squares, d.Mul(d, d))
		}
	}
	free := big.NewFloat(float64(int64(len(present)) - a.ddof))
	return rounded(squares.Quo(squares, free), isNaN), true
}

func rounded(f *big.Float, isNaN bool) float64 {
	if isNaN {
		return math.NaN()
	}
	v, _ := f.Float64()
	return v
}

func expectSum(t arrow.DataType, sum *big.Float, isNaN bool) (any, bool) {
	switch t.ID() {
	case arrow.FLOAT32, arrow.FLOAT64:
		return rounded(sum, isNaN), true
	case arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		v, accuracy := sum.Uint64()
		return v, accuracy == big.Exact
	}
	v, accuracy := sum.Int64()
	return v, accuracy == big.Exact
}

func expectExtreme(present []any, greatest bool) any {
	var best any
	for _, v := range present {
		if best == nil {
			best = v
			continue
		}
		order, ok := compareValues(v, best)
		if bestNumber, isFloat := best.(float64); isFloat && math.IsNaN(bestNumber) ||
			ok && (order < 0 && !greatest || order > 0 && greatest) {
			best = v
		}
	}
	return best
}
