package vertex

import (
	"unsafe"

	"dcf/vertex/cdata"
)

// Column is an array of a batch: a small value to read buffers directly, in the terms of the Arrow
// C Data Interface. It is borrowed and valid while the batch is retained.
type Column struct {
	array *cdata.Array
	node  *cdata.SchemaNode
}

// Column gives column i, which must exist.
func (b *Batch) Column(i int) Column {
	return Column{b.c.Nodes, b.c.Schema.Nodes}.Child(i)
}

// Name gives the column's name.
func (c Column) Name() string { return text(c.node.Name) }

// Format gives the type as the C Data Interface writes it, such as "l" for int64.
func (c Column) Format() string { return text(c.node.Format) }

// text gives a C string without copying.
func text(p *byte) string {
	bytes := cString(p)
	return unsafe.String(unsafe.SliceData(bytes), len(bytes))
}

// Len gives the number of values.
func (c Column) Len() int64 { return c.array.Length }

// Nulls gives the number of nulls.
func (c Column) Nulls() int64 { return c.array.NullCount }

// Offset gives where in the buffers the first value is, in values.
func (c Column) Offset() int64 { return c.array.Offset }

// Null says whether value i is null.
func (c Column) Null(i int64) bool {
	if c.array.NullCount == 0 {
		return false
	}
	if c.array.NumBuffers == 0 {
		return true // an array of type null
	}
	i += c.array.Offset
	return *(*byte)(unsafe.Add(*c.array.Buffers, i/8))>>(i%8)&1 == 0
}

// Buffers gives the number of buffers.
func (c Column) Buffers() int { return int(c.array.NumBuffers) }

// Buffer gives the address of buffer i: nil for the bitmap of a column without nulls, else not.
func (c Column) Buffer(i int) unsafe.Pointer { return *at(c.array.Buffers, i) }

// Children gives the number of children.
func (c Column) Children() int { return int(c.array.NumChildren) }

// Child gives child i, which must exist.
func (c Column) Child(i int) Column {
	if uint64(i) >= uint64(c.array.NumChildren) {
		panic("vertex: no such column")
	}
	return Column{*at(c.array.Children, i), *at(c.node.Children, i)}
}

// Dictionary gives the values that indices stand for; false if there are none.
func (c Column) Dictionary() (Column, bool) {
	return Column{c.array.Dictionary, c.node.Dictionary}, c.array.Dictionary != nil
}
