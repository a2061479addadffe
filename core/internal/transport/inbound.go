package transport

import (
	"dcf/vertex"
	"dcf/wire"
)

// Inbound is one received frame and the memory that it lies in. It is reused from frame to frame;
// Clear or the next Take ends the use of all that Frame refers to.
type Inbound struct {
	Frame wire.Frame
	Bytes int64 // of the whole frame, as Counters count them

	decoder wire.Decoder
	header  []byte
	body    *vertex.Body
}

// Decode decodes a frame whose header, without the prefix, is copied; the reference to body, which
// may be nil, is taken over.
func (in *Inbound) Decode(header []byte, body *vertex.Body, bytes int64) error {
	in.Clear()
	in.header = append(in.header, header...)
	in.body, in.Bytes = body, bytes
	if err := in.decoder.Decode(in.header, body, &in.Frame); err != nil {
		in.Frame.Message = nil
		in.Clear()
		return err
	}
	return nil
}

// Move makes f, which nobody else uses any more, the frame.
func (in *Inbound) Move(f *wire.Frame, bytes int64) {
	in.Clear()
	in.Frame, in.Bytes = *f, bytes
}

// Clear releases the batches that are left in the frame, and the memory of its body.
func (in *Inbound) Clear() {
	if in.Frame.Message != nil {
		ReleaseBatches(in.Frame.Message)
		in.Frame.Message = nil
	}
	if in.body != nil {
		in.body.Release()
		in.body = nil
	}
	if cap(in.header) > MaxKeptBytes {
		in.header = nil
	}
	in.header = in.header[:0]
}
