package wire

import (
	"encoding/binary"
	"unicode/utf8"

	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire/flatbuf"
)

// Decoder turns bytes into frames and owns the memory of what it gives: a decoded message, its
// slices and its paths are valid until the next Decode of the same Decoder. Values in bytes are not
// copied, unless another process can write to them: they alias the header or the body that Decode
// was given and are valid as long as those are. Strings are copies and stay. Batches are references, which the frame owns and Frame.Release
// gives back; each retains the body, so that it may outlive all else. The receiver of a message
// only reads it, but for batches that it takes out.
//
// The zero Decoder is ready; one goroutine uses it at a time.
type Decoder struct {
	// OffHeap says that the headers given to Decode do not lie in the Go heap.
	OffHeap bool

	call      Call
	reply     Reply
	operation Operation
	hello     Hello
	refuse    Refuse

	// The only function, target and part of fixed messages.
	udf    [1]UDFRef
	target [1]Target
	part   [1]Part
	// replyFixed says that only a fixed message was decoded into reply since it was empty.
	replyFixed bool

	// Memory of slices in messages, reused.
	paths    []uint32
	ran      []NodeRuns
	udfs     []UDFRef
	targets  []Target
	parts    []Part
	ids      []vertex.ID
	vertices []VertexInfo
	nodes    []NodeInfo
	stats    []Stat

	// What accessors fill in that are called through a function value: on the stack they would
	// escape.
	node flatbuf.NodeInfo
	id   flatbuf.Bytes16

	names   map[string]string // function names that were seen
	body    bodyReader
	batches []*vertex.Batch // made for the frame that is being decoded
	arrow   arrowDecoder
}

// Decode reads the frame whose header (what follows the prefix, headerLen bytes) and body (nil
// where bodyLen is 0) were received, after it has verified both. Everything in f is overwritten. On
// failure f holds nothing; its Header is set where that much could be read. The body stays the
// caller's.
//
// A header of another major version of the protocol is status.Unsupported, unless it is that of a
// Hello or a Refuse; anything else that is wrong with the frame is status.Corrupt, or
// status.Unsupported for Arrow data of a kind that dcf does not take.
func (d *Decoder) Decode(header []byte, body *vertex.Body, f *Frame) error {
	f.Message = nil
	if len(header) < sessionBytes {
		return errFixed("SessionHeader", len(header), sessionBytes)
	}
	f.Header = ParseSession(header)
	h := &f.Header
	if !SameMajor(h.Version, Version) && h.Kind != KindHello && h.Kind != KindRefuse {
		return errVersion(h.Version)
	}
	message := header[sessionBytes:]
	if h.Flags == flagFixed && body == nil {
		h.Flags = 0
		switch h.Kind {
		case KindCall:
			f.Message = &d.call
			return d.ended(f, d.decodeFixedCall(message))
		case KindReply:
			f.Message = &d.reply
			return d.ended(f, d.decodeFixedReply(message))
		}
		h.Flags = flagFixed
	}
	if h.Flags != 0 {
		return status.Errorf(status.Corrupt,
			"SessionHeader: a frame of kind %d has the unknown flags %#x", h.Kind, h.Flags)
	}
	return d.ended(f, d.decode(message, body, f))
}

// ended gives err, after it has undone a failed decoding.
func (d *Decoder) ended(f *Frame, err error) error {
	if err != nil {
		for _, b := range d.batches {
			b.Release()
		}
		f.Message = nil
	}
	if len(d.batches) > 0 {
		clear(d.batches)
		d.batches = d.batches[:0]
	}
	return err
}

// decode reads a message that is a table, or none.
func (d *Decoder) decode(message []byte, body *vertex.Body, f *Frame) error {
	kind := f.Header.Kind
	if kind >= KindPing && kind <= KindGoodbye {
		if len(message) > 0 || body != nil {
			return status.Errorf(status.Corrupt,
				"a frame of kind %d has a message of %d bytes or a body, it should have none",
				kind, len(message))
		}
		return nil
	}
	shape := shapeOf(kind)
	if shape == nil {
		return status.Errorf(status.Corrupt, "SessionHeader: the kind %d is unknown", kind)
	}
	table, err := openTable(message, shape, body != nil)
	if err != nil {
		return err
	}
	d.body = bodyReader{body: body}
	if body != nil {
		d.body.size = uint64(body.Size())
	}
	root := flatbuffers.GetUOffsetT(table[4:]) + 4
	switch kind {
	case KindCall:
		f.Message, err = &d.call, d.decodeCall(table, root)
	case KindReply:
		f.Message, err = &d.reply, d.decodeReply(table, root)
	case KindOperation, KindNotify:
		f.Message, err = &d.operation, d.decodeOperation(table, root)
	case KindHello:
		f.Message = &d.hello
		d.decodeHello(table, root)
	case KindRefuse:
		f.Message = &d.refuse
		d.decodeRefuse(table, root)
	}
	if err == nil {
		err = d.body.finish()
	}
	d.body = bodyReader{}
	return err
}

