package vertex

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// patches are changes to memory that can be undone.
type patches struct{ undo []func() }

func patch[T any](p *patches, at *T, value T) {
	old := *at
	p.undo = append(p.undo, func() { *at = old })
	*at = value
}

func (p *patches) revert() {
	for _, v := range slices.Backward(p.undo) {
		v()
	}
}

// element gives element i of a buffer of an array.
func element[T any](a *cdata.Array, buffer, i int) *T {
	return at((*T)(*at(a.Buffers, buffer)), i)
}

func child(a *cdata.Array, i int) *cdata.Array { return *at(a.Children, i) }

// sampleJSON is a column of each kind of layout, with four rows, the second of which is null.
const sampleJSON = `[
	 {"i":1,"s":"one","l":[1,2],"d":"x","u":[3,1],
	  "v":"a value longer than twelve","r":"run","t":{"x":1},"lv":[1],"fl":[1,2],
	  "m":[{"key":"k","value":1}],"us":[0,1]},
	 {"i":null,"s":null,"l":null,"d":null,"u":[7,"b"],
	  "v":null,"r":"run","t":null,"lv":null,"fl":null,
	  "m":null,"us":[0,2]},
	 {"i":3,"s":"three","l":[],"d":"y","u":[3,3],
	  "v":"short","r":"other","t":{"x":3},"lv":[3,4],"fl":[3,4],
	  "m":[],"us":[0,3]},
	 {"i":4,"s":"four","l":[4],"d":"x","u":[7,"d"],
	  "v":"","r":"other","t":{"x":4},"lv":[],"fl":[5,6],
	  "m":[{"key":"q","value":null}],"us":[0,4]}]`

// sample gives sampleJSON as a batch.
func sample(t testing.TB) *Batch {
	i32, str := arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String
	f := func(name string, t arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: true}
	}
	s := arrow.NewSchema([]arrow.Field{
		f("i", arrow.PrimitiveTypes.Int64), f("s", str), f("l", arrow.ListOf(i32)),
		f("d", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint8, ValueType: str}),
		f("u", arrow.DenseUnionOf([]arrow.Field{f("a", i32), f("b", str)}, []int8{3, 7})),
		f("v", arrow.BinaryTypes.StringView), f("r", arrow.RunEndEncodedOf(i32, str)),
		f("t", arrow.StructOf(f("x", i32))), f("lv", arrow.ListViewOf(i32)),
		f("fl", arrow.FixedSizeListOf(2, i32)), f("m", arrow.MapOf(str, i32)),
		f("us", arrow.SparseUnionOf([]arrow.Field{f("a", i32)}, []int8{0})),
	}, nil)
	r, _, err := array.RecordFromJSON(memory.DefaultAllocator, s, strings.NewReader(sampleJSON))
	require.NoError(t, err)
	defer r.Release()
	made, err := FromRecord(r)
	require.NoError(t, err)
	return made
}

// The columns of the sample.
const (
	colI = iota
	colS
	colL
	colD
	colU
	colV
	colR
	colT
	colLV
	colFL
	colM
	colUS
)

