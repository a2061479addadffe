package builtin

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
)

var valueTypes = []arrow.DataType{i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, boolean}

var keyTypes = []arrow.DataType{i8, i16, i32, i64, u8, u16, u32, u64, boolean, utf8, largeUTF8,
	category, &arrow.DictionaryType{IndexType: u8, ValueType: utf8}, date32, timestamp,
	arrow.BinaryTypes.StringView}

var words7 = []string{"", "a", "UA", "seven77", "eight888", "a longer text than a word", "ü",
	"a\x00"}

// appendRandom appends a value: mostly small, sometimes at the ends of the type.
func appendRandom(rng *rand.Rand, b array.Builder, extremes bool) {
	n := rng.Int64N(7) - 2
	ends := extremes && rng.IntN(20) == 0
	switch b := b.(type) {
	case *array.Int8Builder:
		b.Append(int8(n))
	case *array.Int16Builder:
		b.Append(int16(n * 1000))
	case *array.Int32Builder:
		b.Append(int32(n * 100_000_000))
	case *array.Int64Builder:
		if ends {
			n = []int64{math.MaxInt64, math.MinInt64}[rng.IntN(2)]
		}
		b.Append(n)
	case *array.Uint8Builder:
		b.Append(uint8(n + 2))
	case *array.Uint16Builder:
		b.Append(uint16(n+2) * 10_000)
	case *array.Uint32Builder:
		b.Append(uint32(n+2) * 700_000_000)
	case *array.Uint64Builder:
		if ends {
			b.Append(math.MaxUint64)
		} else {
			b.Append(uint64(n + 2))
		}
	case *array.Float32Builder:
		b.Append(float32(randomFloat(rng)))
	case *array.Float64Builder:
		b.Append(randomFloat(rng))
	case *array.BooleanBuilder:
		b.Append(n > 0)
	case *array.Date32Builder:
		b.Append(arrow.Date32(n))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(n))
	case *array.StringBuilder:
		b.Append(words7[rng.IntN(len(words7))])
	case *array.LargeStringBuilder:
		b.Append(words7[rng.IntN(len(words7))])
	case *array.StringViewBuilder:
		b.Append(words7[rng.IntN(len(words7))])
	case *array.BinaryDictionaryBuilder:
		if err := b.AppendString(words7[rng.IntN(len(words7))]); err != nil {
			panic(err)
		}
	default:
		panic("no random values for this type")
	}
}

func randomFloat(rng *rand.Rand) float64 {
	if rng.IntN(200) == 0 {
		return math.NaN()
	}
	return 1e6 + rng.NormFloat64()*100
}

func randomColumn(rng *rand.Rand, t arrow.DataType, rows int, extremes bool) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	nulls := []int{0, 0, 1, 10, 100}[rng.IntN(5)] // in 100
	for range rows {
		if rng.IntN(100) < nulls {
			b.AppendNull()
		} else {
			appendRandom(rng, b, extremes)
		}
	}
	return b.NewArray()
}

func randomRecord(rng *rand.Rand, rows int) arrow.Record {
	var fields []arrow.Field
	var columns []arrow.Array
	add := func(name string, t arrow.DataType, extremes bool) {
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
		columns = append(columns, randomColumn(rng, t, rows, extremes))
	}
	for _, name := range []string{"k0", "k1", "k2"} {
		add(name, keyTypes[rng.IntN(len(keyTypes))], false)
	}
	for _, name := range []string{"v0", "v1"} {
		add(name, valueTypes[rng.IntN(len(valueTypes))], rng.IntN(3) == 0)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(rows))
}

// randomWhere chooses a condition, and a value that the column may be compared with.
func randomWhere(rng *rand.Rand, r arrow.Record) (*condition, []any) {
	if rng.IntN(2) == 0 {
		return nil, nil
	}
	i := rng.IntN(int(r.NumCols()))
	c := &condition{column: r.ColumnName(i), op: operators[rng.IntN(len(operators))]}
	pairs := []any{"where_column", c.column, "where_op", c.op}
	if c.op == "is_null" || c.op == "is_not_null" {
		return c, pairs
	}
	t := r.Column(i).DataType()
	switch classOf(t) {
	case classText:
		c.value = words7[rng.IntN(len(words7))]
		return c, append(pairs, "where_value", c.value)
	case classBool:
		c.value = rng.IntN(2) == 0
		return c, append(pairs, "where_value", c.value)
	case classTime:
		one := randomColumn(rng, t, 1, false)
		for one.IsNull(0) {
			one = randomColumn(rng, t, 1, false)
		}
		c.value = valueAt(one, 0)
		return c, append(pairs, "where_value", one)
	}
	if rng.IntN(2) == 0 {
		c.value = []float64{-1, 0.5, 1, 2, 1e6, math.NaN(), math.Inf(1), 1 << 63, -(1 << 63)}[rng.IntN(9)]
		return c, append(pairs, "where_value", c.value)
	}
	n := rng.IntN(7) - 3
	c.value = int64(n)
	return c, append(pairs, "where_value", n)
}

