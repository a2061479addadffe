package vertex

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/decimal256"
	"github.com/apache/arrow/go/v17/arrow/float16"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// allTypes are the types that a column may have, and some nestings of them.
func allTypes() map[string]arrow.DataType {
	i32, str, i64 := arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64
	mapType := arrow.MapOf(str, i64)
	mapType.KeysSorted = true
	list := []arrow.DataType{
		arrow.Null, arrow.FixedWidthTypes.Boolean,
		arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Int16,
		arrow.PrimitiveTypes.Uint16, i32, arrow.PrimitiveTypes.Uint32, i64,
		arrow.PrimitiveTypes.Uint64, arrow.FixedWidthTypes.Float16, arrow.PrimitiveTypes.Float32,
		arrow.PrimitiveTypes.Float64,
		&arrow.Decimal128Type{Precision: 30, Scale: 4}, &arrow.Decimal256Type{Precision: 60, Scale: -2},
		arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Date64,
		arrow.FixedWidthTypes.Time32s, arrow.FixedWidthTypes.Time32ms,
		arrow.FixedWidthTypes.Time64us, arrow.FixedWidthTypes.Time64ns,
		&arrow.TimestampType{Unit: arrow.Second}, &arrow.TimestampType{Unit: arrow.Millisecond},
		&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "Europe/Berlin"},
		&arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"},
		arrow.FixedWidthTypes.Duration_s, arrow.FixedWidthTypes.Duration_ms,
		arrow.FixedWidthTypes.Duration_us, arrow.FixedWidthTypes.Duration_ns,
		arrow.FixedWidthTypes.MonthInterval, arrow.FixedWidthTypes.DayTimeInterval,
		arrow.FixedWidthTypes.MonthDayNanoInterval,
		&arrow.FixedSizeBinaryType{ByteWidth: 3},
		arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary, str, arrow.BinaryTypes.LargeString,
		arrow.BinaryTypes.BinaryView, arrow.BinaryTypes.StringView,
		arrow.ListOf(i32), arrow.LargeListOf(str), arrow.ListViewOf(i32), arrow.LargeListViewOf(str),
		arrow.FixedSizeListOf(3, i32), mapType,
		arrow.StructOf(arrow.Field{Name: "x", Type: i32, Nullable: true},
			arrow.Field{Name: "y", Type: arrow.ListOf(arrow.BinaryTypes.StringView), Nullable: true}),
		arrow.SparseUnionOf([]arrow.Field{{Name: "n", Type: i32, Nullable: true},
			{Name: "s", Type: str, Nullable: true}}, []arrow.UnionTypeCode{5, 2}),
		arrow.DenseUnionOf([]arrow.Field{{Name: "n", Type: i32, Nullable: true},
			{Name: "s", Type: str, Nullable: true}}, []arrow.UnionTypeCode{0, 127}),
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: str, Ordered: true},
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint16, ValueType: i64},
		arrow.RunEndEncodedOf(i32, str), arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int16, i64),
		arrow.ListOf(arrow.StructOf(arrow.Field{Name: "m", Type: mapType, Nullable: true},
			arrow.Field{Name: "d", Nullable: true, Type: &arrow.DictionaryType{
				IndexType: i32, ValueType: str}})),
		arrow.FixedSizeListOf(2, arrow.ListViewOf(arrow.FixedWidthTypes.Boolean)),
	}
	types := map[string]arrow.DataType{}
	for _, t := range list {
		types[t.String()] = t
	}
	return types
}

// sortedTypes gives allTypes in the order of their names.
func sortedTypes() []arrow.DataType {
	types := allTypes()
	var sorted []arrow.DataType
	for _, name := range slices.Sorted(maps.Keys(types)) {
		sorted = append(sorted, types[name])
	}
	return sorted
}

// randomRecord gives n rows of one column of a type; the caller releases it.
func randomRecord(rng *rand.Rand, t arrow.DataType, n int) arrow.Record {
	m := arrow.NewMetadata([]string{"k", ""}, []string{"", "v"})
	s := arrow.NewSchema([]arrow.Field{{Name: "column", Type: t, Nullable: true, Metadata: m}}, &m)
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	for range n {
		appendRandom(rng, b)
	}
	column := b.NewArray()
	defer column.Release()
	return array.NewRecord(s, []arrow.Array{column}, int64(n))
}

func randomText(rng *rand.Rand) string {
	return strings.Repeat(string("aé漢🙂z"[[]int{0, 1, 3, 6, 10}[rng.IntN(5)]:]), rng.IntN(4))
}

