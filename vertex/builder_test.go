package vertex

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex/cdata"
)

// ledger is where a builder's memory is accounted.
type ledger struct{ bytes, limit int64 }

func (l *ledger) account(bytes int64) error {
	if l.bytes+bytes > l.limit && bytes > 0 {
		return status.Errorf(status.Exhausted, "the ledger is full")
	}
	l.bytes += bytes
	return nil
}

// building makes a builder whose memory must be given back at the test's end.
func building(t testing.TB, s *Schema, rows int64) *Builder {
	l := &ledger{limit: 1 << 30}
	b, err := NewBuilder(s, rows, l.account)
	require.NoError(t, err)
	t.Cleanup(func() {
		b.Release()
		require.Zero(t, l.bytes)
	})
	return b
}

func schemaOf(t testing.TB, types ...arrow.DataType) *Schema {
	var fields []arrow.Field
	for i, dt := range types {
		fields = append(fields, arrow.Field{Name: string(rune('a' + i)), Type: dt, Nullable: true})
	}
	s, err := SchemaOf(arrow.NewSchema(fields, nil))
	require.NoError(t, err)
	return s
}

func columnOf(t testing.TB, b *Builder, i int) BuilderColumn {
	c, err := b.Column(i)
	require.NoError(t, err)
	return c
}

// as gives memory as values.
func as[T any](memory []byte) []T {
	var one T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(memory))), uintptr(len(memory))/unsafe.Sizeof(one))
}

// fillFrom fills a builder in with what a batch has, whose arrays all have offset 0.
func fillFrom(t testing.TB, b *Builder, from *Batch) {
	d := draftOf(from)
	defer d.free()
	structs := newStructs()
	defer structs.free()
	require.NoError(t, from.Export(nil, unsafe.Pointer(structs.array)))
	for i, node := range b.columns {
		l := &b.schema.layouts[node]
		require.Zero(t, d.arrays[node].offset)
		switch l.kind {
		case kindBinary:
			require.NoError(t, b.Reserve(i, 3)) // grows twice
			require.NoError(t, b.Reserve(i, d.buffer(node, 2).size))
		case kindList, kindMap:
			n := d.arrays[l.children[0]].length
			require.NoError(t, b.Reserve(i, n/2))
			require.NoError(t, b.Reserve(i, n))
		case kindDictionary:
			require.NoError(t, b.ImportDictionary(i, unsafe.Pointer(arrayOf(structs.array, b.schema, node).Dictionary)))
		}
		c := columnOf(t, b, i)
		require.GreaterOrEqual(t, c.Length, d.arrays[node].length)
		for j, memory := range [][]byte{c.Validity, c.Offsets, c.Values} {
			k := j
			if l.kind != kindBinary {
				k = min(j, 1)
			}
			if memory != nil && d.buffer(node, k).p != nil {
				require.GreaterOrEqual(t, int64(len(memory)), d.buffer(node, k).size)
				copy(memory, d.buffer(node, k).bytes())
			}
		}
	}
}

// arrayOf finds the struct of a node.
func arrayOf(top *cdata.Array, s *Schema, node int) *cdata.Array {
	found, next := (*cdata.Array)(nil), 0
	var walk func(a *cdata.Array)
	walk = func(a *cdata.Array) {
		if next == node {
			found = a
		}
		self, l := next, &s.layouts[next]
		next++
		for i := range l.children {
			walk(*at(a.Children, i))
		}
		if l.dictionary > 0 {
			next = s.layouts[self].end
		}
	}
	walk(top)
	return found
}

func TestBuildersOfAllTypes(t *testing.T) {
	rng := newRand(t)
	for _, dt := range sortedTypes() {
		t.Run(dt.String(), func(t *testing.T) {
			s := schemaOf(t, dt)
			if text := dt.String(); strings.Contains(text, "view") || strings.Contains(text, "union") ||
				strings.Contains(text, "run_end") {
				_, err := NewBuilder(s, 1, (&ledger{}).account)
				require.Equal(t, status.Unsupported, status.Of(err), "%v", err)
				require.ErrorContains(t, err, "a builder does not make Arrow's type")
				return
			}
			for _, n := range []int{0, 1, 7, 100} {
				r := randomRecord(rng, dt, n)
				want := rowsOf(r)
				from, err := FromRecord(r)
				require.NoError(t, err)
				b := building(t, from.Schema(), int64(n))
				fillFrom(t, b, from)
				made, err := b.Batch()
				require.NoError(t, err)
				requireWays(t, want, made)
				again, err := b.Batch() // nothing was used up
				require.NoError(t, err)
				requireRows(t, want, again)
				again.Release()
				b.Release()
				requireRows(t, want, made)
				made.Release()
				from.Release()
				r.Release()
			}
		})
	}
}

