package vertex

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"unsafe"

	"dcf/vertex/cdata"
)

// ID names a vertex in the whole cluster: 16 opaque bytes, and equal ids are equal bytes. The top
// bit of the first byte tells the two forms apart. Named: 127 bits of the SHA-256 of the name.
// Unnamed: 31 bits of incarnation, 32 bits of birth node, 64 bits of counter, big-endian. Counters
// of a Source stay below 2^63: those with the top bit set are counted in C, by functions that make
// several children in one call.
type ID [16]byte

const namedBit = 0x80

// NameID gives the id of the vertex that has this name.
func NameID(name string) ID {
	sum := sha256.Sum256([]byte(name))
	id := ID(sum[:16])
	id[0] |= namedBit
	return id
}

// Named says whether the id was made of a name.
func (id ID) Named() bool { return id[0]&namedBit != 0 }

// IsZero says whether the id is no id at all.
func (id ID) IsZero() bool { return id == ID{} }

// Birth gives the node and incarnation that made an unnamed id, and zeros for a named one.
func (id ID) Birth() (node uint64, incarnation uint32) {
	if id.Named() {
		return 0, 0
	}
	return uint64(binary.BigEndian.Uint32(id[4:])), binary.BigEndian.Uint32(id[:])
}

// String gives the id as 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(text string) (ID, error) {
	var id ID
	if len(text) != 2*len(id) {
		return ID{}, fmt.Errorf("vertex id %q: want %d hexadecimal digits", text, 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		return ID{}, fmt.Errorf("vertex id %q: %w", text, err)
	}
	return id, nil
}

// Source makes the unnamed ids of one incarnation of one worker. It is safe for concurrent use.
type Source struct {
	prefix  [8]byte
	counter atomic.Uint64
}

// NewSource makes a source for a node, whose id is from 1 to MaxNodeID, and an incarnation.
func NewSource(node uint64, incarnation uint32) *Source {
	s := &Source{}
	binary.BigEndian.PutUint32(s.prefix[:], incarnation&^(1<<31))
	binary.BigEndian.PutUint32(s.prefix[4:], uint32(node))
	return s
}

// Next gives an id that nobody was given before.
func (s *Source) Next() ID {
	var id ID
	copy(id[:], s.prefix[:])
	binary.BigEndian.PutUint64(id[8:], s.counter.Add(1))
	return id
}

// NewIncarnation chooses a number for this start of a worker, from 1 to 2^31-1.
func NewIncarnation() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, as crypto/rand documents
	return binary.BigEndian.Uint32(b[:])>>1 | 1
}

// IDsOf gives the ids of a list that lies outside the Go heap; none of nil.
func IDsOf(list *cdata.IDList) []ID {
	if list == nil {
		return nil
	}
	return unsafe.Slice((*ID)(unsafe.Add(unsafe.Pointer(list), unsafe.Sizeof(*list))), list.Count)
}
