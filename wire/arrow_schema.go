package wire

import (
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire/flatbuf/arrowfb"
)

// schemaWriter writes an Arrow schema as metadata. Dictionaries get the ids 0, 1, ... in the order
// of vertex.Schema.Dictionaries.
type schemaWriter struct {
	b      *flatbuffers.Builder
	nextID int64
	fields int
	paths  int // length of the paths of the fields
}

// writeSchema gives the metadata of a Schema message.
func writeSchema(s *vertex.Schema) ([]byte, error) {
	w := schemaWriter{b: flatbuffers.NewBuilder(1024)}
	plain := s.Arrow()
	fields, err := w.fieldVector(plain.Fields(), 0)
	if err != nil {
		return nil, err
	}
	metadata := w.metadata(plain.Metadata())
	arrowfb.SchemaStart(w.b)
	arrowfb.SchemaAddFields(w.b, fields)
	arrowfb.SchemaAddCustomMetadata(w.b, metadata)
	header := arrowfb.SchemaEnd(w.b)
	finishMessage(w.b, arrowfb.MessageHeaderSchema, header, 0)
	if n := len(w.b.FinishedBytes()); n > MaxSchemaBytes {
		return nil, status.Errorf(status.Exhausted,
			"the schema takes %d bytes of metadata, at most %d are allowed (MaxSchemaBytes): "+
				"give its fields less metadata", n, MaxSchemaBytes)
	}
	return w.b.FinishedBytes(), nil
}

// finishMessage ends a message with that header and length of body.
func finishMessage(b *flatbuffers.Builder, kind arrowfb.MessageHeader, header flatbuffers.UOffsetT,
	bodyLen int64) {
	arrowfb.MessageStart(b)
	arrowfb.MessageAddVersion(b, arrowfb.MetadataVersionV5)
	arrowfb.MessageAddHeaderType(b, kind)
	arrowfb.MessageAddHeader(b, header)
	arrowfb.MessageAddBodyLength(b, bodyLen)
	b.Finish(arrowfb.MessageEnd(b))
}

func (w *schemaWriter) fieldVector(fields []arrow.Field, path int) (flatbuffers.UOffsetT, error) {
	refs := make([]flatbuffers.UOffsetT, len(fields))
	for i := range fields {
		var err error
		if refs[i], err = w.field(&fields[i], path); err != nil {
			return 0, err
		}
	}
	return w.b.CreateVectorOfTables(refs), nil
}

// field writes a field that is nested in fields whose path has that length.
func (w *schemaWriter) field(f *arrow.Field, path int) (flatbuffers.UOffsetT, error) {
	w.fields++
	path += len(f.Name)
	w.paths += path
	if w.fields > MaxFields || w.nextID > MaxDictionaries || w.paths > MaxFieldPaths {
		return 0, status.Errorf(status.Exhausted, "a schema that is sent has at most %d fields "+
			"(MaxFields), %d dictionaries (MaxDictionaries) and %d bytes of paths (MaxFieldPaths): "+
			"split the columns", MaxFields, MaxDictionaries, MaxFieldPaths)
	}
	if !utf8.ValidString(f.Name) {
		return 0, errText("a field's name", f.Name)
	}
	values, id := f.Type, w.nextID
	dictionary, encoded := values.(*arrow.DictionaryType)
	if encoded {
		values = dictionary.ValueType
		w.nextID++
		if _, again := values.(*arrow.DictionaryType); again {
			return 0, status.Errorf(status.Unsupported,
				"the column %q is a dictionary of a dictionary, which Arrow IPC cannot say: "+
					"decode one of them", f.Name)
		}
	}
	var nested []arrow.Field
	if n, ok := values.(arrow.NestedType); ok {
		nested = n.Fields()
	}
	children, err := w.fieldVector(nested, path)
	if err != nil {
		return 0, err
	}
	number, described, err := w.describe(values)
	if err != nil {
		return 0, err
	}
	encoding := flatbuffers.UOffsetT(0)
	if encoded {
		encoding = w.encoding(dictionary, id)
	}
	metadata := w.metadata(f.Metadata)
	name := w.b.CreateString(f.Name)
	arrowfb.FieldStart(w.b)
	arrowfb.FieldAddName(w.b, name)
	arrowfb.FieldAddNullable(w.b, f.Nullable)
	arrowfb.FieldAddTypeType(w.b, number)
	arrowfb.FieldAddType(w.b, described)
	arrowfb.FieldAddDictionary(w.b, encoding)
	arrowfb.FieldAddChildren(w.b, children)
	arrowfb.FieldAddCustomMetadata(w.b, metadata)
	return arrowfb.FieldEnd(w.b), nil
}

