package vertex

import (
	"slices"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	arrowc "github.com/apache/arrow/go/v17/arrow/cdata"
	"github.com/stretchr/testify/require"

	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// structs is room for a schema and an array in memory of C.
type structs struct {
	schema *cdata.SchemaNode
	array  *cdata.Array
	block  []byte
}

func newStructs() structs {
	block := arena.Alloc(256)
	clear(block)
	return structs{(*cdata.SchemaNode)(unsafe.Pointer(&block[0])),
		(*cdata.Array)(unsafe.Pointer(&block[128])), block}
}

func (s structs) free() {
	cdata.ReleaseSchema(unsafe.Pointer(s.schema))
	cdata.ReleaseArray(unsafe.Pointer(s.array))
	arena.Free(s.block)
}

// sent gives the batch after a way over a body, as IPC takes it.
func sent(t testing.TB, b *Batch) *Batch {
	var f Flat
	require.NoError(t, b.Flatten(&f))
	defer f.Free()
	return received(t, b.Schema(), &f)
}

func received(t testing.TB, s *Schema, f *Flat) *Batch {
	dictionaries := make([]*Batch, len(f.Dictionaries))
	for i := len(dictionaries) - 1; i >= 0; i-- {
		inner := s.Dictionaries()[i]
		layout, body := f.Dictionaries[i].laid(t)
		k := i + 1 + len(inner.Dictionaries())
		var err error
		dictionaries[i], err = Assemble(inner, layout, body, dictionaries[i+1:k])
		require.NoError(t, err)
		body.Release()
	}
	layout, body := f.laid(t)
	b, err := Assemble(s, layout, body, dictionaries)
	require.NoError(t, err)
	body.Release()
	for _, d := range dictionaries {
		d.Release()
	}
	return b
}

// laid puts the buffers into a body with padding to 8 bytes.
func (f *Flat) laid(t testing.TB) (*Layout, *Body) {
	layout := &Layout{Rows: f.Rows, Nodes: f.Nodes, Variadic: f.Variadic}
	var all []byte
	for _, b := range f.Buffers {
		layout.Buffers = append(layout.Buffers, Range{int64(len(all)), int64(len(b))})
		all = append(all, b...)
		for len(all)%8 != 0 {
			all = append(all, 0)
		}
	}
	body, err := NewBody(len(all))
	require.NoError(t, err)
	copy(body.Bytes(), all)
	return layout, body
}

func TestRoundTripsOfAllTypes(t *testing.T) {
	rng := newRand(t)
	for _, dt := range sortedTypes() {
		t.Run(dt.String(), func(t *testing.T) {
			for _, n := range []int{0, 1, 7, 100} {
				r := randomRecord(rng, dt, n)
				want := rowsOf(r)
				b, err := FromRecord(r)
				require.NoError(t, err)
				require.True(t, r.Schema().Equal(b.Schema().Arrow()), "%v\n%v", r.Schema(), b.Schema().Arrow())
				require.True(t, r.Schema().Metadata().Equal(b.Schema().Arrow().Metadata()))
				requireRows(t, want, b)

				from := rng.Int64N(int64(n) + 1)
				to := from + rng.Int64N(int64(n)-from+1)
				for _, cut := range []*Batch{b.Retain(), b.Slice(0, from), b.Slice(from, to)} {
					want := rowsOf(cut.Record())
					requireWays(t, want, cut)
					cut.Release()
				}
				cut := b.Slice(from, to)
				require.Equal(t, want[from:to], rowsOf(cut.Record()))
				again := cut.Slice(cut.Rows()/2, cut.Rows())
				cut.Release()
				requireRows(t, want[from+(to-from)/2:to], again)
				again.Release()
				parts := []*Batch{b.Slice(0, from), b.Slice(from, to), b.Slice(to, int64(n)), b.Slice(0, from)}
				whole, err := Concat(parts)
				require.NoError(t, err)
				requireWays(t, append(slices.Clone(want), want[:from]...), whole)
				whole.Release()
				for _, part := range parts {
					part.Release()
				}
				b.Release()
				r.Release()
			}
		})
	}
}

func requireRows(t *testing.T, want []string, b *Batch) {
	t.Helper()
	r := b.Record()
	require.EqualValues(t, len(want), r.NumRows())
	require.EqualValues(t, len(want), b.Rows())
	require.Equal(t, want, rowsOf(r))
}

// requireWays sends a batch by all ways and compares what arrives.
func requireWays(t *testing.T, want []string, b *Batch) {
	t.Helper()
	requireRows(t, want, b)

	there := sent(t, b)
	require.Same(t, b.Schema(), there.Schema())
	requireRows(t, want, there)
	there.Release()

	s := newStructs()
	require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
	there, err := Import(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
	require.NoError(t, err)
	require.Nil(t, s.schema.Release)
	require.Nil(t, s.array.Release)
	require.Same(t, b.Schema(), there.Schema())
	requireRows(t, want, there)
	require.Equal(t, b.c.AllBuffers()[:1], there.c.AllBuffers()[:1], "nothing is copied")
	requireJoin(t, want, there)
	there.Release()
	s.free()

	s = newStructs()
	require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
	if hasOrdered(b.Schema().layouts) {
		s.free() // Arrow's importer looks for this flag elsewhere
		return
	}
	r, err := arrowc.ImportCRecordBatch(arrowc.ArrayFromPtr(uintptr(unsafe.Pointer(s.array))),
		arrowc.SchemaFromPtr(uintptr(unsafe.Pointer(s.schema))))
	require.NoError(t, err)
	require.Equal(t, want, rowsOf(r))
	r.Release()
	s.free()
}

// requireJoin cuts a batch in two, as top levels with an offset, and joins them again.
func requireJoin(t *testing.T, want []string, b *Batch) {
	t.Helper()
	s, rest := newStructs(), newStructs()
	defer s.free()
	defer rest.free()
	require.NoError(t, b.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array)))
	require.NoError(t, b.Export(nil, unsafe.Pointer(rest.array)))
	middle := b.Rows() / 2
	s.array.Length = middle
	rest.array.Offset, rest.array.Length = middle, b.Rows()-middle
	both := []unsafe.Pointer{unsafe.Pointer(s.array), unsafe.Pointer(rest.array)}
	joined, err := Join(unsafe.Pointer(s.schema), both)
	require.NoError(t, err)
	require.Same(t, b.Schema(), joined.Schema())
	requireRows(t, want, joined)
	joined.Release()
	one, err := Join(unsafe.Pointer(s.schema), both[1:])
	require.NoError(t, err)
	requireRows(t, want[middle:], one)
	one.Release()
	none, err := Join(unsafe.Pointer(s.schema), nil)
	require.NoError(t, err)
	require.Zero(t, none.Rows())
	none.Release()
	require.NotNil(t, s.array.Release, "what is joined stays the caller's")
}

func hasOrdered(layouts []layout) bool {
	return slices.ContainsFunc(layouts, func(l layout) bool {
		d, ok := l.arrow.(*arrow.DictionaryType)
		return ok && d.Ordered
	})
}
