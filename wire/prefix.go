package wire

import (
	"encoding/binary"

	"dcf/core/status"
)

// PrefixBytes is the length of what comes before a frame's header: magic, length of the header
// (uint32), length of the body (uint64).
const PrefixBytes = 16

// Align is what the place of a body in its frame, and that of everything in a body, is a multiple
// of, in bytes.
const Align = 64

const (
	magicText = "DCF1"
	magic     = 'D' | 'C'<<8 | 'F'<<16 | '1'<<24
	// sessionBytes is the size of a SessionHeader on the wire.
	sessionBytes = 32
)

// ParsePrefix reads the first PrefixBytes of b, of which there must be as many. What is within the
// protocol's limits but over the receiver's is status.Exhausted.
func ParsePrefix(b []byte, limits Limits) (headerLen int, bodyLen int64, err error) {
	_ = b[PrefixBytes-1]
	if binary.LittleEndian.Uint32(b) != magic {
		return 0, 0, errMagic(b[:4])
	}
	header, body := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:])
	if err := limits.check(header, body); err != nil {
		return 0, 0, err
	}
	return int(header), int64(body), nil
}

// CheckHeader says what ParsePrefix would say of a frame without a body whose header has that length:
// for transports that leave the prefix out.
func CheckHeader(headerLen int, limits Limits) error { return limits.check(uint32(headerLen), 0) }

// check says what is wrong with the lengths of a frame's header and body.
func (limits Limits) check(header uint32, body uint64) error {
	if header < sessionBytes || header > MaxHeaderBytes || body > MaxBodyBytes ||
		body > 0 && (header+PrefixBytes)%Align != 0 {
		return errPrefix(header, body)
	}
	if limits.HeaderBytes > 0 && int(header) > limits.HeaderBytes {
		return status.Errorf(status.Exhausted,
			"a frame has a header of %d bytes, this node takes %d", header, limits.HeaderBytes)
	}
	if limits.BodyBytes > 0 && int64(body) > limits.BodyBytes {
		return status.Errorf(status.Exhausted,
			"a frame has a body of %d bytes, this node takes %d", body, limits.BodyBytes)
	}
	return nil
}

// putPrefix writes the prefix into the first PrefixBytes of b.
func putPrefix(b []byte, headerLen int, bodyLen int64) {
	_ = b[PrefixBytes-1]
	binary.LittleEndian.PutUint64(b, magic|uint64(headerLen)<<32)
	binary.LittleEndian.PutUint64(b[8:], uint64(bodyLen))
}

func errMagic(got []byte) error {
	return status.Errorf(status.Corrupt,
		"this is not a dcf peer: a frame starts with %q, not with %q", got, magicText)
}

func errPrefix(header uint32, body uint64) error {
	switch {
	case header < sessionBytes:
		return status.Errorf(status.Corrupt,
			"a frame's header has %d bytes, at least %d are needed", header, sessionBytes)
	case header > MaxHeaderBytes:
		return status.Errorf(status.Corrupt,
			"a frame's header has %d bytes, at most %d are allowed (MaxHeaderBytes)",
			header, MaxHeaderBytes)
	case body > MaxBodyBytes:
		return status.Errorf(status.Corrupt,
			"a frame's body has %d bytes, at most %d are allowed (MaxBodyBytes)",
			body, int64(MaxBodyBytes))
	default:
		return status.Errorf(status.Corrupt,
			"a frame's header has %d bytes, which would put the body at no multiple of %d",
			header, Align)
	}
}