func TestBuildersFillInPlace(t *testing.T) {
	s := schemaOf(t, arrow.PrimitiveTypes.Float64, arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int64))
	b := building(t, s, 3)
	require.Equal(t, 3, b.Columns(), "x, the lists, and their values")
	c := columnOf(t, b, 0)
	copy(as[float64](c.Values), []float64{1, 2, 3})
	copy(as[int64](columnOf(t, b, 2).Values), []int64{1, 2, 3, 4, 5, 6})
	made, err := b.Batch()
	require.NoError(t, err)
	defer made.Release()
	require.Equal(t, unsafe.Pointer(&c.Values[0]), made.Column(0).Buffer(1), "nothing is copied")
	require.Equal(t, []float64{1, 2, 3}, made.Float64(0), "nothing is null")
	require.EqualValues(t, 6, made.Column(1).Child(0).Len())
}

// TestWritesAfterABatchLeadNobodyOutside changes all that a builder gave after its batch was made.
func TestWritesAfterABatchLeadNobodyOutside(t *testing.T) {
	str := arrow.BinaryTypes.String
	s := schemaOf(t, str, arrow.ListOf(arrow.PrimitiveTypes.Int32),
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: str})
	b := building(t, s, 2)
	require.NoError(t, b.Reserve(0, 3))
	require.NoError(t, b.Reserve(1, 2))
	columns := []BuilderColumn{columnOf(t, b, 0), columnOf(t, b, 1), columnOf(t, b, 2), columnOf(t, b, 3)}
	copy(as[int32](columns[0].Offsets), []int32{0, 1, 3})
	copy(columns[0].Values, "abc")
	columns[0].Validity[0] = 0b10
	copy(as[int32](columns[1].Offsets), []int32{0, 1, 2})
	copy(as[int32](columns[2].Values), []int32{7, 8})
	copy(columns[3].Values, []byte{1, 0xf0})
	columns[3].Validity[0] = 0b01 // the index outside is null
	words := textBatch(t, "x", "y")
	require.NoError(t, b.SetDictionary(3, words))
	words.Release()
	made, err := b.Batch()
	require.NoError(t, err)
	b.Release()
	want := rowsOf(made.Record())
	for _, c := range columns {
		for _, memory := range [][]byte{c.Validity, c.Offsets} {
			for i := range memory {
				memory[i] = 0xff
			}
		}
	}
	columns[3].Values[0] = 0x70
	require.Equal(t, want, rowsOf(made.Record()))
	require.True(t, made.Column(0).Null(0))
	require.True(t, made.Column(2).Null(1))
	requireWays(t, want, made)
	made.Release()
}

// textBatch makes a batch of one column that is the type of a dictionary of texts.
func textBatch(t testing.TB, words ...string) *Batch {
	s, err := SchemaOf(arrow.NewSchema([]arrow.Field{{Type: arrow.BinaryTypes.String, Nullable: true}}, nil))
	require.NoError(t, err)
	b := building(t, s, int64(len(words)))
	require.NoError(t, b.Reserve(0, int64(len(strings.Join(words, "")))))
	c, at := columnOf(t, b, 0), 0
	for i, word := range words {
		at += copy(c.Values[at:], word)
		as[int32](c.Offsets)[i+1] = int32(at)
	}
	made, err := b.Batch()
	require.NoError(t, err)
	return made
}

