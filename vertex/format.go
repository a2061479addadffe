package vertex

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
)

// The formats of types without parameters, as the C Data Interface specifies them.
var plainFormats = map[string]arrow.DataType{
	"n": arrow.Null,
	"b": arrow.FixedWidthTypes.Boolean,
	"c": arrow.PrimitiveTypes.Int8, "C": arrow.PrimitiveTypes.Uint8,
	"s": arrow.PrimitiveTypes.Int16, "S": arrow.PrimitiveTypes.Uint16,
	"i": arrow.PrimitiveTypes.Int32, "I": arrow.PrimitiveTypes.Uint32,
	"l": arrow.PrimitiveTypes.Int64, "L": arrow.PrimitiveTypes.Uint64,
	"e": arrow.FixedWidthTypes.Float16,
	"f": arrow.PrimitiveTypes.Float32, "g": arrow.PrimitiveTypes.Float64,
	"z": arrow.BinaryTypes.Binary, "Z": arrow.BinaryTypes.LargeBinary,
	"u": arrow.BinaryTypes.String, "U": arrow.BinaryTypes.LargeString,
	"vz": arrow.BinaryTypes.BinaryView, "vu": arrow.BinaryTypes.StringView,
	"tdD": arrow.FixedWidthTypes.Date32, "tdm": arrow.FixedWidthTypes.Date64,
	"tts": arrow.FixedWidthTypes.Time32s, "ttm": arrow.FixedWidthTypes.Time32ms,
	"ttu": arrow.FixedWidthTypes.Time64us, "ttn": arrow.FixedWidthTypes.Time64ns,
	"tDs": arrow.FixedWidthTypes.Duration_s, "tDm": arrow.FixedWidthTypes.Duration_ms,
	"tDu": arrow.FixedWidthTypes.Duration_us, "tDn": arrow.FixedWidthTypes.Duration_ns,
	"tiM": arrow.FixedWidthTypes.MonthInterval,
	"tiD": arrow.FixedWidthTypes.DayTimeInterval,
	"tin": arrow.FixedWidthTypes.MonthDayNanoInterval,
}

// The letters of time units in formats.
const unitLetters = "smun" // in the order of arrow.TimeUnit

// nestedFormats are the types whose format alone does not say all, with their number of children
// (-1: any).
var nestedFormats = map[string]int{
	"+l": 1, "+L": 1, "+vl": 1, "+vL": 1, "+w": 1, "+s": -1, "+m": 1, "+r": 2, "+ud": -1, "+us": -1,
}

// formatOf gives a type's format; "" if there is none. Dictionaries have that of their indices.
func formatOf(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return formatOf(t.IndexType)
	case *arrow.FixedSizeBinaryType:
		return fmt.Sprintf("w:%d", t.ByteWidth)
	case *arrow.Decimal128Type:
		return fmt.Sprintf("d:%d,%d", t.Precision, t.Scale)
	case *arrow.Decimal256Type:
		return fmt.Sprintf("d:%d,%d,256", t.Precision, t.Scale)
	case *arrow.TimestampType:
		return "ts" + unitLetters[t.Unit:t.Unit+1] + ":" + t.TimeZone
	case *arrow.ListType:
		return "+l"
	case *arrow.LargeListType:
		return "+L"
	case *arrow.ListViewType:
		return "+vl"
	case *arrow.LargeListViewType:
		return "+vL"
	case *arrow.FixedSizeListType:
		return fmt.Sprintf("+w:%d", t.Len())
	case *arrow.StructType:
		return "+s"
	case *arrow.MapType:
		return "+m"
	case *arrow.RunEndEncodedType:
		return "+r"
	case arrow.UnionType:
		var codes []string
		for _, c := range t.TypeCodes() {
			codes = append(codes, strconv.Itoa(int(c)))
		}
		if t.Mode() == arrow.DenseMode {
			return "+ud:" + strings.Join(codes, ",")
		}
		return "+us:" + strings.Join(codes, ",")
	}
	for format, plain := range plainFormats {
		if plain.ID() == t.ID() && arrow.TypeEqual(plain, t) {
			return format
		}
	}
	return ""
}

// unsupported says that the column cannot be a vertex's.
func unsupported(path, format string) *status.Error {
	return status.Errorf(status.Unsupported,
		"column %q: the type with format %q is not supported: cast the column to another one",
		path, format)
}

// unsupportedAs is unsupported for a type that has a name, and another one to be cast to.
func unsupportedAs(path, name, other string) *status.Error {
	return status.Errorf(status.Unsupported,
		"column %q: Arrow's type %s is not supported: cast the column to %s", path, name, other)
}

