package wire

import (
	"encoding/binary"
	"unicode/utf8"

	"dcf/core/status"
)

// The FlatBuffers runtime for Go trusts what it reads. So every table that comes from outside is
// verified first, against a shape, a compact description of the schema: after verify has passed,
// no generated accessor reads outside of the buffer, and what it gives is within its limit.
//
// The format is described in FlatBuffers' "Internals" document. A table starts with the distance
// to its vtable; the vtable is its own size, the table's size, and where each field lies in the
// table (0: absent). Vectors and strings start with their length; references are distances forward.

// layout is how a field is stored.
type layout uint8

const (
	scalar layout = iota // size bytes in the table; structs, too
	text                 // a string of at most limit bytes of UTF-8
	vector               // at most limit elements of size bytes
	texts                // at most limit strings of at most size bytes
	table                // of shape of
	tables               // at most limit tables
	tagged               // a union: the table that of[tag] describes, the tag is the field before
)

// slot describes a field. Its number is its index in the shape.
type slot struct {
	name  string
	kind  layout
	size  int      // of the scalar, of an element, of each text
	align int      // of the scalar or an element; 0: as the size
	limit int      // most bytes of a text, most elements
	raw   bool     // a text that need not be UTF-8
	of    []*shape // what tables are; nil: of the shape that the slot belongs to
}

// shape describes a table. Fields beyond its slots are of a newer version and never read.
type shape struct {
	name  string
	slots []slot
}

// verifier is one pass over one buffer.
type verifier struct {
	buf   []byte
	visit int // bytes that may still be visited
}

// verify checks that the table to which the four bytes at position start of buf refer is of that
// shape. Alignment is counted from the start of buf.
func verify(buf []byte, root *shape, start int) error {
	v := verifier{buf: buf, visit: visitFactor*len(buf) + 64}
	at, err := v.follow(start, root, "root")
	if err != nil {
		return err
	}
	return v.table(at, root, 0)
}

func (v *verifier) table(at int, s *shape, depth int) error {
	if depth >= maxTableDepth {
		return v.corrupt(s, "", at, "it is nested more than %d deep", maxTableDepth)
	}
	if !v.inside(at, 4, 4) {
		return v.corrupt(s, "", at, "it lies outside of the buffer of %d bytes", len(v.buf))
	}
	// Distances are signed 32-bit numbers and positions at most MaxHeaderBytes: no overflow here.
	vt := at - int(int32(binary.LittleEndian.Uint32(v.buf[at:])))
	if !v.inside(vt, 4, 2) {
		return v.corrupt(s, "", at, "its vtable at %d lies outside of the buffer", vt)
	}
	vtSize := int(binary.LittleEndian.Uint16(v.buf[vt:]))
	size := int(binary.LittleEndian.Uint16(v.buf[vt+2:]))
	if vtSize < 4 || vtSize%2 != 0 || !v.inside(vt, vtSize, 2) {
		return v.corrupt(s, "", at, "its vtable has %d bytes", vtSize)
	}
	if size < 4 || !v.inside(at, size, 4) {
		return v.corrupt(s, "", at, "it has %d bytes", size)
	}
	if err := v.spend(s, at, size); err != nil {
		return err
	}
	tag := 0
	for i := range s.slots {
		f := &s.slots[i]
		entry := 4 + 2*i
		if entry >= vtSize {
			break
		}
		offset := int(binary.LittleEndian.Uint16(v.buf[vt+entry:]))
		if offset == 0 {
			tag = 0
			continue
		}
		// Not within the table's size: the vtable may be shared with a table of another type, which
		// has its fields at the same places but is smaller. Writers in Go share such ones.
		if width, align := f.inline(); offset < 4 || !v.inside(at+offset, width, align) {
			return v.corrupt(s, f.name, at, "it has %d bytes at %d, in a buffer of %d",
				width, offset, len(v.buf))
		}
		if f.kind != scalar {
			if err := v.reference(at+offset, s, f, tag, depth); err != nil {
				return err
			}
		}
		tag = int(v.buf[at+offset])
	}
	return nil
}

// inline gives the size and alignment of what a table itself holds of a field.
func (f *slot) inline() (size, align int) {
	switch {
	case f.kind != scalar:
		return 4, 4
	case f.align != 0:
		return f.size, f.align
	}
	return f.size, f.size
}

