package wire

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"

	"dcf/core/status"
	"dcf/udf"
)

// The usual Call and Reply travel as structs of a fixed layout (FixedCall and FixedReply in
// schemas/frame.fbs) and a tail of bytes. They are read and written here with loads and stores at
// fixed places, which a test compares with the generated code.

// flagFixed in SessionHeader.Flags says that the message is fixed. It belongs to the encoding:
// a decoded frame never shows it.
const flagFixed uint32 = 1

const (
	fixedCallBytes  = 96
	fixedReplyBytes = 48
	// maxFixedRan is the largest number of NodeRuns in a fixed reply.
	maxFixedRan = 64
)

// The bits of FixedCall.target_flags and Target.flags.
const (
	targetOnce         = 1
	targetHasArguments = 2
)

// fixedCall says whether a call can travel as a FixedCall.
func fixedCall(m *Call) bool {
	if len(m.Targets) != 1 || len(m.UDFs) != 1 {
		return false
	}
	t := &m.Targets[0]
	return t.UDF == 0 && t.Arguments.Batch == nil && m.Arguments.Batch == nil &&
		len(t.Arguments.Bytes) <= MaxInlineBytes && len(m.Arguments.Bytes) <= MaxInlineBytes &&
		(t.HasArguments || len(t.Arguments.Bytes) == 0) &&
		len(t.Path) <= MaxPathSteps && len(m.UDFs[0].Name) <= MaxNameBytes
}

// fixedReply says whether a reply can travel as a FixedReply.
func fixedReply(m *Reply) bool {
	if m.Error != nil || m.HasValue || len(m.Parts) > 1 || len(m.Ran) > maxFixedRan ||
		m.View != 0 || m.Missing != 0 || m.Group || m.Identity != (Identity{}) ||
		len(m.IDs)+len(m.Vertices)+len(m.Nodes)+len(m.Stats) > 0 {
		return false
	}
	if len(m.Parts) == 0 {
		return true
	}
	p := &m.Parts[0]
	return p.Value.Batch == nil && len(p.Value.Bytes) <= MaxInlineBytes &&
		len(p.Path) <= MaxPathSteps
}

// appendFixed makes room for a frame without body and writes all of it but the message, of
// which there are size bytes and which it gives back.
func appendFixed(dst []byte, h *SessionHeader, flags uint32, size int) (out, message []byte) {
	start := len(dst)
	total := PrefixBytes + sessionBytes + size
	if cap(dst)-start < total {
		dst = slices.Grow(dst, total)
	}
	dst = dst[:start+total]
	b := dst[start:]
	putPrefix(b, sessionBytes+size, 0)
	putSession(b[PrefixBytes:], h, flags)
	return dst, b[PrefixBytes+sessionBytes:]
}

func putSession(b []byte, h *SessionHeader, flags uint32) {
	_ = b[sessionBytes-1]
	version := h.Version
	if version == 0 {
		version = Version
	}
	binary.LittleEndian.PutUint64(b,
		uint64(version)|uint64(h.Kind)<<16|uint64(h.Flags|flags)<<32)
	binary.LittleEndian.PutUint64(b[8:], h.CallID)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.BudgetNs))
	binary.LittleEndian.PutUint64(b[24:], h.TraceID)
}

// ParseSession reads the SessionHeader that a frame's header, of which sessionBytes must be there,
// starts with.
func ParseSession(b []byte) (h SessionHeader) {
	_ = b[sessionBytes-1]
	h.Version = binary.LittleEndian.Uint16(b)
	h.Kind = Kind(binary.LittleEndian.Uint16(b[2:]))
	h.Flags = binary.LittleEndian.Uint32(b[4:])
	h.CallID = binary.LittleEndian.Uint64(b[8:])
	h.BudgetNs = int64(binary.LittleEndian.Uint64(b[16:]))
	h.TraceID = binary.LittleEndian.Uint64(b[24:])
	return h
}

