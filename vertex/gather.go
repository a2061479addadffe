package vertex

import (
	"math"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow/bitutil"

	"dcf/core/status"
	"dcf/vertex/arena"
)

// run is n values of a source, from one on, counted without the offset of its array.
type run struct {
	source  int
	from, n int64
}

// runs is a list of runs where neighbours are joined.
type runs []run

func (r *runs) add(source int, from, n int64) {
	if n == 0 {
		return
	}
	if k := len(*r); k > 0 {
		if last := &(*r)[k-1]; last.source == source && last.from+last.n == from {
			last.n += n
			return
		}
	}
	*r = append(*r, run{source, from, n})
}

func (r runs) total() int64 {
	total := int64(0)
	for _, one := range r {
		total += one.n
	}
	return total
}

// gatherer writes runs of values of checked drafts, one after another, into another draft. All
// have one schema. The memory is copied into blocks that free gives back.
type gatherer struct {
	from   []*draft
	to     *draft
	blocks [][]byte
	err    error // the first
}

// gather makes a batch of the rows that r names.
func gather(from []*draft, r runs) (*Batch, error) {
	s := from[0].schema
	g := &gatherer{from: from}
	g.to = newDraft(s, status.InvalidArgument, "make fewer or smaller batches of it")
	defer g.to.free()
	defer g.free()
	if g.node(0, r); g.err != nil {
		return nil, g.err
	}
	return g.to.copy()
}

func (g *gatherer) free() {
	for _, block := range g.blocks {
		arena.Free(block)
	}
}

// alloc gives zeroed memory, or none after an error.
func (g *gatherer) alloc(count, width int64) buffer {
	if g.err != nil || count*width == 0 {
		return buffer{}
	}
	block := arena.Alloc(int(count * width))
	if block == nil {
		g.err = errMemory("a copy of a batch")
		return buffer{}
	}
	clear(block)
	g.blocks = append(g.blocks, block)
	return bufferOf(block)
}

// array gives a source's array, and where its run starts in the buffers.
func (g *gatherer) array(node int, r run) (*draft, int64) {
	d := g.from[r.source]
	return d, d.arrays[node].offset + r.from
}

// node writes an array and what is below it.
func (g *gatherer) node(node int, r runs) {
	if g.err != nil {
		return
	}
	l, total := &g.to.schema.layouts[node], r.total()
	out := g.to.set(node, total, 0, 0)
	switch {
	case l.kind == kindNull:
		out.nulls = total
	case l.nullable():
		g.to.add(out, g.validity(node, r, out))
	}
	switch l.kind {
	case kindBool:
		g.to.add(out, g.bools(node, r))
	case kindFixed:
		g.to.add(out, g.fixed(node, 1, l.width, r))
	case kindBinary:
		offsets, parts := g.offsets(node, r)
		g.to.add(out, offsets)
		g.to.add(out, g.bytes(node, parts))
	case kindView:
		g.views(node, r, out)
	case kindList, kindMap:
		offsets, parts := g.offsets(node, r)
		g.to.add(out, offsets)
		g.node(l.children[0], parts)
	case kindListView:
		g.listViews(node, r, out)
	case kindFixedList:
		var parts runs
		for _, one := range r {
			_, start := g.array(node, one)
			parts.add(one.source, start*l.width, one.n*l.width)
		}
		g.node(l.children[0], parts)
	case kindStruct:
		g.children(node, r)
	case kindSparseUnion:
		g.to.add(out, g.fixed(node, 0, 1, r))
		g.children(node, r)
	case kindDenseUnion:
		g.denseUnion(node, r, out)
	case kindRunEnd:
		g.runEnds(node, r)
	case kindDictionary:
		g.dictionary(node, r, out)
	}
}

// children writes children whose values stand beside those of their parent.
func (g *gatherer) children(node int, r runs) {
	var parts runs
	for _, one := range r {
		_, start := g.array(node, one)
		parts.add(one.source, start, one.n)
	}
	for _, child := range g.to.schema.layouts[node].children {
		g.node(child, parts)
	}
}