// typeOf gives the type of a spec, whose children are fields already.
func typeOf(s *spec, path string, children []arrow.Field) (arrow.DataType, error) {
	if t, ok := plainFormats[s.format]; ok {
		if len(children) != 0 {
			return nil, badSchema(path, "its type %q has no children, and there are %d",
				s.format, len(children))
		}
		return t, nil
	}
	base, parameters, _ := strings.Cut(s.format, ":")
	if want, ok := nestedFormats[base]; ok {
		if want >= 0 && want != len(children) {
			return nil, badSchema(path, "its type %q has %d children, and there are %d",
				s.format, want, len(children))
		}
		return nestedType(s, path, base, parameters, children)
	}
	if len(children) != 0 {
		return nil, unsupported(path, s.format)
	}
	switch base {
	case "w":
		width, err := strconv.ParseInt(parameters, 10, 32)
		if err != nil || width < 0 {
			return nil, badSchema(path, "its format %q has no valid width", s.format)
		}
		return &arrow.FixedSizeBinaryType{ByteWidth: int(width)}, nil
	case "d":
		return decimalType(s, path, parameters)
	case "tss", "tsm", "tsu", "tsn":
		unit := arrow.TimeUnit(strings.IndexByte(unitLetters, base[2]))
		return &arrow.TimestampType{Unit: unit, TimeZone: parameters}, nil
	}
	return nil, unsupported(path, s.format)
}

func decimalType(s *spec, path, parameters string) (arrow.DataType, error) {
	var numbers [3]int64
	numbers[2] = 128
	parts := strings.Split(parameters, ",")
	if len(parts) != 2 && len(parts) != 3 {
		return nil, badSchema(path, "its format %q is not d:precision,scale or d:precision,scale,bits",
			s.format)
	}
	for i, part := range parts {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil {
			return nil, badSchema(path, "its format %q has a part that is no number", s.format)
		}
		numbers[i] = n
	}
	precision, scale := int32(numbers[0]), int32(numbers[1])
	switch {
	case numbers[2] == 128 && precision >= 1 && precision <= 38:
		return &arrow.Decimal128Type{Precision: precision, Scale: scale}, nil
	case numbers[2] == 256 && precision >= 1 && precision <= 76:
		return &arrow.Decimal256Type{Precision: precision, Scale: scale}, nil
	case numbers[2] == 32, numbers[2] == 64:
		return nil, unsupportedAs(path, fmt.Sprintf("decimal%d(%d, %d)", numbers[2], precision, scale),
			fmt.Sprintf("decimal128(%d, %d)", precision, scale))
	}
	return nil, unsupported(path, s.format)
}

func nestedType(s *spec, path, base, parameters string, f []arrow.Field) (arrow.DataType, error) {
	switch base {
	case "+l":
		return arrow.ListOfField(f[0]), nil
	case "+L":
		return arrow.LargeListOfField(f[0]), nil
	case "+vl":
		return arrow.ListViewOfField(f[0]), nil
	case "+vL":
		return arrow.LargeListViewOfField(f[0]), nil
	case "+w":
		size, err := strconv.ParseInt(parameters, 10, 32)
		if err != nil || size < 0 {
			return nil, badSchema(path, "its format %q has no valid size", s.format)
		}
		if size == 0 {
			return nil, unsupportedAs(path, "fixed_size_list[0]", "list")
		}
		return arrow.FixedSizeListOfField(int32(size), f[0]), nil
	case "+s":
		return arrow.StructOf(f...), nil
	case "+m":
		return mapType(s, path, f[0])
	case "+r":
		return runEndType(path, f)
	}
	return unionType(s, path, base, parameters, f)
}

func mapType(s *spec, path string, entries arrow.Field) (arrow.DataType, error) {
	pair, ok := entries.Type.(*arrow.StructType)
	if !ok || pair.NumFields() != 2 {
		return nil, badSchema(path, "a map's child is a struct of key and value, not %s", entries.Type)
	}
	key, value := pair.Field(0), pair.Field(1)
	t := arrow.MapOfWithMetadata(key.Type, key.Metadata, value.Type, value.Metadata)
	t.KeysSorted = s.flags&flagMapKeysSorted != 0
	t.SetItemNullable(value.Nullable)
	return t, nil
}

func runEndType(path string, f []arrow.Field) (arrow.DataType, error) {
	switch f[0].Type.ID() {
	case arrow.INT16, arrow.INT32, arrow.INT64:
	default:
		return nil, badSchema(path, "run ends are int16, int32 or int64, not %s", f[0].Type)
	}
	t := arrow.RunEndEncodedOf(f[0].Type, f[1].Type)
	t.ValueNullable = f[1].Nullable
	return t, nil
}

func unionType(s *spec, path, base, parameters string, f []arrow.Field) (arrow.DataType, error) {
	var codes []arrow.UnionTypeCode
	seen := map[int64]bool{}
	for _, text := range strings.FieldsFunc(parameters, func(r rune) bool { return r == ',' }) {
		code, err := strconv.ParseInt(text, 10, 8)
		if err != nil || code < 0 || seen[code] {
			return nil, badSchema(path, "its format %q has a type id that is not from 0 to 127, or twice",
				s.format)
		}
		seen[code] = true
		codes = append(codes, arrow.UnionTypeCode(code))
	}
	if len(codes) != len(f) {
		return nil, badSchema(path, "its format %q has %d type ids, and there are %d children",
			s.format, len(codes), len(f))
	}
	if base == "+ud" {
		return arrow.DenseUnionOf(f, codes), nil
	}
	return arrow.SparseUnionOf(f, codes), nil
}

// badSchema says what is wrong with a column's ArrowSchema.
func badSchema(path, format string, args ...any) *status.Error {
	return status.Errorf(status.InvalidArgument,
		"column %q: %s: correct the schema", path, fmt.Sprintf(format, args...))
}
