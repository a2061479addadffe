package wire

import (
	"maps"
	"strings"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/cdata"
)

// column makes an array of a type from JSON.
func column(t testing.TB, dt arrow.DataType, json string) arrow.Array {
	a, _, err := array.FromJSON(memory.DefaultAllocator, dt, strings.NewReader(json))
	require.NoError(t, err, "%s", dt)
	return a
}

// record makes a batch of one column.
func record(a arrow.Array) arrow.Record {
	fields := []arrow.Field{{Name: "x", Type: a.DataType(), Nullable: true}}
	return array.NewRecord(arrow.NewSchema(fields, nil), []arrow.Array{a}, int64(a.Len()))
}

// slicedRecords gives typedRecords, and slices of them.
func slicedRecords(t testing.TB) map[string]arrow.Record {
	records := typedRecords(t)
	for name, r := range maps.Clone(records) {
		if r.NumRows() > 1 {
			records[name+" sliced"] = r.NewSlice(1, r.NumRows())
			records[name+" without rows"] = r.NewSlice(0, 0)
		}
	}
	return records
}

// typedRecords gives a batch for each type, with nulls where the type has any.
func typedRecords(t testing.TB) map[string]arrow.Record {
	records := map[string]arrow.Record{}
	add := func(dt arrow.DataType, json string) {
		records[dt.String()] = record(column(t, dt, json))
	}
	for _, dt := range []arrow.DataType{
		arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32,
		arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16,
		arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64, arrow.FixedWidthTypes.Float16,
		arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64,
	} {
		add(dt, `[1, null, 3, 100]`)
	}
	add(arrow.Null, `[null, null]`)
	add(arrow.FixedWidthTypes.Boolean, `[true, null, false, true, true, false, true, true, true]`)
	for _, dt := range []arrow.DataType{
		arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.StringView,
	} {
		add(dt, `["a", null, "", "grün", "a text that is longer than a view holds"]`)
	}
	for _, dt := range []arrow.DataType{
		arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary, arrow.BinaryTypes.BinaryView,
	} {
		add(dt, `["/w==", null, "", "AAECAwQFBgcICQoLDA0ODxA="]`)
	}
	add(&arrow.FixedSizeBinaryType{ByteWidth: 3}, `["AAEC", null, "AwQF"]`)
	add(&arrow.Decimal128Type{Precision: 38, Scale: 2}, `["1.25", null, "-3.50"]`)
	add(&arrow.Decimal256Type{Precision: 76, Scale: 2}, `["1.25", null, "-3.50"]`)
	add(arrow.FixedWidthTypes.Date32, `["2013-01-01", null]`)
	add(arrow.FixedWidthTypes.Date64, `["2013-01-01", null]`)
	add(arrow.FixedWidthTypes.Time32s, `["10:11:12", null]`)
	add(arrow.FixedWidthTypes.Time32ms, `["10:11:12.125", null]`)
	add(arrow.FixedWidthTypes.Time64us, `["10:11:12.125", null]`)
	add(arrow.FixedWidthTypes.Time64ns, `["10:11:12.125", null]`)
	for unit := arrow.Second; unit <= arrow.Nanosecond; unit++ {
		add(&arrow.TimestampType{Unit: unit}, `["2013-01-01 10:11:12", null]`)
		add(&arrow.TimestampType{Unit: unit, TimeZone: "Europe/Berlin"}, `["2013-01-01", null]`)
		add(&arrow.DurationType{Unit: unit}, `[5, null]`)
	}
	add(arrow.FixedWidthTypes.MonthInterval, `[{"months": 3}, null]`)
	add(arrow.FixedWidthTypes.DayTimeInterval, `[{"days": 3, "milliseconds": 4}, null]`)
	add(arrow.FixedWidthTypes.MonthDayNanoInterval,
		`[{"months": 1, "days": 3, "nanoseconds": 4}, null]`)
	text := arrow.BinaryTypes.String
	number := arrow.PrimitiveTypes.Int32
	for _, dt := range []arrow.DataType{
		arrow.ListOf(text), arrow.LargeListOf(text), arrow.ListViewOf(text),
		arrow.LargeListViewOf(text), arrow.ListOfNonNullable(text),
		arrow.ListOfField(arrow.Field{Name: "element", Type: text, Nullable: true}),
	} {
		add(dt, `[["a", "b"], null, [], ["c"]]`)
	}
	add(arrow.FixedSizeListOf(2, number), `[[1, 2], null, [3, 4]]`)
	add(arrow.StructOf(arrow.Field{Name: "a", Type: number, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.ListOf(text), Nullable: true}),
		`[{"a": 1, "b": ["x"]}, null, {"a": null, "b": null}]`)
	add(arrow.StructOf(), `[{}, {}]`)
	add(arrow.MapOf(text, number), `[[{"key": "a", "value": 1}], null, []]`)
	for _, index := range []arrow.DataType{
		arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Int64,
	} {
		add(&arrow.DictionaryType{IndexType: index, ValueType: text, Ordered: index.ID() == arrow.INT8},
			`["UA", null, "AA", "UA", "B6"]`)
	}
	sparse := arrow.SparseUnionOf([]arrow.Field{{Name: "i", Type: number, Nullable: true},
		{Name: "s", Type: text, Nullable: true}}, []arrow.UnionTypeCode{3, 5})
	ids := column(t, arrow.PrimitiveTypes.Int8, `[3, 5, 3]`).Data().Buffers()[1]
	numbers := column(t, number, `[1, null, 3]`)
	texts := column(t, text, `["", "b", ""]`)
	records["sparse union"] = record(array.NewSparseUnion(sparse, 3,
		[]arrow.Array{numbers, texts}, ids, 0))
	dense := arrow.DenseUnionOf(sparse.Fields(), sparse.TypeCodes())
	offsets := column(t, number, `[0, 1, 2]`).Data().Buffers()[1]
	records["dense union"] = record(array.NewDenseUnion(dense, 3,
		[]arrow.Array{numbers, texts}, ids, offsets, 0))
	records["run-end encoded"] = record(array.NewRunEndEncodedArray(
		column(t, arrow.PrimitiveTypes.Int16, `[2, 3, 7]`), column(t, text, `["a", null, "c"]`), 7, 0))
	records["nested dictionary"] = nestedDictionary(t)
	records["shared vtable"] = sharedVtable(t)
	records["everything"] = everything(t)
	records["no columns"] = array.NewRecord(arrow.NewSchema(nil, nil), nil, 5)
	return records
}