// appendRandom appends one value, or null.
func appendRandom(rng *rand.Rand, b array.Builder) {
	if _, union := b.(array.UnionBuilder); !union && rng.IntN(4) == 0 {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.NullBuilder:
		b.AppendNull()
	case *array.BooleanBuilder:
		b.Append(rng.IntN(2) == 0)
	case *array.Float16Builder:
		b.Append(float16.New(rng.Float32()))
	case *array.Decimal128Builder:
		b.Append(decimal128.FromI64(rng.Int64()))
	case *array.Decimal256Builder:
		b.Append(decimal256.FromI64(rng.Int64()))
	case *array.MonthIntervalBuilder:
		b.Append(arrow.MonthInterval(rng.Int32()))
	case *array.DayTimeIntervalBuilder:
		b.Append(arrow.DayTimeInterval{Days: rng.Int32(), Milliseconds: rng.Int32()})
	case *array.MonthDayNanoIntervalBuilder:
		b.Append(arrow.MonthDayNanoInterval{
			Months: rng.Int32(), Days: rng.Int32(), Nanoseconds: rng.Int64()})
	case *array.FixedSizeBinaryBuilder:
		b.Append([]byte{byte(rng.Int()), byte(rng.Int()), byte(rng.Int())})
	case *array.BinaryBuilder:
		b.Append([]byte(randomText(rng)))
	case *array.StringBuilder:
		b.Append(randomText(rng))
	case *array.LargeStringBuilder:
		b.Append(randomText(rng))
	case *array.StringViewBuilder:
		b.Append(randomText(rng))
	case *array.BinaryViewBuilder:
		b.Append([]byte(randomText(rng)))
	case *array.MapBuilder:
		b.Append(true)
		for range rng.IntN(4) {
			b.KeyBuilder().(*array.StringBuilder).Append(randomText(rng))
			appendRandom(rng, b.ItemBuilder())
		}
	case *array.FixedSizeListBuilder:
		b.Append(true)
		for range b.Type().(*arrow.FixedSizeListType).Len() {
			appendRandom(rng, b.ValueBuilder())
		}
	case array.VarLenListLikeBuilder:
		n := rng.IntN(4)
		b.AppendWithSize(true, n)
		for range n {
			appendRandom(rng, b.ValueBuilder())
		}
	case *array.StructBuilder:
		b.Append(true)
		for i := range b.NumField() {
			appendRandom(rng, b.FieldBuilder(i))
		}
	case *array.SparseUnionBuilder:
		codes := b.Type().(arrow.UnionType).TypeCodes()
		b.Append(codes[rng.IntN(len(codes))])
		for i := range codes {
			appendRandom(rng, b.Child(i))
		}
	case *array.DenseUnionBuilder:
		codes := b.Type().(arrow.UnionType).TypeCodes()
		i := rng.IntN(len(codes))
		b.Append(codes[i])
		appendRandom(rng, b.Child(i))
	case *array.BinaryDictionaryBuilder:
		if err := b.AppendString(randomText(rng)); err != nil {
			panic(err)
		}
	case *array.Int64DictionaryBuilder:
		if err := b.Append(rng.Int64N(20)); err != nil {
			panic(err)
		}
	case *array.RunEndEncodedBuilder:
		b.Append(uint64(1))
		appendRandom(rng, b.ValueBuilder())
	default:
		if err := b.AppendValueFromString(fmt.Sprint(rng.IntN(100))); err != nil {
			appendNumber(rng, b)
		}
	}
}

// appendNumber appends to builders of temporal types.
func appendNumber(rng *rand.Rand, b array.Builder) {
	switch b := b.(type) {
	case *array.Date32Builder:
		b.Append(arrow.Date32(rng.IntN(30000)))
	case *array.Date64Builder:
		b.Append(arrow.Date64(rng.Int64N(30000) * 86400000))
	case *array.Time32Builder:
		b.Append(arrow.Time32(rng.IntN(86400)))
	case *array.Time64Builder:
		b.Append(arrow.Time64(rng.IntN(86400)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(rng.Int64N(1e9)))
	case *array.DurationBuilder:
		b.Append(arrow.Duration(rng.Int64N(1e9)))
	default:
		panic(fmt.Sprintf("no random values for %s", b.Type()))
	}
}

// rowsOf gives the values of a record as text, row by row.
func rowsOf(r arrow.Record) []string {
	rows := make([]string, r.NumRows())
	for i := range rows {
		for _, column := range r.Columns() {
			rows[i] += column.ValueStr(i) + "|"
		}
	}
	return rows
}
