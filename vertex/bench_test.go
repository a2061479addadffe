package vertex

import (
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

func BenchmarkInt64(b *testing.B) {
	batch := Int64Batch("n", 1, 2)
	defer batch.Release()
	sum := int64(0)
	for b.Loop() {
		sum += batch.Int64(0)[1]
	}
}

func BenchmarkRetainRelease(b *testing.B) {
	batch := Int64Batch("n", 1, 2)
	defer batch.Release()
	for b.Loop() {
		batch.Retain().Release()
	}
}

// BenchmarkExport is what an export and its release cost.
func BenchmarkExport(b *testing.B) {
	batch := Int64Batch("n", 1, 2)
	defer batch.Release()
	s := newStructs()
	defer s.free()
	for b.Loop() {
		_ = batch.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
		cdata.ReleaseSchema(unsafe.Pointer(s.schema))
		cdata.ReleaseArray(unsafe.Pointer(s.array))
	}
}

// BenchmarkImport64MiB exports, imports and releases a column that is not copied.
func BenchmarkImport64MiB(b *testing.B) {
	batch := Int64Batch("n", make([]int64, 8<<20)...)
	defer batch.Release()
	s := newStructs()
	defer s.free()
	for b.Loop() {
		_ = batch.Export(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
		got, err := Import(unsafe.Pointer(s.schema), unsafe.Pointer(s.array))
		if err != nil {
			b.Fatal(err)
		}
		got.Release()
	}
}

func BenchmarkFlattenAssemble(b *testing.B) {
	batch := Int64Batch("n", 1, 2)
	defer batch.Release()
	var f Flat
	body, err := NewBody(16)
	if err != nil {
		b.Fatal(err)
	}
	defer body.Release()
	m := &Layout{Rows: 2, Nodes: []Node{{2, 0}}, Buffers: []Range{{0, 0}, {0, 16}}}
	for b.Loop() {
		if err := batch.Flatten(&f); err != nil {
			b.Fatal(err)
		}
		f.Free()
		got, err := Assemble(batch.Schema(), m, body, nil)
		if err != nil {
			b.Fatal(err)
		}
		got.Release()
	}
}

func BenchmarkRecord(b *testing.B) {
	batch := Int64Batch("n", 1, 2)
	defer batch.Release()
	for b.Loop() {
		batch.Record()
	}
}

func BenchmarkInt64Batch(b *testing.B) {
	for b.Loop() {
		Int64Batch("n", 1).Release()
	}
}

// BenchmarkGroupRows groups 300,000 rows of four columns in twelve groups.
func BenchmarkGroupRows(b *testing.B) {
	const rows = 300_000
	fields := []arrow.Field{{Name: "key", Type: arrow.PrimitiveTypes.Int64},
		{Name: "x", Type: arrow.PrimitiveTypes.Float64}, {Name: "s", Type: arrow.BinaryTypes.String},
		{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true}}
	builder := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer builder.Release()
	for i := range rows {
		builder.Field(0).(*array.Int64Builder).Append(int64(i * 7919 % 12))
		builder.Field(1).(*array.Float64Builder).Append(float64(i))
		builder.Field(2).(*array.StringBuilder).Append("carrier"[:i%8])
		builder.Field(3).(*array.Int32Builder).AppendNull()
	}
	r := builder.NewRecord()
	defer r.Release()
	batch, err := FromRecord(r)
	if err != nil {
		b.Fatal(err)
	}
	defer batch.Release()
	for b.Loop() {
		groups, err := batch.GroupRows("key")
		if err != nil {
			b.Fatal(err)
		}
		for _, g := range groups {
			g.Batch.Release()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

// BenchmarkShared64MiB makes the twin of a batch, in warm memory, beside copying into such memory.
func BenchmarkShared64MiB(b *testing.B) {
	require.NoError(b, arena.Share(arena.Options{}))
	values := make([]int64, 8<<20)
	for i := range values {
		values[i] = int64(i)
	}
	b.Run("twin", func(b *testing.B) {
		for b.Loop() {
			batch := borrowed(b, values)
			batch.Shared().Release()
			batch.Release()
		}
	})
	b.Run("copy", func(b *testing.B) {
		to := make([]int64, len(values))
		for b.Loop() {
			copy(to, values)
		}
	})
}
