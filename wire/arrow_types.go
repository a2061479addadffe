package wire

import (
	"github.com/apache/arrow/go/v17/arrow"
	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire/flatbuf/arrowfb"
)

// schemaReader makes an Arrow schema of metadata that verify has passed.
type schemaReader struct {
	fields int     // read so far
	ids    []int64 // of the dictionaries, in pre-order: as vertex.Schema.Dictionaries has them
	unions bool    // there are some
	paths  int     // length of the paths of the fields read so far
}

func (r *schemaReader) schema(t *arrowfb.Schema) (*vertex.Schema, error) {
	if t.Endianness() != arrowfb.EndiannessLittle {
		return nil, status.Errorf(status.Unsupported,
			"the Arrow data is big-endian: write it on a little-endian machine")
	}
	var entry arrowfb.Field
	fields := make([]arrow.Field, t.FieldsLength())
	for i := range fields {
		t.Fields(&entry, i)
		var err error
		if fields[i], err = r.field(&entry, 0, 0); err != nil {
			return nil, err
		}
	}
	var metadata *arrow.Metadata
	if n := t.CustomMetadataLength(); n > 0 {
		m := readMetadata(n, t.CustomMetadata)
		metadata = &m
	}
	schema, err := vertex.SchemaOf(arrow.NewSchema(fields, metadata))
	if status.Of(err) == status.InvalidArgument { // which is said of a caller's own schema
		return nil, status.Errorf(status.Corrupt, "Schema: %w", err)
	}
	return schema, err
}

// field reads a field that is nested depth deep in fields whose path has that length.
func (r *schemaReader) field(t *arrowfb.Field, depth, path int) (arrow.Field, error) {
	f := arrow.Field{Name: string(t.Name()), Nullable: t.Nullable()}
	var encoding arrowfb.DictionaryEncoding
	dictionary := t.Dictionary(&encoding) != nil
	if dictionary {
		r.ids = append(r.ids, encoding.Id())
	}
	r.fields++
	path += len(f.Name)
	r.paths += path
	if r.fields > MaxFields || len(r.ids) > MaxDictionaries || depth > vertex.MaxDepth ||
		r.paths > MaxFieldPaths {
		return f, status.Errorf(status.Corrupt, "Schema: more than %d fields (MaxFields), "+
			"%d dictionaries (MaxDictionaries), %d bytes of paths (MaxFieldPaths) or %d nested fields",
			MaxFields, MaxDictionaries, MaxFieldPaths, vertex.MaxDepth)
	}
	f.Metadata = readMetadata(t.CustomMetadataLength(), t.CustomMetadata)
	var entry arrowfb.Field
	children := make([]arrow.Field, t.ChildrenLength())
	for i := range children {
		t.Children(&entry, i)
		var err error
		if children[i], err = r.field(&entry, depth+1, path); err != nil {
			return f, err
		}
	}
	r.unions = r.unions || t.TypeType() == arrowfb.TypeUnion
	var err error
	if f.Type, err = readType(t, children); err != nil || !dictionary {
		return f, err
	}
	index := arrow.DataType(arrow.PrimitiveTypes.Int32)
	var t2 arrowfb.Int
	if encoding.IndexType(&t2) != nil {
		if index = intType(&t2); index == nil {
			return f, badField(t, "indices of %d bits", t2.BitWidth())
		}
	}
	if encoding.DictionaryKind() != arrowfb.DictionaryKindDenseArray {
		return f, unsupportedField(t, "a dictionary of kind %d", encoding.DictionaryKind())
	}
	f.Type = &arrow.DictionaryType{
		IndexType: index, ValueType: f.Type, Ordered: encoding.IsOrdered(),
	}
	return f, nil
}

func readMetadata(n int, get func(*arrowfb.KeyValue, int) bool) arrow.Metadata {
	if n == 0 {
		return arrow.Metadata{}
	}
	var entry arrowfb.KeyValue
	keys, values := make([]string, n), make([]string, n)
	for i := range n {
		get(&entry, i)
		keys[i], values[i] = string(entry.Key()), string(entry.Value())
	}
	return arrow.NewMetadata(keys, values)
}

// plainTypes are the types that their number says all of.
var plainTypes = [...]arrow.DataType{
	arrowfb.TypeNull:        arrow.Null,
	arrowfb.TypeBinary:      arrow.BinaryTypes.Binary,
	arrowfb.TypeUtf8:        arrow.BinaryTypes.String,
	arrowfb.TypeBool:        arrow.FixedWidthTypes.Boolean,
	arrowfb.TypeLargeBinary: arrow.BinaryTypes.LargeBinary,
	arrowfb.TypeLargeUtf8:   arrow.BinaryTypes.LargeString,
	arrowfb.TypeBinaryView:  arrow.BinaryTypes.BinaryView,
	arrowfb.TypeUtf8View:    arrow.BinaryTypes.StringView,
}

