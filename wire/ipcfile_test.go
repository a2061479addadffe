package wire

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
)

// buffer collects what a file writer, which wants to seek, writes from start to end.
type buffer struct{ bytes.Buffer }

func (b *buffer) Seek(int64, int) (int64, error) { return int64(b.Len()), nil }

// arrowFile gives what arrow-go writes as a file.
func arrowFile(t testing.TB, schema *arrow.Schema, options []ipc.Option, r ...arrow.Record) []byte {
	var out buffer
	w, err := ipc.NewFileWriter(&out, append(options, ipc.WithSchema(schema))...)
	require.NoError(t, err)
	for _, record := range r {
		require.NoError(t, w.Write(record))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// arrowStream gives what arrow-go writes as a stream.
func arrowStream(t testing.TB, schema *arrow.Schema, options []ipc.Option,
	r ...arrow.Record) []byte {
	var out bytes.Buffer
	w := ipc.NewWriter(&out, append(options, ipc.WithSchema(schema))...)
	for _, record := range r {
		require.NoError(t, w.Write(record))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestFilesAndStreamsOfAllTypes(t *testing.T) {
	live(t)
	for name, r := range typedRecords(t) {
		t.Run(name, func(t *testing.T) {
			for _, data := range [][]byte{
				arrowFile(t, r.Schema(), nil, r, r, r),
				arrowStream(t, r.Schema(), nil, r, r, r),
			} {
				schema, batches, err := ReadIPC(data)
				require.NoError(t, err)
				require.True(t, r.Schema().Equal(schema.Arrow()))
				require.Len(t, batches, 3)
				for _, b := range batches {
					requireSame(t, r, b)
					b.Release()
				}
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	live(t)
	r := everything(t)
	path := filepath.Join(t.TempDir(), "flights.arrow")
	require.NoError(t, os.WriteFile(path, arrowFile(t, r.Schema(), nil, r, r.NewSlice(1, 2)), 0o600))
	schema, batches, err := ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 3, schema.Columns())
	require.Len(t, batches, 2)
	requireSame(t, r, batches[0])
	requireSame(t, r.NewSlice(1, 2), batches[1])
	for _, b := range batches {
		b.Release()
	}

	require.NoError(t, os.WriteFile(path, arrowFile(t, r.Schema(), nil), 0o600))
	schema, batches, err = ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 3, schema.Columns())
	require.Empty(t, batches)
}

// Dictionaries that grow (deltas), and that are replaced.
func TestDictionariesOfStreams(t *testing.T) {
	live(t)
	dt := wordDictionary
	make1 := func(indices, values string) arrow.Record {
		return record(array.NewDictionaryArray(dt,
			column(t, arrow.PrimitiveTypes.Int8, indices), column(t, dt.ValueType, values)))
	}
	records := []arrow.Record{
		make1(`[0, 1]`, `["a", "b"]`),
		make1(`[2, 0]`, `["a", "b", "c"]`),
		make1(`[0, null]`, `["z"]`),
		make1(`[0, 1, 2]`, `["z", "y", "x"]`),
	}
	for _, deltas := range []bool{false, true} {
		options := []ipc.Option{ipc.WithDictionaryDeltas(deltas)}
		_, batches, err := ReadIPC(arrowStream(t, records[0].Schema(), options, records...))
		require.NoError(t, err)
		require.Len(t, batches, len(records))
		for i, b := range batches {
			want, got := records[i].Column(0).(*array.Dictionary), b.Record().Column(0).(*array.Dictionary)
			require.Equal(t, want.Len(), got.Len())
			for j := range want.Len() {
				require.Equal(t, want.ValueStr(j), got.ValueStr(j), "batch %d row %d", i, j)
			}
			b.Release()
		}
	}
}

// What pyarrow and others write for a dictionary without values: nothing.
func TestADictionaryMayBeMissingWhereNothingRefersToIt(t *testing.T) {
	live(t)
	dt := wordDictionary
	want := map[string]status.Code{`[null, null]`: status.OK, `[0]`: status.Corrupt}
	for indices, code := range want {
		r := record(array.NewDictionaryArray(dt,
			column(t, arrow.PrimitiveTypes.Int8, indices), column(t, dt.ValueType, `["a"]`)))
		data := arrowStream(t, r.Schema(), nil, r)
		first, _, err := readMessage(data, 0, len(data))
		require.NoError(t, err)
		second, _, err := readMessage(data[first.end:], first.end, len(data))
		require.NoError(t, err)
		require.EqualValues(t, "DictionaryBatch", second.kind.String())
		_, batches, err := ReadIPC(append(data[:first.end:first.end], data[second.end:]...))
		require.Equal(t, code, status.Of(err), "%v", err)
		for _, b := range batches {
			require.EqualValues(t, 2, b.Rows())
			b.Release()
		}
	}
}

func TestWhatIsNoFile(t *testing.T) {
	live(t)
	r := everything(t)
	file := arrowFile(t, r.Schema(), nil, r)
	stream := arrowStream(t, r.Schema(), nil, r)
	change := func(data []byte, at int, to string) []byte {
		data = bytes.Clone(data)
		if at < 0 {
			at += len(data)
		}
		copy(data[at:], to)
		return data
	}
	for _, c := range []struct {
		name string
		data []byte
		code status.Code
		text string
	}{
		{"nothing", nil, status.InvalidArgument, "0 bytes"},
		{"text", []byte("carrier,delay\nUA,5\n"), status.InvalidArgument, `"carrier,"`},
		{"parquet", []byte("PAR1............PAR1"), status.InvalidArgument, "Parquet"},
		{"feather 1", []byte("FEA1............FEA1"), status.InvalidArgument, "version 1"},
		{"cut file", file[:len(file)-1], status.Corrupt, "cut off"},
		{"magic alone", []byte("ARROW1\x00\x00ARROW1"), status.Corrupt, "cut off"},
		{"large footer", change(file, -10, "\xff\xff\xff\x7f"), status.Corrupt, "MaxFooterBytes"},
		{"footer of nothing", change(file, -10, "\x00\x00\x00\x00"), status.Corrupt, "Footer"},
		{"cut stream", stream[:len(stream)-100], status.Corrupt, "message"},
		{"large metadata", change(stream, 4, "\xff\xff\xff\x7f"), status.Corrupt, "MaxMetadataBytes"},
		{"old stream", change(stream, 0, "\x10\x00\x00\x00"), status.InvalidArgument, "neither"},
		{"record first", stream[mustEnd(t, stream):], status.Corrupt, "not a schema"},
		{"LZ4", arrowFile(t, r.Schema(), []ipc.Option{ipc.WithLZ4()}, r),
			status.Unsupported, "compressed"},
		{"ZSTD", arrowStream(t, r.Schema(), []ipc.Option{ipc.WithZstd()}, r),
			status.Unsupported, "compressed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := ReadIPC(c.data)
			require.ErrorIs(t, err, c.code)
			require.ErrorContains(t, err, c.text)

			path := filepath.Join(t.TempDir(), "x.arrow")
			require.NoError(t, os.WriteFile(path, c.data, 0o600))
			_, _, err = ReadFile(path)
			require.ErrorIs(t, err, c.code)
			require.ErrorContains(t, err, path)
		})
	}
	_, _, err := ReadFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, status.NotFound)
	_, _, err = ReadFile(t.TempDir())
	require.ErrorIs(t, err, status.InvalidArgument)
}

// mustEnd gives where the first message of a stream ends.
func mustEnd(t testing.TB, stream []byte) int {
	m, end, err := readMessage(stream, 0, len(stream))
	require.NoError(t, err)
	require.False(t, end)
	return m.end
}

// What this package writes is read by arrow-go.
func TestArrowReadsOurBatches(t *testing.T) {
	for name, r := range typedRecords(t) {
		t.Run(name, func(t *testing.T) {
			b := batchOf(t, r)
			defer b.Release()
			var e Encoder
			require.NoError(t, e.batch(b))
			var stream bytes.Buffer
			for _, piece := range e.body {
				stream.Write(piece)
			}
			e.bodies = 1
			e.Release()
			reader, err := ipc.NewReader(&stream, ipc.WithAllocator(memory.DefaultAllocator))
			require.NoError(t, err)
			require.True(t, reader.Next(), "%v", reader.Err())
			require.True(t, array.RecordEqual(r, reader.Record()), "%s\n%s", r, reader.Record())
		})
	}
}
