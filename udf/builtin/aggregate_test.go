package builtin

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

func TestAggregates(t *testing.T) {
	flights := recordWith(t,
		column{"carrier", category, "UA AA UA _ AA B6"},
		column{"delay", f64, "2 -4 4 _ NaN _"},
		column{"seats", i32, "1 2 3 4 _ 5"},
		column{"day", date32, "2013-01-02 2013-01-01 _ 2013-01-05 2013-01-03 2013-01-04"},
		column{"night", boolean, "true false true _ true false"},
		column{"small", f32, "0.5 NaN _ 1.5 NaN 2"},
		column{"big", u64, "18446744073709551615 0 _ 1 2 3"})
	for _, c := range []struct {
		name string
		args []any
		want string
	}{
		{"count", nil, "count:int64 6"},
		{"count", []any{"column", nil, "by", nil, "where_value", nil}, "count:int64 6"},
		{"count", []any{"column", "delay"}, "delay_count:int64 4"},
		{"count", []any{"column", "carrier", "name", "n"}, "n:int64 5"},
		{"sum", []any{"column", "seats"}, "seats_sum:int64 15"},
		{"sum", []any{"column", "night"}, "night_sum:int64 3"},
		{"sum", []any{"column", "delay"}, "delay_sum:float64 NaN"},
		{"sum", []any{"column", "delay", "where_column", "carrier", "where_op", "==", "where_value",
			"UA"},
			"delay_sum:float64 6"},
		{"min", []any{"column", "delay"}, "delay_min:float64 -4"},
		{"max", []any{"column", "small"}, "small_max:float32 2"},
		{"max", []any{"column", "day"}, "day_max:date32 2013-01-05"},
		{"max", []any{"column", "night"}, "night_max:bool true"},
		{"max", []any{"column", "big"}, "big_max:uint64 18446744073709551615"},
		{"mean", []any{"column", "seats"}, "seats_mean:float64 3"},
		{"mean", []any{"column", "night"}, "night_mean:float64 0.6"},
		{"mean", []any{"column", "big"}, "big_mean:float64 3.6893488147419105e+18"},
		{"variance", []any{"column", "seats"}, "seats_variance:float64 2.5"},
		{"variance", []any{"column", "seats", "ddof", 0}, "seats_variance:float64 2"},
		{"variance", []any{"column", "seats", "ddof", 5}, "seats_variance:float64 _"},
		{"sum", []any{"column", "delay", "by", "carrier"},
			"carrier:utf8 AA B6 UA _\ndelay_sum:float64 NaN 0 6 0"},
		{"min", []any{"column", "delay", "by", []string{"carrier"}},
			"carrier:utf8 AA B6 UA _\ndelay_min:float64 -4 _ 2 _"},
		{"max", []any{"column", "small", "by", []string{"carrier"}},
			"carrier:utf8 AA B6 UA _\nsmall_max:float32 NaN 2 0.5 1.5"},
		{"mean", []any{"column", "delay", "by", []string{"carrier"}},
			"carrier:utf8 AA B6 UA _\ndelay_mean:float64 NaN _ 3 _"},
		{"count", []any{"by", []string{"night", "carrier"}},
			"night:bool false false true true _\ncarrier:utf8 AA B6 AA UA _\ncount:int64 1 1 1 2 1"},
		{"count", []any{"by", []string{"day"}, "where_column", "seats", "where_op", "<", "where_value",
			3},
			"day:date32 2013-01-01 2013-01-02\ncount:int64 1 1"},
		{"sum", []any{"column", "seats", "by", "carrier", "where_column", "seats", "where_op", ">",
			"where_value", 99},
			"carrier:utf8\nseats_sum:int64"},
		{"aggregate", []any{"by", []string{"carrier"}, "aggregates", []aggregate{
			{function: "count", name: "departures"}, {function: "mean", column: "delay"},
			{"max", "delay", "worst", 0}, {"variance", "seats", "", 0}, {"variance", "seats", "v1", 1}}},
			"carrier:utf8 AA B6 UA _\ndepartures:int64 2 1 2 1\ndelay_mean:float64 NaN _ 3 _\n" +
				"worst:float64 -4 _ 4 _\nseats_variance:float64 0 0 1 0\nv1:float64 _ _ 2 _"},
	} {
		t.Run(fmt.Sprint(c.name, c.args), func(t *testing.T) {
			whole := batchOf(t, flights)
			first, second := whole.Slice(0, 3), whole.Slice(3, 6)
			defer first.Release()
			defer second.Release()
			for _, batches := range [][]*vertex.Batch{{whole}, {first, second}} {
				got, err := call(t, c.name, args(t, c.args...), batches...)
				require.NoError(t, err)
				require.Equal(t, c.want, strings.TrimSuffix(show(got), "\n"))
			}
		})
	}
}