func shapeOf(kind Kind) *shape {
	switch kind {
	case KindCall:
		return &callShape
	case KindReply:
		return &replyShape
	case KindOperation, KindNotify:
		return &operationShape
	case KindHello:
		return &helloShape
	case KindRefuse:
		return &refuseShape
	}
	return nil
}

// openTable verifies the size-prefixed table at the start of a message and gives it with its
// prefix. What follows it is the padding in front of a body.
func openTable(message []byte, s *shape, body bool) ([]byte, error) {
	if len(message) < 4 {
		return nil, errFixed(s.name, len(message), 4)
	}
	size := int(binary.LittleEndian.Uint32(message))
	padding := len(message) - 4 - size
	if padding < 0 || padding > 0 && !body || padding >= Align {
		return nil, status.Errorf(status.Corrupt, "%s: a table of %d bytes in %d bytes",
			s.name, size, len(message)-4)
	}
	table := message[:4+size]
	for _, b := range message[4+size:] {
		if b != 0 {
			return nil, status.Errorf(status.Corrupt, "%s: the padding after it is not zero", s.name)
		}
	}
	return table, verify(table, s, 4)
}

// bodyReader goes through the body of a frame from its start to its end, so that no byte of it
// belongs to two values, or to none.
type bodyReader struct {
	body   *vertex.Body
	size   uint64
	at     uint64
	values int
}

// next says whether the next value may have length bytes at offset.
func (r *bodyReader) next(offset, length uint64) error {
	if r.values++; r.values > MaxBatches {
		return status.Errorf(status.Corrupt,
			"the body has more than %d values (MaxBatches)", MaxBatches)
	}
	if offset != r.at || length == 0 || length > r.size-r.at {
		return status.Errorf(status.Corrupt,
			"a value has %d bytes at %d of the body; the next is due at %d of %d bytes",
			length, offset, r.at, r.size)
	}
	r.at = min((r.at+length+Align-1)&^(Align-1), r.size)
	return nil
}

func (r *bodyReader) finish() error {
	if r.at != r.size {
		return status.Errorf(status.Corrupt, "the values end at %d of the body's %d bytes", r.at, r.size)
	}
	return nil
}

// locate gives the value that a Value of a message means.
func (d *Decoder) locate(v valueRef, inline []byte) (udf.Value, error) {
	if v.place == placeInline {
		if v.offset > uint64(len(inline)) || v.length > uint64(len(inline))-v.offset {
			return udf.Value{}, status.Errorf(status.Corrupt,
				"a value has %d bytes at %d of %d inline bytes", v.length, v.offset, len(inline))
		}
		end := v.offset + v.length
		return d.value(inline[v.offset:end:end]), nil
	}
	if err := d.body.next(v.offset, v.length); err != nil {
		return udf.Value{}, err
	}
	switch v.place {
	case placeBytes:
		b, err := d.body.body.Value(int64(v.offset), int64(v.length))
		if err != nil {
			return udf.Value{}, err
		}
		return udf.Value{Bytes: b, OffHeap: true}, nil
	case placeBatch:
		batch, err := d.arrow.batch(d.body.body, int(v.offset), int(v.offset+v.length))
		if err != nil {
			return udf.Value{}, err
		}
		d.batches = append(d.batches, batch)
		return udf.Value{Batch: batch}, nil
	default:
		return udf.Value{}, status.Errorf(status.Corrupt, "a value is at the unknown place %d",
			v.place)
	}
}

// name gives a string of a function's name, the same one for the same name.
func (d *Decoder) name(b []byte) (string, error) {
	if name, ok := d.names[string(b)]; ok {
		return name, nil
	}
	if !utf8.Valid(b) {
		return "", status.Errorf(status.Corrupt, "a function's name is not UTF-8: %q", b)
	}
	if d.names == nil || len(d.names) >= maxKeptNames {
		d.names = make(map[string]string)
	}
	name := string(b)
	d.names[name] = name
	return name, nil
}
