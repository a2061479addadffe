package wire

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/vertex"
)

func FuzzDecode(f *testing.F) {
	for _, frame := range typedFrames(f) {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var decoder Decoder
		_ = readFrame(t, &decoder, frame)
		// The same with lengths that fit, so that the prefix is no hurdle.
		if len(frame) >= PrefixBytes+sessionBytes {
			header := int(binary.LittleEndian.Uint32(frame[4:]))
			if header < sessionBytes || header > len(frame)-PrefixBytes {
				header = len(frame) - PrefixBytes
			}
			putPrefix(frame, header, int64(len(frame)-PrefixBytes-header))
			_ = readFrame(t, &decoder, frame)
		}
	})
}

// FuzzIPC reads metadata and body of one batch, as they stand in the body of a frame.
func FuzzIPC(f *testing.F) {
	for _, frame := range typedFrames(f) {
		if header, body := split(f, frame); body != nil {
			f.Add(frame[PrefixBytes+len(header):])
			body.Release()
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		body, err := vertex.NewBody(len(data))
		require.NoError(t, err)
		defer body.Release()
		copy(body.Bytes(), data)
		_ = bounded(t, len(data), func() (func(), error) {
			var d arrowDecoder
			b, err := d.batch(body, 0, len(data))
			if err != nil {
				return nil, err
			}
			touch(t, b)
			return b.Release, nil
		})
	})
}

func FuzzReadFile(f *testing.F) {
	for _, data := range arrowInputs(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { _ = readArrow(t, data) })
}