func (w *schemaWriter) encoding(t *arrow.DictionaryType, id int64) flatbuffers.UOffsetT {
	_, index := w.integer(t.IndexType.(arrow.FixedWidthDataType))
	arrowfb.DictionaryEncodingStart(w.b)
	arrowfb.DictionaryEncodingAddId(w.b, id)
	arrowfb.DictionaryEncodingAddIndexType(w.b, index)
	arrowfb.DictionaryEncodingAddIsOrdered(w.b, t.Ordered)
	return arrowfb.DictionaryEncodingEnd(w.b)
}

func (w *schemaWriter) metadata(m arrow.Metadata) flatbuffers.UOffsetT {
	if m.Len() == 0 {
		return 0
	}
	refs := make([]flatbuffers.UOffsetT, m.Len())
	for i := range refs {
		key, value := w.b.CreateString(m.Keys()[i]), w.b.CreateString(m.Values()[i])
		arrowfb.KeyValueStart(w.b)
		arrowfb.KeyValueAddKey(w.b, key)
		arrowfb.KeyValueAddValue(w.b, value)
		refs[i] = arrowfb.KeyValueEnd(w.b)
	}
	return w.b.CreateVectorOfTables(refs)
}

// typeNumbers are the types that are written as a table without fields.
var typeNumbers = map[arrow.Type]arrowfb.Type{
	arrow.NULL:            arrowfb.TypeNull,
	arrow.BOOL:            arrowfb.TypeBool,
	arrow.BINARY:          arrowfb.TypeBinary,
	arrow.STRING:          arrowfb.TypeUtf8,
	arrow.LARGE_BINARY:    arrowfb.TypeLargeBinary,
	arrow.LARGE_STRING:    arrowfb.TypeLargeUtf8,
	arrow.BINARY_VIEW:     arrowfb.TypeBinaryView,
	arrow.STRING_VIEW:     arrowfb.TypeUtf8View,
	arrow.LIST:            arrowfb.TypeList,
	arrow.LARGE_LIST:      arrowfb.TypeLargeList,
	arrow.LIST_VIEW:       arrowfb.TypeListView,
	arrow.LARGE_LIST_VIEW: arrowfb.TypeLargeListView,
	arrow.STRUCT:          arrowfb.TypeStruct_,
	arrow.RUN_END_ENCODED: arrowfb.TypeRunEndEncoded,
}

// describe writes a type's parameters and gives its number.
func (w *schemaWriter) describe(t arrow.DataType) (arrowfb.Type, flatbuffers.UOffsetT, error) {
	if number, ok := typeNumbers[t.ID()]; ok {
		w.b.StartObject(0)
		return number, w.b.EndObject(), nil
	}
	if fixed, ok := t.(arrow.FixedWidthDataType); ok && arrow.IsInteger(t.ID()) {
		number, table := w.integer(fixed)
		return number, table, nil
	}
	switch t := t.(type) {
	case *arrow.Decimal128Type:
		return arrowfb.TypeDecimal, w.decimal(t.Precision, t.Scale, 128), nil
	case *arrow.Decimal256Type:
		return arrowfb.TypeDecimal, w.decimal(t.Precision, t.Scale, 256), nil
	case *arrow.FixedSizeBinaryType:
		arrowfb.FixedSizeBinaryStart(w.b)
		arrowfb.FixedSizeBinaryAddByteWidth(w.b, int32(t.ByteWidth))
		return arrowfb.TypeFixedSizeBinary, arrowfb.FixedSizeBinaryEnd(w.b), nil
	case *arrow.FixedSizeListType:
		arrowfb.FixedSizeListStart(w.b)
		arrowfb.FixedSizeListAddListSize(w.b, t.Len())
		return arrowfb.TypeFixedSizeList, arrowfb.FixedSizeListEnd(w.b), nil
	case *arrow.MapType:
		arrowfb.MapStart(w.b)
		arrowfb.MapAddKeysSorted(w.b, t.KeysSorted)
		return arrowfb.TypeMap, arrowfb.MapEnd(w.b), nil
	case arrow.UnionType:
		return arrowfb.TypeUnion, w.union(t), nil
	}
	if number, table := w.temporal(t); table != 0 {
		return number, table, nil
	}
	return 0, 0, status.Errorf(status.Unsupported,
		"the type %s cannot be sent: cast the column to another one", t)
}

