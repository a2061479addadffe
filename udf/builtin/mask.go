package builtin

import (
	"encoding/binary"
	"math/bits"

	"github.com/apache/arrow/go/v17/arrow"
)

// mask says which rows of a chunk count: bit i%64 of word i/64 stands for row i. Bits beyond the
// chunk's rows are 0. A nil mask means all rows.
type mask []uint64

// words gives the number of words of a mask over that many rows.
func words(rows int) int { return (rows + 63) / 64 }

// loadMask reads rows bits of a bitmap, from the bit at offset on, into dst and gives it back.
func loadMask(dst mask, bitmap []byte, offset, rows int) mask {
	dst = dst[:words(rows)]
	for w := range dst {
		dst[w] = loadWord(bitmap, offset+64*w)
	}
	dst.trim(rows)
	return dst
}

// loadWord reads 64 bits; those beyond the bitmap's end are 0.
func loadWord(bitmap []byte, offset int) uint64 {
	at, shift := offset/8, uint(offset%8)
	if at+9 <= len(bitmap) {
		return binary.LittleEndian.Uint64(bitmap[at:])>>shift | uint64(bitmap[at+8])<<(64-shift)
	}
	var word uint64
	for i := 0; i < 9 && at+i < len(bitmap); i++ {
		if b := uint64(bitmap[at+i]); i == 0 {
			word = b >> shift
		} else {
			word |= b << (uint(8*i) - shift)
		}
	}
	return word
}

// trim clears the bits beyond the last row.
func (m mask) trim(rows int) {
	if tail := rows % 64; tail != 0 {
		m[len(m)-1] &= 1<<tail - 1
	}
}

// fill sets the bits of all rows, or clears them.
func (m mask) fill(rows int, value bool) {
	var word uint64
	if value {
		word = ^uint64(0)
	}
	for w := range m {
		m[w] = word
	}
	m.trim(rows)
}

func (m mask) count() int {
	n := 0
	for _, word := range m {
		n += bits.OnesCount64(word)
	}
	return n
}

// and intersects two masks, either of which may be nil; it may write into dst.
func and(dst, a, b mask) mask {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	dst = dst[:len(a)]
	for w := range a {
		dst[w] = a[w] & b[w]
	}
	return dst
}

// denseWord is from how many rows of a word on gather copies runs of rows instead of single ones.
const denseWord = 44

// gather writes the values of the rows in m, which is not nil, to dst one after another and gives
// them back. dst has room for all rows.
func gather[T, W number](dst []W, values []T, m mask) []W {
	k := 0
	for w, word := range m {
		rest := values[w*64:]
		if bits.OnesCount64(word) >= denseWord {
			k += gatherRuns(dst[k:], rest, word)
			continue
		}
		for word != 0 {
			dst[k] = W(rest[bits.TrailingZeros64(word)])
			k++
			word &= word - 1
		}
	}
	return dst[:k]
}

// gatherRuns writes the values of the rows in word and says how many there are.
func gatherRuns[T, W number](dst []W, values []T, word uint64) int {
	k, at := 0, 0
	for word != 0 {
		skip := bits.TrailingZeros64(word)
		at, word = at+skip, word>>skip
		run := bits.TrailingZeros64(^word)
		out := dst[k : k+run]
		for i, v := range values[at : at+run] {
			out[i] = W(v)
		}
		k, at, word = k+run, at+run, word>>run
	}
	return k
}

// scatter is the reverse of gather: value i goes to the i-th row in m.
func scatter(dst []uint32, values []uint32, m mask) {
	k := 0
	for w, word := range m {
		for word != 0 {
			dst[w*64+bits.TrailingZeros64(word)] = values[k]
			k++
			word &= word - 1
		}
	}
}

// put writes one value to every row in m.
func put(dst []uint32, value uint32, m mask) {
	for w, word := range m {
		for word != 0 {
			dst[w*64+bits.TrailingZeros64(word)] = value
			word &= word - 1
		}
	}
}

// nulls knows which rows of a column are null. A row is null, too, where its dictionary entry is.
type nulls struct {
	bitmap  []byte // nil: no row by itself
	offset  int
	all     bool        // the column is of type null
	entries arrow.Array // a dictionary that has null entries, or nil
	codes   codes
}

func nullsOf(column arrow.Array) nulls {
	data := column.Data()
	n := nulls{offset: data.Offset(), all: column.DataType().ID() == arrow.NULL}
	if n.all {
		return n
	}
	if bitmap := data.Buffers()[0]; bitmap != nil && bitmap.Len() > 0 && data.NullN() != 0 {
		n.bitmap = bitmap.Bytes()
	}
	if entries := dictionaryOf(column); entries != nil && entries.NullN() > 0 {
		n.entries, n.codes = entries, codesOf(column)
	}
	return n
}

// valid gives the rows of from..from+rows that are not null, written into dst where there are
// nulls; nil: none is null.
func (n *nulls) valid(dst mask, from, rows int) mask {
	if n.all {
		dst = dst[:words(rows)]
		dst.fill(rows, false)
		return dst
	}
	if n.bitmap == nil && n.entries == nil {
		return nil
	}
	if n.bitmap != nil {
		dst = loadMask(dst, n.bitmap, n.offset+from, rows)
	} else {
		dst = dst[:words(rows)]
		dst.fill(rows, true)
	}
	if n.entries != nil {
		n.dropNullEntries(dst, from)
	}
	return dst
}

func (n *nulls) dropNullEntries(m mask, from int) {
	for w, word := range m {
		for rest := word; rest != 0; rest &= rest - 1 {
			bit := bits.TrailingZeros64(rest)
			if n.entries.IsNull(n.codes.at(from + w*64 + bit)) {
				word &^= 1 << bit
			}
		}
		m[w] = word
	}
}

// rows writes the indices of the rows in m to dst.
func (m mask) rows(dst []uint32) []uint32 {
	k := 0
	for w, word := range m {
		for word != 0 {
			dst[k] = uint32(w*64 + bits.TrailingZeros64(word))
			k++
			word &= word - 1
		}
	}
	return dst[:k]
}