func TestMalformedArraysAreRefusedAndUntouched(t *testing.T) {
	huge := int64(1) << 60
	for _, c := range []struct {
		name  string
		patch func(p *patches, top *cdata.Array)
		want  string
	}{
		{"released", func(p *patches, a *cdata.Array) {
			patch(p, &a.Release, nil)
		}, "the batch: its ArrowArray is released already"},
		{"released child", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).Release, nil)
		}, `column "i": its ArrowArray is released already`},
		{"null child", func(p *patches, a *cdata.Array) {
			patch(p, at(a.Children, colS), nil)
		}, `column "s": its ArrowArray is NULL`},
		{"null children", func(p *patches, a *cdata.Array) { patch(p, &a.Children, nil) }, "12 children"},
		{"too few children", func(p *patches, a *cdata.Array) {
			patch(p, &a.NumChildren, 11)
		}, "has 11 children, and its type 12"},
		{"children where none belong", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).NumChildren, 1)
		}, `column "i"`},
		{"too few buffers", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).NumBuffers, 1)
		}, `column "i": its ArrowArray has 1 buffers, and a int64 has 2`},
		{"null buffers", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).Buffers, nil)
		}, `column "i"`},
		{"null values", func(p *patches, a *cdata.Array) {
			patch(p, at(child(a, colI).Buffers, 1), nil)
		}, `column "i": buffer 1 is NULL, and its values need 32 bytes`},
		{"null offsets", func(p *patches, a *cdata.Array) {
			patch(p, at(child(a, colS).Buffers, 1), nil)
		}, `column "s": buffer 1 is NULL`},
		{"null bytes", func(p *patches, a *cdata.Array) {
			patch(p, at(child(a, colS).Buffers, 2), nil)
		}, `column "s"`},
		{"null bitmap", func(p *patches, a *cdata.Array) {
			patch(p, at(child(a, colI).Buffers, 0), nil)
		}, `column "i": 1 nulls are declared, and there is no validity bitmap`},
		{"wrong null count", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).NullCount, 3)
		}, `column "i": 3 nulls are declared, and the validity bitmap has 1`},
		{"null count too large", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).NullCount, 5)
		}, `column "i": 5 nulls of 4 values`},
		{"null count negative", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).NullCount, -2)
		}, `column "i": -2 nulls`},
		{"negative length", func(p *patches, a *cdata.Array) { patch(p, &a.Length, -1) }, "length -1"},
		{"negative offset", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).Offset, -1)
		}, `column "i": length 4 and offset -1`},
		{"huge offset", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).Offset, huge)
		}, `column "i": length 4 and offset`},
		{"huge length", func(p *patches, a *cdata.Array) {
			patch(p, &a.Length, huge)
		}, "are not possible"},
		{"more rows than values", func(p *patches, a *cdata.Array) {
			patch(p, &a.Length, 5)
		}, `column "i": it has 4 values, and what contains it needs 5`},
		{"top offset beyond values", func(p *patches, a *cdata.Array) {
			patch(p, &a.Offset, 1)
		}, `column "i": it has 4 values, and what contains it needs 5`},
		{"short struct child", func(p *patches, a *cdata.Array) {
			patch(p, &child(child(a, colT), 0).Length, 3)
		}, `column "t.x": it has`},
		{"short list child", func(p *patches, a *cdata.Array) {
			patch(p, &child(child(a, colL), 0).Length, 2)
		}, `column "l": its offsets go from 0 to 3, and must stay within 0 and 2`},
		{"short fixed list child", func(p *patches, a *cdata.Array) {
			patch(p, &child(child(a, colFL), 0).NullCount, -1)
			patch(p, &child(child(a, colFL), 0).Length, 7)
		}, `column "fl.item": it has 7 values`},
		{"decreasing offsets", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colS), 1, 1), 30)
		}, `column "s": offset 2 is smaller than the one before it`},
		{"negative offsets", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colS), 1, 0), -3)
		}, `column "s": its offsets go from -3`},
		{"negative last offset", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colS), 1, 4), -1)
		}, `column "s": its last offset -1`},
		{"dictionary missing", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colD).Dictionary, nil)
		}, `column "d": its ArrowArray and its type differ`},
		{"dictionary unexpected", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colI).Dictionary, child(a, colD).Dictionary)
		}, `column "i": its ArrowArray and its type differ`},
		{"dictionary too short", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colD).Dictionary.Length, 1)
		}, `column "d": value 2 has index 1, and its dictionary has 1 values`},
		{"unsigned index out of range", func(p *patches, a *cdata.Array) {
			patch(p, element[uint8](child(a, colD), 1, 3), 255)
		}, `column "d": value 3 has index 255`},
		{"type id unknown", func(p *patches, a *cdata.Array) {
			patch(p, element[int8](child(a, colU), 0, 1), 4)
		}, `column "u": value 1 has type id 4`},
		{"type id negative", func(p *patches, a *cdata.Array) {
			patch(p, element[int8](child(a, colUS), 0, 0), -1)
		}, `column "us": value 0 has type id -1`},
		{"union offset", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colU), 1, 0), 2)
		}, `column "u": value 0 has offset 2, and its child has 2 values`},
		{"union with nulls", func(p *patches, a *cdata.Array) {
			patch(p, &child(a, colU).NullCount, 1)
		}, `column "u": a dense_union has no nulls of its own`},
		{"view outside", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colV), 1, 3), 1)
		}, `column "v": the view of value 0`},
		{"view negative", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colV), 1, 8), -1)
		}, `column "v": the view of value 2`},
		{"view buffer", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colV), 1, 2), 1)
		}, `column "v": the view of value 0`},
		{"view size", func(p *patches, a *cdata.Array) {
			patch(p, element[int64](child(a, colV), 3, 0), -1)
		}, `column "v": data buffer 0 with -1 bytes`},
		{"view sizes missing", func(p *patches, a *cdata.Array) {
			patch(p, at(child(a, colV).Buffers, 3), nil)
		}, `column "v": buffer 3, the sizes`},
		{"run ends decrease", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(child(a, colR), 0), 1, 1), 1)
		}, `column "r.run_ends": run end 1 is 1, and the one before it 2`},
		{"run ends stop", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(child(a, colR), 0), 1, 1), 3)
		}, `column "r.run_ends": the runs end at 3, and the array at 4`},
		{"run values short", func(p *patches, a *cdata.Array) {
			patch(p, &child(child(a, colR), 1).Length, 1)
		}, `column "r.values": it has 1 values`},
		{"list view", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colLV), 1, 2), 7)
		}, `column "lv": list 2 has offset 7`},
		{"list view size", func(p *patches, a *cdata.Array) {
			patch(p, element[int32](child(a, colLV), 2, 0), -7)
		}, `column "lv": list 0 has offset 0 and size -7`},
		{"null map keys", func(p *patches, a *cdata.Array) {
			keys := child(child(child(a, colM), 0), 0)
			patch(p, &keys.NullCount, -1)
			patch(p, at(keys.Buffers, 0), cdata.Zeros())
		}, `column "m.entries.key": the entries and keys of a map cannot be null`},
		{"top nulls", func(p *patches, a *cdata.Array) {
			patch(p, &a.NullCount, -1)
			patch(p, at(a.Buffers, 0), cdata.Zeros())
		}, "4 of its rows are null, and rows cannot be: move the nulls into its columns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := sample(t)
			s := newStructs()
			require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
			var p patches
			c.patch(&p, s.array)
			kept := *s.array
			_, err := Import(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
			require.ErrorIs(t, err, status.InvalidArgument)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, importAdvice)
			require.Equal(t, kept, *s.array)
			require.NotNil(t, s.schema.Release)
			p.revert()
			again, err := Import(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
			require.NoError(t, err)
			require.Equal(t, rowsOf(b.Record()), rowsOf(again.Record()))
			again.Release()
			b.Release()
			s.free()
		})
	}
}

