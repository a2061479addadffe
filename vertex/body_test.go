package vertex

import (
	"slices"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// lent is memory of another process: written at one address, read at another, where nobody can
// write.
type lent struct {
	block  []byte
	seen   []byte
	mapped *arena.Mapping
}

func lend(t testing.TB, data []byte) *lent {
	require.NoError(t, arena.Share(arena.Options{}))
	l := &lent{block: arena.Alloc(max(len(data), arena.SharedLarge))}
	copy(l.block, data)
	id, offset, ok := arena.Locate(l.block)
	require.True(t, ok)
	file, _, err := arena.SegmentFile(id)
	require.NoError(t, err)
	defer file.Close()
	l.mapped, err = arena.Map(int(file.Fd()), 0)
	require.NoError(t, err)
	l.seen = l.mapped.Bytes()[offset : offset+int64(len(data))]
	return l
}

func (l *lent) free() {
	l.mapped.Release()
	arena.Free(l.block)
}

// inPieces assembles a batch of which everything lies in memory of another process.
func inPieces(t testing.TB, s *Schema, f *Flat, trust Trust) (*Batch, []*lent) {
	var all []*lent
	assemble := func(s *Schema, f *Flat, dictionaries []*Batch) *Batch {
		layout, body := f.laid(t)
		l := lend(t, body.Bytes())
		all = append(all, l)
		body.Release()
		pieces, err := NewBodyOf(nil, []Piece{{l.seen, trust}}, nil)
		require.NoError(t, err)
		defer pieces.Release()
		b, err := Assemble(s, layout, pieces, dictionaries)
		require.NoError(t, err)
		return b
	}
	dictionaries := make([]*Batch, len(f.Dictionaries))
	for i, inner := range slices.Backward(s.Dictionaries()) {
		dictionaries[i] = assemble(inner, f.Dictionaries[i],
			dictionaries[i+1:i+1+len(inner.Dictionaries())])
	}
	b := assemble(s, f, dictionaries)
	for _, d := range dictionaries {
		d.Release()
	}
	return b, all
}

// hasViews says whether a type has binary views, whose prefixes repeat bytes that may change.
func hasViews(s *Schema) bool {
	return slices.ContainsFunc(s.layouts, func(l layout) bool { return l.kind == kindView && !l.utf8 })
}

// requireChecked checks a batch as if it had just been received.
func requireChecked(t testing.TB, b *Batch) {
	if hasViews(b.Schema()) {
		return
	}
	d := draftOf(b)
	defer d.free()
	require.NoError(t, d.check(true))
}

// Whatever the other process writes after a batch was verified, it stays as valid as it was.
func TestBatchesInMemoryThatChangesStayValid(t *testing.T) {
	rng := newRand(t)
	for _, dt := range sortedTypes() {
		t.Run(dt.String(), func(t *testing.T) {
			r := randomRecord(rng, dt, 100)
			b, err := FromRecord(r)
			require.NoError(t, err)
			f := flatOf(t, b)
			there, memory := inPieces(t, b.Schema(), f, TrustNone)
			requireRows(t, rowsOf(r), there)
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for round := byte(0); ; round++ {
					select {
					case <-stop:
						return
					default:
					}
					for _, l := range memory {
						for i := range l.block[:len(l.seen)] {
							l.block[i] = byte(i)*round | -(round & 1)
						}
					}
				}
			}()
			for range 30 {
				read(t, there)
			}
			close(stop)
			<-stopped
			for _, fill := range []byte{0xff, 0, 0x80, 0x7f} {
				for _, l := range memory {
					for i := range l.seen {
						l.block[i] = fill
					}
				}
				read(t, there)
			}
			there.Release()
			for _, l := range memory {
				l.free()
			}
			b.Release()
			r.Release()
		})
	}
}

// read goes through all of a batch, as readers and senders do.
func read(t testing.TB, b *Batch) {
	requireChecked(t, b)
	for _, row := range rowsOf(b.Record()) {
		if !hasBytes(b.Schema()) {
			require.True(t, utf8.ValidString(row))
		}
	}
	cut := b.Slice(b.Rows()/3, b.Rows())
	var f Flat
	require.NoError(t, cut.Flatten(&f))
	f.Free()
	whole, err := Concat([]*Batch{cut, b})
	require.NoError(t, err)
	requireChecked(t, whole)
	whole.Release()
	cut.Release()
}

// hasBytes says whether a type has bytes that need not be text.
func hasBytes(s *Schema) bool {
	return slices.ContainsFunc(s.layouts, func(l layout) bool {
		return l.arrow.ID() == arrow.FIXED_SIZE_BINARY ||
			!l.utf8 && (l.kind == kindBinary || l.kind == kindView)
	})
}

