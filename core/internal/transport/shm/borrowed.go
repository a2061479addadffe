package shm

import (
	"encoding/binary"
	"slices"

	"dcf/core/internal/failpoint"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// borrowed is a loan of the peer's that a body of this process uses.
type borrowed struct {
	c        *conn
	number   uint64
	segments []*foreign // with references of the loan's
}

// giveBack returns the loan. It is called when the last reference to the body is gone, on whatever thread
// that is, and waits for nothing.
func (b *borrowed) giveBack() {
	for _, f := range b.segments {
		f.release()
	}
	failpoint.Hit(failpoint.Unused)
	b.c.outbox.note(kindReturn, b.number)
	b.c.borrower.drop()
}

// segment gives a segment by its number, and keeps it.
func (b *borrowed) segment(number uint64) (*foreign, error) {
	f := b.c.borrower.segment(number)
	if f == nil { // it may have been introduced since anybody listened
		if err := b.c.hear(); err != nil {
			return nil, err
		}
		f = b.c.borrower.segment(number)
	}
	if f == nil {
		return nil, status.Errorf(status.Corrupt, "%s lends of segment %d, which it did not introduce",
			b.c.peer, number)
	}
	if slices.Contains(b.segments, f) {
		f.release()
	} else {
		b.segments = append(b.segments, f)
	}
	return f, nil
}

// ref is a reference to a buffer that is lent: where it is in the body, and where in which segment.
type ref struct{ at, segment, offset, length uint64 }

func refAt(b []byte) ref {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	return ref{word(0), word(1), word(2), word(3)}
}

// memory gives the memory of a buffer which is lent, where it lies in its segment.
func (b *borrowed) memory(r ref) ([]byte, error) {
	f, err := b.segment(r.segment)
	if err != nil {
		return nil, err
	}
	all := f.mapping.Bytes()
	if r.offset > uint64(len(all)) || r.length > uint64(len(all))-r.offset {
		return nil, status.Errorf(status.Corrupt, "%s lends %d bytes at %d of segment %d, which has %d",
			b.c.peer, r.length, r.offset, r.segment, len(all))
	}
	return all[r.offset : r.offset+r.length : r.offset+r.length], nil
}

// gap is a part of a body between buffers that are lent. It comes as bytes, into memory of this process.
type gap struct{ piece, place, size int }

// plan is how a body with buffers that are lent is made.
type plan struct {
	pieces []vertex.Piece
	gaps   []gap
	own    int // bytes that all gaps take
}

// fill leaves room for bytes that come, at an address that is as good as theirs in the body: so what is
// aligned there is aligned here.
func (l *plan) fill(from, to uint64) {
	if from == to {
		return
	}
	place := (l.own+arena.Align-1)&^(arena.Align-1) + int(from%arena.Align)
	l.gaps = append(l.gaps, gap{len(l.pieces), place, int(to - from)})
	l.pieces = append(l.pieces, vertex.Piece{})
	l.own = place + int(to-from)
}

// lay finds what is lent, and says where all else goes.
func (b *borrowed) lay(refs []byte, bodyLen uint64, trust vertex.Trust) (l plan, err error) {
	end := uint64(0)
	for ; len(refs) > 0; refs = refs[refBytes:] {
		r := refAt(refs)
		if r.at < end || r.at > bodyLen || r.length == 0 || r.length > bodyLen-r.at {
			return l, status.Errorf(status.Corrupt, "%s lends %d bytes for %d of a body of %d bytes, of which "+
				"%d are there", b.c.peer, r.length, r.at, bodyLen, end)
		}
		memory, err := b.memory(r)
		if err != nil {
			return l, err
		}
		l.fill(end, r.at)
		l.pieces = append(l.pieces, vertex.Piece{Bytes: memory, Trust: trust})
		end = r.at + r.length
	}
	l.fill(end, bodyLen)
	return l, nil
}

// layLent makes a body of what is lent, and of memory for all else.
func (i *inbox) layLent() error {
	s := &i.stream
	b := &borrowed{c: i.c, number: s.loan}
	i.c.borrower.hold()
	l, err := b.lay(s.refs, uint64(s.bodyLen), i.trust)
	if err != nil {
		b.giveBack()
		return err
	}
	own, err := vertex.NewBody(l.own)
	if err == nil {
		into := make([][]byte, 0, len(l.gaps))
		s.left = 0
		for _, g := range l.gaps {
			memory := own.Bytes()[g.place : g.place+g.size : g.place+g.size]
			l.pieces[g.piece] = vertex.Piece{Bytes: memory, Trust: vertex.TrustOwn}
			into, s.left = append(into, memory), s.left+int64(g.size)
		}
		s.into = into
		if s.body, err = vertex.NewBodyOf(own, l.pieces, b.giveBack); err != nil {
			own.Release()
		}
	}
	if err != nil {
		b.giveBack()
		return i.errMemory(err)
	}
	failpoint.Hit(failpoint.Borrowed)
	return nil
}
