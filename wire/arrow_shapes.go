package wire

import (
	"dcf/vertex"
	"dcf/wire/flatbuf/arrowfb"
)

// The shapes of Arrow's metadata, as schemas/arrow/*.fbs have it.

// maxMetadataPairs is the number of key-value pairs of one field, schema or message, maxPairBytes
// the length of a key and of a value. They may be any bytes, as extension types use them.
const (
	maxMetadataPairs = 65536
	maxPairBytes     = MaxMetadataBytes
)

var pairShape = shape{"KeyValue", []slot{
	{name: "key", kind: text, limit: maxPairBytes, raw: true},
	{name: "value", kind: text, limit: maxPairBytes, raw: true},
}}

var pairsSlot = slot{
	name: "custom_metadata", kind: tables, limit: maxMetadataPairs, of: []*shape{&pairShape},
}

var (
	emptyShape = shape{"a type without parameters", nil}
	intShape   = shape{"Int", []slot{{name: "bit_width", size: 4}, {name: "is_signed", size: 1}}}
	unitShape  = shape{"a type with a unit", []slot{{name: "unit", size: 2}}}
	widthShape = shape{"a type with a width", []slot{{name: "width", size: 4}}}
)

// typeShapes has the shape of each type, by its number in the union Type.
var typeShapes = []*shape{
	arrowfb.TypeNull:          &emptyShape,
	arrowfb.TypeInt:           &intShape,
	arrowfb.TypeFloatingPoint: &unitShape,
	arrowfb.TypeBinary:        &emptyShape,
	arrowfb.TypeUtf8:          &emptyShape,
	arrowfb.TypeBool:          &emptyShape,
	arrowfb.TypeDecimal: {"Decimal", []slot{
		{name: "precision", size: 4}, {name: "scale", size: 4}, {name: "bit_width", size: 4},
	}},
	arrowfb.TypeDate: &unitShape,
	arrowfb.TypeTime: {"Time", []slot{{name: "unit", size: 2}, {name: "bit_width", size: 4}}},
	arrowfb.TypeTimestamp: {"Timestamp", []slot{
		{name: "unit", size: 2}, {name: "timezone", kind: text, limit: MaxTimezoneBytes},
	}},
	arrowfb.TypeInterval: &unitShape,
	arrowfb.TypeList:     &emptyShape,
	arrowfb.TypeStruct_:  &emptyShape,
	arrowfb.TypeUnion: {"Union", []slot{
		{name: "mode", size: 2},
		{name: "type_ids", kind: vector, size: 4, limit: MaxUnionTypes},
	}},
	arrowfb.TypeFixedSizeBinary: &widthShape,
	arrowfb.TypeFixedSizeList:   &widthShape,
	arrowfb.TypeMap:             {"Map", []slot{{name: "keys_sorted", size: 1}}},
	arrowfb.TypeDuration:        &unitShape,
	arrowfb.TypeLargeBinary:     &emptyShape,
	arrowfb.TypeLargeUtf8:       &emptyShape,
	arrowfb.TypeLargeList:       &emptyShape,
	arrowfb.TypeRunEndEncoded:   &emptyShape,
	arrowfb.TypeBinaryView:      &emptyShape,
	arrowfb.TypeUtf8View:        &emptyShape,
	arrowfb.TypeListView:        &emptyShape,
	arrowfb.TypeLargeListView:   &emptyShape,
}

var dictionaryShape = shape{"DictionaryEncoding", []slot{
	{name: "id", size: 8},
	{name: "index_type", kind: table, of: []*shape{&intShape}},
	{name: "is_ordered", size: 1},
	{name: "dictionary_kind", size: 2},
}}

var fieldShape = shape{"Field", []slot{
	{name: "name", kind: text, limit: maxPairBytes},
	{name: "nullable", size: 1},
	{name: "type_type", size: 1},
	{name: "type", kind: tagged, of: typeShapes},
	{name: "dictionary", kind: table, of: []*shape{&dictionaryShape}},
	{name: "children", kind: tables, limit: vertex.MaxColumns},
	pairsSlot,
}}

var schemaShape = shape{"Schema", []slot{
	{name: "endianness", size: 2},
	{name: "fields", kind: tables, limit: vertex.MaxColumns, of: []*shape{&fieldShape}},
	pairsSlot,
	{name: "features", kind: vector, size: 8, limit: 64},
}}

var recordShape = shape{"RecordBatch", []slot{
	{name: "length", size: 8},
	{name: "nodes", kind: vector, size: 16, align: 8, limit: MaxFields},
	{name: "buffers", kind: vector, size: 16, align: 8, limit: maxBuffers},
	{name: "compression", kind: table, of: []*shape{{"BodyCompression", []slot{
		{name: "codec", size: 1}, {name: "method", size: 1},
	}}}},
	{name: "variadic_buffer_counts", kind: vector, size: 8, limit: MaxFields},
}}

// maxBuffers is the number of buffers of a record batch: those of view columns may be many.
const maxBuffers = 1 << 20

var messageShape = shape{"Message", []slot{
	{name: "version", size: 2},
	{name: "header_type", size: 1},
	{name: "header", kind: tagged, of: []*shape{
		arrowfb.MessageHeaderSchema: &schemaShape,
		arrowfb.MessageHeaderDictionaryBatch: {"DictionaryBatch", []slot{
			{name: "id", size: 8},
			{name: "data", kind: table, of: []*shape{&recordShape}},
			{name: "is_delta", size: 1},
		}},
		arrowfb.MessageHeaderRecordBatch: &recordShape,
	}},
	{name: "body_length", size: 8},
	pairsSlot,
}}

// blockBytes is the size of a Block.
const blockBytes = 24

var footerShape = shape{"Footer", []slot{
	{name: "version", size: 2},
	{name: "schema", kind: table, of: []*shape{&schemaShape}},
	{name: "dictionaries", kind: vector, size: blockBytes, align: 8, limit: MaxFileBatches},
	{name: "record_batches", kind: vector, size: blockBytes, align: 8, limit: MaxFileBatches},
	pairsSlot,
}}