// childCounts has the number of children of the nested types that have a fixed one.
var childCounts = [...]int{
	arrowfb.TypeList:          1,
	arrowfb.TypeFixedSizeList: 1,
	arrowfb.TypeMap:           1,
	arrowfb.TypeLargeList:     1,
	arrowfb.TypeRunEndEncoded: 2,
	arrowfb.TypeListView:      1,
	arrowfb.TypeLargeListView: 1,
}

// readType gives the type of a field, whose children are read already; for a dictionary that of
// its values.
func readType(f *arrowfb.Field, children []arrow.Field) (arrow.DataType, error) {
	number := f.TypeType()
	var t flatbuffers.Table
	if !f.Type(&t) {
		return nil, badField(f, "no type")
	}
	switch number {
	case arrowfb.TypeStruct_:
		return arrow.StructOf(children...), nil
	case arrowfb.TypeUnion:
		return unionType(f, &t, children)
	}
	want := 0
	if int(number) < len(childCounts) {
		want = childCounts[number]
	}
	if want != len(children) {
		return nil, badField(f, "%d children, its type has %d", len(children), want)
	}
	if want > 0 {
		return nestedType(f, &t, children)
	}
	if int(number) < len(plainTypes) && plainTypes[number] != nil {
		return plainTypes[number], nil
	}
	return parametricType(f, &t)
}

// parametricType gives a type without children that has parameters.
func parametricType(f *arrowfb.Field, t *flatbuffers.Table) (arrow.DataType, error) {
	var made arrow.DataType
	switch f.TypeType() {
	case arrowfb.TypeInt:
		var p arrowfb.Int
		p.Init(t.Bytes, t.Pos)
		made = intType(&p)
	case arrowfb.TypeFloatingPoint:
		var p arrowfb.FloatingPoint
		p.Init(t.Bytes, t.Pos)
		switch p.Precision() {
		case arrowfb.PrecisionHALF:
			made = arrow.FixedWidthTypes.Float16
		case arrowfb.PrecisionSINGLE:
			made = arrow.PrimitiveTypes.Float32
		case arrowfb.PrecisionDOUBLE:
			made = arrow.PrimitiveTypes.Float64
		}
	case arrowfb.TypeDecimal:
		return decimalType(f, t)
	case arrowfb.TypeFixedSizeBinary:
		var p arrowfb.FixedSizeBinary
		p.Init(t.Bytes, t.Pos)
		if p.ByteWidth() >= 0 {
			made = &arrow.FixedSizeBinaryType{ByteWidth: int(p.ByteWidth())}
		}
	default:
		made = temporalType(f.TypeType(), t)
	}
	if made == nil {
		return nil, badField(f, "parameters that its type does not have")
	}
	return made, nil
}

func intType(t *arrowfb.Int) arrow.DataType {
	types := arrow.PrimitiveTypes
	switch {
	case t.BitWidth() == 8 && t.IsSigned():
		return types.Int8
	case t.BitWidth() == 16 && t.IsSigned():
		return types.Int16
	case t.BitWidth() == 32 && t.IsSigned():
		return types.Int32
	case t.BitWidth() == 64 && t.IsSigned():
		return types.Int64
	case t.BitWidth() == 8:
		return types.Uint8
	case t.BitWidth() == 16:
		return types.Uint16
	case t.BitWidth() == 32:
		return types.Uint32
	case t.BitWidth() == 64:
		return types.Uint64
	}
	return nil
}

func decimalType(f *arrowfb.Field, t *flatbuffers.Table) (arrow.DataType, error) {
	var p arrowfb.Decimal
	p.Init(t.Bytes, t.Pos)
	switch precision := p.Precision(); {
	case p.BitWidth() == 32 || p.BitWidth() == 64:
		return nil, unsupportedField(f, "decimals of %d bits", p.BitWidth())
	case p.BitWidth() == 128 && precision >= 1 && precision <= 38:
		return &arrow.Decimal128Type{Precision: precision, Scale: p.Scale()}, nil
	case p.BitWidth() == 256 && precision >= 1 && precision <= 76:
		return &arrow.Decimal256Type{Precision: precision, Scale: p.Scale()}, nil
	}
	return nil, badField(f, "decimals of %d bits and precision %d", p.BitWidth(), p.Precision())
}

