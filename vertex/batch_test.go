package vertex

import (
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"sync"
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

func TestPlainColumns(t *testing.T) {
	b := sample(t)
	defer b.Release()
	require.Nil(t, b.Int64(colI), "it has nulls")
	require.Nil(t, b.Int64(colS))
	require.Nil(t, b.Int64(-1))
	require.Nil(t, b.Int64(b.Columns()))
	require.Nil(t, b.Float64(colI))
	tail := b.Slice(2, 4)
	require.Equal(t, []int64{3, 4}, tail.Int64(colI))
	tail.Release()
	f := Float64Batch("f", 1.5, math.Inf(1))
	require.Equal(t, []float64{1.5, math.Inf(1)}, f.Float64(0))
	require.Nil(t, f.Int64(0))
	require.EqualValues(t, 16, f.Bytes())
	f.Release()
	none := Int64Batch("none")
	require.NotNil(t, none.Int64(0))
	require.Empty(t, none.Int64(0))
	none.Release()
}

func TestColumnsShowBuffers(t *testing.T) {
	b := sample(t)
	defer b.Release()
	c := b.Column(colS)
	require.Equal(t, "s", c.Name())
	require.Equal(t, "u", c.Format())
	require.EqualValues(t, 4, c.Len())
	require.EqualValues(t, 1, c.Nulls())
	require.False(t, c.Null(0))
	require.True(t, c.Null(1))
	require.Equal(t, 3, c.Buffers())
	require.EqualValues(t, 3, *at((*int32)(c.Buffer(1)), 1))
	d, ok := b.Column(colD).Dictionary()
	require.True(t, ok)
	require.EqualValues(t, 2, d.Len())
	_, ok = c.Dictionary()
	require.False(t, ok)
	require.Equal(t, "key", b.Column(colM).Child(0).Child(0).Name())
	tail := b.Slice(1, 3)
	require.True(t, tail.Column(colS).Null(0))
	require.EqualValues(t, 1, tail.Column(colS).Offset())
	tail.Release()
	require.Panics(t, func() { b.Column(99) })
	require.Panics(t, func() { b.Slice(3, 2) })
}

func TestBatchesWithoutColumnsOrRows(t *testing.T) {
	empty, err := SchemaOf(arrow.NewSchema(nil, nil))
	require.NoError(t, err)
	body, err := NewBody(0)
	require.NoError(t, err)
	b, err := Assemble(empty, &Layout{Rows: 7}, body, nil)
	require.NoError(t, err)
	body.Release()
	require.EqualValues(t, 7, b.Rows())
	requireWays(t, make([]string, 7), b)
	cut := b.Slice(2, 4)
	requireWays(t, make([]string, 2), cut)
	whole, err := Concat([]*Batch{b, cut})
	require.NoError(t, err)
	requireWays(t, make([]string, 9), whole)
	whole.Release()
	cut.Release()
	b.Release()
}

func TestEmptyBatchesOfAllTypes(t *testing.T) {
	for _, dt := range sortedTypes() {
		s, err := SchemaOf(arrow.NewSchema([]arrow.Field{{Name: "c", Type: dt}}, nil))
		require.NoError(t, err)
		b, err := Empty(s)
		require.NoError(t, err)
		requireWays(t, []string{}, b)
		b.Release()
	}
}

func TestEqualSchemasAreOne(t *testing.T) {
	a, b := Int64Batch("same", 1), Int64Batch("same", 2)
	require.Same(t, a.Schema(), b.Schema())
	other := Int64Batch("other", 2)
	require.NotSame(t, a.Schema(), other.Schema())
	other.Release()
	a.Release()
	b.Release()
	m := arrow.MetadataFrom(map[string]string{"a": "b"})
	field := []arrow.Field{{Name: "same", Type: arrow.PrimitiveTypes.Int64}}
	plain, err := SchemaOf(arrow.NewSchema(field, nil))
	require.NoError(t, err)
	described, err := SchemaOf(arrow.NewSchema(field, &m))
	require.NoError(t, err)
	require.NotSame(t, plain, described)
	require.Equal(t, "b", described.Arrow().Metadata().Values()[0])
}

func TestUnusedSchemasAreForgottenAndComeBack(t *testing.T) {
	kept := Int64Batch("kept", 1)
	defer kept.Release()
	held, err := SchemaOf(arrow.NewSchema([]arrow.Field{{Name: "held", Type: arrow.Null}}, nil))
	require.NoError(t, err)
	for i := range 2*MaxSchemas + 10 {
		Int64Batch(fmt.Sprint("column", i), 1).Release()
	}
	schemas.lock.Lock()
	count, keys := schemas.count, len(schemas.byKey)
	schemas.lock.Unlock()
	require.LessOrEqual(t, count, 2*MaxSchemas)
	require.LessOrEqual(t, keys, 2*count)
	require.Equal(t, "kept", kept.Schema().Arrow().Field(0).Name)
	require.True(t, held.forgotten.Load())
	body, err := NewBody(0)
	require.NoError(t, err)
	defer body.Release()
	b, err := Assemble(held, &Layout{Rows: 3, Nodes: []Node{{3, 3}}}, body, nil)
	require.NoError(t, err)
	require.Same(t, held, b.Schema())
	again, err := SchemaOf(held.Arrow())
	require.NoError(t, err)
	require.Same(t, held, again)
	b.Release()
}

func TestSchemasWithinManyThreads(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 3 * MaxSchemas {
				name := fmt.Sprint("n", i%(MaxSchemas+g))
				b := Int64Batch(name, 1)
				if got := b.Schema().Arrow().Field(0).Name; got != name {
					t.Errorf("%q is %q", name, got)
				}
				b.Release()
			}
		})
	}
	wg.Wait()
}