func TestBuildersRefuseWhatIsWrong(t *testing.T) {
	str := arrow.BinaryTypes.String
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint8, ValueType: str}
	s := schemaOf(t, str, arrow.LargeListOf(arrow.PrimitiveTypes.Int32), dictionary)
	const text, list, index = 0, 1, 3
	for name, c := range map[string]struct {
		spoil func(columns []BuilderColumn)
		want  string
	}{
		"decreasing": {func(c []BuilderColumn) { as[int32](c[text].Offsets)[2] = 0 },
			`column "a": offset 2 is smaller than the one before it, where value 1 starts`},
		"negative": {func(c []BuilderColumn) { as[int32](c[text].Offsets)[0] = -1 },
			`column "a": its offsets go from -1 to 6, and must stay within 0 and 6, which value 0 does not`},
		"too large": {func(c []BuilderColumn) { as[int32](c[text].Offsets)[3] = 7 },
			`column "a": its offsets go from 0 to 7, and must stay within 0 and 6, which value 2 does not`},
		"no UTF-8": {func(c []BuilderColumn) { c[text].Values[5] = 0xff }, `column "a": value 2 is not UTF-8`},
		"half a rune": {func(c []BuilderColumn) { copy(c[text].Values[3:], "é") },
			`column "a": value 1 is not UTF-8`},
		"list too long": {func(c []BuilderColumn) { as[int64](c[list].Offsets)[3] = 1 << 40 },
			`column "b": its offsets go from 0 to 1099511627776, and must stay within 0 and 4`},
		"list decreasing": {func(c []BuilderColumn) { as[int64](c[list].Offsets)[1] = 3 },
			`column "b": offset 2 is smaller`},
		"index": {func(c []BuilderColumn) { c[index].Values[1] = 2 },
			`column "c": value 1 has index 2, and its dictionary has 2 values`},
	} {
		t.Run(name, func(t *testing.T) {
			b := building(t, s, 3)
			_, err := b.Batch()
			require.ErrorContains(t, err, `column "c" has no dictionary`)
			require.NoError(t, b.Reserve(text, 6))
			require.NoError(t, b.Reserve(list, 4))
			words := textBatch(t, "x", "y")
			require.NoError(t, b.SetDictionary(index, words))
			require.NoError(t, b.SetDictionary(index, words))
			words.Release()
			fill := func() []BuilderColumn {
				columns := []BuilderColumn{columnOf(t, b, 0), columnOf(t, b, 1), columnOf(t, b, 2), columnOf(t, b, 3)}
				copy(as[int32](columns[text].Offsets), []int32{0, 2, 4, 6})
				copy(columns[text].Values, "abcdef")
				copy(as[int64](columns[list].Offsets), []int64{0, 1, 2, 4})
				clear(columns[2].Values)
				copy(columns[index].Values, []byte{0, 1, 0})
				return columns
			}
			c.spoil(fill())
			_, err = b.Batch()
			require.Equal(t, status.InvalidArgument, status.Of(err))
			require.ErrorContains(t, err, c.want)
			fill()
			made, err := b.Batch() // the builder stays good
			require.NoError(t, err)
			require.EqualValues(t, 3, made.Rows())
			made.Release()
		})
	}
}

func TestBuildersRefuseWrongUse(t *testing.T) {
	s := schemaOf(t, arrow.PrimitiveTypes.Int64, &arrow.DictionaryType{
		IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String})
	for _, rows := range []int64{-1, MaxRows + 1} {
		_, err := NewBuilder(s, rows, (&ledger{}).account)
		require.Equal(t, status.InvalidArgument, status.Of(err))
	}
	_, err := NewBuilder(s, 1<<20, (&ledger{limit: 1 << 20}).account)
	require.ErrorContains(t, err, "the ledger is full")
	huge := schemaOf(t, &arrow.FixedSizeBinaryType{ByteWidth: 1<<31 - 1}, arrow.FixedSizeListOf(1<<30, arrow.FixedSizeListOf(1<<30, arrow.Null)))
	_, err = NewBuilder(huge, MaxRows, (&ledger{}).account)
	require.Equal(t, status.Exhausted, status.Of(err), "%v", err)

	b := building(t, s, 1)
	for _, column := range []int{-1, 2} {
		_, err := b.Column(column)
		require.ErrorContains(t, err, "there is no column")
		require.ErrorContains(t, b.Reserve(column, 1), "there is no column")
	}
	require.ErrorContains(t, b.Reserve(0, 1), "a capacity is for texts")
	require.ErrorContains(t, b.Reserve(1, -1), "not possible")
	numbers := Int64Batch("", 1)
	defer numbers.Release()
	require.ErrorContains(t, b.SetDictionary(0, numbers), "has no dictionary")
	require.ErrorContains(t, b.SetDictionary(1, numbers), "another type")

	structs := newStructs()
	defer structs.free()
	require.NoError(t, numbers.Export(nil, unsafe.Pointer(structs.array)))
	require.ErrorContains(t, b.ImportDictionary(1, unsafe.Pointer(structs.array)), `column "b": its dictionary: `)
	require.NotNil(t, structs.array.Release, "it stays the caller's")
}

