package vertex

import (
	"fmt"
	"math"
	"sync"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// draft is a batch in the making: its arrays and buffers before they are checked and put into C
// structs. It may refer to memory of any kind. Drafts are pooled.
type draft struct {
	schema  *Schema
	arrays  []draftArray // in the order of schema.layouts
	buffers []buffer
	code    status.Code // of errors
	advice  string      // at the end of errors
}

// draftArray is one array of a draft. Its buffers are draft.buffers[first:first+count]; they are
// those of the C Data Interface, but for the sizes of a view's data.
type draftArray struct {
	length, nulls, offset int64 // nulls -1: not counted yet
	first, count          int
}

// buffer is a piece of memory.
type buffer struct {
	p    unsafe.Pointer
	size int64
}

func (b buffer) bytes() []byte { return unsafe.Slice((*byte)(b.p), b.size) }

// bufferOf gives the buffer of a slice.
func bufferOf(bytes []byte) buffer {
	return buffer{unsafe.Pointer(unsafe.SliceData(bytes)), int64(len(bytes))}
}

// maxLength is more than any array in memory can have, and small enough for sums and bits.
const maxLength = math.MaxInt64 >> 8

var drafts = sync.Pool{New: func() any { return new(draft) }}

// newDraft gives an empty draft of that schema; free takes it back.
func newDraft(s *Schema, code status.Code, advice string) *draft {
	d := drafts.Get().(*draft)
	d.schema, d.code, d.advice = s, code, advice
	if cap(d.arrays) < len(s.layouts) {
		d.arrays = make([]draftArray, len(s.layouts))
	}
	d.arrays = d.arrays[:len(s.layouts)]
	d.buffers = d.buffers[:0]
	return d
}

func (d *draft) free() {
	clear(d.buffers[:cap(d.buffers)])
	d.schema = nil
	drafts.Put(d)
}

// set fills in one array; its buffers are those added next.
func (d *draft) set(node int, length, nulls, offset int64) *draftArray {
	d.arrays[node] = draftArray{length, nulls, offset, len(d.buffers), 0}
	return &d.arrays[node]
}

// add adds a buffer to the array that was set last.
func (d *draft) add(a *draftArray, b buffer) {
	d.buffers = append(d.buffers, b)
	a.count++
}

// buffer gives buffer i of a node.
func (d *draft) buffer(node, i int) *buffer { return &d.buffers[d.arrays[node].first+i] }

// fail makes the error about a node.
func (d *draft) fail(node int, format string, args ...any) error {
	where := "the batch"
	if node > 0 {
		where = fmt.Sprintf("column %q", d.schema.layouts[node].path)
	}
	return status.Errorf(d.code, "%s: %s: %s", where, fmt.Sprintf(format, args...), d.advice)
}

// draftOf gives a batch as a draft.
func draftOf(b *Batch) *draft {
	s := b.Schema()
	d := newDraft(s, status.Internal, "this is a bug")
	buffers, sizes, next := b.c.AllBuffers(), b.c.AllSizes(), 0
	for i, n := range b.c.All() {
		a := d.set(i, n.Length, n.NullCount, n.Offset)
		for range n.NumBuffers {
			d.add(a, buffer{buffers[next], sizes[next]})
			next++
		}
		if s.layouts[i].kind == kindView {
			a.count-- // the buffer of sizes
			d.buffers = d.buffers[:len(d.buffers)-1]
		}
	}
	return d
}

// owners is what a batch keeps alive. A batch takes them over.
type owners struct {
	bodies  []*Body
	parents []*Batch
}

// bodiesOf gives the bodies to own where there is one, or nil for none.
func bodiesOf(body *Body) []*Body {
	if body == nil {
		return nil
	}
	return []*Body{body}
}

// batch makes the batch that a checked draft describes, over the same memory. On failure the
// owners stay the caller's.
func (d *draft) batch(own owners) (*Batch, error) {
	n := len(d.buffers)
	for i := range d.schema.layouts {
		if d.schema.layouts[i].kind == kindView {
			n++
		}
	}
	s := d.schema.hold()
	c := cdata.NewBatch(s.c, n, len(own.bodies), len(own.parents))
	s.c.Release()
	if c == nil {
		return nil, errMemory("a batch")
	}
	nodes, pointers, sizes, next := c.All(), c.AllBuffers(), c.AllSizes(), 0
	for i := range nodes {
		a, node := &d.arrays[i], &nodes[i]
		node.Length, node.NullCount, node.Offset = a.length, a.nulls, a.offset
		first := next
		for _, b := range d.buffers[a.first : a.first+a.count] {
			pointers[next], sizes[next] = b.p, b.size
			c.Bytes += b.size
			next++
		}
		if s.layouts[i].kind == kindView {
			pointers[next] = cdata.Zeros()
			if a.count > 2 {
				pointers[next] = unsafe.Pointer(&sizes[first+2])
			}
			next++
		}
		if node.NumBuffers = int64(next - first); next > first {
			node.Buffers = &pointers[first]
		}
	}
	for i, column := range s.layouts[0].children {
		*at(c.Plain, i) = plain(&s.layouts[column], &nodes[column])
	}
	for i, body := range own.bodies {
		c.AllBodies()[i] = (*cdata.Body)(body)
	}
	for i, parent := range own.parents {
		c.AllParents()[i] = &parent.c
	}
	return batchOf(c), nil
}

// plain says what hot paths find in a column.
func plain(l *layout, n *cdata.Array) cdata.Plain {
	format := uint64(0)
	switch l.arrow.ID() {
	case arrow.INT64:
		format = plainInt64
	case arrow.FLOAT64:
		format = plainFloat64
	}
	if format == 0 || n.NullCount > 0 {
		return cdata.Plain{}
	}
	return cdata.Plain{Values: unsafe.Add(*at(n.Buffers, 1), 8*n.Offset), Type: format}
}

// align copies the buffers that do not lie at addresses as their types want them, and gives the
// memory of the copies; nil if there are none.
func (d *draft) align() (*Body, error) {
	total := 0
	d.misaligned(func(b *buffer) { total += roundUp(b.size) })
	if total == 0 {
		return nil, nil
	}
	body, err := NewBody(total)
	if err != nil {
		return nil, err
	}
	rest := body.Bytes()
	d.misaligned(func(b *buffer) {
		arena.Copy(rest, b.bytes())
		old := b.size
		*b = bufferOf(rest[:old])
		rest = rest[roundUp(old):]
	})
	return body, nil
}

// misaligned calls f on each buffer that is not aligned.
func (d *draft) misaligned(f func(*buffer)) {
	for i := range d.schema.layouts {
		l, a := &d.schema.layouts[i], &d.arrays[i]
		for j := range a.count {
			if j == 0 && (l.nullable() || l.kind == kindDenseUnion || l.kind == kindSparseUnion) ||
				j >= 2 && (l.kind == kindBinary || l.kind == kindView) {
				continue // bits, type ids and bytes
			}
			if b := d.buffer(i, j); b.size > 0 && uintptr(b.p)%uintptr(l.align) != 0 {
				f(b)
			}
		}
	}
}

// roundUp gives the size of a buffer with its padding.
func roundUp(size int64) int { return int(size+arena.Align-1) &^ (arena.Align - 1) }