// Any split of the rows into shards and any tree of merges gives what the oracle says.
func TestAggregateEqualsOracle(t *testing.T) {
	rng := random(t)
	for range 300 {
		rows := []int{0, 1, 3, 64, 200, 1000}[rng.IntN(6)]
		if rng.IntN(30) == 0 {
			rows = 2*chunkRows + rng.IntN(200)
		}
		record := randomRecord(rng, rows)
		by := []string{"k0", "k1", "k2"}[:rng.IntN(4)]
		list := []aggregate{{function: "count", name: "rows"}}
		for _, f := range []string{"count", "sum", "min", "max", "mean", "variance"} {
			for _, c := range []string{"v0", "v1"} {
				if rng.IntN(2) == 0 {
					list = append(list, aggregate{f, c, c + "_" + f, rng.Int64N(3)})
				}
			}
		}
		where, pairs := randomWhere(rng, record)
		if len(by) > 0 {
			pairs = append(pairs, "by", by)
		}
		arguments := args(t, append(pairs, "aggregates", list)...)
		got, err := callSplit(t, rng, "aggregate", arguments, record)
		want := expect(record, by, list, where)
		if want == nil {
			requireFailure(t, err, status.UDFFailed, "overflows")
			continue
		}
		require.NoError(t, err)
		requireRows(t, want, got, "by %v where %+v of %v", by, where, record.Schema())
	}
}

// callSplit runs a function over random slices of a record and merges them in a random tree.
func callSplit(
	t *testing.T, rng *rand.Rand, name string, arguments udf.Value, record arrow.Record,
) (arrow.Record, error) {
	p := load(t, name)
	whole := batchOf(t, record)
	var parts []udf.Value
	for from := int64(0); from < record.NumRows() || len(parts) == 0; {
		to := min(record.NumRows(), from+rng.Int64N(record.NumRows()/2+2))
		shard := whole.Slice(from, to)
		part, err := calculate(t, p, shard, arguments)
		shard.Release()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		from = to
	}
	if def, _ := definition(name); def.Flags&udf.Commutative != 0 {
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	}
	for len(parts) > 1 {
		i := rng.IntN(len(parts) - 1)
		n := 2 + rng.IntN(len(parts)-i-1)
		merged, err := merge(t, p, arguments, parts[i:i+n]...)
		if err != nil {
			return nil, err
		}
		parts = append(append(parts[:i:i], merged), parts[i+n:]...)
	}
	return finish(t, p, arguments, parts[0])
}

func definition(name string) (udf.Definition, bool) {
	for _, def := range Definitions() {
		if def.Name == name {
			return def, true
		}
	}
	return udf.Definition{}, false
}

func requireRows(t *testing.T, want [][]any, got arrow.Record, format string, about ...any) {
	t.Helper()
	require.Equal(t, len(want), int(got.NumRows()), append([]any{format}, about...)...)
	for row, line := range want {
		for i, w := range line {
			g := valueAt(got.Column(i), row)
			where := append([]any{"%s row %d: want %v, got %v: " + format, got.ColumnName(i), row, w, g},
				about...)
			x, isFloat := w.(float64)
			y, gotFloat := g.(float64)
			switch {
			case !isFloat || !gotFloat:
				require.Equal(t, w, g, where...)
			case math.IsNaN(x):
				require.True(t, math.IsNaN(y), where...)
			default:
				require.InDelta(t, x, y, 1e-9*math.Abs(x)+1e-6, where...)
			}
		}
	}
}

// Filter, select and head give the rows that the oracle chooses, in order, for every type.
func TestRowsEqualOracle(t *testing.T) {
	rng := random(t)
	for range 300 {
		rows := []int{0, 1, 3, 64, 200, 1000, chunkRows + 100}[rng.IntN(7)]
		record := randomRecord(rng, rows)
		where, pairs := randomWhere(rng, record)
		columns := []string{"k2", "v1", "k0"}
		name := "select"
		switch {
		case where != nil && rng.IntN(2) == 0:
			name = "filter"
		case rng.IntN(2) == 0:
			name = "head"
		}
		if name == "select" || rng.IntN(2) == 0 {
			pairs = append(pairs, "columns", columns)
		} else {
			columns = []string{"k0", "k1", "k2", "v0", "v1"}
		}
		limit := rows
		if name == "head" {
			limit = defaultHead
		}
		if rng.IntN(2) == 0 {
			limit = rng.IntN(rows + 10)
			pairs = append(pairs, "n", limit)
		}
		got, err := callSplit(t, rng, name, args(t, pairs...), record)
		require.NoError(t, err)
		want := [][]any{}
		for row := 0; row < rows && len(want) < limit; row++ {
			if !where.holds(record, row) {
				continue
			}
			line := []any{}
			for _, c := range columns {
				line = append(line, valueAt(record.Column(record.Schema().FieldIndices(c)[0]), row))
			}
			want = append(want, line)
		}
		requireRows(t, want, got, "%s where %+v of %v", name, where, record.Schema())
	}
}