var wordDictionary = &arrow.DictionaryType{
	IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String,
}

// nestedDictionary has dictionaries within a list, and one whose values contain another one.
func nestedDictionary(t testing.TB) arrow.Record {
	indices := func(json string) arrow.Array { return column(t, arrow.PrimitiveTypes.Int8, json) }
	words := column(t, arrow.BinaryTypes.String, `["x", "y"]`)
	wordType := wordDictionary
	inner := array.NewDictionaryArray(wordType, indices(`[0, 1, null]`), words)
	pairs, err := array.NewStructArray([]arrow.Array{inner, indices(`[7, 8, 9]`)}, []string{"w", "n"})
	require.NoError(t, err)
	pairType := &arrow.DictionaryType{
		IndexType: arrow.PrimitiveTypes.Int8, ValueType: pairs.DataType(),
	}
	outer := array.NewDictionaryArray(pairType, indices(`[2, 1, 0, null]`), pairs)
	plain := array.NewDictionaryArray(wordType, indices(`[1, 1, 0, null]`), words)
	fields := []arrow.Field{
		{Name: "outer", Type: outer.DataType(), Nullable: true},
		{Name: "plain", Type: plain.DataType(), Nullable: true},
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), []arrow.Array{outer, plain}, 4)
}

// sharedVtable has, behind its first dictionary, one whose encoding has its fields where the type of
// the decimal has its own: the writer gives both tables one vtable, though one is longer.
func sharedVtable(t testing.TB) arrow.Record {
	columns := []arrow.Array{
		column(t, &arrow.Decimal128Type{Precision: 38, Scale: 2}, `["1.25", null]`),
		column(t, wordDictionary, `["a", "b"]`),
		column(t, wordDictionary, `[null, "c"]`),
	}
	var fields []arrow.Field
	for _, c := range columns {
		fields = append(fields, arrow.Field{Name: "x", Type: c.DataType(), Nullable: true})
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, 2)
}

// everything has several columns, and metadata of the schema and of fields.
func everything(t testing.TB) arrow.Record {
	meta := arrow.NewMetadata([]string{"k", "binary"}, []string{"v", "\xff\x00"})
	columns := []arrow.Array{
		column(t, arrow.PrimitiveTypes.Int64, `[1, 2, 3]`),
		column(t, arrow.BinaryTypes.String, `["a", "b", null]`),
		column(t, arrow.PrimitiveTypes.Float64, `[1.5, null, 2.5]`),
	}
	return array.NewRecord(arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: columns[0].DataType()},
		{Name: "name", Type: columns[1].DataType(), Nullable: true, Metadata: meta},
		{Name: "", Type: columns[2].DataType(), Nullable: true},
	}, &meta), columns, 3)
}

// live fails the test if it leaves batches or bodies behind.
func live(t testing.TB) {
	batches, _, bodies := cdata.Live()
	t.Cleanup(func() {
		b, _, m := cdata.Live()
		require.Equal(t, [2]int{batches, bodies}, [2]int{b, m}, "batches and bodies that are left")
	})
}

func batchOf(t testing.TB, r arrow.Record) *vertex.Batch {
	b, err := vertex.FromRecord(r)
	require.NoError(t, err)
	return b
}

func requireSame(t testing.TB, want arrow.Record, got *vertex.Batch) {
	require.Equal(t, want.NumRows(), got.Rows())
	require.True(t, want.Schema().Equal(got.Record().Schema()),
		"%s\n%s", want.Schema(), got.Record().Schema())
	require.True(t, array.RecordEqual(want, got.Record()), "%s\n%s", want, got.Record())
}