func TestMalformedSchemasAreRefused(t *testing.T) {
	text := func(s string) *byte { return unsafe.SliceData(append([]byte(s), 0)) }
	column := func(s *cdata.SchemaNode, i int) *cdata.SchemaNode { return *at(s.Children, i) }
	for _, c := range []struct {
		name  string
		patch func(p *patches, top *cdata.SchemaNode)
		code  status.Code
		want  string
	}{
		{"released", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &s.Release, nil)
		}, status.InvalidArgument, "released already"},
		{"no format", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, 0).Format, nil)
		}, status.InvalidArgument, `column "i": its ArrowSchema has no format`},
		{"no struct", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &s.Format, text("l"))
		}, status.InvalidArgument, `a batch has the format "+s", this schema has "l": wrap`},
		{"unknown type", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, 0).Format, text("Q"))
		}, status.Unsupported, `column "i": the type with format "Q" is not supported`},
		{"decimal32", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, 0).Format, text("d:5,2,32"))
		}, status.Unsupported, "type decimal32(5, 2) is not supported: cast the column to decimal128(5, 2)"},
		{"decimal64", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, 0).Format, text("d:15,-2,64"))
		}, status.Unsupported, "type decimal64(15, -2) is not supported"},
		{"lists of nothing", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, colFL).Format, text("+w:0"))
		}, status.Unsupported, `column "fl": Arrow's type fixed_size_list[0] is not supported`},
		{"decimal nonsense", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, 0).Format, text("d:x"))
		}, status.InvalidArgument, `column "i"`},
		{"width nonsense", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, 0).Format, text("w:-1"))
		}, status.InvalidArgument, "no valid width"},
		{"list size nonsense", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, colFL).Format, text("+w:"))
		}, status.InvalidArgument, `column "fl"`},
		{"union twice", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, colU).Format, text("+ud:1,1"))
		}, status.InvalidArgument, `column "u"`},
		{"union short", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, colU).Format, text("+ud:1"))
		}, status.InvalidArgument, `1 type ids, and there are 2 children`},
		{"lone colon", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, colU).Format, text("+"))
		}, status.Unsupported, `column "u"`},
		{"run ends", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(column(s, colR), 0).Format, text("I"))
		}, status.InvalidArgument, "run ends are int16, int32 or int64, not uint32"},
		{"map", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, colL).Format, text("+m"))
		}, status.InvalidArgument, "a map's child is a struct"},
		{"children missing", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, colL).Children, nil)
		}, status.InvalidArgument, `column "l": its children are NULL`},
		{"child null", func(p *patches, s *cdata.SchemaNode) {
			patch(p, at(s.Children, colS), nil)
		}, status.InvalidArgument, "its ArrowSchema is NULL"},
		{"negative children", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &s.NumChildren, -1)
		}, status.InvalidArgument, "-1 children"},
		{"too many columns", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &s.NumChildren, MaxColumns+1)
		}, status.InvalidArgument, "MaxColumns"},
		{"float indices", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, colD).Format, text("g"))
		}, status.InvalidArgument, `column "d": the indices of a dictionary are integers`},
		{"garbled metadata", func(p *patches, s *cdata.SchemaNode) {
			patch(p, &column(s, 0).Metadata, unsafe.SliceData([]byte("\xff\xff\xff\xff")))
		}, status.InvalidArgument, `column "i": its metadata is garbled`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := sample(t)
			s := newStructs()
			require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
			var p patches
			c.patch(&p, s.schema)
			_, err := Import(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
			require.ErrorIs(t, err, c.code)
			require.ErrorContains(t, err, c.want)
			p.revert()
			require.NotNil(t, s.schema.Release)
			require.NotNil(t, s.array.Release)
			b.Release()
			s.free()
		})
	}
	_, err := Import(nil, nil)
	require.ErrorIs(t, err, status.InvalidArgument)
}

