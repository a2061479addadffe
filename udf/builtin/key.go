package builtin

import (
	"cmp"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
)

// key numbers the distinct values of one column to group by: 0, 1, 2, ... in order of first
// appearance, null included. Its text shares the memory of the columns that it read.
type key struct {
	name    string
	class   class
	t       arrow.DataType // of the result: text of any form becomes utf8
	table   wordTable      // of numbers
	numbers []uint64       // by number; int64 where the class is signed
	texts   textTable
	null    int // the number of null; -1: there was none
}

func newKey(name string, t arrow.DataType) (*key, error) {
	k := &key{name: name, class: classOf(t), t: t, null: -1}
	switch {
	case k.class == classText:
		k.t = arrow.BinaryTypes.String
		k.texts = newTextTable()
	case k.class == classFloat || k.class == classOther:
		return nil, status.Errorf(status.InvalidArgument, "cannot group by column %q of type %s: "+
			"a key is an integer, a bool, text, a dictionary of text, a date or a time", name, t)
	default:
		k.table = newWordTable()
	}
	return k, nil
}

func (k *key) len() int {
	if k.class == classText {
		return len(k.texts.keys)
	}
	return len(k.numbers)
}

// nullNumber gives null its number.
func (k *key) nullNumber() uint32 {
	if k.null < 0 {
		k.null = k.len()
		if k.class == classText {
			k.texts.keys = append(k.texts.keys, "")
		} else {
			k.numbers = append(k.numbers, 0)
		}
	}
	return uint32(k.null)
}

// numberAll writes the numbers of values to out.
func numberAll[W int64 | uint64](k *key, out []uint32, values []W) {
	out = out[:len(values)]
	for i, v := range values {
		if code := find(k.table.slots, uint64(v)); code != 0 {
			out[i] = code - 1
			continue
		}
		next := uint32(len(k.numbers))
		code := k.table.number(uint64(v), next)
		if code == next {
			k.numbers = append(k.numbers, uint64(v))
		}
		out[i] = code
	}
}

// ranks gives each number's place in the order of results: by value, null last.
func (k *key) ranks() []uint32 {
	order := make([]uint32, k.len())
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		switch {
		case int(a) == k.null:
			return 1
		case int(b) == k.null:
			return -1
		case k.class == classText:
			return cmp.Compare(k.texts.keys[a], k.texts.keys[b])
		case k.class == classUnsigned:
			return cmp.Compare(k.numbers[a], k.numbers[b])
		}
		return cmp.Compare(int64(k.numbers[a]), int64(k.numbers[b]))
	})
	ranks := make([]uint32, len(order))
	for rank, number := range order {
		ranks[number] = uint32(rank)
	}
	return ranks
}

// column makes the column of the values with these numbers.
func (k *key) column(numbers []uint32) (arrow.Array, error) {
	var valid mask
	if k.null >= 0 {
		valid = make(mask, words(len(numbers)))
		for i, n := range numbers {
			if int(n) != k.null {
				valid.set(i)
			}
		}
	}
	switch {
	case k.class == classText:
		return makeText(k.name, take(k.texts.keys, numbers), valid)
	case k.class == classUnsigned:
		return makeColumn(k.t, take(k.numbers, numbers), valid), nil
	}
	signed := make([]int64, len(numbers))
	for i, n := range numbers {
		signed[i] = int64(k.numbers[n])
	}
	return makeColumn(k.t, signed, valid), nil
}

// take gives the values at these indices.
func take[T any](values []T, indices []uint32) []T {
	out := make([]T, len(indices))
	for i, n := range indices {
		out[i] = values[n]
	}
	return out
}

// keyReader numbers the rows of one column by a key.
type keyReader struct {
	key      *key
	nulls    nulls
	signed   reader[int64] // of the values, or of the indices of a dictionary
	unsigned reader[uint64]
	text     text
	entries  text     // of a dictionary
	known    []uint32 // of a dictionary: the number plus 1 of each entry; 0: not met yet
}

// bind makes a reader of a column; its type is the key's, or text of another form.
func (k *key) bind(column arrow.Array) *keyReader {
	r := &keyReader{key: k, nulls: nullsOf(column)}
	entries := dictionaryOf(column)
	switch {
	case entries != nil:
		r.entries, r.known = textOf(entries), make([]uint32, entries.Len())
		c := codesOf(column)
		r.signed, r.unsigned = c.signed, c.unsigned
	case k.class == classText:
		r.text = textOf(column)
	case k.class == classUnsigned:
		r.unsigned = unsignedReader(column)
	default:
		r.signed = signedReader(column)
	}
	return r
}

// number writes the number of each row in sel of from..from+rows to out[row-from].
func (r *keyReader) number(out []uint32, from, rows int, sel mask, s *scratch) {
	valid := r.nulls.valid(s.valid, from, rows)
	m := and(s.both, sel, valid)
	if m == nil {
		r.dense(out, from, rows, nil, s)
		return
	}
	r.dense(s.dense, from, rows, m, s)
	scatter(out, s.dense, m)
	if valid == nil {
		return
	}
	// What is left of the selection is null.
	for w := range valid {
		valid[w] = ^valid[w]
	}
	valid.trim(rows)
	if rest := and(valid, valid, sel); rest.count() > 0 {
		put(out, r.key.nullNumber(), rest)
	}
}

// dense writes the numbers of the rows in m one after another; none of them is null.
func (r *keyReader) dense(out []uint32, from, rows int, m mask, s *scratch) {
	switch {
	case r.known != nil && r.signed != nil:
		entriesOf(r, out, r.signed.read(s.ints, from, rows, m))
	case r.known != nil:
		entriesOf(r, out, r.unsigned.read(s.uints, from, rows, m))
	case r.signed != nil:
		numberAll(r.key, out, r.signed.read(s.ints, from, rows, m))
	case r.unsigned != nil:
		numberAll(r.key, out, r.unsigned.read(s.uints, from, rows, m))
	case m == nil && r.text.short != nil:
		numberText(&r.key.texts, out, r.text.short[from:from+rows+1], r.text.bytes)
	case m == nil && r.text.long != nil:
		numberText(&r.key.texts, out, r.text.long[from:from+rows+1], r.text.bytes)
	case m == nil:
		for i := range rows {
			out[i] = r.key.texts.number(r.text.at(from + i))
		}
	default:
		for i, row := range m.rows(s.rows) {
			out[i] = r.key.texts.number(r.text.at(from + int(row)))
		}
	}
}

// entriesOf numbers the rows of a dictionary column: each entry is looked up once.
func entriesOf[W int64 | uint64](r *keyReader, out []uint32, indices []W) {
	out = out[:len(indices)]
	for i, index := range indices {
		known := r.known[index]
		if known == 0 {
			known = r.key.texts.number(r.entries.at(int(index))) + 1
			r.known[index] = known
		}
		out[i] = known - 1
	}
}