// No rows give no groups, and without keys one row.
func TestAggregateOfNothing(t *testing.T) {
	empty := batchOf(t, recordWith(t, column{"k", utf8, ""}, column{"v", i16, ""}, column{"f", f64,
		""}))
	list := []aggregate{{function: "count", name: "n"}, {function: "sum", column: "v"},
		{function: "sum", column: "f"}, {function: "min", column: "v"}, {function: "mean", column: "v"},
		{function: "variance", column: "f"}}
	for _, batches := range [][]*vertex.Batch{{empty}, {empty, empty, empty}} {
		got, err := call(t, "aggregate", args(t, "aggregates", list), batches...)
		require.NoError(t, err)
		require.Equal(t, "n:int64 0\nv_sum:int64 0\nf_sum:float64 0\nv_min:int16 _\n"+
			"v_mean:float64 _\nf_variance:float64 _\n", show(got))
		got, err = call(t, "aggregate", args(t, "aggregates", list, "by", "k"), batches...)
		require.NoError(t, err)
		require.Equal(t, "k:utf8\nn:int64\nv_sum:int64\nf_sum:float64\nv_min:int16\n"+
			"v_mean:float64\nf_variance:float64\n", show(got))
	}
}

// A sum may leave its type on the way; only where it ends counts.
func TestSumOverflow(t *testing.T) {
	for _, c := range []struct {
		t              arrow.DataType
		values, sum    string
		mean, contains string
	}{
		{i64, "9223372036854775807 1 -1", "9223372036854775807", "3.0744573456182584e+18", ""},
		{i64, "-9223372036854775808 -1 1", "-9223372036854775808", "-3.0744573456182584e+18", ""},
		{i64, "9223372036854775807 1", "", "4.611686018427388e+18",
			"about 9.223e+18, which overflows int64"},
		{i64, "-9223372036854775808 -1", "", "-4.611686018427388e+18", "overflows int64"},
		{u64, "18446744073709551615", "18446744073709551615", "1.8446744073709552e+19", ""},
		{u64, "18446744073709551615 1", "", "9.223372036854775807e+18", "overflows uint64"},
	} {
		whole := batchOf(t, recordWith(t, column{"v", c.t, c.values}))
		shards := make([]*vertex.Batch, whole.Rows())
		for i := range shards {
			shards[i] = whole.Slice(int64(i), int64(i+1))
			defer shards[i].Release()
		}
		for _, batches := range [][]*vertex.Batch{{whole}, shards} {
			got, err := call(t, "sum", args(t, "column", "v"), batches...)
			if c.sum == "" {
				requireFailure(t, err, status.UDFFailed, `the sum of column "v"`, c.contains, "float64")
			} else {
				require.NoError(t, err)
				require.Equal(t, "v_sum:"+c.t.String()+" "+c.sum+"\n", show(got))
			}
			got, err = call(t, "mean", args(t, "column", "v"), batches...)
			require.NoError(t, err)
			var want float64
			_, err = fmt.Sscan(c.mean, &want)
			require.NoError(t, err)
			require.Equal(t, want, got.Column(0).(*array.Float64).Value(0))
		}
	}
}

// The variance of values far from zero keeps its digits, whatever is merged with what.
func TestVarianceIsStable(t *testing.T) {
	var one, two strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&one, "%d ", 1_000_000_000+i%2)
		fmt.Fprintf(&two, "%d ", 1_000_000_002+i%2)
	}
	a := batchOf(t, recordWith(t, column{"v", f64, one.String()}))
	b := batchOf(t, recordWith(t, column{"v", f64, two.String()}))
	got, err := call(t, "variance", args(t, "column", "v", "ddof", 0), a, b)
	require.NoError(t, err)
	require.InDelta(t, 1.25, got.Column(0).(*array.Float64).Value(0), 1e-9)
}

// The entries of a dictionary may be null or there twice; shards may have different dictionaries.
func TestDictionaryKeys(t *testing.T) {
	made := func(entries, indices string) *vertex.Batch {
		c := array.NewDictionaryArray(category, makeArray(t, i32, strings.Fields(indices)),
			makeArray(t, utf8, strings.Fields(entries)))
		return batchOf(t, array.NewRecord(arrow.NewSchema([]arrow.Field{
			{Name: "k", Type: category, Nullable: true}}, nil), []arrow.Array{c}, int64(c.Len())))
	}
	shards := []*vertex.Batch{made("b a _ a unused", "0 1 2 3 _ 0"), made("c a", "1 1 0")}
	got, err := call(t, "count", args(t, "by", "k"), shards...)
	require.NoError(t, err)
	require.Equal(t, "k:utf8 a b c _\ncount:int64 4 2 1 2\n", show(got))
	got, err = call(t, "count", args(t, "column", "k"), shards...)
	require.NoError(t, err)
	require.Equal(t, "k_count:int64 7\n", show(got))
	for op, want := range map[string]string{"is_null": "2", "is_not_null": "7"} {
		got, err = call(t, "count", args(t, "where_column", "k", "where_op", op), shards...)
		require.NoError(t, err)
		require.Equal(t, "count:int64 "+want+"\n", show(got))
	}
}