// temporalType gives a type of time, or nil where the parameters are wrong.
func temporalType(number arrowfb.Type, t *flatbuffers.Table) arrow.DataType {
	types := arrow.FixedWidthTypes
	switch number {
	case arrowfb.TypeDate:
		var p arrowfb.Date
		p.Init(t.Bytes, t.Pos)
		switch p.Unit() {
		case arrowfb.DateUnitDAY:
			return types.Date32
		case arrowfb.DateUnitMILLISECOND:
			return types.Date64
		}
	case arrowfb.TypeTime:
		var p arrowfb.Time
		p.Init(t.Bytes, t.Pos)
		switch unit := arrow.TimeUnit(p.Unit()); {
		case !knownUnit(p.Unit()):
		case p.BitWidth() == 32 && unit <= arrow.Millisecond:
			return &arrow.Time32Type{Unit: unit}
		case p.BitWidth() == 64 && unit >= arrow.Microsecond:
			return &arrow.Time64Type{Unit: unit}
		}
	case arrowfb.TypeTimestamp:
		var p arrowfb.Timestamp
		p.Init(t.Bytes, t.Pos)
		if knownUnit(p.Unit()) {
			unit := arrow.TimeUnit(p.Unit())
			return &arrow.TimestampType{Unit: unit, TimeZone: string(p.Timezone())}
		}
	case arrowfb.TypeDuration:
		var p arrowfb.Duration
		p.Init(t.Bytes, t.Pos)
		if knownUnit(p.Unit()) {
			return &arrow.DurationType{Unit: arrow.TimeUnit(p.Unit())}
		}
	case arrowfb.TypeInterval:
		var p arrowfb.Interval
		p.Init(t.Bytes, t.Pos)
		switch p.Unit() {
		case arrowfb.IntervalUnitYEAR_MONTH:
			return types.MonthInterval
		case arrowfb.IntervalUnitDAY_TIME:
			return types.DayTimeInterval
		case arrowfb.IntervalUnitMONTH_DAY_NANO:
			return types.MonthDayNanoInterval
		}
	}
	return nil
}

// Units have the same numbers in metadata and in Go.
func knownUnit(u arrowfb.TimeUnit) bool {
	return u >= arrowfb.TimeUnitSECOND && u <= arrowfb.TimeUnitNANOSECOND
}

// nestedType gives a type whose number of children was checked.
func nestedType(f *arrowfb.Field, t *flatbuffers.Table, c []arrow.Field) (arrow.DataType, error) {
	switch f.TypeType() {
	case arrowfb.TypeList:
		return arrow.ListOfField(c[0]), nil
	case arrowfb.TypeLargeList:
		return arrow.LargeListOfField(c[0]), nil
	case arrowfb.TypeListView:
		return arrow.ListViewOfField(c[0]), nil
	case arrowfb.TypeLargeListView:
		return arrow.LargeListViewOfField(c[0]), nil
	case arrowfb.TypeFixedSizeList:
		var p arrowfb.FixedSizeList
		p.Init(t.Bytes, t.Pos)
		if p.ListSize() <= 0 {
			return nil, unsupportedField(f, "lists of %d values each", p.ListSize())
		}
		return arrow.FixedSizeListOfField(p.ListSize(), c[0]), nil
	case arrowfb.TypeMap:
		return mapType(f, t, c[0])
	}
	switch c[0].Type.ID() { // of run ends
	case arrow.INT16, arrow.INT32, arrow.INT64:
		made := arrow.RunEndEncodedOf(c[0].Type, c[1].Type)
		made.ValueNullable = c[1].Nullable
		return made, nil
	}
	return nil, badField(f, "run ends of type %s", c[0].Type)
}

func mapType(f *arrowfb.Field, t *flatbuffers.Table, entries arrow.Field) (arrow.DataType, error) {
	var p arrowfb.Map
	p.Init(t.Bytes, t.Pos)
	pair, ok := entries.Type.(*arrow.StructType)
	if !ok || pair.NumFields() != 2 {
		return nil, badField(f, "entries that are not pairs")
	}
	key, value := pair.Field(0), pair.Field(1)
	made := arrow.MapOfWithMetadata(key.Type, key.Metadata, value.Type, value.Metadata)
	made.KeysSorted = p.KeysSorted()
	made.SetItemNullable(value.Nullable)
	return made, nil
}

func unionType(f *arrowfb.Field, t *flatbuffers.Table, c []arrow.Field) (arrow.DataType, error) {
	var p arrowfb.Union
	p.Init(t.Bytes, t.Pos)
	if len(c) > MaxUnionTypes {
		return nil, badField(f, "%d types, at most %d are possible", len(c), MaxUnionTypes)
	}
	codes := make([]arrow.UnionTypeCode, len(c))
	var seen [MaxUnionTypes]bool
	for i := range codes {
		code := int32(i) // the default
		if p.TypeIdsLength() > 0 {
			if p.TypeIdsLength() != len(c) {
				return nil, badField(f, "%d type ids for %d types", p.TypeIdsLength(), len(c))
			}
			code = p.TypeIds(i)
		}
		if code < 0 || code >= MaxUnionTypes || seen[code] {
			return nil, badField(f, "the type id %d, or twice", code)
		}
		seen[code] = true
		codes[i] = arrow.UnionTypeCode(code)
	}
	switch p.Mode() {
	case arrowfb.UnionModeDense:
		return arrow.DenseUnionOf(c, codes), nil
	case arrowfb.UnionModeSparse:
		return arrow.SparseUnionOf(c, codes), nil
	}
	return nil, badField(f, "the mode %d", p.Mode())
}

func badField(f *arrowfb.Field, format string, args ...any) error {
	return status.Errorf(status.Corrupt, "Schema: the field %q of type %s has "+format,
		append([]any{f.Name(), f.TypeType()}, args...)...)
}

func unsupportedField(f *arrowfb.Field, format string, args ...any) error {
	return status.Errorf(status.Unsupported, "the column %q has "+format+": cast it to another type",
		append([]any{f.Name()}, args...)...)
}