func (g *gatherer) validity(node int, r runs, out *draftArray) buffer {
	some := false
	for _, one := range r {
		some = some || g.from[one.source].buffer(node, 0).p != nil
	}
	if !some {
		return buffer{}
	}
	bits := g.alloc(bytesOfBits(out.length), 1)
	if bits.p == nil {
		return buffer{}
	}
	done := int64(0)
	for _, one := range r {
		d, start := g.array(node, one)
		if b := d.buffer(node, 0); b.p == nil {
			bitutil.SetBitsTo(bits.bytes(), done, one.n, true)
		} else {
			copyBits(b.bytes(), start, one.n, bits.bytes(), done)
		}
		done += one.n
	}
	valid := bitutil.CountSetBits(bits.bytes(), 0, int(out.length))
	if out.nulls = out.length - int64(valid); out.nulls == 0 {
		return buffer{}
	}
	return bits
}

func (g *gatherer) bools(node int, r runs) buffer {
	out := g.alloc(bytesOfBits(r.total()), 1)
	if out.p == nil {
		return out
	}
	done := int64(0)
	for _, one := range r {
		d, start := g.array(node, one)
		copyBits(d.buffer(node, 1).bytes(), start, one.n, out.bytes(), done)
		done += one.n
	}
	return out
}

// fixed copies the elements of buffer i.
func (g *gatherer) fixed(node, i int, width int64, r runs) buffer {
	out := g.alloc(r.total(), width)
	if out.p == nil {
		return out
	}
	rest := out.bytes()
	for _, one := range r {
		d, start := g.array(node, one)
		part := slice(d.buffer(node, i), start, one.n, width)
		rest = rest[arena.Copy(rest, part.bytes()):]
	}
	return out
}

// offsets writes new offsets, and gives the runs of what they count.
func (g *gatherer) offsets(node int, r runs) (buffer, runs) {
	width := g.to.schema.layouts[node].width
	out := g.alloc(r.total()+1, width)
	if out.p == nil {
		return out, nil
	}
	var parts runs
	i, sum := int64(0), int64(0)
	for _, one := range r {
		d, start := g.array(node, one)
		b := d.buffer(node, 1)
		first := loadWide(b, width, start)
		for j := range one.n {
			i++
			storeWide(&out, width, i, sum+loadWide(b, width, start+j+1)-first)
		}
		n := loadWide(b, width, start+one.n) - first
		parts.add(one.source, first, n)
		if sum += n; width == 4 && sum > math.MaxInt32 {
			g.err = g.to.fail(node, "its values are too large for offsets of 4 bytes")
			return out, nil
		}
	}
	return out, parts
}

// bytes copies the bytes of a binary array.
func (g *gatherer) bytes(node int, parts runs) buffer {
	out := g.alloc(parts.total(), 1)
	if out.p == nil {
		return out
	}
	rest := out.bytes()
	for _, one := range parts {
		rest = rest[arena.Copy(rest, g.from[one.source].buffer(node, 2).bytes()[one.from:one.from+one.n]):]
	}
	return out
}

// views copies views and what they point to, so that data of rows that are left out does not stay.
func (g *gatherer) views(node int, r runs, out *draftArray) {
	views := g.fixed(node, 1, viewBytes, r)
	g.to.add(out, views)
	var rest []byte // of the data buffer in use
	index, sizes := -1, g.viewData(node, r)
	g.eachView(node, r, func(i int64, value []byte) {
		if g.err != nil {
			return
		}
		view := unsafe.Add(views.p, i*viewBytes)
		if value == nil {
			*(*[viewBytes]byte)(view) = [viewBytes]byte{}
			return
		}
		if len(value) <= viewInline {
			return
		}
		if len(value) > len(rest) {
			index++
			data := g.alloc(sizes[index], 1)
			g.to.add(out, data)
			rest = data.bytes()
			if g.err != nil {
				return
			}
		}
		data := g.to.buffer(node, 2+index)
		*(*int32)(unsafe.Add(view, 8)) = int32(index)
		*(*int32)(unsafe.Add(view, 12)) = int32(data.size - int64(len(rest)))
		rest = rest[copy(rest, value):]
	})
}

// viewData gives the sizes of the data buffers that views need, each below 2 GiB.
func (g *gatherer) viewData(node int, r runs) []int64 {
	var sizes []int64
	g.eachView(node, r, func(_ int64, value []byte) {
		n := int64(len(value))
		if n <= viewInline {
			return
		}
		if k := len(sizes); k == 0 || sizes[k-1]+n > math.MaxInt32 {
			sizes = append(sizes, 0)
		}
		sizes[len(sizes)-1] += n
	})
	return sizes
}