// TestADictionaryWithoutRoomStaysTheCallers refuses the memory that a dictionary would take.
func TestADictionaryWithoutRoomStaysTheCallers(t *testing.T) {
	s := schemaOf(t, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String})
	l := &ledger{limit: 16}
	b, err := NewBuilder(s, 1, l.account)
	require.NoError(t, err)
	words := textBatch(t, "a long word, which does not fit")
	structs := newStructs()
	require.NoError(t, words.Export(nil, unsafe.Pointer(structs.array)))
	words.Release()
	column := *structs.array.Children
	require.Equal(t, status.Exhausted, status.Of(b.ImportDictionary(0, unsafe.Pointer(column))))
	require.NotNil(t, column.Release)
	l.limit = 1 << 20
	require.NoError(t, b.ImportDictionary(0, unsafe.Pointer(column)))
	require.Nil(t, column.Release)
	structs.free()
	b.Release()
	require.Zero(t, l.bytes)
}

// spoiled fills a builder of nested texts with anything and sees whether its batch can be read.
func spoiled(t testing.TB, rng *rand.Rand, rows int64, capacity int64) {
	str := arrow.BinaryTypes.String
	s := schemaOf(t, str, arrow.ListOf(arrow.StructOf(arrow.Field{Name: "t", Type: str, Nullable: true},
		arrow.Field{Name: "d", Nullable: true, Type: &arrow.DictionaryType{
			IndexType: arrow.PrimitiveTypes.Int8, ValueType: str}})), arrow.MapOf(str, arrow.PrimitiveTypes.Int8))
	l := &ledger{limit: 1 << 20}
	b, err := NewBuilder(s, rows, l.account)
	require.NoError(t, err)
	defer func() {
		b.Release()
		require.Zero(t, l.bytes)
	}()
	words := textBatch(t, "x", "y")
	defer words.Release()
	for i, node := range b.columns {
		switch b.schema.layouts[node].kind {
		case kindBinary, kindList, kindMap:
			require.NoError(t, b.Reserve(i, rng.Int64N(capacity+1)))
		case kindDictionary:
			require.NoError(t, b.SetDictionary(i, words))
		}
	}
	for i := range b.columns {
		c := columnOf(t, b, i)
		for j := range c.Validity {
			c.Validity[j] = byte(rng.Int()) | byte(rng.Int())
		}
		for j := range c.Values {
			c.Values[j] = "xy\x00\x01é"[rng.IntN(6)]
		}
		offset := int32(0)
		for j, offsets := 0, as[int32](c.Offsets); j < len(offsets); j++ {
			offsets[j] = offset
			switch rng.IntN(8 * len(offsets)) {
			case 0:
				offset = int32(rng.Uint32())
			case 1:
				offset--
			default:
				offset += rng.Int32N(2)
			}
		}
	}
	made, err := b.Batch()
	if err != nil {
		require.Equal(t, status.InvalidArgument, status.Of(err))
		return
	}
	rowsOf(made.Record())
	there := sent(t, made)
	there.Release()
	made.Release()
}

func TestSpoiledBuilders(t *testing.T) {
	rng := newRand(t)
	for range 2000 {
		spoiled(t, rng, rng.Int64N(6), rng.Int64N(20))
	}
}

func FuzzBuilder(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(9))
	f.Fuzz(func(t *testing.T, seed uint64, rows, capacity uint8) {
		spoiled(t, rand.New(rand.NewPCG(seed, 0)), int64(rows), int64(capacity))
	})
}

// TestABuilderWithoutMemoryGivesAllBack refuses growing in the middle.
func TestABuilderWithoutMemoryGivesAllBack(t *testing.T) {
	full := errors.New("full")
	var used int64
	limit := int64(1 << 10)
	b, err := NewBuilder(schemaOf(t, arrow.BinaryTypes.String), 1, func(bytes int64) error {
		if used+bytes > limit {
			return full
		}
		used += bytes
		return nil
	})
	require.NoError(t, err)
	before := used
	require.ErrorIs(t, b.Reserve(0, 1<<20), full)
	require.Equal(t, before, used)
	limit = 1 << 62
	require.Equal(t, status.Exhausted, status.Of(b.Reserve(0, 1<<50)), "the system has no such memory")
	require.Equal(t, before, used)
	require.NoError(t, b.Reserve(0, 1<<10))
	require.Equal(t, before+1<<10, used)
	b.Release()
	require.Zero(t, used)
}