func appendFixedCall(dst []byte, h *SessionHeader, m *Call) ([]byte, error) {
	t, u := &m.Targets[0], &m.UDFs[0]
	if !utf8.ValidString(u.Name) {
		return dst, errText("a function's name", u.Name)
	}
	size := fixedCallBytes + 4*len(t.Path) + len(u.Name) + len(m.Arguments.Bytes) +
		len(t.Arguments.Bytes)
	dst, b := appendFixed(dst, h, flagFixed, size)
	_ = b[fixedCallBytes-1]
	binary.LittleEndian.PutUint64(b, m.Root.Node)
	binary.LittleEndian.PutUint64(b[8:], m.Sequence)
	binary.LittleEndian.PutUint64(b[16:], m.Floor)
	binary.LittleEndian.PutUint64(b[24:], m.SpawnBudget)
	binary.LittleEndian.PutUint32(b[32:], m.Root.Incarnation)
	binary.LittleEndian.PutUint32(b[36:], uint32(m.Flags))
	binary.LittleEndian.PutUint32(b[40:], m.Depth)
	binary.LittleEndian.PutUint32(b[44:], uint32(len(m.Arguments.Bytes)))
	binary.LittleEndian.PutUint32(b[48:], uint32(len(t.Arguments.Bytes)))
	binary.LittleEndian.PutUint16(b[52:], uint16(len(t.Path)))
	b[54] = byte(len(u.Name))
	b[55] = byte(targetFlags(t))
	*(*[16]byte)(b[56:]) = t.ID
	*(*[16]byte)(b[72:]) = u.Hash
	binary.LittleEndian.PutUint64(b[88:], t.Birth)
	b = putPath(b[fixedCallBytes:], t.Path)
	b = b[copy(b, u.Name):]
	b = b[copy(b, m.Arguments.Bytes):]
	copy(b, t.Arguments.Bytes)
	return dst, nil
}

func targetFlags(t *Target) uint32 {
	flags := uint32(0)
	if t.Once {
		flags = targetOnce
	}
	if t.HasArguments {
		flags |= targetHasArguments
	}
	return flags
}

func appendFixedReply(dst []byte, h *SessionHeader, m *Reply) []byte {
	var path []uint32
	var part []byte
	if len(m.Parts) > 0 {
		path, part = m.Parts[0].Path, m.Parts[0].Value.Bytes
	}
	size := fixedReplyBytes + runsBytes*len(m.Ran) + 4*len(path) + len(part)
	dst, b := appendFixed(dst, h, flagFixed, size)
	_ = b[fixedReplyBytes-1]
	binary.LittleEndian.PutUint64(b, m.Version)
	binary.LittleEndian.PutUint64(b[8:], m.SpawnsLeft)
	binary.LittleEndian.PutUint64(b[16:], uint64(m.ServedNs))
	binary.LittleEndian.PutUint64(b[24:], m.BytesMoved)
	binary.LittleEndian.PutUint32(b[32:], uint32(len(part)))
	binary.LittleEndian.PutUint16(b[36:], m.Effects)
	binary.LittleEndian.PutUint16(b[38:], uint16(len(path)))
	binary.LittleEndian.PutUint16(b[40:], uint16(len(m.Ran)))
	binary.LittleEndian.PutUint16(b[42:], uint16(len(m.Parts)))
	binary.LittleEndian.PutUint32(b[44:], uint32(m.How))
	b = b[fixedReplyBytes:]
	for i := range m.Ran {
		binary.LittleEndian.PutUint64(b, m.Ran[i].Node)
		binary.LittleEndian.PutUint64(b[8:], m.Ran[i].Runs)
		b = b[runsBytes:]
	}
	copy(putPath(b, path), part)
	return dst
}

// putPath writes the steps at the start of b and gives what follows them.
func putPath(b []byte, path []uint32) []byte {
	for _, step := range path {
		binary.LittleEndian.PutUint32(b, step)
		b = b[4:]
	}
	return b
}