// eachView calls f with the place and the bytes of each view, nil for null.
func (g *gatherer) eachView(node int, r runs, f func(i int64, value []byte)) {
	i := int64(0)
	for _, one := range r {
		d, start := g.array(node, one)
		for j := range one.n {
			if d.null(node, start+j) {
				f(i, nil)
			} else {
				value, _ := d.view(node, d.buffer(node, 1), start+j)
				f(i, value)
			}
			i++
		}
	}
}

func (g *gatherer) listViews(node int, r runs, out *draftArray) {
	width := g.to.schema.layouts[node].width
	offsets, sizes := g.alloc(r.total(), width), g.alloc(r.total(), width)
	g.to.add(out, offsets)
	g.to.add(out, sizes)
	if g.err != nil {
		return
	}
	var parts runs
	i, sum := int64(0), int64(0)
	for _, one := range r {
		d, start := g.array(node, one)
		for j := range one.n {
			n := loadWide(d.buffer(node, 2), width, start+j)
			storeWide(&offsets, width, i, sum)
			storeWide(&sizes, width, i, n)
			parts.add(one.source, loadWide(d.buffer(node, 1), width, start+j), n)
			sum, i = sum+n, i+1
			if width == 4 && sum > math.MaxInt32 {
				g.err = g.to.fail(node, "its values are too many for offsets of 4 bytes")
				return
			}
		}
	}
	g.node(g.to.schema.layouts[node].children[0], parts)
}

func (g *gatherer) denseUnion(node int, r runs, out *draftArray) {
	l := &g.to.schema.layouts[node]
	g.to.add(out, g.fixed(node, 0, 1, r))
	offsets := g.alloc(r.total(), 4)
	g.to.add(out, offsets)
	if g.err != nil {
		return
	}
	parts, counts, i := make([]runs, len(l.children)), make([]int64, len(l.children)), int64(0)
	for _, one := range r {
		d, start := g.array(node, one)
		for j := range one.n {
			child := l.codes[load[int8](d.buffer(node, 0), start+j)]
			storeWide(&offsets, 4, i, counts[child])
			parts[child].add(one.source, int64(load[int32](d.buffer(node, 1), start+j)), 1)
			counts[child]++
			i++
		}
	}
	for i, child := range l.children {
		g.node(child, parts[i])
	}
}

func (g *gatherer) runEnds(node int, r runs) {
	l := &g.to.schema.layouts[node]
	ends, width := l.children[0], g.to.schema.layouts[l.children[0]].width
	var parts runs
	var made []int64
	sum := int64(0)
	for _, one := range r {
		d, start := g.array(node, one)
		a, b := &d.arrays[ends], d.buffer(ends, 1)
		at := func(i int64) int64 { return loadWide(b, width, a.offset+i) }
		k := int64(0)
		for at(k) <= start {
			k++
		}
		for until := start + one.n; start < until; k++ {
			end := min(at(k), until)
			sum += end - start
			start = end
			made = append(made, sum)
			parts.add(one.source, k, 1)
		}
	}
	if limit := int64(1)<<(8*width-1) - 1; sum > limit {
		g.err = g.to.fail(ends, "%d values are too many for its type", sum)
		return
	}
	out := g.to.set(ends, int64(len(made)), 0, 0)
	g.to.add(out, buffer{})
	b := g.alloc(int64(len(made)), width)
	g.to.add(out, b)
	if g.err != nil {
		return
	}
	for i, end := range made {
		storeWide(&b, width, int64(i), end)
	}
	g.node(l.children[1], parts)
}

// copyBits copies n bits to memory that is zero. Runs are often of a few rows, where the general
// way costs more than a loop.
func copyBits(from []byte, start, n int64, to []byte, at int64) {
	if n > 64 {
		bitutil.CopyBitmap(from, int(start), int(n), to, int(at))
		return
	}
	for i := range n {
		bit := from[(start+i)/8] >> ((start + i) % 8) & 1
		to[(at+i)/8] |= bit << ((at + i) % 8)
	}
}
