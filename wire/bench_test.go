package wire

import (
	"slices"
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
		// As above, but the values lie in memory of another process, whose owner hears of the end.
		b.Run("decode-pieces-"+name, func(b *testing.B) {
			header, own, pieces := lentPieces(b, frame)
			defer own.Release()
			var decoder Decoder
			var f Frame
			ended := 0
			for b.Loop() {
				inline, err := vertex.NewBody(len(own.Bytes()))
				require.NoError(b, err)
				rest := inline.Bytes()
				copy(rest, own.Bytes())
				for i := range pieces {
					if n := len(pieces[i].Bytes); pieces[i].Trust == vertex.TrustOwn {
						pieces[i].Bytes, rest = rest[:n], rest[n:]
					}
				}
				body, err := vertex.NewBodyOf(inline, pieces, func() { ended++ })
				require.NoError(b, err)
				if decoder.Decode(header, body, &f) != nil {
					b.Fatal("it does not decode")
				}
				body.Release()
				f.Release()
			}
			require.Equal(b, b.N, ended)
		})
		batch.Release()
	}
}

// lentPieces gives a frame of one batch: own has what is not its buffers.
func lentPieces(b testing.TB, frame *Frame) (header []byte, own *vertex.Body, pieces []vertex.Piece) {
	var e Encoder
	encoded, body, bodyLen, err := e.Encode(frame)
	require.NoError(b, err)
	for i, piece := range body {
		trust := vertex.TrustOwn
		if e.Lendable(i) {
			trust = vertex.TrustPublished
			bodyLen -= int64(len(piece))
		}
		pieces = append(pieces, vertex.Piece{Bytes: piece, Trust: trust})
	}
	own, err = vertex.NewBody(int(bodyLen))
	require.NoError(b, err)
	rest, joined := own.Bytes(), pieces[:0:0]
	for _, p := range pieces {
		if p.Trust != vertex.TrustOwn {
			joined = append(joined, p)
			continue
		}
		n := copy(rest, p.Bytes)
		if last := len(joined) - 1; last >= 0 && joined[last].Trust == vertex.TrustOwn {
			joined[last].Bytes = joined[last].Bytes[:len(joined[last].Bytes)+n]
		} else {
			joined = append(joined, vertex.Piece{Bytes: rest[:n]})
		}
		rest = rest[n:]
	}
	return slices.Clone(encoded[PrefixBytes:]), own, joined
}