// decodeFixedCall reads a call whose bytes alias b.
func (d *Decoder) decodeFixedCall(b []byte) error {
	if len(b) < fixedCallBytes {
		return errFixed("FixedCall", len(b), fixedCallBytes)
	}
	arguments := int(binary.LittleEndian.Uint32(b[44:]))
	own := int(binary.LittleEndian.Uint32(b[48:]))
	steps := int(binary.LittleEndian.Uint16(b[52:]))
	name := int(b[54])
	flags := uint32(b[55])
	if want := fixedCallBytes + 4*steps + name + arguments + own; want != len(b) {
		return errFixed("FixedCall", len(b), want)
	}
	if steps > MaxPathSteps || flags&^(targetOnce|targetHasArguments) != 0 ||
		own > 0 && flags&targetHasArguments == 0 {
		return status.Errorf(status.Corrupt,
			"FixedCall: a path of %d steps, target flags %#x", steps, flags)
	}
	m := &d.call
	m.Root = Identity{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[32:])}
	m.Sequence = binary.LittleEndian.Uint64(b[8:])
	m.Floor = binary.LittleEndian.Uint64(b[16:])
	m.SpawnBudget = binary.LittleEndian.Uint64(b[24:])
	m.Flags = CallFlags(binary.LittleEndian.Uint32(b[36:]))
	m.Depth = binary.LittleEndian.Uint32(b[40:])
	u, t := &d.udf[0], &d.target[0]
	t.ID = [16]byte(b[56:])
	u.Hash = [16]byte(b[72:])
	t.Birth = binary.LittleEndian.Uint64(b[88:])
	t.UDF = 0
	t.Once = flags&targetOnce != 0
	t.HasArguments = flags&targetHasArguments != 0
	b = b[fixedCallBytes:]
	t.Path, b = d.fixedPath(b, steps)
	if u.Name != string(b[:name]) {
		var err error
		if u.Name, err = d.name(b[:name]); err != nil {
			return err
		}
	}
	b = b[name:]
	m.Arguments = d.value(b[:arguments:arguments])
	t.Arguments = d.value(b[arguments:])
	m.UDFs, m.Targets = d.udf[:], d.target[:]
	return nil
}

// decodeFixedReply reads a reply whose bytes alias b.
func (d *Decoder) decodeFixedReply(b []byte) error {
	if len(b) < fixedReplyBytes {
		return errFixed("FixedReply", len(b), fixedReplyBytes)
	}
	part := int(binary.LittleEndian.Uint32(b[32:]))
	steps := int(binary.LittleEndian.Uint16(b[38:]))
	ran := int(binary.LittleEndian.Uint16(b[40:]))
	parts := int(binary.LittleEndian.Uint16(b[42:]))
	if want := fixedReplyBytes + runsBytes*ran + 4*steps + part; want != len(b) {
		return errFixed("FixedReply", len(b), want)
	}
	if steps > MaxPathSteps || parts > 1 || parts == 0 && part+steps > 0 {
		return status.Errorf(status.Corrupt,
			"FixedReply: %d parts, a path of %d steps and %d bytes", parts, steps, part)
	}
	m := &d.reply
	if !d.replyFixed { // a fixed reply after a fixed one finds all other fields empty
		*m, d.replyFixed = Reply{}, true
	}
	m.Version = binary.LittleEndian.Uint64(b)
	m.SpawnsLeft = binary.LittleEndian.Uint64(b[8:])
	m.ServedNs = int64(binary.LittleEndian.Uint64(b[16:]))
	m.BytesMoved = binary.LittleEndian.Uint64(b[24:])
	m.Effects = binary.LittleEndian.Uint16(b[36:])
	m.How = binary.LittleEndian.Uint16(b[44:])
	b = b[fixedReplyBytes:]
	m.Ran, m.Parts = nil, nil
	if ran > 0 {
		m.Ran = d.ran[:0]
		for ; ran > 0; ran-- {
			m.Ran = append(m.Ran,
				NodeRuns{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])})
			b = b[runsBytes:]
		}
		d.ran = m.Ran
	}
	if parts > 0 {
		p := &d.part[0]
		p.Path, b = d.fixedPath(b, steps)
		p.Value = d.value(b)
		m.Parts = d.part[:]
	}
	return nil
}

// fixedPath reads the steps at the start of b into the decoder's memory and gives what follows.
func (d *Decoder) fixedPath(b []byte, steps int) (path []uint32, rest []byte) {
	if steps == 0 {
		return nil, b
	}
	path = d.paths[:0]
	for range steps {
		path = append(path, binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	d.paths = path
	return path, b
}

// value makes a value of bytes of the header.
func (d *Decoder) value(b []byte) udf.Value {
	if len(b) == 0 {
		return udf.Value{}
	}
	return udf.Value{Bytes: b, OffHeap: d.OffHeap}
}

func errFixed(what string, have, want int) error {
	return status.Errorf(status.Corrupt, "%s: it has %d bytes instead of %d", what, have, want)
}

func errText(what, text string) error {
	return status.Errorf(status.InvalidArgument, "%s is not UTF-8: %q", what, text)
}
