package wire

import (
	"slices"
	"sync"
	"unicode/utf8"
	"unsafe"

	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// Encoder turns frames into bytes and keeps its memory from frame to frame, so that encoding
// frames of kinds and schemas that it has seen allocates nothing. The zero Encoder is ready; one
// goroutine uses it at a time. Release ends the use of what Encode gave.
type Encoder struct {
	// Share says that a peer may map segments of the arena: large buffers of batches are put where
	// it finds them, see vertex.Batch.Shared.
	Share bool

	builder *flatbuffers.Builder
	header  []byte
	inline  []byte                 // the message's small values
	values  []valueRef             // where the message's values are, in the order of the message
	refs    []flatbuffers.UOffsetT // of tables that become vectors
	texts   []flatbuffers.UOffsetT // of strings that become vectors
	body    [][]byte
	buffers []bool // of each piece of body, whether it is a batch's
	bodyLen int64
	bodies  int // values in the body
	arrow   arrowEncoder
}

// valueRef is a Value of schemas/value.fbs.
type valueRef struct {
	offset, length uint64
	place          uint32
}

// The places where a value can be.
const (
	placeInline = 0
	placeBytes  = 1
	placeBatch  = 2
)

// Encode turns f into a header, which includes the prefix, and a body of bodyLen bytes in pieces.
// A transport sends the header and the pieces in order. The header is the encoder's memory; the
// pieces alias it and what f refers to: its batches' buffers and its values' bytes. f has to stay
// as it is until Release or the next Encode, and its batches retained.
func (e *Encoder) Encode(f *Frame) (header []byte, body [][]byte, bodyLen int64, err error) {
	e.Release()
	if fixed(f) {
		e.header, err = Append(e.header[:0], f)
		return e.header, nil, 0, err
	}
	if err := checkKind(f); err != nil {
		return nil, nil, 0, err
	}
	header, body, bodyLen, err = e.encode(f)
	if err != nil {
		e.Release()
	}
	return header, body, bodyLen, err
}

// fixed says whether f is encoded without a table.
func fixed(f *Frame) bool {
	switch m := f.Message.(type) {
	case *Call:
		return fixedCall(m)
	case *Reply:
		return fixedReply(m)
	}
	return f.Message == nil
}

// encode encodes a frame whose message is a table.
func (e *Encoder) encode(f *Frame) (header []byte, body [][]byte, bodyLen int64, err error) {
	if err := e.message(f); err != nil {
		return nil, nil, 0, err
	}
	message := e.builder.FinishedBytes()
	size := sessionBytes + len(message)
	if e.bodyLen > 0 {
		size = roundUp(PrefixBytes+size) - PrefixBytes
	}
	if size > MaxHeaderBytes || e.bodyLen > MaxBodyBytes {
		return nil, nil, 0, status.Errorf(status.Exhausted,
			"a frame would have a header of %d and a body of %d bytes, at most %d and %d are "+
				"allowed (MaxHeaderBytes, MaxBodyBytes): send less at once",
			size, e.bodyLen, MaxHeaderBytes, int64(MaxBodyBytes))
	}
	b := slices.Grow(e.header[:0], PrefixBytes+size)[:PrefixBytes+size]
	putPrefix(b, size, e.bodyLen)
	putSession(b[PrefixBytes:], &f.Header, 0)
	n := copy(b[PrefixBytes+sessionBytes:], message)
	clear(b[PrefixBytes+sessionBytes+n:])
	e.header = b
	return b, e.body, e.bodyLen, nil
}

// Release ends the use of what the last Encode gave. It may be called at any time.
func (e *Encoder) Release() {
	if e.bodies > 0 {
		e.arrow.release()
		clear(e.body)
		e.body, e.buffers, e.bodyLen, e.bodies = e.body[:0], e.buffers[:0], 0, 0
	}
	e.header, e.inline = reuse(e.header, 0), reuse(e.inline, 0)
	e.values, e.refs = reuse(e.values, 0), reuse(e.refs, 0)
	if e.builder != nil && cap(e.builder.Bytes) > maxKeptBytes {
		e.builder = nil
	}
}

var encoders = sync.Pool{New: func() any { return new(Encoder) }}

// Append appends f, the prefix and a body included, to dst. It is meant for frames without a body
// (see Small): what a body refers to is copied. Calls with one target and replies with one part,
// all in bytes, cost a few stores and no allocation beyond dst. On failure it gives dst as it was.
func Append(dst []byte, f *Frame) ([]byte, error) {
	switch m := f.Message.(type) {
	case *Call:
		if f.Header.Kind == KindCall && f.Header.Flags == 0 && fixedCall(m) {
			return appendFixedCall(dst, &f.Header, m)
		}
	case *Reply:
		if f.Header.Kind == KindReply && f.Header.Flags == 0 && fixedReply(m) {
			return appendFixedReply(dst, &f.Header, m), nil
		}
	}
	if err := checkKind(f); err != nil {
		return dst, err
	}
	if f.Message == nil {
		dst, _ = appendFixed(dst, &f.Header, 0, 0)
		return dst, nil
	}
	e := encoders.Get().(*Encoder)
	defer encoders.Put(e)
	defer e.Release()
	header, body, bodyLen, err := e.encode(f)
	if err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, len(header)+int(bodyLen))
	dst = append(dst, header...)
	for _, piece := range body {
		dst = append(dst, piece...)
	}
	return dst, nil
}

