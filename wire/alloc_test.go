//go:build !race

// Under the race detector a sync.Pool forgets things at random, and vertex has some.

package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/udf"
	"dcf/vertex"
)

func TestHotFramesAllocateNothing(t *testing.T) {
	for name, frame := range hotFrames() {
		t.Run(name, func(t *testing.T) {
			var decoder Decoder
			var f Frame
			var buffer []byte
			require.Zero(t, testing.AllocsPerRun(100, func() {
				var err error
				if buffer, err = Append(buffer[:0], frame); err != nil {
					t.Fatal(err)
				}
				if err = decoder.Decode(buffer[PrefixBytes:], nil, &f); err != nil {
					t.Fatal(err)
				}
			}))
			require.Equal(t, *frame, f)
		})
	}
}

func TestOtherFramesAllocateNothingInSteadyState(t *testing.T) {
	for name, frame := range coldFrames() {
		t.Run(name, func(t *testing.T) {
			var encoder Encoder
			var decoder Decoder
			var f Frame
			require.Zero(t, testing.AllocsPerRun(100, func() {
				header, _, _, err := encoder.Encode(frame)
				if err != nil {
					t.Fatal(err)
				}
				if err := decoder.Decode(header[PrefixBytes:], nil, &f); err != nil {
					t.Fatal(err)
				}
			}))
			require.Equal(t, *frame, f)
		})
	}
}

func TestEncodingBatchesAllocatesNothingInSteadyState(t *testing.T) {
	b := vertex.Int64Batch("x", make([]int64, 1000)...)
	defer b.Release()
	frame := &Frame{SessionHeader{Kind: KindReply}, &Reply{HasValue: true, Value: udf.Value{Batch: b}}}
	var encoder Encoder
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, _, _, err := encoder.Encode(frame); err != nil {
			t.Fatal(err)
		}
		encoder.Release()
	}))
}