func TestAggregateFailures(t *testing.T) {
	b := batchOf(t, recordWith(t, column{"k", utf8, "a b"}, column{"v", i64, "1 2"},
		column{"f", f64, "1 2"}, column{"day", date32, "2013-01-01 2013-01-02"}))
	list := func(a ...aggregate) []aggregate { return a }
	for _, c := range []struct {
		name     string
		args     []any
		code     status.Code
		contains string
	}{
		{"sum", nil, status.InvalidArgument, `"sum" needs the argument "column"`},
		{"sum", []any{"column", "w"}, status.NotFound, `no column "w"; there are k, v, f, day`},
		{"sum", []any{"column", "v", "by", "w"}, status.NotFound, `no column "w"`},
		{"sum", []any{"column", "v", "colour", 1}, status.InvalidArgument,
			`"sum" has no argument "colour"; it takes column, by, name, where_column`},
		{"sum", []any{"column", "v", "ddof", 1}, status.InvalidArgument, `no argument "ddof"`},
		{"sum", []any{"column", 1}, status.InvalidArgument,
			`"column" is of type int64, but should be text`},
		{"sum", []any{"column", "v", "column", "k"}, status.InvalidArgument, `"column" is there twice`},
		{"sum", []any{"column", "k"}, status.InvalidArgument, `no sum of column "k" of type utf8`},
		{"sum", []any{"column", "day"}, status.InvalidArgument, `no sum of column "day" of type date32`},
		{"max", []any{"column", "k"}, status.InvalidArgument, `no max of column "k"`},
		{"count", []any{"by", "f"}, status.InvalidArgument, `cannot group by column "f" of type float64`},
		{"count", []any{"by", 1}, status.InvalidArgument, `"by" is of type int64, but should be a list`},
		{"count", []any{"by", []string{"k", "k"}}, status.InvalidArgument, `two columns "k"`},
		{"count", []any{"by", "k", "name", "k"}, status.InvalidArgument, `two columns "k"`},
		{"count", []any{"by", strings.Fields(strings.Repeat("k ", MaxKeys+1))},
			status.InvalidArgument, `"by" has 33 items, at most 32 are allowed`},
		{"variance", []any{"column", "v", "ddof", -1}, status.InvalidArgument, `"ddof" is -1`},
		{"variance", []any{"column", "v", "ddof", 0.5}, status.InvalidArgument, "should be an integer"},
		{"aggregate", nil, status.InvalidArgument, `needs the argument "aggregates"`},
		{"aggregate", []any{"aggregates", []string{"sum"}}, status.InvalidArgument, "list of structs"},
		{"aggregate", []any{"aggregates", list()}, status.InvalidArgument,
			`needs the argument "aggregates"`},
		{"aggregate", []any{"aggregates", list(aggregate{function: "median", column: "v"})},
			status.InvalidArgument, `this one is "median"`},
		{"aggregate", []any{"aggregates", list(aggregate{function: "head"})},
			status.InvalidArgument, `this one is "head"`},
		{"aggregate", []any{"aggregates", list(aggregate{function: "sum"})},
			status.InvalidArgument, `"sum" needs the argument "column"`},
		{"aggregate", []any{"aggregates", list(aggregate{function: "sum", column: "v"},
			aggregate{"mean", "v", "v_sum", 0})}, status.InvalidArgument, `two columns "v_sum"`},
		{"count", []any{"where_column", "v"}, status.InvalidArgument, `both arguments`},
		{"count", []any{"where_column", "v", "where_op", "=", "where_value", 1},
			status.InvalidArgument, `"where_op" is "=": give one of == != <`},
		{"count", []any{"where_column", "v", "where_op", "<"}, status.InvalidArgument,
			"needs a \"where_value\""},
		{"count", []any{"where_column", "v", "where_op", "is_null", "where_value", 1},
			status.InvalidArgument, "takes no"},
		{"count", []any{"where_column", "w", "where_op", "is_null"}, status.NotFound, `no column "w"`},
		{"count", []any{"where_column", "v", "where_op", "<", "where_value", "1"},
			status.InvalidArgument, `column "v" of type int64 cannot be compared with a value of type utf8`},
		{"count", []any{"where_column", "k", "where_op", "<", "where_value", 1},
			status.InvalidArgument, `column "k" of type utf8 cannot be compared`},
	} {
		t.Run(fmt.Sprint(c.name, c.args), func(t *testing.T) {
			_, err := call(t, c.name, args(t, c.args...), b)
			requireFailure(t, err, c.code, c.contains)
			got, err := call(t, "count", args(t), b)
			require.NoError(t, err, "the next call")
			require.Equal(t, "count:int64 2\n", show(got))
		})
	}
}