// Small says whether f has no body, so that Append copies nothing large.
func Small(f *Frame) bool {
	switch m := f.Message.(type) {
	case *Call:
		size, small := int64(0), smallValue(&m.Arguments)
		for i := range m.Targets {
			small = small && smallValue(&m.Targets[i].Arguments)
			size += int64(len(m.Targets[i].Arguments.Bytes))
		}
		return small && size <= MaxInlineTotal-MaxInlineBytes
	case *Reply:
		size, small := int64(0), smallValue(&m.Value)
		for i := range m.Parts {
			small = small && smallValue(&m.Parts[i].Value)
			size += int64(len(m.Parts[i].Value.Bytes))
		}
		return small && size <= MaxInlineTotal-MaxInlineBytes
	case *Operation:
		return smallValue(&m.Value)
	}
	return true
}

func smallValue(v *udf.Value) bool {
	return v.Batch == nil && len(v.Bytes) <= MaxInlineBytes
}

// checkKind says whether kind and message of a frame belong together.
func checkKind(f *Frame) error {
	ok := false
	switch f.Message.(type) {
	case *Call:
		ok = f.Header.Kind == KindCall
	case *Reply:
		ok = f.Header.Kind == KindReply
	case *Operation:
		ok = f.Header.Kind == KindOperation || f.Header.Kind == KindNotify
	case *Hello:
		ok = f.Header.Kind == KindHello
	case *Refuse:
		ok = f.Header.Kind == KindRefuse
	case nil:
		ok = f.Header.Kind >= KindPing && f.Header.Kind <= KindGoodbye
	}
	if !ok || f.Header.Flags != 0 {
		return status.Errorf(status.Internal, "wire: a frame of kind %d with flags %#x has a %T",
			f.Header.Kind, f.Header.Flags, f.Message)
	}
	return nil
}

// place finds room for the next value of the message.
func (e *Encoder) place(v *udf.Value) error {
	n := len(v.Bytes)
	switch {
	case v.Batch != nil:
		return e.placeBatch(v.Batch)
	case n <= MaxInlineBytes && len(e.inline)+n <= MaxInlineTotal:
		e.values = append(e.values, valueRef{uint64(len(e.inline)), uint64(n), placeInline})
		e.inline = append(e.inline, v.Bytes...)
		return nil
	}
	if err := e.countBody(); err != nil {
		return err
	}
	e.values = append(e.values, valueRef{uint64(e.bodyLen), uint64(n), placeBytes})
	e.piece(v.Bytes, false)
	return nil
}

func (e *Encoder) placeBatch(b *vertex.Batch) error {
	if err := e.countBody(); err != nil {
		return err
	}
	start := e.bodyLen
	if err := e.batch(b); err != nil {
		return err
	}
	e.values = append(e.values, valueRef{uint64(start), uint64(e.bodyLen - start), placeBatch})
	return nil
}

func (e *Encoder) countBody() error {
	if e.bodies++; e.bodies > MaxBatches {
		return status.Errorf(status.Exhausted,
			"a frame carries at most %d batches and large values (MaxBatches): send less at once",
			MaxBatches)
	}
	return nil
}

var zeros [Align]byte

// piece adds bytes to the body, and zeros until it is a multiple of Align long. buffer says that
// Hold keeps them.
func (e *Encoder) piece(b []byte, buffer bool) {
	if len(b) == 0 {
		return
	}
	e.body, e.buffers = append(e.body, b), append(e.buffers, buffer)
	e.bodyLen += int64(len(b))
	if rest := int(e.bodyLen % Align); rest != 0 {
		e.body, e.buffers = append(e.body, zeros[rest:]), append(e.buffers, false)
		e.bodyLen += int64(Align - rest)
	}
}

// Lendable says whether piece i of the body that the last Encode gave is a buffer of a batch, which
// what Hold gives keeps. All other pieces are gone with Release.
func (e *Encoder) Lendable(i int) bool { return e.buffers[i] }

// Hold gives what keeps the buffers of the body's batches after Release, one for each batch. The
// caller releases them.
func (e *Encoder) Hold() []vertex.Held {
	flats := e.arrow.flats[:e.arrow.used]
	held := make([]vertex.Held, 0, len(flats))
	for _, flat := range flats {
		held = append(held, flat.Hold())
	}
	return held
}

// reuse gives an empty slice with room for n elements: s where that is large enough, and not so
// large that it would be a waste to keep it for small frames.
func reuse[T any](s []T, n int) []T {
	var element T
	most := maxKeptBytes / int(unsafe.Sizeof(element))
	if cap(s) > most && n <= most {
		s = nil
	}
	return slices.Grow(s[:0], n)
}

func roundUp(n int) int { return (n + Align - 1) &^ (Align - 1) }

// checkName checks a text that the receiver will want to be UTF-8 and short.
func checkName(what, name string) error {
	if len(name) > MaxNameBytes {
		return status.Errorf(status.InvalidArgument, "%s has %d bytes, at most %d are allowed",
			what, len(name), MaxNameBytes)
	}
	if !utf8.ValidString(name) {
		return errText(what, name)
	}
	return nil
}

// checkCount refuses to send what no receiver takes.
func checkCount(what, limit string, n, most int) error {
	if n > most {
		return status.Errorf(status.Exhausted,
			"a frame has at most %d %s (%s), this one would have %d: send less at once",
			most, what, limit, n)
	}
	return nil
}
