package vertex

import (
	"encoding/binary"
	"slices"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex/cdata"
)

// flatOf gives the sample as an IPC message, and frees it at the end of the test.
func flatOf(t testing.TB, b *Batch) *Flat {
	var f Flat
	require.NoError(t, b.Flatten(&f))
	t.Cleanup(f.Free)
	return &f
}

func TestDamagedMessagesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		column int
		damage func(m *Layout, body []byte)
		want   string
	}{
		{"no node", colI, func(m *Layout, _ []byte) {
			m.Nodes = nil
		}, `column "c": the metadata has no node for it`},
		{"no buffer", colI, func(m *Layout, _ []byte) {
			m.Buffers = m.Buffers[:1]
		}, `column "c": the metadata has no buffer 1 for it`},
		{"extra node", colI, func(m *Layout, _ []byte) {
			m.Nodes = append(m.Nodes, Node{})
		}, "the batch: 1 nodes, 0 buffers and 0 counts are left over"},
		{"negative length", colI, func(m *Layout, _ []byte) {
			m.Nodes[0].Length = -1
		}, "are not possible"},
		{"huge length", colI, func(m *Layout, _ []byte) {
			m.Nodes[0].Length = 1 << 62
		}, "are not possible"},
		{"rows", colI, func(m *Layout, _ []byte) {
			m.Rows = 3
		}, `column "c": it has 4 values, and the batch 3 rows`},
		{"negative rows", colI, func(m *Layout, _ []byte) { m.Rows = -3 }, "the batch: it has -3 rows"},
		{"too many rows", colI, func(m *Layout, _ []byte) { m.Rows = MaxRows + 1 }, "MaxRows"},
		{"outside", colI, func(m *Layout, b []byte) {
			m.Buffers[1].Offset = int64(len(b)) - 8
		}, "and the body has"},
		{"before", colI, func(m *Layout, _ []byte) { m.Buffers[1].Offset = -8 }, "and the body has"},
		{"overflow", colI, func(m *Layout, _ []byte) {
			m.Buffers[1].Offset = 1<<63 - 1
		}, "and the body has"},
		{"short values", colI, func(m *Layout, _ []byte) {
			m.Buffers[1].Length = 31
		}, `the buffer of values has 31 bytes and needs 32`},
		{"no bitmap", colI, func(m *Layout, _ []byte) {
			m.Buffers[0].Length = 0
		}, "1 nulls are declared"},
		{"short offsets", colS, func(m *Layout, _ []byte) {
			m.Buffers[1].Length = 16
		}, "the buffer of offsets has 16 bytes and needs 20"},
		{"no offsets", colS, func(m *Layout, _ []byte) {
			m.Buffers[1].Length = 0
		}, "the buffer of offsets has 0 bytes"},
		{"bytes short", colS, func(m *Layout, _ []byte) {
			m.Buffers[2].Length--
		}, "its offsets go from 0 to 12, and must stay within 0 and 11"},
		{"not UTF-8", colS, func(m *Layout, b []byte) {
			b[m.Buffers[2].Offset+1] = 0xff
		}, "value 0 is not UTF-8"},
		{"split rune", colS, func(m *Layout, b []byte) {
			copy(b[m.Buffers[2].Offset+2:], "é")
		}, "value 0 is not UTF-8"},
		{"view not UTF-8", colV, func(m *Layout, b []byte) {
			b[m.Buffers[1].Offset+2*16+5] = 0xff
		}, "value 2 is not UTF-8"},
		{"view prefix", colV, func(m *Layout, b []byte) {
			b[m.Buffers[1].Offset+4]++
		}, "or its prefix differs"},
		{"variadic missing", colV, func(m *Layout, _ []byte) {
			m.Variadic = nil
		}, "no count of data buffers"},
		{"variadic negative", colV, func(m *Layout, _ []byte) { m.Variadic[0] = -1 }, "-1 data buffers"},
		{"variadic huge", colV, func(m *Layout, _ []byte) {
			m.Variadic[0] = 1 << 62
		}, "data buffers are not possible"},
		{"type id", colUS, func(m *Layout, b []byte) {
			b[m.Buffers[0].Offset] = 9
		}, "value 0 has type id 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := sample(t)
			defer b.Release()
			r := b.Record()
			one := column(t, r, c.column)
			defer one.Release()
			m, body := flatOf(t, one).laid(t)
			defer body.Release()
			m.Nodes, m.Variadic = slices.Clone(m.Nodes), slices.Clone(m.Variadic)
			c.damage(m, body.Bytes())
			_, err := Assemble(one.Schema(), m, body, nil)
			require.ErrorIs(t, err, status.Corrupt)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// column gives one column of a record as a batch, with the name "c".
func column(t testing.TB, r arrow.Record, i int) *Batch {
	f := r.Schema().Field(i)
	f.Name = "c"
	b, err := FromRecord(array.NewRecord(
		arrow.NewSchema([]arrow.Field{f}, nil), []arrow.Array{r.Column(i)}, r.NumRows()))
	require.NoError(t, err)
	return b
}

func TestDictionariesAreChecked(t *testing.T) {
	b := sample(t)
	defer b.Release()
	one := column(t, b.Record(), colD)
	defer one.Release()
	f := flatOf(t, one)
	m, body := f.laid(t)
	defer body.Release()

	_, err := Assemble(one.Schema(), m, body, nil)
	require.ErrorIs(t, err, status.Corrupt)
	require.ErrorContains(t, err, "it comes with 0 dictionaries, and its type has 1")

	other := Int64Batch("", 1, 2)
	_, err = Assemble(one.Schema(), m, body, []*Batch{other})
	require.ErrorContains(t, err, "its dictionary has another type than the schema says")
	other.Release()

	layout, values := f.Dictionaries[0].laid(t)
	d, err := Assemble(one.Schema().Dictionaries()[0], layout, values, nil)
	require.NoError(t, err)
	values.Release()
	short := d.Slice(0, 1)
	_, err = Assemble(one.Schema(), m, body, []*Batch{short})
	require.ErrorContains(t, err, "value 2 has index 1, and its dictionary has 1 values")
	short.Release()
	got, err := Assemble(one.Schema(), m, body, []*Batch{d})
	require.NoError(t, err)
	d.Release()
	require.Equal(t, rowsOf(one.Record()), rowsOf(got.Record()))
	got.Release()
}

func TestAssembleCopiesWhatIsMisaligned(t *testing.T) {
	b := Int64Batch("a", 5, 6)
	defer b.Release()
	body, err := NewBody(64)
	require.NoError(t, err)
	copy(body.Bytes()[3:], unsafe.Slice((*byte)(unsafe.Pointer(&b.Int64(0)[0])), 16))
	m := &Layout{Rows: 2, Nodes: []Node{{2, 0}}, Buffers: []Range{{0, 0}, {3, 16}}}
	got, err := Assemble(b.Schema(), m, body, nil)
	require.NoError(t, err)
	body.Release()
	require.Equal(t, []int64{5, 6}, got.Int64(0))
	got.Release()
}

func TestFlatCanBeUsedAgain(t *testing.T) {
	b := sample(t)
	defer b.Release()
	want := rowsOf(b.Record())
	var f Flat
	for from := range b.Rows() {
		part := b.Slice(from, b.Rows())
		require.NoError(t, part.Flatten(&f))
		got := received(t, part.Schema(), &f)
		require.Equal(t, want[from:], rowsOf(got.Record()))
		got.Release()
		f.Free()
		part.Release()
	}
}

// message is how the fuzzer's bytes are read: numbers of two bytes, then the body.
type message struct{ data []byte }

func (m *message) number() int64 {
	if len(m.data) < 2 {
		m.data = nil
		return 0
	}
	n := int64(int16(binary.LittleEndian.Uint16(m.data)))
	m.data = m.data[2:]
	return n
}

// layout reads what one message says, with as many numbers as it says itself.
func (m *message) layout() *Layout {
	l := &Layout{Rows: m.number()}
	for range m.number() & 31 {
		l.Nodes = append(l.Nodes, Node{m.number(), m.number()})
	}
	for range m.number() & 63 {
		l.Buffers = append(l.Buffers, Range{m.number(), m.number()})
	}
	for range m.number() & 3 {
		l.Variadic = append(l.Variadic, m.number())
	}
	return l
}

func appendLayout(data []byte, l *Layout) []byte {
	put := func(numbers ...int64) {
		for _, n := range numbers {
			data = binary.LittleEndian.AppendUint16(data, uint16(n))
		}
	}
	put(l.Rows, int64(len(l.Nodes)))
	for _, n := range l.Nodes {
		put(n.Length, n.NullCount)
	}
	put(int64(len(l.Buffers)))
	for _, r := range l.Buffers {
		put(r.Offset, r.Length)
	}
	put(int64(len(l.Variadic)))
	put(l.Variadic...)
	return data
}

// assemble makes a schema's dictionaries and then a batch of it, all over one body, out of what
// the message says; nil where it is refused.
func (m *message) assemble(t *testing.T, s *Schema) *Batch {
	layouts := []*Layout{m.layout()}
	for range s.Dictionaries() {
		layouts = append(layouts, m.layout())
	}
	body, err := NewBody(len(m.data))
	require.NoError(t, err)
	defer body.Release()
	copy(body.Bytes(), m.data)
	dictionaries := make([]*Batch, len(s.Dictionaries()))
	defer func() {
		for _, d := range dictionaries {
			if d != nil {
				d.Release()
			}
		}
	}()
	for i := len(dictionaries) - 1; i >= 0; i-- {
		inner := s.Dictionaries()[i]
		rest := dictionaries[i+1 : i+1+len(inner.Dictionaries())]
		if dictionaries[i], err = Assemble(inner, layouts[i+1], body, rest); err != nil {
			require.ErrorIs(t, err, status.Corrupt)
			return nil
		}
	}
	b, err := Assemble(s, layouts[0], body, dictionaries)
	if err != nil {
		require.ErrorIs(t, err, status.Corrupt)
		return nil
	}
	return b
}

// messages gives a valid message of each type.
func messages(t testing.TB) (schemas []*Schema, all [][]byte) {
	rng := newRand(t)
	for _, dt := range sortedTypes() {
		r := randomRecord(rng, dt, 9)
		b, err := FromRecord(r)
		require.NoError(t, err)
		r.Release()
		var f Flat
		require.NoError(t, b.Flatten(&f))
		var head, data []byte
		for _, part := range append([]*Flat{&f}, f.Dictionaries...) {
			l, body := part.laid(t)
			for i := range l.Buffers {
				l.Buffers[i].Offset += int64(len(data))
			}
			head, data = appendLayout(head, l), append(data, body.Bytes()...)
			body.Release()
		}
		schemas, all = append(schemas, b.Schema()), append(all, append(head, data...))
		f.Free()
		b.Release()
	}
	return schemas, all
}

// requireSafe sees to it that what Assemble takes can be read, cut, copied and sent. It says
// whether it took it.
func requireSafe(t *testing.T, s *Schema, data []byte) bool {
	b := (&message{data}).assemble(t, s)
	if b == nil {
		return false
	}
	defer b.Release()
	if slices.ContainsFunc(b.c.All(), func(a cdata.Array) bool { return a.Length > 1<<8 }) {
		return true // nulls need no memory, and their text would need much
	}
	want := rowsOf(b.Record())
	half := b.Slice(b.Rows()/2, b.Rows())
	defer half.Release()
	require.Equal(t, want[b.Rows()/2:], rowsOf(half.Record()))
	there := sent(t, half)
	require.Equal(t, want[b.Rows()/2:], rowsOf(there.Record()))
	there.Release()
	whole, err := Concat([]*Batch{half, b})
	if err != nil {
		require.ErrorIs(t, err, status.InvalidArgument) // it would be too large
		return true
	}
	require.Equal(t, append(slices.Clone(want[b.Rows()/2:]), want...), rowsOf(whole.Record()))
	whole.Release()
	return true
}

func TestRandomDamageIsRefusedOrHarmless(t *testing.T) {
	schemas, all := messages(t)
	rng := newRand(t)
	taken, refused := 0, 0
	for i, valid := range all {
		require.True(t, requireSafe(t, schemas[i], valid), "%v", schemas[i].Arrow())
		for range 200 {
			data := slices.Clone(valid)
			for range 1 + rng.IntN(3) {
				data[rng.IntN(len(data))] = byte(rng.IntN(256) >> rng.IntN(8))
			}
			if requireSafe(t, schemas[i], data) {
				taken++
			} else {
				refused++
			}
		}
	}
	require.Positive(t, taken)
	require.Positive(t, refused)
}

func FuzzAssemble(f *testing.F) {
	schemas, all := messages(f)
	for i, data := range all {
		f.Add(uint8(i), data)
	}
	f.Fuzz(func(t *testing.T, schema uint8, data []byte) {
		requireSafe(t, schemas[int(schema)%len(schemas)], data)
	})
}
