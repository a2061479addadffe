package builtin

import (
	"flag"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

var seedFlag = flag.Uint64("seed", 0, "seed of randomised tests; 0: a new one")

// random gives a source whose seed is printed where the test fails.
func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat: -seed=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

const null = array.NullValueStr

var (
	i8, i16, i32, i64 = arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16,
		arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64
	u8, u16, u32, u64 = arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16,
		arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64
	f32, f64  = arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64
	boolean   = arrow.FixedWidthTypes.Boolean
	utf8      = arrow.BinaryTypes.String
	largeUTF8 = arrow.BinaryTypes.LargeString
	date32    = arrow.FixedWidthTypes.Date32
	timestamp = arrow.FixedWidthTypes.Timestamp_us
	category  = &arrow.DictionaryType{IndexType: i32, ValueType: utf8}
)

// column is one column written as text, with spaces between values; "_" is null.
type column struct {
	name   string
	t      arrow.DataType
	values string
}

func makeArray(t testing.TB, dt arrow.DataType, values []string) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, dt)
	defer b.Release()
	for _, v := range values {
		if v == "_" {
			v = null
		}
		require.NoError(t, b.AppendValueFromString(v))
	}
	return b.NewArray()
}

func recordWith(t testing.TB, columns ...column) arrow.Record {
	var fields []arrow.Field
	var arrays []arrow.Array
	rows := 0
	for _, c := range columns {
		fields = append(fields, arrow.Field{Name: c.name, Type: c.t, Nullable: true})
		arrays = append(arrays, makeArray(t, c.t, strings.Fields(c.values)))
		rows = arrays[len(arrays)-1].Len()
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(rows))
}

func batchOf(t testing.TB, r arrow.Record) *vertex.Batch {
	b, err := vertex.FromRecord(r)
	require.NoError(t, err)
	t.Cleanup(b.Release)
	return b
}

// args makes arguments: pairs of a name and an int, float64, bool, string, []string, []aggregate
// or nil.
func args(t testing.TB, pairs ...any) udf.Value {
	var fields []arrow.Field
	var arrays []arrow.Array
	for i := 0; i < len(pairs); i += 2 {
		a := argument(t, pairs[i+1])
		fields = append(fields, arrow.Field{Name: pairs[i].(string), Type: a.DataType(), Nullable: true})
		arrays = append(arrays, a)
	}
	return udf.Value{Batch: batchOf(t, array.NewRecord(arrow.NewSchema(fields, nil), arrays, 1))}
}

func argument(t testing.TB, value any) arrow.Array {
	mem := memory.DefaultAllocator
	switch v := value.(type) {
	case nil:
		return array.NewNull(1)
	case arrow.Array:
		return v
	case int:
		b := array.NewInt64Builder(mem)
		b.Append(int64(v))
		return b.NewArray()
	case float64:
		b := array.NewFloat64Builder(mem)
		b.Append(v)
		return b.NewArray()
	case bool:
		b := array.NewBooleanBuilder(mem)
		b.Append(v)
		return b.NewArray()
	case string:
		b := array.NewStringBuilder(mem)
		b.Append(v)
		return b.NewArray()
	case []string:
		b := array.NewListBuilder(mem, utf8)
		b.Append(true)
		for _, s := range v {
			b.ValueBuilder().(*array.StringBuilder).Append(s)
		}
		return b.NewArray()
	case []aggregate:
		return aggregatesArgument(v)
	}
	require.Fail(t, "no such argument", "%T", value)
	return nil
}

func aggregatesArgument(list []aggregate) arrow.Array {
	b := array.NewListBuilder(memory.DefaultAllocator, arrow.StructOf(
		arrow.Field{Name: "function", Type: utf8}, arrow.Field{Name: "column", Type: utf8,
			Nullable: true},
		arrow.Field{Name: "name", Type: utf8, Nullable: true},
		arrow.Field{Name: "ddof", Type: i64, Nullable: true}))
	b.Append(true)
	structs := b.ValueBuilder().(*array.StructBuilder)
	for _, a := range list {
		structs.Append(true)
		for i, s := range []string{a.function, a.column, a.name} {
			field := structs.FieldBuilder(i).(*array.StringBuilder)
			if s == "" {
				field.AppendNull()
			} else {
				field.Append(s)
			}
		}
		structs.FieldBuilder(3).(*array.Int64Builder).Append(a.ddof)
	}
	return b.NewArray()
}

func load(t testing.TB, name string) udf.Program {
	p, err := Kind{}.Load(&udf.Definition{Kind: udf.KindBuiltin, Name: name})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func input(b *vertex.Batch, arguments udf.Value, cancelled *atomic.Uint32) udf.Input {
	return udf.Input{State: &udf.State{Batch: b}, Terms: &udf.Terms{Cancelled: cancelled},
		Arguments: arguments}
}

// calculate runs one calculate and gives its part, released with the test.
func calculate(
	t testing.TB, p udf.Program, b *vertex.Batch, arguments udf.Value,
) (udf.Value, error) {
	wave := udf.Wave{
		Inputs:  []udf.Input{input(b, arguments, new(atomic.Uint32))},
		Outputs: make([]udf.Output, 1), Scratch: &udf.Scratch{},
	}
	p.Calculate(&wave)
	return answer(t, &wave.Outputs[0])
}

func answer(t testing.TB, out *udf.Output) (udf.Value, error) {
	t.Cleanup(out.Clear)
	if out.Failure != nil {
		return udf.Value{}, out.Failure
	}
	require.True(t, out.HasPart)
	return out.Part, nil
}

func merge(
	t testing.TB, p udf.Program, arguments udf.Value, parts ...udf.Value,
) (udf.Value, error) {
	var out udf.Output
	p.Merge(&udf.MergeInput{Parts: parts, Arguments: arguments, Scratch: &udf.Scratch{}}, &out)
	return answer(t, &out)
}

// call runs a function over batches: calculate each, merge all, finish.
func call(
	t testing.TB, name string, arguments udf.Value, batches ...*vertex.Batch,
) (arrow.Record, error) {
	p := load(t, name)
	var parts []udf.Value
	for _, b := range batches {
		part, err := calculate(t, p, b, arguments)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	part := parts[0]
	if len(parts) > 1 {
		var err error
		if part, err = merge(t, p, arguments, parts...); err != nil {
			return nil, err
		}
	}
	return finish(t, p, arguments, part)
}

func finish(t testing.TB, p udf.Program, arguments, part udf.Value) (arrow.Record, error) {
	if !p.HasFinish() {
		return part.Batch.Record(), nil
	}
	var out udf.Output
	p.Finish(&udf.MergeInput{Parts: []udf.Value{part}, Arguments: arguments,
		Scratch: &udf.Scratch{}}, &out)
	result, err := answer(t, &out)
	if err != nil {
		return nil, err
	}
	return result.Batch.Record(), nil
}

// show writes a record as text: "name:type" and values, a line a column; "_" is null.
func show(r arrow.Record) string {
	var text strings.Builder
	for i, field := range r.Schema().Fields() {
		text.WriteString(field.Name + ":" + field.Type.String())
		for row := range int(r.NumRows()) {
			v := r.Column(i).ValueStr(row)
			if v == null {
				v = "_"
			}
			text.WriteString(" " + v)
		}
		text.WriteString("\n")
	}
	return text.String()
}

func requireFailure(t *testing.T, err error, code status.Code, contains ...string) {
	t.Helper()
	require.ErrorIs(t, err, code)
	for _, c := range contains {
		require.ErrorContains(t, err, c)
	}
}