func TestTopLevelOffsetIsPushedDown(t *testing.T) {
	b := sample(t)
	s := newStructs()
	require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
	s.array.Offset, s.array.Length = 1, 2
	got, err := Import(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
	require.NoError(t, err)
	requireWays(t, rowsOf(b.Record())[1:3], got)
	require.Zero(t, got.c.Nodes.Offset)
	require.EqualValues(t, 2, got.Rows())
	got.Release()
	b.Release()
	s.free()
}

// TestNullsMayHaveABitmap: the specification gives null arrays no buffers, polars gives them one.
func TestNullsMayHaveABitmap(t *testing.T) {
	column := arrow.Field{Name: "n", Type: arrow.Null, Nullable: true}
	made := array.NewRecord(arrow.NewSchema([]arrow.Field{column}, nil),
		[]arrow.Array{array.NewNull(3)}, 3)
	b, err := FromRecord(made)
	require.NoError(t, err)
	defer b.Release()
	s := newStructs()
	defer s.free()
	require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
	var p patches
	defer p.revert()
	none := arena.Alloc(8)
	defer arena.Free(none)
	clear(none)
	patch(&p, &child(s.array, 0).NumBuffers, 1)
	patch(&p, &child(s.array, 0).Buffers, (*unsafe.Pointer)(unsafe.Pointer(&none[0])))
	got, err := Join(unsafe.Pointer(s.schema), []unsafe.Pointer{unsafe.Pointer(s.array)})
	require.NoError(t, err)
	requireRows(t, rowsOf(b.Record()), got)
	require.Zero(t, child(got.c.Nodes, 0).NumBuffers)
	got.Release()
}

func TestMisalignedBuffersAreCopied(t *testing.T) {
	b := Int64Batch("a", 1, 2, 3)
	defer b.Release()
	s := newStructs()
	require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
	odd := arena.Alloc(64)
	copy(odd[3:], unsafe.Slice((*byte)(*at(child(s.array, 0).Buffers, 1)), 24))
	*at(child(s.array, 0).Buffers, 1) = unsafe.Pointer(&odd[3])
	got, err := Import(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3}, got.Int64(0))
	require.Zero(t, uintptr(unsafe.Pointer(&got.Int64(0)[0]))%8)
	got.Release()
	arena.Free(odd)
	s.free()
}

func TestImportedMemoryIsNotCopiedAndIsReleasedOnce(t *testing.T) {
	b := Int64Batch("a", 1, 2, 3)
	address := &b.Int64(0)[0]
	s := newStructs()
	require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
	b.Release()
	got, err := Import(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
	require.NoError(t, err)
	require.Same(t, address, &got.Int64(0)[0])
	before, _, _ := cdata.Live()
	require.NoError(t, got.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
	got.Release()
	now, _, _ := cdata.Live()
	require.Equal(t, before, now, "an export keeps the batch, and that what it was imported of")
	moved := *child(s.array, 0) // a consumer takes a column and drops the rest
	child(s.array, 0).Release = nil
	cdata.ReleaseArray(unsafe.Pointer(s.array))
	now, _, _ = cdata.Live()
	require.Equal(t, before, now)
	require.EqualValues(t, 3, *element[int64](&moved, 1, 2))
	*s.array = moved
	s.free()
	now, _, _ = cdata.Live()
	require.Equal(t, before-2, now)
}