func TestArgumentsOfOtherShapes(t *testing.T) {
	p := load(t, "sum")
	b := batchOf(t, recordWith(t, column{"v", i64, "1 2"}))
	_, err := calculate(t, p, b, udf.Value{Bytes: []byte("v")})
	requireFailure(t, err, status.InvalidArgument, "one row, not bytes")
	two := batchOf(t, recordWith(t, column{"column", utf8, "v v"}))
	_, err = calculate(t, p, b, udf.Value{Batch: two})
	requireFailure(t, err, status.InvalidArgument, "one row, this one has 2")
	_, err = calculate(t, p, nil, args(t, "column", "v"))
	requireFailure(t, err, status.NotFound, "the vertex has no value")
	// Text of every form names a column.
	for _, form := range []arrow.DataType{utf8, largeUTF8, category, arrow.BinaryTypes.StringView} {
		named := batchOf(t, recordWith(t, column{"column", form, "v"}))
		_, err = calculate(t, p, b, udf.Value{Batch: named})
		require.NoError(t, err)
	}
}

// Parts that this function did not make fail the call and nothing else.
func TestForeignParts(t *testing.T) {
	p := load(t, "mean")
	arguments := args(t, "column", "v", "by", "k")
	made := func(states ...arrow.DataType) udf.Value {
		columns := []column{{"k", utf8, "a"}}
		for i, state := range states {
			columns = append(columns, column{fmt.Sprint("state", i), state, "1"})
		}
		return udf.Value{Batch: batchOf(t, recordWith(t, columns...))}
	}
	shard := recordWith(t, column{"k", utf8, "a"}, column{"v", i64, "1"})
	good, err := calculate(t, p, batchOf(t, shard), arguments)
	require.NoError(t, err)
	for name, bad := range map[string]udf.Value{
		"bytes":        {Bytes: []byte("rubbish")},
		"no columns":   {Batch: batchOf(t, recordWith(t))},
		"only keys":    made(),
		"half a sum":   made(i64),
		"narrow sum":   made(i32, u64, i64),
		"text sum":     made(utf8, i64),
		"more columns": made(f64, i64, i64),
	} {
		_, err := merge(t, p, arguments, bad, good)
		requireFailure(t, err, status.Corrupt, "a part is none of this function")
		_, err = finish(t, p, arguments, bad)
		require.ErrorIs(t, err, status.Corrupt, name)
	}
	shard = recordWith(t, column{"k", i8, "1"}, column{"v", i64, "1"})
	other, err := calculate(t, p, batchOf(t, shard), arguments)
	require.NoError(t, err)
	_, err = merge(t, p, arguments, good, other)
	requireFailure(t, err, status.InvalidArgument,
		`"k" is of type utf8 in one shard and of type int8 in another`)
}

func TestCancelled(t *testing.T) {
	b := batchOf(t, recordWith(t, column{"v", i64, "1 2"}))
	for name, arguments := range map[string]udf.Value{
		"sum":    args(t, "column", "v"),
		"filter": args(t, "where_column", "v", "where_op", "==", "where_value", 1),
	} {
		cancelled := new(atomic.Uint32)
		cancelled.Store(1)
		wave := udf.Wave{
			Inputs:  []udf.Input{input(b, arguments, cancelled)},
			Outputs: make([]udf.Output, 1),
		}
		load(t, name).Calculate(&wave)
		require.NotNil(t, wave.Outputs[0].Failure)
		require.Equal(t, status.Cancelled, wave.Outputs[0].Failure.Code)
	}
}

// Tables grow with the number of groups, and results stay sorted.
func TestManyGroups(t *testing.T) {
	const n = 30_000
	var text, numbers strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "the-key-number-%d ", i*7919%n)
		fmt.Fprintf(&numbers, "%d ", i*7919%n)
	}
	b := batchOf(t, recordWith(t, column{"text", utf8, text.String()}, column{"n", i64,
		numbers.String()}))
	got, err := call(t, "sum", args(t, "column", "n", "by", []string{"n", "text"}), b, b)
	require.NoError(t, err)
	require.Equal(t, int64(n), got.NumRows())
	for i := range n {
		require.Equal(t, int64(i), valueAt(got.Column(0), i))
		require.Equal(t, fmt.Sprintf("the-key-number-%d", i), valueAt(got.Column(1), i))
		require.Equal(t, int64(2*i), valueAt(got.Column(2), i))
	}
}
