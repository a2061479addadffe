package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/udf"
	"dcf/vertex"
)

func hotFrames() map[string]*Frame {
	return map[string]*Frame{
		"call":  {SessionHeader{Version: Version, Kind: KindCall, CallID: 1}, hotCall()},
		"reply": {SessionHeader{Version: Version, Kind: KindReply, CallID: 1}, hotReply()},
		"ping":  {SessionHeader{Version: Version, Kind: KindPing, CallID: 1}, nil},
	}
}

// coldFrames are encoded with tables, but have no strings, which a decoder copies.
func coldFrames() map[string]*Frame {
	fan := hotCall()
	fan.Targets = append(fan.Targets, Target{ID: sixteen(1), Path: []uint32{1, 2}})
	parts := hotReply()
	parts.Parts = append(parts.Parts, Part{Path: []uint32{1}, Value: bytesValue("x")})
	edges := &Reply{IDs: []vertex.ID{sixteen(1), sixteen(2)}, Ran: []NodeRuns{{1, 2}}}
	return map[string]*Frame{
		"call":  {SessionHeader{Version: Version, Kind: KindCall, CallID: 1}, fan},
		"reply": {SessionHeader{Version: Version, Kind: KindReply, CallID: 1}, parts},
		"ids":   {SessionHeader{Version: Version, Kind: KindReply, CallID: 1}, edges},
		"fetch": {SessionHeader{Version: Version, Kind: KindOperation, CallID: 1},
			&Operation{Op: OpFetch, ID: sixteen(1), Expected: 4}},
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, frame := range hotFrames() {
		b.Run("fixed-"+name, func(b *testing.B) {
			buffer := make([]byte, 0, 1024)
			for b.Loop() {
				buffer, _ = Append(buffer[:0], frame)
			}
		})
	}
	for name, frame := range coldFrames() {
		b.Run("table-"+name, func(b *testing.B) {
			var encoder Encoder
			for b.Loop() {
				_, _, _, _ = encoder.Encode(frame)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	run := func(name string, frame *Frame) {
		b.Run(name, func(b *testing.B) {
			encoded, err := Append(nil, frame)
			require.NoError(b, err)
			var decoder Decoder
			var f Frame
			for b.Loop() {
				if decoder.Decode(encoded[PrefixBytes:], nil, &f) != nil {
					b.Fatal("it does not decode")
				}
			}
		})
	}
	for name, frame := range hotFrames() {
		run("fixed-"+name, frame)
	}
	for name, frame := range coldFrames() {
		run("table-"+name, frame)
	}
}

// A batch of 64 MiB costs what one of 8 KiB costs: nothing is copied.
func BenchmarkBatch(b *testing.B) {
	for name, rows := range map[string]int{"8KiB": 1 << 10, "64MiB": 8 << 20} {
		batch := vertex.Int64Batch("x", make([]int64, rows)...)
		frame := &Frame{SessionHeader{Kind: KindReply},
			&Reply{HasValue: true, Value: udf.Value{Batch: batch}}}
		b.Run("encode-"+name, func(b *testing.B) {
			var encoder Encoder
			for b.Loop() {
				_, _, _, _ = encoder.Encode(frame)
				encoder.Release()
			}
		})
		b.Run("decode-"+name, func(b *testing.B) {
			whole, err := Append(nil, frame)
			require.NoError(b, err)
			header, body := split(b, whole)
			defer body.Release()
			var decoder Decoder
			var f Frame
			for b.Loop() {
				if decoder.Decode(header, body, &f) != nil {
					b.Fatal("it does not decode")
				}
				f.Release()
			}
		})
		batch.Release()
	}
}
