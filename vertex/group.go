package vertex

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
)

// Concat makes one batch of the rows of several, in order, with memory of its own. They have equal
// schemas, and there is at least one; dictionaries become one. It fails with status.InvalidArgument
// where schemas differ or a column grows beyond what its type can count.
func Concat(batches []*Batch) (*Batch, error) {
	if len(batches) == 0 {
		return nil, status.Errorf(status.InvalidArgument, "there is no batch to concatenate: pass one")
	}
	var r runs
	from := make([]*draft, 0, len(batches))
	defer func() {
		for _, d := range from {
			d.free()
		}
	}()
	for i, b := range batches {
		if b.Schema() != batches[0].Schema() {
			return nil, status.Errorf(status.InvalidArgument,
				"batch %d has another schema than the first: cast it\nfirst: %v\nother: %v",
				i, batches[0].Schema().arrow, b.Schema().arrow)
		}
		from = append(from, draftOf(b))
		r.add(i, 0, b.Rows())
	}
	return gather(from, r)
}

// Group is the rows of a batch that have one value in a column.
type Group struct {
	Key   string // the value as text, for naming; "null" for null
	Batch *Batch
}

// GroupRows makes one batch of the rows of each distinct value of a column, in order of first
// appearance; rows keep their order. The caller releases the batches. The column has integers,
// booleans, dates, utf8, large_utf8, or a dictionary of such; nulls are a group. A text "null" in a
// column with nulls gets the key "null" as well.
//
// It fails with status.NotFound where there is no such column, with status.InvalidArgument where
// several have the name, and with status.Unsupported for a column of another type.
func (b *Batch) GroupRows(column string) ([]Group, error) {
	d := draftOf(b)
	defer d.free()
	node, err := d.column(column)
	if err != nil {
		return nil, err
	}
	name, err := d.namer(node)
	if err != nil {
		return nil, err
	}
	groups := map[string]int{}
	var keys []string
	var rows []runs
	var key []byte
	for i := range b.Rows() {
		key = key[:0]
		if !d.null(node, d.arrays[node].offset+i) {
			key = name.appendKey(key, d, node, i)
		}
		g, known := groups[string(key)]
		if !known {
			g = len(rows)
			groups[string(key)] = g
			keys, rows = append(keys, name.text(string(key))), append(rows, nil)
		}
		rows[g].add(0, i, 1)
	}
	made := make([]Group, 0, len(rows))
	for g := range rows {
		part, err := gather([]*draft{d}, rows[g])
		if err != nil {
			for _, done := range made {
				done.Batch.Release()
			}
			return nil, err
		}
		made = append(made, Group{keys[g], part})
	}
	return made, nil
}

// column finds the node of a column by its name.
func (d *draft) column(name string) (int, error) {
	found := d.schema.arrow.FieldIndices(name)
	switch len(found) {
	case 1:
		return d.schema.layouts[0].children[found[0]], nil
	case 0:
		return 0, status.Errorf(status.NotFound,
			"there is no column %q: the columns are %q", name, d.columnNames())
	}
	return 0, status.Errorf(status.InvalidArgument,
		"%d columns have the name %q: rename them", len(found), name)
}

func (d *draft) columnNames() []string {
	var names []string
	for _, f := range d.schema.arrow.Fields() {
		names = append(names, f.Name)
	}
	return names
}

// namer gives keys of a column's values, and their text.
type namer struct {
	values int // the node with the values: that of the column, or of its dictionary
	t      arrow.DataType
}

func (d *draft) namer(node int) (namer, error) {
	l := &d.schema.layouts[node]
	n := namer{node, l.arrow}
	if l.dictionary > 0 {
		n = namer{l.dictionary, d.schema.layouts[l.dictionary].arrow}
	}
	switch id := n.t.ID(); {
	case arrow.IsInteger(id), id == arrow.BOOL, id == arrow.STRING, id == arrow.LARGE_STRING,
		id == arrow.STRING_VIEW, id == arrow.DATE32, id == arrow.DATE64:
		return n, nil
	}
	return n, status.Errorf(status.Unsupported,
		"column %q has the type %s, and rows are grouped by integers, booleans, dates or text: cast it",
		l.path, l.arrow)
}

// appendKey appends bytes that are equal for equal values, and none for null.
func (n namer) appendKey(key []byte, d *draft, node int, i int64) []byte {
	if n.values != node {
		i = d.index(node, d.arrays[node].offset+i)
	}
	key, _ = d.appendValue(key, n.values, i)
	return key
}

// text gives the value of a key as text.
func (n namer) text(key string) string {
	if key == "" {
		return "null"
	}
	value := []byte(key[1:])
	b := bufferOf(value)
	switch id := n.t.ID(); {
	case id == arrow.STRING, id == arrow.LARGE_STRING, id == arrow.STRING_VIEW:
		return string(value)
	case id == arrow.BOOL:
		return strconv.FormatBool(value[0] == 1)
	case id == arrow.DATE32:
		return arrow.Date32(load[int32](&b, 0)).FormattedString()
	case id == arrow.DATE64:
		return arrow.Date64(load[int64](&b, 0)).FormattedString()
	case arrow.IsUnsignedInteger(id):
		number := uint64(loadWide(&b, b.size, 0))
		if b.size < 8 {
			number &= 1<<(8*b.size) - 1
		}
		return strconv.FormatUint(number, 10)
	}
	return fmt.Sprint(loadWide(&b, b.size, 0))
}