func TestLimitsOfSchemas(t *testing.T) {
	fields := make([]arrow.Field, MaxColumns+1)
	for i := range fields {
		fields[i] = arrow.Field{Name: fmt.Sprint(i), Type: arrow.Null}
	}
	_, err := SchemaOf(arrow.NewSchema(fields[:MaxColumns], nil))
	require.NoError(t, err)
	_, err = SchemaOf(arrow.NewSchema(fields, nil))
	require.ErrorIs(t, err, status.InvalidArgument)
	require.ErrorContains(t, err, "MaxColumns")
	deep := arrow.DataType(arrow.Null)
	for range MaxDepth - 1 {
		deep = arrow.ListOf(deep)
	}
	s, err := SchemaOf(arrow.NewSchema([]arrow.Field{{Name: "d", Type: deep}}, nil))
	require.NoError(t, err)
	require.Len(t, s.layouts, MaxDepth+1)
	_, err = SchemaOf(arrow.NewSchema([]arrow.Field{{Name: "d", Type: arrow.ListOf(deep)}}, nil))
	require.ErrorIs(t, err, status.InvalidArgument)
	require.ErrorContains(t, err, "MaxDepth")
}

// pointType is an extension type that nobody registered.
type pointType struct{ arrow.ExtensionBase }

func (*pointType) ArrayType() reflect.Type { return reflect.TypeFor[array.ExtensionArrayBase]() }
func (*pointType) ExtensionName() string   { return "test.point" }
func (*pointType) Serialize() string       { return "xy" }
func (p *pointType) ExtensionEquals(other arrow.ExtensionType) bool {
	return other.ExtensionName() == p.ExtensionName()
}
func (*pointType) Deserialize(arrow.DataType, string) (arrow.ExtensionType, error) {
	return &pointType{}, nil
}

func TestExtensionsKeepTheirMetadata(t *testing.T) {
	point := &pointType{arrow.ExtensionBase{Storage: arrow.PrimitiveTypes.Int64}}
	s, err := SchemaOf(arrow.NewSchema([]arrow.Field{{Name: "p", Type: arrow.ListOf(point)}}, nil))
	require.NoError(t, err)
	inner := s.Arrow().Field(0).Type.(*arrow.ListType).ElemField()
	require.Equal(t, arrow.INT64, inner.Type.ID())
	require.Equal(t, []string{extensionName, extensionParameters}, inner.Metadata.Keys())
	require.Equal(t, []string{"test.point", "xy"}, inner.Metadata.Values())
}

