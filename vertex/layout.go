package vertex

import (
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
)

// kind is how the values of a type lie in memory.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindFixed       // width bytes each
	kindBinary      // offsets of width bytes, then bytes
	kindView        // 16-byte views of any number of data buffers
	kindList        // offsets of width bytes
	kindMap         // a list of key and value
	kindListView    // offsets and sizes of width bytes
	kindFixedList   // width values each
	kindStruct      //
	kindSparseUnion // type ids
	kindDenseUnion  // type ids and offsets of 4 bytes
	kindRunEnd      //
	kindDictionary  // indices of width bytes
)

// viewBytes is the size of a view of a string; up to viewInline bytes stand in the view itself.
const (
	viewBytes  = 16
	viewInline = 12
)

// layout is one node of a type, as needed to find one's way in memory.
type layout struct {
	kind       kind
	width      int64 // see kind
	utf8       bool
	unsigned   bool // of a dictionary's indices
	align      int64
	children   []int // nodes
	dictionary int   // node, or 0
	end        int   // the node after all that belong to this one
	path       string
	arrow      arrow.DataType
	codes      *[128]int8 // of a union: child by type id, or -1
	runEnds    bool       // is those of a run-end encoded parent
}

// buffers gives how many buffers the type has besides a view's data, in the order of the C Data
// Interface.
func (l *layout) buffers() int {
	switch l.kind {
	case kindNull, kindRunEnd:
		return 0
	case kindFixedList, kindStruct, kindSparseUnion:
		return 1
	case kindBinary, kindListView:
		return 3
	}
	return 2
}

// nullable says whether the first buffer is a validity bitmap.
func (l *layout) nullable() bool {
	switch l.kind {
	case kindNull, kindRunEnd, kindSparseUnion, kindDenseUnion:
		return false
	}
	return true
}

// size gives the bytes that buffer i needs for n values, 0 for the bytes of texts, which those do not
// say; false where no memory has so many.
func (l *layout) size(i int, n int64) (int64, bool) {
	switch {
	case l.nullable() && i == 0, l.kind == kindBool:
		return bytesOfBits(n), true
	case l.kind == kindBinary && i == 2:
		return 0, true
	case l.kind == kindSparseUnion, l.kind == kindDenseUnion:
		return n << (2 * i), true
	case l.offsets():
		n++
	}
	return n * l.width, l.width == 0 || n <= maxLength/l.width
}

// offsets says whether the second buffer has one offset more than there are values.
func (l *layout) offsets() bool {
	return l.kind == kindBinary || l.kind == kindList || l.kind == kindMap
}

// relied says whether readers rely on what is in buffer i, beside its size: that counts of nulls are
// right, that offsets and the like stay within other buffers, that text is UTF-8.
func (l *layout) relied(i int) bool {
	switch {
	case i == 0: // a bitmap or type ids
		return true
	case l.kind == kindBool:
		return false
	case l.kind == kindFixed:
		return l.runEnds
	case i >= 2 && (l.kind == kindBinary || l.kind == kindView):
		return l.utf8
	}
	return true
}

// layOut gives the layouts of a schema in pre-order. The first is that of the batch.
func layOut(s *arrow.Schema) []layout {
	var all []layout
	addLayout(&all, arrow.StructOf(s.Fields()...), nil)
	return all
}

func addLayout(all *[]layout, t arrow.DataType, path []string) int {
	node := len(*all)
	*all = append(*all, layout{})
	l := layout{arrow: t, path: strings.Join(path, "."), align: 8}
	l.describe(t)
	path = slices.Clip(path)
	if d, ok := t.(*arrow.DictionaryType); ok {
		l.dictionary = addLayout(all, d.ValueType, append(path, "dictionary"))
	} else if nested, ok := t.(arrow.NestedType); ok {
		for _, f := range nested.Fields() {
			l.children = append(l.children, addLayout(all, f.Type, append(path, f.Name)))
		}
		if l.kind == kindRunEnd {
			(*all)[l.children[0]].runEnds = true
		}
	}
	l.end = len(*all)
	(*all)[node] = l
	return node
}

// describe fills in what the type alone says.
func (l *layout) describe(t arrow.DataType) {
	switch t := t.(type) {
	case *arrow.NullType:
		l.kind = kindNull
	case *arrow.BooleanType:
		l.kind, l.align = kindBool, 1
	case *arrow.StringType:
		l.kind, l.width, l.utf8, l.align = kindBinary, 4, true, 4
	case *arrow.BinaryType:
		l.kind, l.width, l.align = kindBinary, 4, 4
	case *arrow.LargeStringType:
		l.kind, l.width, l.utf8 = kindBinary, 8, true
	case *arrow.LargeBinaryType:
		l.kind, l.width = kindBinary, 8
	case *arrow.StringViewType:
		l.kind, l.width, l.utf8 = kindView, viewBytes, true
	case *arrow.BinaryViewType:
		l.kind, l.width = kindView, viewBytes
	case *arrow.ListType:
		l.kind, l.width, l.align = kindList, 4, 4
	case *arrow.LargeListType:
		l.kind, l.width = kindList, 8
	case *arrow.MapType:
		l.kind, l.width, l.align = kindMap, 4, 4
	case *arrow.ListViewType:
		l.kind, l.width, l.align = kindListView, 4, 4
	case *arrow.LargeListViewType:
		l.kind, l.width = kindListView, 8
	case *arrow.FixedSizeListType:
		l.kind, l.width = kindFixedList, int64(t.Len())
	case *arrow.StructType:
		l.kind = kindStruct
	case *arrow.RunEndEncodedType:
		l.kind = kindRunEnd
	case *arrow.DictionaryType:
		l.kind = kindDictionary
		l.width = int64(t.IndexType.(arrow.FixedWidthDataType).Bytes())
		l.unsigned = arrow.IsUnsignedInteger(t.IndexType.ID())
		l.align = l.width
	case arrow.UnionType:
		l.kind, l.align = kindSparseUnion, 4
		if t.Mode() == arrow.DenseMode {
			l.kind = kindDenseUnion
		}
		l.codes = new([128]int8)
		for i := range l.codes {
			l.codes[i] = -1
		}
		for i, code := range t.TypeCodes() {
			l.codes[code] = int8(i)
		}
	case *arrow.FixedSizeBinaryType:
		l.kind, l.width, l.align = kindFixed, int64(t.ByteWidth), 1
	default:
		l.kind = kindFixed
		l.width = int64(t.(arrow.FixedWidthDataType).Bytes())
		l.align = min(l.width, 8)
	}
}
