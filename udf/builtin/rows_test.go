package builtin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex"
)

func TestRows(t *testing.T) {
	table := recordWith(t, column{"a", i64, "1 2 3 4 5 6 7"}, column{"b", utf8, "x y _ x y _ x"},
		column{"c", boolean, "true false true _ true false true"})
	for _, c := range []struct {
		name string
		args []any
		want string
	}{
		{"head", nil, "a:int64 1 2 3 4 5\nb:utf8 x y _ x y\nc:bool true false true _ true"},
		{"head", []any{"n", 0, "columns", "a"}, "a:int64"},
		{"head", []any{"n", 100, "columns", "a"}, "a:int64 1 2 3 4 5 6 7"},
		{"head", []any{"n", 2, "columns", []string{"c", "a"}}, "c:bool true false\na:int64 1 2"},
		{"head", []any{"n", 4, "columns", []string{"a"}, "where_column", "b", "where_op", "!=",
			"where_value", "y"},
			"a:int64 1 4 7"},
		{"select", []any{"columns", []string{"b"}}, "b:utf8 x y _ x y _ x"},
		{"select", []any{"columns", []string{"b"}, "n", 3}, "b:utf8 x y _"},
		{"filter", []any{"where_column", "a", "where_op", ">=", "where_value", 3.5},
			"a:int64 4 5 6 7\nb:utf8 x y _ x\nc:bool _ true false true"},
		{"filter", []any{"where_column", "b", "where_op", "is_null", "n", 1},
			"a:int64 3\nb:utf8 _\nc:bool true"},
		{"filter", []any{"where_column", "c", "where_op", "==", "where_value", false, "columns", "a"},
			"a:int64 2 6"},
		{"filter", []any{"where_column", "a", "where_op", ">", "where_value", 0, "columns", "a"},
			"a:int64 1 2 3 4 5 6 7"},
		{"filter", []any{"where_column", "a", "where_op", ">", "where_value", 7},
			"a:int64\nb:utf8\nc:bool"},
	} {
		t.Run(fmt.Sprint(c.name, c.args), func(t *testing.T) {
			whole := batchOf(t, table)
			first, second := whole.Slice(0, 3), whole.Slice(3, 7)
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

func TestRowsFailures(t *testing.T) {
	b := batchOf(t, recordWith(t, column{"a", i64, "1"}))
	for _, c := range []struct {
		name     string
		args     []any
		code     status.Code
		contains string
	}{
		{"head", []any{"n", -1}, status.InvalidArgument, `"n" is -1`},
		{"head", []any{"by", "a"}, status.InvalidArgument, `no argument "by"`},
		{"select", nil, status.InvalidArgument, `needs the argument "columns"`},
		{"select", []any{"columns", []string{"z"}}, status.NotFound, `no column "z"; there are a`},
		{"select", []any{"columns", []string{"a", "a"}}, status.InvalidArgument, `two columns "a"`},
		{"filter", nil, status.InvalidArgument, `needs the argument "where_column"`},
	} {
		_, err := call(t, c.name, args(t, c.args...), b)
		requireFailure(t, err, c.code, c.contains)
	}
}

// A row is chosen whole, whatever the types of its columns.
func TestFilterOfEveryType(t *testing.T) {
	types := []arrow.DataType{i8, u16, f32, f64, utf8, largeUTF8, boolean, date32, timestamp, category,
		arrow.BinaryTypes.StringView, arrow.BinaryTypes.Binary, &arrow.Decimal128Type{Precision: 9,
			Scale: 2},
		&arrow.FixedSizeBinaryType{ByteWidth: 3}, arrow.Null, arrow.ListOf(i32),
		arrow.StructOf(arrow.Field{Name: "x", Type: utf8, Nullable: true}), arrow.FixedSizeListOf(2, f64)}
	const rows = 200
	rng := random(t)
	for _, dt := range types {
		b := array.NewBuilder(memory.DefaultAllocator, dt)
		for i := range rows {
			switch {
			case i%7 == 3 || dt == arrow.Null:
				b.AppendNull()
			default:
				appendNested(b, i)
			}
		}
		keep := makeMask(rows, func(int) bool { return rng.IntN(3) == 0 })
		whole := b.NewArray()
		sliced := array.NewSlice(whole, 5, rows-1)
		keep.trim(rows)
		for _, c := range []arrow.Array{whole, sliced} {
			m := makeMask(c.Len(), func(row int) bool { return keep[row/64]>>(row%64)&1 == 1 })
			got, err := filter(c, m, m.count())
			require.NoError(t, err, "%v", dt)
			require.Equal(t, m.count(), got.Len())
			k := 0
			m.each(func(row int) {
				require.Equal(t, c.ValueStr(row), got.ValueStr(k), "%v, row %d", dt, row)
				k++
			})
		}
	}
}

func makeMask(rows int, keep func(row int) bool) mask {
	m := make(mask, words(rows))
	for row := range rows {
		if keep(row) {
			m.set(row)
		}
	}
	return m
}

// appendNested appends a value made of i to a builder of any type.
func appendNested(b array.Builder, i int) {
	switch b := b.(type) {
	case *array.ListBuilder:
		b.Append(true)
		for k := range i % 4 {
			b.ValueBuilder().(*array.Int32Builder).Append(int32(k * i))
		}
	case *array.FixedSizeListBuilder:
		b.Append(true)
		b.ValueBuilder().(*array.Float64Builder).AppendValues([]float64{float64(i), 1}, nil)
	case *array.StructBuilder:
		b.Append(true)
		b.FieldBuilder(0).(*array.StringBuilder).Append(fmt.Sprint("x", i))
	case *array.FixedSizeBinaryBuilder:
		b.Append([]byte(fmt.Sprintf("%03d", i)))
	case *array.BinaryBuilder:
		b.Append([]byte(fmt.Sprint("bytes", i)))
	case *array.BooleanBuilder:
		b.Append(i%3 == 0)
	case *array.Date32Builder:
		b.Append(arrow.Date32(i))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(i))
	default:
		text := fmt.Sprint(i % 100)
		if err := b.AppendValueFromString(text); err != nil {
			panic(err)
		}
	}
}