func TestRowsAreGrouped(t *testing.T) {
	str := arrow.BinaryTypes.String
	s := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Uint8, Nullable: true},
		{Name: "d", Nullable: true,
			Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: str}},
		{Name: "s", Type: str, Nullable: true}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32},
		{Name: "f", Type: arrow.PrimitiveTypes.Float32},
	}, nil)
	r, _, err := array.RecordFromJSON(memory.DefaultAllocator, s, strings.NewReader(`[
		{"n":200,"d":"x","s":"","b":true,"day":"2026-01-02","f":1},
		{"n":null,"d":"y","s":null,"b":false,"day":"2026-01-03","f":2},
		{"n":200,"d":null,"s":"b","b":true,"day":"2026-01-02","f":3},
		{"n":3,"d":"x","s":"","b":true,"day":"2026-01-02","f":4}]`))
	require.NoError(t, err)
	defer r.Release()
	b, err := FromRecord(r)
	require.NoError(t, err)
	defer b.Release()
	rows := rowsOf(r)
	for column, want := range map[string]map[string][]int{
		"n":   {"200": {0, 2}, "null": {1}, "3": {3}},
		"d":   {"x": {0, 3}, "y": {1}, "null": {2}},
		"s":   {"": {0, 3}, "null": {1}, "b": {2}},
		"b":   {"true": {0, 2, 3}, "false": {1}},
		"day": {"2026-01-02": {0, 2, 3}, "2026-01-03": {1}},
	} {
		groups, err := b.GroupRows(column)
		require.NoError(t, err)
		require.Len(t, groups, len(want), column)
		for i, g := range groups {
			var expected []string
			for _, row := range want[g.Key] {
				expected = append(expected, rows[row])
			}
			require.Equal(t, expected, rowsOf(g.Batch.Record()), "%s %s", column, g.Key)
			if i > 0 {
				require.Greater(t, want[g.Key][0], want[groups[i-1].Key][0], "order of first appearance")
			}
			g.Batch.Release()
		}
	}
	_, err = b.GroupRows("f")
	require.ErrorIs(t, err, status.Unsupported)
	_, err = b.GroupRows("nothing")
	require.ErrorIs(t, err, status.NotFound)
	require.ErrorContains(t, err, `"day"`)
}

func TestConcatRefuses(t *testing.T) {
	_, err := Concat(nil)
	require.ErrorIs(t, err, status.InvalidArgument)
	a, b := Int64Batch("a", 1), Int64Batch("b", 1)
	_, err = Concat([]*Batch{a, b})
	require.ErrorContains(t, err, "batch 1 has another schema than the first")
	a.Release()
	b.Release()
}

func TestRecordsAreCachedUntilTheirViewsAreCleared(t *testing.T) {
	block := arena.Alloc(64)
	clear(block)
	views := (*cdata.Views)(unsafe.Pointer(&block[0]))
	b := Int64Batch("a", 1, 2)
	r := CachedRecord(b, views)
	require.Same(t, r, CachedRecord(b, views))
	require.NotSame(t, r, CachedRecord(b, nil))
	require.Zero(t, testing.AllocsPerRun(100, func() { CachedRecord(b, views) }))
	number := (*cdata.Slot)(views.Get(recordKey)).Number
	views.Clear()
	require.Nil(t, views.Get(recordKey))
	require.NotSame(t, r, CachedRecord(b, views), "the insert removes what was dropped")
	require.Equal(t, number, (*cdata.Slot)(views.Get(recordKey)).Number)
	views.Clear()
	b.Release()
	arena.Free(block)
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	b := sample(t)
	defer b.Release()
	n := Int64Batch("n", 1, 2)
	defer n.Release()
	s := newStructs()
	defer s.free()
	var sum int64
	for name, f := range map[string]func(){
		"retain": func() { b.Retain().Release() },
		"int64":  func() { sum += n.Int64(0)[1] },
		"column": func() { sum += n.Column(0).Len() + n.Rows() + n.Bytes() },
		"schema": func() { sum += int64(n.Schema().Columns()) },
		"export": func() {
			_ = b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
			cdata.ReleaseSchema(unsafe.Pointer(s.schema))
			cdata.ReleaseArray(unsafe.Pointer(s.array))
		},
	} {
		require.Zero(t, testing.AllocsPerRun(200, f), name)
	}
	require.Positive(t, sum)
}

func TestReleaseOnManyThreads(t *testing.T) {
	b := sample(t)
	var wg sync.WaitGroup
	for range 8 {
		b.Retain()
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range 200 {
				s := newStructs()
				_ = b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
				part := b.Slice(1, 3)
				s.free()
				part.Release()
			}
			b.Release()
		})
	}
	b.Release()
	wg.Wait()
}

// The slices of a batch count together as much as the batch, however it is cut.
func TestSlicesCountTheirShare(t *testing.T) {
	values := make([]int64, 1000)
	b := Int64Batch("x", values...)
	defer b.Release()
	for _, n := range []int64{1, 3, 7, 12, 1000} {
		total := int64(0)
		for i := range n {
			s := b.Slice(b.Rows()*i/n, b.Rows()*(i+1)/n)
			require.InDelta(t, b.Bytes()/n, s.Bytes(), 8)
			part := s.Slice(0, s.Rows()/2)
			require.LessOrEqual(t, part.Bytes(), s.Bytes())
			total += s.Bytes()
			part.Release()
			s.Release()
		}
		require.Equal(t, b.Bytes(), total, "%d slices", n)
	}
	none := b.Slice(1000, 1000)
	defer none.Release()
	require.Zero(t, none.Bytes())
}
