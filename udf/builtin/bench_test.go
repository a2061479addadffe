package builtin

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/udf"
)

// benchRecord has a million rows: keys with 16 carriers as text, as a dictionary and as numbers, a
// key with 100,000 values, and values with and without nulls.
func benchRecord(rows int) arrow.Record {
	rng := rand.New(rand.NewPCG(1, 2))
	mem := memory.DefaultAllocator
	text := array.NewStringBuilder(mem)
	dictionary := array.NewDictionaryBuilder(mem, category).(*array.BinaryDictionaryBuilder)
	number, many := array.NewInt64Builder(mem), array.NewInt64Builder(mem)
	long := array.NewStringBuilder(mem)
	delay, sparse := array.NewFloat64Builder(mem), array.NewFloat64Builder(mem)
	count := array.NewInt64Builder(mem)
	for range rows {
		carrier := rng.IntN(16)
		name := fmt.Sprintf("%c%c", 'A'+carrier, 'Z'-carrier)
		text.Append(name)
		_ = dictionary.AppendString(name)
		long.Append("carrier number " + name)
		number.Append(int64(carrier))
		many.Append(rng.Int64N(100_000))
		delay.Append(rng.NormFloat64())
		count.Append(rng.Int64())
		if rng.IntN(40) == 0 {
			sparse.AppendNull()
		} else {
			sparse.Append(rng.NormFloat64())
		}
	}
	var fields []arrow.Field
	var columns []arrow.Array
	for _, c := range []struct {
		name string
		b    array.Builder
	}{{"text", text}, {"dictionary", dictionary}, {"long", long}, {"number", number}, {"many", many},
		{"delay", delay}, {"sparse", sparse}, {"integer", count}} {
		a := c.b.NewArray()
		fields = append(fields, arrow.Field{Name: c.name, Type: a.DataType(), Nullable: true})
		columns = append(columns, a)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(rows))
}

func BenchmarkAggregate(b *testing.B) {
	const rows = 1_000_000
	record := benchRecord(rows)
	one := func(function, column string) []aggregate {
		return []aggregate{{function, column, "", 1}}
	}
	flights := []aggregate{{"count", "", "", 1}, {"mean", "sparse", "", 1}, {"max", "sparse", "", 1}}
	below := &where{column: "delay", op: "<", value: scalar{class: classFloat, t: f64,
		number: new(big.Float)}}
	for _, c := range []struct {
		name string
		list []aggregate
		by   []string
		w    *where
	}{
		{"sum/float64", one("sum", "delay"), nil, nil},
		{"sum/int64", one("sum", "integer"), nil, nil},
		{"sum/nulls", one("sum", "sparse"), nil, nil},
		{"sum/where", one("sum", "delay"), nil, below},
		{"max/float64", one("max", "delay"), nil, nil},
		{"min/int64", one("min", "integer"), nil, nil},
		{"variance/float64", one("variance", "delay"), nil, nil},
		{"by/dictionary/sum", one("sum", "delay"), []string{"dictionary"}, nil},
		{"by/text/sum", one("sum", "delay"), []string{"text"}, nil},
		{"by/long/sum", one("sum", "delay"), []string{"long"}, nil},
		{"by/number/sum", one("sum", "delay"), []string{"number"}, nil},
		{"by/number/sum-int64", one("sum", "integer"), []string{"number"}, nil},
		{"by/number/max", one("max", "delay"), []string{"number"}, nil},
		{"by/number/variance", one("variance", "delay"), []string{"number"}, nil},
		{"by/100000/sum", one("sum", "delay"), []string{"many"}, nil},
		{"by/number+text/sum", one("sum", "delay"), []string{"number", "text"}, nil},
		{"by/dictionary/flights", flights, []string{"dictionary"}, nil},
		{"by/text/flights", flights, []string{"text"}, nil},
		{"by/number/where", one("sum", "delay"), []string{"number"}, below},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newPlan(&arguments{aggregates: c.list, by: c.by, where: c.w})
			cancelled := new(atomic.Uint32)
			b.ReportAllocs()
			for b.Loop() {
				_, err := p.aggregate(record, cancelled)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}

// BenchmarkSmallCall is what a call on a vertex of ten rows costs: arguments, part and result.
func BenchmarkSmallCall(b *testing.B) {
	batch := batchOf(b, benchRecord(10))
	for _, c := range []struct {
		name      string
		arguments []any
	}{
		{"sum", []any{"column", "delay"}},
		{"sum/by", []any{"column", "delay", "by", "text"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, arguments := load(b, "sum"), args(b, c.arguments...)
			in := input(batch, arguments, new(atomic.Uint32))
			wave := udf.Wave{Inputs: []udf.Input{in}, Outputs: make([]udf.Output, 1)}
			var last udf.Output
			b.ReportAllocs()
			for b.Loop() {
				p.Calculate(&wave)
				part := wave.Outputs[0].Part
				p.Finish(&udf.MergeInput{Parts: []udf.Value{part}, Arguments: arguments}, &last)
				last.Clear()
				wave.Outputs[0].Clear()
			}
		})
	}
}