func (w *schemaWriter) integer(t arrow.FixedWidthDataType) (arrowfb.Type, flatbuffers.UOffsetT) {
	arrowfb.IntStart(w.b)
	arrowfb.IntAddBitWidth(w.b, int32(t.BitWidth()))
	arrowfb.IntAddIsSigned(w.b, arrow.IsSignedInteger(t.ID()))
	return arrowfb.TypeInt, arrowfb.IntEnd(w.b)
}

func (w *schemaWriter) decimal(precision, scale, bits int32) flatbuffers.UOffsetT {
	arrowfb.DecimalStart(w.b)
	arrowfb.DecimalAddPrecision(w.b, precision)
	arrowfb.DecimalAddScale(w.b, scale)
	arrowfb.DecimalAddBitWidth(w.b, bits)
	return arrowfb.DecimalEnd(w.b)
}

func (w *schemaWriter) union(t arrow.UnionType) flatbuffers.UOffsetT {
	codes := t.TypeCodes()
	arrowfb.UnionStartTypeIdsVector(w.b, len(codes))
	for _, code := range slices.Backward(codes) {
		w.b.PrependInt32(int32(code))
	}
	ids := w.b.EndVector(len(codes))
	mode := arrowfb.UnionModeSparse
	if t.Mode() == arrow.DenseMode {
		mode = arrowfb.UnionModeDense
	}
	arrowfb.UnionStart(w.b)
	arrowfb.UnionAddMode(w.b, mode)
	arrowfb.UnionAddTypeIds(w.b, ids)
	return arrowfb.UnionEnd(w.b)
}

// temporal writes floating-point types and those of time; the table is 0 where t is none of them.
func (w *schemaWriter) temporal(t arrow.DataType) (arrowfb.Type, flatbuffers.UOffsetT) {
	// unit writes a type whose only field is a unit.
	unit := func(number arrowfb.Type, unit int16) (arrowfb.Type, flatbuffers.UOffsetT) {
		w.b.StartObject(1)
		w.b.PrependInt16(unit) // never left out, because the defaults differ
		w.b.Slot(0)
		return number, w.b.EndObject()
	}
	switch t := t.(type) {
	case *arrow.Float16Type:
		return unit(arrowfb.TypeFloatingPoint, int16(arrowfb.PrecisionHALF))
	case *arrow.Float32Type:
		return unit(arrowfb.TypeFloatingPoint, int16(arrowfb.PrecisionSINGLE))
	case *arrow.Float64Type:
		return unit(arrowfb.TypeFloatingPoint, int16(arrowfb.PrecisionDOUBLE))
	case *arrow.Date32Type:
		return unit(arrowfb.TypeDate, int16(arrowfb.DateUnitDAY))
	case *arrow.Date64Type:
		return unit(arrowfb.TypeDate, int16(arrowfb.DateUnitMILLISECOND))
	case *arrow.DurationType:
		return unit(arrowfb.TypeDuration, int16(t.Unit))
	case *arrow.MonthIntervalType:
		return unit(arrowfb.TypeInterval, int16(arrowfb.IntervalUnitYEAR_MONTH))
	case *arrow.DayTimeIntervalType:
		return unit(arrowfb.TypeInterval, int16(arrowfb.IntervalUnitDAY_TIME))
	case *arrow.MonthDayNanoIntervalType:
		return unit(arrowfb.TypeInterval, int16(arrowfb.IntervalUnitMONTH_DAY_NANO))
	case *arrow.Time32Type:
		return w.time(t.Unit, 32)
	case *arrow.Time64Type:
		return w.time(t.Unit, 64)
	case *arrow.TimestampType:
		zone := flatbuffers.UOffsetT(0)
		if t.TimeZone != "" {
			zone = w.b.CreateString(t.TimeZone)
		}
		arrowfb.TimestampStart(w.b)
		arrowfb.TimestampAddUnit(w.b, arrowfb.TimeUnit(t.Unit))
		arrowfb.TimestampAddTimezone(w.b, zone)
		return arrowfb.TypeTimestamp, arrowfb.TimestampEnd(w.b)
	}
	return 0, 0
}

func (w *schemaWriter) time(u arrow.TimeUnit, bits int32) (arrowfb.Type, flatbuffers.UOffsetT) {
	arrowfb.TimeStart(w.b)
	arrowfb.TimeAddUnit(w.b, arrowfb.TimeUnit(u))
	arrowfb.TimeAddBitWidth(w.b, bits)
	return arrowfb.TypeTime, arrowfb.TimeEnd(w.b)
}
