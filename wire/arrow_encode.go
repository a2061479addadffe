package wire

import (
	"encoding/binary"
	"slices"

	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire/flatbuf/arrowfb"
)

// Batches travel as Arrow IPC encapsulated messages: the marker ff ff ff ff, the length of the
// metadata, the metadata, its padding, and the buffers, each with its padding. All of it is padded
// to multiples of Align, where Arrow asks for 8.

// messageMarker begins every message of Arrow since 0.15.
const messageMarker uint32 = 0xffffffff

// messageStart is the length of marker and metadata length.
const messageStart = 8

// sentSchemas has the Schema messages of schemas that were sent, whole and padded.
var sentSchemas kept[*vertex.Schema, []byte]

// arrowEncoder keeps what the encoding of batches needs until a frame is sent, and its memory.
type arrowEncoder struct {
	builder  *flatbuffers.Builder
	metadata []byte // of the messages of the frame
	flats    []*vertex.Flat
	used     int             // of flats
	shared   []*vertex.Batch // references to the batches that flats are of, where they are others
}

// release gives back what the last frame's batches needed.
func (a *arrowEncoder) release() {
	for _, flat := range a.flats[:a.used] {
		flat.Free()
	}
	a.used = 0
	for _, b := range a.shared {
		b.Release()
	}
	clear(a.shared)
	a.shared = reuse(a.shared, 0)
	a.metadata = reuse(a.metadata, 0)
	if len(a.flats) > maxKeptSchemas {
		a.flats = nil
	}
	if a.builder != nil && cap(a.builder.Bytes) > maxKeptBytes {
		a.builder = nil
	}
}

// flat gives an empty Flat that is freed by release.
func (a *arrowEncoder) flat() *vertex.Flat {
	if a.used == len(a.flats) {
		a.flats = append(a.flats, new(vertex.Flat))
	}
	a.used++
	return a.flats[a.used-1]
}

// batch adds a batch to the body: its schema, its dictionaries, inner ones first, and its record.
func (e *Encoder) batch(b *vertex.Batch) error {
	schema, err := schemaMessage(b.Schema())
	if err != nil {
		return err
	}
	if e.Share {
		b = b.Shared()
		e.arrow.shared = append(e.arrow.shared, b)
	}
	flat := e.arrow.flat()
	if err := b.Flatten(flat); err != nil {
		return err
	}
	e.piece(schema, false)
	for id, v := range slices.Backward(flat.Dictionaries) {
		if err := e.record(v, id); err != nil {
			return err
		}
	}
	return e.record(flat, -1)
}

// schemaMessage gives the Schema message of s.
func schemaMessage(s *vertex.Schema) ([]byte, error) {
	if message, ok := sentSchemas.table()[s]; ok {
		return message, nil
	}
	metadata, err := writeSchema(s)
	if err != nil {
		return nil, err
	}
	message := appendMessage(nil, metadata)
	sentSchemas.put(s, message, maxKeptSchemas)
	return message, nil
}

// appendMessage appends the start of a message: marker, length, metadata and padding.
func appendMessage(to, metadata []byte) []byte {
	size := roundUp(messageStart + len(metadata))
	to = binary.LittleEndian.AppendUint32(to, messageMarker)
	to = binary.LittleEndian.AppendUint32(to, uint32(size-messageStart))
	to = append(to, metadata...)
	return append(to, zeros[:size-messageStart-len(metadata)]...)
}

// record adds a RecordBatch message, or a DictionaryBatch message where id is not negative.
func (e *Encoder) record(flat *vertex.Flat, id int) error {
	a := &e.arrow
	if a.builder == nil {
		a.builder = flatbuffers.NewBuilder(1024)
	}
	b := a.builder
	b.Reset()
	if len(flat.Buffers) > maxBuffers {
		return status.Errorf(status.Exhausted,
			"a batch has at most %d buffers, this one has %d: make it anew with fewer data buffers",
			maxBuffers, len(flat.Buffers))
	}
	header, bodyLen := writeRecord(b, flat)
	kind := arrowfb.MessageHeaderRecordBatch
	if id >= 0 {
		arrowfb.DictionaryBatchStart(b)
		arrowfb.DictionaryBatchAddId(b, int64(id))
		arrowfb.DictionaryBatchAddData(b, header)
		header, kind = arrowfb.DictionaryBatchEnd(b), arrowfb.MessageHeaderDictionaryBatch
	}
	finishMessage(b, kind, header, bodyLen)
	if n := len(b.FinishedBytes()); n > MaxMetadataBytes {
		return status.Errorf(status.Exhausted,
			"a batch takes %d bytes of metadata, at most %d are allowed (MaxMetadataBytes): split it",
			n, MaxMetadataBytes)
	}
	start := len(a.metadata)
	a.metadata = appendMessage(a.metadata, b.FinishedBytes())
	e.piece(a.metadata[start:], false)
	for _, buffer := range flat.Buffers {
		e.piece(buffer, true)
	}
	return nil
}

// writeRecord writes a RecordBatch and gives the length of its body.
func writeRecord(b *flatbuffers.Builder, flat *vertex.Flat) (flatbuffers.UOffsetT, int64) {
	bodyLen := int64(0)
	for _, buffer := range flat.Buffers {
		bodyLen += int64(roundUp(len(buffer)))
	}
	arrowfb.RecordBatchStartNodesVector(b, len(flat.Nodes))
	for _, v := range slices.Backward(flat.Nodes) {
		arrowfb.CreateFieldNode(b, v.Length, v.NullCount)
	}
	nodes := b.EndVector(len(flat.Nodes))
	arrowfb.RecordBatchStartBuffersVector(b, len(flat.Buffers))
	at := bodyLen
	for _, v := range slices.Backward(flat.Buffers) {
		size := len(v)
		at -= int64(roundUp(size))
		arrowfb.CreateBuffer(b, at, int64(size))
	}
	buffers := b.EndVector(len(flat.Buffers))
	variadic := flatbuffers.UOffsetT(0)
	if n := len(flat.Variadic); n > 0 {
		arrowfb.RecordBatchStartVariadicBufferCountsVector(b, n)
		for i := n - 1; i >= 0; i-- {
			b.PrependInt64(flat.Variadic[i])
		}
		variadic = b.EndVector(n)
	}
	arrowfb.RecordBatchStart(b)
	arrowfb.RecordBatchAddLength(b, flat.Rows)
	arrowfb.RecordBatchAddNodes(b, nodes)
	arrowfb.RecordBatchAddBuffers(b, buffers)
	arrowfb.RecordBatchAddVariadicBufferCounts(b, variadic)
	return arrowfb.RecordBatchEnd(b), bodyLen
}