// What cannot lead a reader astray, and what will not change, stays where it lies.
func TestWhatIsCopiedOutOfPieces(t *testing.T) {
	i64, text := arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String
	for _, c := range []struct {
		t      arrow.DataType
		copied []bool // of the column's buffers
		below  []bool // of those of its first child, or its dictionary
	}{
		{i64, []bool{true, false}, nil},
		{arrow.FixedWidthTypes.Boolean, []bool{true, false}, nil},
		{&arrow.FixedSizeBinaryType{ByteWidth: 3}, []bool{true, false}, nil},
		{text, []bool{true, true, true}, nil},
		{arrow.BinaryTypes.LargeBinary, []bool{true, true, false}, nil},
		{arrow.BinaryTypes.StringView, []bool{true, true, true}, nil},
		{arrow.BinaryTypes.BinaryView, []bool{true, true, false}, nil},
		{arrow.ListOf(i64), []bool{true, true}, []bool{true, false}},
		{arrow.ListViewOf(i64), []bool{true, true, true}, []bool{true, false}},
		{arrow.FixedSizeListOf(2, i64), []bool{true}, []bool{true, false}},
		{arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, text), nil, []bool{true, true}},
		{arrow.DenseUnionOf([]arrow.Field{{Name: "n", Type: i64, Nullable: true}},
			[]arrow.UnionTypeCode{3}), []bool{true, true}, []bool{true, false}},
		{arrow.SparseUnionOf([]arrow.Field{{Name: "n", Type: i64, Nullable: true}},
			[]arrow.UnionTypeCode{3}), []bool{true}, []bool{true, false}},
		{&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: i64},
			[]bool{true, true}, []bool{true, false}},
	} {
		t.Run(c.t.String(), func(t *testing.T) {
			r := randomRecord(newRand(t), c.t, 100)
			defer r.Release()
			b, err := FromRecord(r)
			require.NoError(t, err)
			defer b.Release()
			for _, trust := range []Trust{TrustOwn, TrustPublished, TrustNone} {
				there, memory := inPieces(t, b.Schema(), flatOf(t, b), trust)
				inside := func(p unsafe.Pointer) bool {
					return slices.ContainsFunc(memory, func(l *lent) bool {
						at := uintptr(p) - uintptr(unsafe.Pointer(unsafe.SliceData(l.seen)))
						return at < uintptr(len(l.seen))
					})
				}
				d := draftOf(there)
				for node, copied := range [][]bool{1: c.copied, 2: c.below} {
					for i, want := range copied {
						if buffer := d.buffer(node, i); buffer.size > 0 {
							require.Equal(t, trust != TrustNone || !want, inside(buffer.p),
								"buffer %d of node %d", i, node)
						}
					}
				}
				d.free()
				there.Release()
				for _, l := range memory {
					l.free()
				}
			}
		})
	}
}

func TestBuffersLieInOnePiece(t *testing.T) {
	own, err := NewBody(64)
	require.NoError(t, err)
	for i := range own.Bytes() {
		own.Bytes()[i] = byte(i)
	}
	all := own.Bytes()
	released := 0
	body, err := NewBodyOf(own, []Piece{{all[:16], TrustOwn}, {nil, TrustNone}, {all[16:48], TrustNone},
		{all[48:], TrustPublished}}, func() { released++ })
	require.NoError(t, err)
	require.EqualValues(t, 64, body.Size())
	require.Nil(t, body.Bytes())
	rest, ok := body.Own(4)
	require.True(t, ok)
	require.Equal(t, all[4:16], rest)
	for _, at := range []int64{-1, 16, 47, 48, 65} {
		_, ok = body.Own(at)
		require.False(t, ok, "%d", at)
	}
	for _, c := range []struct {
		offset, length int64
		ok, same       bool
	}{
		{0, 16, true, true}, {0, 17, false, false}, {15, 2, false, false}, {16, 32, true, false},
		{47, 1, true, false}, {47, 2, false, false}, {48, 16, true, true}, {48, 17, false, false},
		{-1, 1, false, false}, {0, -1, false, false}, {1<<63 - 1, 1, false, false}, {64, 0, true, true},
	} {
		value, err := body.Value(c.offset, c.length)
		if !c.ok {
			require.ErrorIs(t, err, status.Corrupt)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, string(all[c.offset:c.offset+c.length]), string(value))
		if c.length > 0 {
			require.Equal(t, c.same, &value[0] == &all[c.offset])
		}
	}
	s := Int64Batch("n", 1, 2, 3, 4)
	defer s.Release()
	layout := func(offset int64) *Layout {
		return &Layout{Rows: 4, Nodes: []Node{{4, 0}}, Buffers: []Range{{0, 0}, {offset, 32}}}
	}
	for _, offset := range []int64{0, 8, 24, 32} {
		_, err := Assemble(s.Schema(), layout(offset), body, nil)
		require.ErrorIs(t, err, status.Corrupt)
		require.ErrorContains(t, err, "not in one piece")
	}
	b, err := Assemble(s.Schema(), layout(16), body, nil)
	require.NoError(t, err)
	body.Release()
	part := b.Slice(1, 3)
	b.Release()
	x := newStructs()
	require.NoError(t, part.Export(nil, unsafe.Pointer(x.array)))
	part.Release()
	require.Zero(t, released)
	cdata.ReleaseArray(unsafe.Pointer(x.array))
	require.Equal(t, 1, released)
	x.free()
}
