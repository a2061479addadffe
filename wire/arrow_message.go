package wire

import (
	"encoding/binary"

	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/wire/flatbuf/arrowfb"
)

// arrowMessage is one message of Arrow IPC, its metadata verified.
type arrowMessage struct {
	kind   arrowfb.MessageHeader
	header flatbuffers.Table
	v4     bool
	raw    []byte // metadata with its padding
	body   int    // where its body starts, in the bytes that were read
	end    int    // where its body ends
}

// readMessage reads the message that starts at position at of some bytes that end at position
// limit. rest is what lies there, at least the whole of its metadata. end is true where there is no
// message: limit is reached or a mark says that no more follow.
func readMessage(rest []byte, at, limit int) (m arrowMessage, end bool, err error) {
	rest = rest[:min(len(rest), limit-at)]
	if at == limit {
		return m, true, nil
	}
	if len(rest) < messageStart {
		return m, false, errMessage(at, "only %d bytes are left", len(rest))
	}
	if marker := binary.LittleEndian.Uint32(rest); marker != messageMarker {
		return m, false, errMessage(at, "it starts with %#08x instead of %#08x; "+
			"data of Arrow versions before 0.15 is not supported", marker, messageMarker)
	}
	size := binary.LittleEndian.Uint32(rest[4:])
	if size == 0 {
		return m, true, nil
	}
	if size > MaxMetadataBytes || int(size) > len(rest)-messageStart {
		return m, false, errMessage(at, "its metadata has %d bytes, %d are left and at most %d are "+
			"allowed (MaxMetadataBytes)", size, len(rest)-messageStart, MaxMetadataBytes)
	}
	m.raw = rest[messageStart : messageStart+int(size)]
	m.body = at + messageStart + int(size)
	if err := verify(m.raw, &messageShape, 0); err != nil {
		return m, false, err
	}
	var t arrowfb.Message
	t.Init(m.raw, flatbuffers.GetUOffsetT(m.raw))
	switch t.Version() {
	case arrowfb.MetadataVersionV5:
	case arrowfb.MetadataVersionV4:
		m.v4 = true
	default:
		return m, false, status.Errorf(status.Unsupported,
			"the Arrow data has metadata version %s, only V4 and V5 are supported: "+
				"write it with Arrow 1.0 or newer", t.Version())
	}
	bodyLen := t.BodyLength()
	if bodyLen < 0 || bodyLen > int64(limit-m.body) {
		return m, false, errMessage(at, "its body has %d bytes and %d are left", bodyLen, limit-m.body)
	}
	m.end = m.body + int(bodyLen)
	if m.kind = t.HeaderType(); !t.Header(&m.header) {
		return m, false, errMessage(at, "it has no header")
	}
	return m, false, nil
}

func errMessage(at int, format string, args ...any) error {
	return status.Errorf(status.Corrupt, "the Arrow message at byte %d: "+format,
		append([]any{at}, args...)...)
}

// schema gives the message's header, or nil where it is another one.
func (m *arrowMessage) schema(t *arrowfb.Schema) *arrowfb.Schema {
	if m.kind != arrowfb.MessageHeaderSchema {
		return nil
	}
	t.Init(m.header.Bytes, m.header.Pos)
	return t
}

func (m *arrowMessage) dictionary(t *arrowfb.DictionaryBatch) *arrowfb.DictionaryBatch {
	if m.kind != arrowfb.MessageHeaderDictionaryBatch {
		return nil
	}
	t.Init(m.header.Bytes, m.header.Pos)
	return t
}

func (m *arrowMessage) record(t *arrowfb.RecordBatch) *arrowfb.RecordBatch {
	if m.kind != arrowfb.MessageHeaderRecordBatch {
		return nil
	}
	t.Init(m.header.Bytes, m.header.Pos)
	return t
}
