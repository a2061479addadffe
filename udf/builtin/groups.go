package builtin

import (
	"math/bits"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
)

// groups numbers the distinct combinations of keys: 0, 1, 2, ... in order of first appearance.
// Without keys there is one group, whether there are rows or not.
//
// The combination of keys 0..k is a pair: the number of the combination of keys 0..k-1, and the
// number of the value of key k. pairs[k-1] numbers these pairs.
type groups struct {
	keys  []*key
	pairs []pairs
}

type pairs struct {
	table wordTable
	list  []uint64 // by number: the combination before << 32 | the value of the key
}

func newGroups(names []string, types []arrow.DataType) (*groups, error) {
	g := &groups{}
	for i, name := range names {
		k, err := newKey(name, types[i])
		if err != nil {
			return nil, err
		}
		g.keys = append(g.keys, k)
		if i > 0 {
			g.pairs = append(g.pairs, pairs{table: newWordTable()})
		}
	}
	return g, nil
}

// len gives the number of groups.
func (g *groups) len() int {
	switch len(g.keys) {
	case 0:
		return 1
	case 1:
		return g.keys[0].len()
	}
	return len(g.pairs[len(g.pairs)-1].list)
}

// number writes the group of each row in sel of from..from+rows to s.ids[row-from]. It gives nil
// where there are no keys: all rows belong to group 0.
func (g *groups) number(
	readers []*keyReader, from, rows int, sel mask, s *scratch,
) ([]uint32, error) {
	if len(readers) == 0 {
		return nil, nil
	}
	ids := s.ids[:rows]
	readers[0].number(ids, from, rows, sel, s)
	for k, r := range readers[1:] {
		more := s.more[:rows]
		r.number(more, from, rows, sel, s)
		g.pairs[k].combine(ids, more, sel)
	}
	if g.len() > MaxGroups {
		return nil, status.Errorf(status.Exhausted,
			"the keys have over %d distinct values (MaxGroups): group by fewer columns", MaxGroups)
	}
	return ids, nil
}

// combine replaces ids by the numbers of the pairs of ids and more, for the rows in sel.
func (p *pairs) combine(ids, more []uint32, sel mask) {
	if sel == nil {
		for i, id := range ids {
			if code := find(p.table.slots, uint64(id)<<32|uint64(more[i])); code != 0 {
				ids[i] = code - 1
			} else {
				ids[i] = p.number(id, more[i])
			}
		}
		return
	}
	for w, word := range sel {
		for ; word != 0; word &= word - 1 {
			i := w*64 + bits.TrailingZeros64(word)
			ids[i] = p.number(ids[i], more[i])
		}
	}
}

func (p *pairs) number(id, code uint32) uint32 {
	pair := uint64(id)<<32 | uint64(code)
	next := uint32(len(p.list))
	number := p.table.number(pair, next)
	if number == next {
		p.list = append(p.list, pair)
	}
	return number
}

// codes gives, for each key, the number of its value in each group.
func (g *groups) codes() [][]uint32 {
	codes := make([][]uint32, len(g.keys))
	current := make([]uint32, g.len())
	for i := range current {
		current[i] = uint32(i)
	}
	for k := len(g.keys) - 1; k > 0; k-- {
		codes[k] = make([]uint32, len(current))
		for i, id := range current {
			pair := g.pairs[k-1].list[id]
			codes[k][i], current[i] = uint32(pair), uint32(pair>>32)
		}
	}
	if len(g.keys) > 0 {
		codes[0] = current
	}
	return codes
}

// sorted gives the groups in the order of results: by the first key, then the second, and so on;
// null is last.
func (g *groups) sorted(codes [][]uint32) []uint32 {
	order := make([]uint32, g.len())
	for i := range order {
		order[i] = uint32(i)
	}
	ranks := make([][]uint32, len(g.keys))
	for k, key := range g.keys {
		ranks[k] = take(key.ranks(), codes[k])
	}
	slices.SortFunc(order, func(a, b uint32) int {
		for _, rank := range ranks {
			if rank[a] != rank[b] {
				if rank[a] < rank[b] {
					return -1
				}
				return 1
			}
		}
		return 0
	})
	return order
}

// columns makes the key columns of the groups in that order.
func (g *groups) columns(codes [][]uint32, order []uint32) ([]arrow.Field, []arrow.Array, error) {
	fields := make([]arrow.Field, 0, len(g.keys))
	columns := make([]arrow.Array, 0, len(g.keys))
	for k, key := range g.keys {
		column, err := key.column(take(codes[k], order))
		if err != nil {
			return nil, nil, err
		}
		fields = append(fields, arrow.Field{Name: key.name, Type: key.t, Nullable: true})
		columns = append(columns, column)
	}
	return fields, columns, nil
}

// bind makes readers of columns of the keys' types.
func (g *groups) bind(columns []arrow.Array) []*keyReader {
	readers := make([]*keyReader, len(columns))
	for i, column := range columns {
		readers[i] = g.keys[i].bind(column)
	}
	return readers
}
