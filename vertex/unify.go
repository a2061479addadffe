package vertex

import "unsafe"

// dictionary writes indices into one dictionary, which has the values of all sources that occur,
// each once.
func (g *gatherer) dictionary(node int, r runs, out *draftArray) {
	l := &g.to.schema.layouts[node]
	indices := g.alloc(r.total(), l.width)
	g.to.add(out, indices)
	u := unifier{g: g, node: l.dictionary, places: map[string]int64{}, maps: map[int][]int64{}}
	i := int64(0)
	for _, one := range r {
		d, start := g.array(node, one)
		places := u.source(one.source)
		for j := range one.n {
			if g.err != nil {
				return
			}
			if !d.null(node, start+j) {
				storeWide(&indices, l.width, i, places[d.index(node, start+j)])
			}
			i++
		}
	}
	limit := int64(1)<<(8*l.width-1) - 1
	if l.unsigned && l.width < 8 {
		limit = 1<<(8*l.width) - 1
	}
	if u.count > 0 && u.count-1 > limit {
		g.err = g.to.fail(node, "%d distinct values are too many for its indices", u.count)
		return
	}
	g.node(l.dictionary, u.values)
}

// index gives the dictionary index of slot i, which is not null.
func (d *draft) index(node int, i int64) int64 {
	l := &d.schema.layouts[node]
	index := loadWide(d.buffer(node, 1), l.width, i)
	if l.unsigned && l.width < 8 {
		index &= 1<<(8*l.width) - 1
	}
	return index
}

// unifier makes one dictionary of several.
type unifier struct {
	g      *gatherer
	node   int
	values runs             // of the one dictionary
	count  int64            // of values
	places map[string]int64 // where each value is
	maps   map[int][]int64  // by source: where each of its values is
	key    []byte
}

// source gives where the values of that source's dictionary are in the one dictionary.
func (u *unifier) source(source int) []int64 {
	if places, ok := u.maps[source]; ok {
		return places
	}
	d := u.g.from[source]
	places := make([]int64, d.arrays[u.node].length)
	for i := range places {
		var comparable bool
		u.key, comparable = d.appendValue(u.key[:0], u.node, int64(i))
		place, known := u.places[string(u.key)]
		if !known || !comparable {
			place = u.count
			u.count++
			u.values.add(source, int64(i), 1)
			if comparable {
				u.places[string(u.key)] = place
			}
		}
		places[i] = place
	}
	u.maps[source] = places
	return places
}

// appendValue appends bytes that are equal for equal values of a node, none of them for null; false
// for nested types. Value i is counted without the array's offset.
func (d *draft) appendValue(to []byte, node int, i int64) (key []byte, comparable bool) {
	l, a := &d.schema.layouts[node], &d.arrays[node]
	i += a.offset
	switch l.kind {
	case kindNull:
		return to, true
	case kindBool, kindFixed, kindBinary, kindView:
		if d.null(node, i) {
			return to, true
		}
		to = append(to, 'v') // apart from null
	}
	switch l.kind {
	case kindBool:
		return append(to, *(*byte)(unsafe.Add(d.buffer(node, 1).p, i/8))>>(i%8)&1), true
	case kindFixed:
		value := slice(d.buffer(node, 1), i, 1, l.width)
		return append(to, value.bytes()...), true
	case kindBinary:
		b := d.buffer(node, 1)
		first, last := loadWide(b, l.width, i), loadWide(b, l.width, i+1)
		value := slice(d.buffer(node, 2), first, last-first, 1)
		return append(to, value.bytes()...), true
	case kindView:
		value, _ := d.view(node, d.buffer(node, 1), i)
		return append(to, value...), true
	}
	return to, false
}
