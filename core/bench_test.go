package core

import (
	"encoding/binary"
	"testing"
	"time"

	"dcf/udf"
	"dcf/vertex"
)

// echo answers with the first half of its arguments, and touches its vertex.
func echo() udf.Definition {
	return udf.Definition{Kind: udf.KindGo, Name: "echo", Version: "1", Flags: udf.Short, Code: udf.Func{
		Calculate: func(in *udf.Input, out *udf.Output) error {
			x := in.Batch.Int64(0)[0] + int64(in.Arguments.Bytes[0])
			binary.LittleEndian.PutUint64(out.Reserve(8), uint64(x))
			return nil
		}}}
}

func BenchmarkLocal(b *testing.B) {
	w, err := Open(Options{UDFs: []udf.Definition{echo()}})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close(time.Second)
	v, _ := w.Put(PutOptions{}, vertex.Int64Batch("x", 1))
	defer v.Release()
	fn, _ := w.OpenUDF("echo")
	for _, n := range []int{1, 64} {
		calls := make([]Call, n)
		for i := range calls {
			calls[i] = Call{UDF: fn, Targets: []*Vertex{v}, Buffer: make([]byte, 8),
				Arguments: udf.Value{Bytes: make([]byte, 16)}}
		}
		b.Run(map[int]string{1: "1", 64: "64"}[n], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w.Run(calls) != nil || calls[0].Err != nil {
					b.Fatal(calls[0].Err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/call")
		})
	}
}

func BenchmarkTCP(b *testing.B)          { benchmarkRemote(b, true) }
func BenchmarkSharedMemory(b *testing.B) { benchmarkRemote(b, false) }

func benchmarkRemote(b *testing.B, socket bool) {
	server, err := Open(Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}, NoSharedMemory: socket,
		UDFs: []udf.Definition{echo()}})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close(time.Second)
	v, _ := server.Put(PutOptions{Name: "x"}, vertex.Int64Batch("x", 1))
	defer v.Release()
	client, err := Open(Options{Join: server.Addresses(), UDFs: []udf.Definition{echo()}})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close(time.Second)
	remote, _ := client.OpenName("x")
	fn, _ := client.OpenUDF("echo")
	calls := []Call{{UDF: fn, Targets: []*Vertex{remote}, Buffer: make([]byte, 8),
		Arguments: udf.Value{Bytes: make([]byte, 16)}}}
	b.ReportAllocs()
	for b.Loop() {
		if client.Run(calls) != nil || calls[0].Err != nil {
			b.Fatal(calls[0].Err)
		}
	}
}

// BenchmarkBuild64MiB fills 64 MiB of float64 in a builder and commits, beside filling the same in
// private memory that is warm.
func BenchmarkBuild64MiB(b *testing.B) {
	const rows = 8 << 20
	fill := func(values []float64) {
		for i := range values {
			values[i] = float64(i)
		}
	}
	b.Run("private", func(b *testing.B) {
		values := make([]float64, rows)
		fill(values)
		b.SetBytes(8 * rows)
		for b.Loop() {
			fill(values)
		}
	})
	b.Run("builder", func(b *testing.B) {
		w := open(b, Options{})
		schema := vertex.Float64Batch("x", 0)
		defer schema.Release()
		build := func() {
			building, err := w.Build(schema.Schema(), rows)
			if err != nil {
				b.Fatal(err)
			}
			fill(floats(b, building, 0))
			v, value, err := building.Commit(PutOptions{})
			if err != nil {
				b.Fatal(err)
			}
			value.Release()
			_ = v.Drop()
			v.Release()
			w.Reclaim()
		}
		build()
		b.SetBytes(8 * rows)
		for b.Loop() {
			build()
		}
	})
}

// BenchmarkQueue64 has 64 calls under way through shared memory.
func BenchmarkQueue64(b *testing.B) {
	server := open(b, Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}, UDFs: []udf.Definition{echo()}})
	v, _ := server.Put(PutOptions{Name: "x"}, vertex.Int64Batch("x", 1))
	defer v.Release()
	client := open(b, Options{Join: server.Addresses(), UDFs: []udf.Definition{echo()}})
	remote, _ := client.OpenName("x")
	fn, _ := client.OpenUDF("echo")
	q, err := client.OpenQueue()
	if err != nil {
		b.Fatal(err)
	}
	var calls, done [64]*Call
	for i := range calls {
		calls[i] = &Call{UDF: fn, Targets: []*Vertex{remote}, Buffer: make([]byte, 8),
			Arguments: udf.Value{Bytes: make([]byte, 16)}}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Submit(calls[:]); err != nil {
			b.Fatal(err)
		}
		for left := len(calls); left > 0; {
			n, err := q.Poll(done[:], 0)
			if err != nil {
				b.Fatal(err)
			}
			left -= n
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/call")
}
