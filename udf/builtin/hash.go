package builtin

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// The hash tables give distinct keys the numbers 0, 1, 2, ... in order of first appearance. They
// are open addressed with linear probing and at most half full.

// seeds make the placement of keys differ from process to process, so that nobody can choose data
// whose keys all collide.
var (
	seedA    = rand.Uint64() | 1
	seedB    = rand.Uint64() | 1
	textSeed = maphash.MakeSeed()
)

// hash64 mixes a key as wyhash does: both halves of a 128-bit product.
// Source: Wang Yi, wyhash final version 4, https://github.com/wangyi-fudan/wyhash.
func hash64(key uint64) uint64 {
	hi, lo := bits.Mul64(key^seedA, seedB)
	return hi ^ lo
}

const firstSlots = 1024

// wordTable numbers keys of 64 bits.
type wordTable struct {
	slots []wordSlot // a power of two of them
	used  int
}

type wordSlot struct {
	key  uint64
	code uint32 // the number plus 1; 0: the slot is free
}

// find gives a key's number plus 1 where the key lies in its first slot, as most do, and 0
// otherwise. It is small enough to be inlined into the loops.
func find(slots []wordSlot, key uint64) uint32 {
	if s := &slots[hash64(key)&uint64(len(slots)-1)]; s.key == key {
		return s.code
	}
	return 0
}

// number gives the key's number, which is next where the key is new.
func (t *wordTable) number(key uint64, next uint32) uint32 {
	for i := hash64(key) & uint64(len(t.slots)-1); ; i = (i + 1) & uint64(len(t.slots)-1) {
		s := &t.slots[i]
		if s.code == 0 {
			return t.insert(s, key, next)
		}
		if s.key == key {
			return s.code - 1
		}
	}
}

func (t *wordTable) insert(s *wordSlot, key uint64, next uint32) uint32 {
	*s = wordSlot{key, next + 1}
	t.used++
	if 2*t.used > len(t.slots) {
		t.grow()
	}
	return next
}

func (t *wordTable) grow() {
	old := t.slots
	t.slots = make([]wordSlot, 2*len(old))
	for _, s := range old {
		if s.code == 0 {
			continue
		}
		i := hash64(s.key) & uint64(len(t.slots)-1)
		for t.slots[i].code != 0 {
			i = (i + 1) & uint64(len(t.slots)-1)
		}
		t.slots[i] = s
	}
}

// textTable numbers strings. It keeps them as they are given: their memory must outlive it.
type textTable struct {
	short wordTable  // strings of at most shortText bytes, packed
	slots []textSlot // of longer ones; nil: there was none
	used  int
	keys  []string // by number
}

type textSlot struct {
	hash uint64
	code uint32 // the number plus 1; 0: the slot is free
}

// shortText is the longest string that is packed into a word, with its length in the top byte.
const shortText = 7

func pack(s string) uint64 {
	word := uint64(len(s)) << 56
	for i := range len(s) {
		word |= uint64(s[i]) << (8 * i)
	}
	return word
}

// number gives the string's number, which is len(t.keys) where the string is new.
func (t *textTable) number(s string) uint32 {
	next := uint32(len(t.keys))
	var code uint32
	if len(s) <= shortText {
		code = t.short.number(pack(s), next)
	} else {
		code = t.long(s, next)
	}
	if code == next {
		t.keys = append(t.keys, s)
	}
	return code
}

// numberText writes the numbers of the strings between offsets to out.
func numberText[O int32 | int64](t *textTable, out []uint32, offsets []O, text []byte) {
	start := int(offsets[0])
	for i, o := range offsets[1:] {
		end := int(o)
		size := end - start
		var word uint64
		if size <= shortText && start+8 <= len(text) {
			// One load, of which the bytes beyond the string are cut off.
			word = binary.LittleEndian.Uint64(text[start:])&(1<<(8*size)-1) | uint64(size)<<56
			if code := find(t.short.slots, word); code != 0 {
				out[i] = code - 1
				start = end
				continue
			}
		}
		out[i] = t.number(unsafeString(text[start:end]))
		start = end
	}
}

func (t *textTable) long(s string, next uint32) uint32 {
	if t.slots == nil {
		t.slots = make([]textSlot, firstSlots)
	}
	hash := maphash.String(textSeed, s)
	for i := hash & uint64(len(t.slots)-1); ; i = (i + 1) & uint64(len(t.slots)-1) {
		slot := &t.slots[i]
		if slot.code == 0 {
			*slot = textSlot{hash, next + 1}
			t.used++
			if 2*t.used > len(t.slots) {
				t.grow()
			}
			return next
		}
		if slot.hash == hash && t.keys[slot.code-1] == s {
			return slot.code - 1
		}
	}
}

func (t *textTable) grow() {
	old := t.slots
	t.slots = make([]textSlot, 2*len(old))
	for _, s := range old {
		if s.code == 0 {
			continue
		}
		i := s.hash & uint64(len(t.slots)-1)
		for t.slots[i].code != 0 {
			i = (i + 1) & uint64(len(t.slots)-1)
		}
		t.slots[i] = s
	}
}

func newWordTable() wordTable { return wordTable{slots: make([]wordSlot, firstSlots)} }

func newTextTable() textTable {
	return textTable{short: newWordTable()}
}