func TestBatchesOfAllTypesComeBack(t *testing.T) {
	live(t)
	var encoder Encoder
	var decoder Decoder
	for name, r := range slicedRecords(t) {
		t.Run(name, func(t *testing.T) {
			b := batchOf(t, r)
			defer b.Release()
			frame := Frame{SessionHeader{Kind: KindReply},
				&Reply{HasValue: true, Value: udf.Value{Batch: b}}}
			header, pieces, bodyLen, err := encoder.Encode(&frame)
			require.NoError(t, err)
			whole := append([]byte{}, header...)
			for _, piece := range pieces {
				whole = append(whole, piece...)
			}
			encoder.Release()
			require.Len(t, whole, len(header)+int(bodyLen))
			appended, err := Append(nil, &frame)
			require.NoError(t, err)
			require.Equal(t, appended, whole)

			received, body := split(t, whole)
			var f Frame
			require.NoError(t, decoder.Decode(received, body, &f))
			body.Release()
			got := f.Message.(*Reply).Value.Batch
			requireSame(t, r, got)
			require.Same(t, b.Schema(), got.Schema())
			f.Release()
			f.Release()
		})
	}
}

func address(value *int64) *byte { return (*byte)(unsafe.Pointer(value)) }

func TestBatchesAreNotCopied(t *testing.T) {
	live(t)
	b := vertex.Int64Batch("x", make([]int64, 1000)...)
	defer b.Release()
	frame := Frame{SessionHeader{Kind: KindReply}, &Reply{HasValue: true, Value: udf.Value{Batch: b}}}
	var encoder Encoder
	_, pieces, _, err := encoder.Encode(&frame)
	require.NoError(t, err)
	values := &b.Int64(0)[0]
	found := false
	for _, piece := range pieces {
		found = found || len(piece) == 8000 && &piece[0] == address(values)
	}
	require.True(t, found, "the values are copied")

	whole, err := Append(nil, &frame)
	require.NoError(t, err)
	header, body := split(t, whole)
	var f Frame
	require.NoError(t, new(Decoder).Decode(header, body, &f))
	got := f.Message.(*Reply).Value.Batch.Int64(0)
	require.Len(t, got, 1000)
	require.Same(t, &body.Bytes()[len(body.Bytes())-8000], address(&got[0]), "they are copied")
	f.Release()
	body.Release()
	encoder.Release()
}

func TestManyBatchesShareABody(t *testing.T) {
	live(t)
	a, b := vertex.Int64Batch("a", 1, 2, 3), vertex.Float64Batch("b", 4)
	defer a.Release()
	defer b.Release()
	call := hotCall()
	call.Arguments = udf.Value{Batch: a}
	call.Targets = []Target{
		{HasArguments: true, Arguments: udf.Value{Batch: b}},
		{HasArguments: true, Arguments: udf.Value{Bytes: make([]byte, MaxInlineBytes+1)}},
		{},
		{HasArguments: true, Arguments: udf.Value{Batch: a}},
	}
	whole, err := Append(nil, &Frame{SessionHeader{Kind: KindCall}, call})
	require.NoError(t, err)
	header, body := split(t, whole)
	var f Frame
	require.NoError(t, new(Decoder).Decode(header, body, &f))
	body.Release() // the batches hold it
	got := f.Message.(*Call)
	require.Equal(t, []int64{1, 2, 3}, got.Arguments.Batch.Int64(0))
	require.Equal(t, []float64{4}, got.Targets[0].Arguments.Batch.Float64(0))
	require.Equal(t, []int64{1, 2, 3}, got.Targets[3].Arguments.Batch.Int64(0))
	f.Release()
	require.Nil(t, got.Arguments.Batch)
}

func TestAFrameHasAtMostMaxBatches(t *testing.T) {
	live(t)
	b := vertex.Int64Batch("x", 1)
	defer b.Release()
	reply := &Reply{Parts: make([]Part, MaxBatches+1)}
	for i := range reply.Parts {
		reply.Parts[i].Value.Batch = b
	}
	var encoder Encoder
	_, _, _, err := encoder.Encode(&Frame{SessionHeader{Kind: KindReply}, reply})
	require.ErrorIs(t, err, status.Exhausted)
	require.ErrorContains(t, err, "MaxBatches")
}

func TestAFailedDecodeReleasesWhatItMade(t *testing.T) {
	live(t)
	b := vertex.Int64Batch("x", 1)
	defer b.Release()
	reply := &Reply{Parts: []Part{{Value: udf.Value{Batch: b}}, {Value: udf.Value{Batch: b}}}}
	whole, err := Append(nil, &Frame{SessionHeader{Kind: KindReply}, reply})
	require.NoError(t, err)
	header, body := split(t, whole)
	defer body.Release()
	half := len(body.Bytes()) / 2
	body.Bytes()[half] = 0 // the marker of the second schema
	var f Frame
	err = new(Decoder).Decode(header, body, &f)
	require.ErrorIs(t, err, status.Corrupt)
	require.ErrorContains(t, err, "it starts with")
	require.Nil(t, f.Message)
}