// reference checks what the field at position at refers to.
func (v *verifier) reference(at int, s *shape, f *slot, tag, depth int) error {
	to, err := v.follow(at, s, f.name)
	if err != nil {
		return err
	}
	switch f.kind {
	case text:
		return v.text(to, s, f, f.limit)
	case vector:
		size, align := f.size, f.align
		if align == 0 {
			align = size
		}
		_, err = v.vector(to, s, f, size, align)
		return err
	case texts:
		return v.each(to, s, f, func(element int) error { return v.text(element, s, f, f.size) })
	case table:
		return v.table(to, f.shape(s, 0), depth+1)
	case tables:
		return v.each(to, s, f, func(element int) error {
			return v.table(element, f.shape(s, 0), depth+1)
		})
	default: // tagged
		if tag >= len(f.of) || f.of[tag] == nil {
			return v.corrupt(s, f.name, at, "it is of the unknown type %d", tag)
		}
		return v.table(to, f.of[tag], depth+1)
	}
}

func (f *slot) shape(own *shape, tag int) *shape {
	if f.of == nil {
		return own
	}
	return f.of[tag]
}

// each runs check on the position that each element of a vector of references refers to.
func (v *verifier) each(at int, s *shape, f *slot, check func(int) error) error {
	n, err := v.vector(at, s, f, 4, 4)
	if err != nil {
		return err
	}
	for i := range n {
		to, err := v.follow(at+4+4*i, s, f.name)
		if err == nil {
			err = check(to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// vector checks a vector's length and extent and gives the number of its elements.
func (v *verifier) vector(at int, s *shape, f *slot, size, align int) (int, error) {
	if !v.inside(at, 4, 4) {
		return 0, v.corrupt(s, f.name, at, "it lies outside of the buffer")
	}
	n := int(binary.LittleEndian.Uint32(v.buf[at:]))
	if n > f.limit {
		return 0, v.corrupt(s, f.name, at, "it has %d elements, at most %d are allowed", n, f.limit)
	}
	// limit is below 2^29 and size below 2^8, so that the product is no concern.
	if !v.inside(at+4, n*size, align) && n > 0 {
		return 0, v.corrupt(s, f.name, at, "%d elements of %d bytes do not fit in %d bytes",
			n, size, len(v.buf))
	}
	return n, v.spend(s, at, 4+n*size)
}

func (v *verifier) text(at int, s *shape, f *slot, limit int) error {
	if !v.inside(at, 4, 4) {
		return v.corrupt(s, f.name, at, "it lies outside of the buffer")
	}
	n := int(binary.LittleEndian.Uint32(v.buf[at:]))
	if n > limit {
		return v.corrupt(s, f.name, at, "it has %d bytes, at most %d are allowed", n, limit)
	}
	if !v.inside(at+4, n+1, 1) || v.buf[at+4+n] != 0 {
		return v.corrupt(s, f.name, at, "its %d bytes and a zero do not fit in %d bytes",
			n, len(v.buf))
	}
	if !f.raw && !utf8.Valid(v.buf[at+4:at+4+n]) {
		return v.corrupt(s, f.name, at, "it is not UTF-8")
	}
	return v.spend(s, at, 4+n+1)
}

// follow gives the position to which the reference at position at refers.
func (v *verifier) follow(at int, s *shape, field string) (int, error) {
	if !v.inside(at, 4, 4) {
		return 0, v.corrupt(s, field, at, "it lies outside of the buffer of %d bytes", len(v.buf))
	}
	distance := int(binary.LittleEndian.Uint32(v.buf[at:]))
	if distance < 4 || distance > len(v.buf)-at {
		return 0, v.corrupt(s, field, at, "it refers to byte %d of %d", at+distance, len(v.buf))
	}
	return at + distance, nil
}

// inside says whether size bytes at position at are within the buffer and aligned.
func (v *verifier) inside(at, size, align int) bool {
	return at >= 0 && at%align == 0 && at <= len(v.buf) && size <= len(v.buf)-at
}

// spend bounds the work: tables that refer to one another many times would make a small buffer a
// huge tree.
func (v *verifier) spend(s *shape, at, bytes int) error {
	if v.visit -= bytes; v.visit < 0 {
		return v.corrupt(s, "", at, "the same bytes are referred to again and again")
	}
	return nil
}

func (v *verifier) corrupt(s *shape, field string, at int, format string, args ...any) error {
	where := s.name
	if field != "" {
		where += "." + field
	}
	return status.Errorf(status.Corrupt, "%s at byte %d: "+format,
		append([]any{where, at}, args...)...)
}
