package builtin

import (
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"dcf/core/status"
)

// table aggregates rows, or folds parts, into the states of a plan for each group.
type table struct {
	plan   *plan
	groups *groups
	states []state
}

// feed gives the values of one column to the states that need them.
type feed struct {
	nulls    nulls
	counters []*counter
	lane     lane // nil: values are only counted
}

// lane reads the values of a column and adds them to kernels.
type lane interface {
	// run adds the values of the rows in m of from..from+rows; ids are their groups.
	run(from, rows int, m mask, ids []uint32, s *scratch)
}

type typedLane[W wide] struct {
	reader  reader[W]
	kernels []kernel[W]
}

func (l *typedLane[W]) run(from, rows int, m mask, ids []uint32, s *scratch) {
	values := l.reader.read(bufferOf[W](s), from, rows, m)
	for _, k := range l.kernels {
		k.add(ids, values)
	}
}

// newLane makes the lane of the states that are kernels of the column's class; nil: there is none.
func newLane(column arrow.Array, states []state) lane {
	switch c := classOf(column.DataType()); {
	case c.signed():
		return laneOf(signedReader(column), states)
	case c == classUnsigned:
		return laneOf(unsignedReader(column), states)
	case c == classFloat:
		return laneOf(floatReader(column), states)
	}
	return nil
}

func laneOf[W wide](r reader[W], states []state) lane {
	l := &typedLane[W]{reader: r}
	for _, st := range states {
		if k, ok := st.(kernel[W]); ok {
			l.kernels = append(l.kernels, k)
		}
	}
	if len(l.kernels) == 0 {
		return nil
	}
	return l
}

// aggregate makes the table of a record's rows. It stops early when cancelled turns non-zero.
func (p *plan) aggregate(record arrow.Record, cancelled *atomic.Uint32) (*table, error) {
	keys, err := p.keyColumns(record)
	if err != nil {
		return nil, err
	}
	t := &table{plan: p}
	if t.groups, err = newGroups(p.by, typesOf(keys)); err != nil {
		return nil, err
	}
	feeds, err := t.feeds(record)
	if err != nil {
		return nil, err
	}
	var sel *selector
	if p.where != nil {
		if sel, err = p.where.bind(record); err != nil {
			return nil, err
		}
	}
	readers := t.groups.bind(keys)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	t.grow()
	total := int(record.NumRows())
	for from := 0; from < total; from += chunkRows {
		if cancelled.Load() != 0 {
			return nil, status.Errorf(status.Cancelled, "the call was given up")
		}
		if err := t.add(readers, feeds, sel, from, min(chunkRows, total-from), s); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// add aggregates one chunk.
func (t *table) add(
	keys []*keyReader, feeds []feed, where *selector, from, rows int, s *scratch,
) error {
	var sel mask
	if where != nil {
		if sel = where.choose(from, rows, s); sel.count() == 0 {
			return nil
		}
	}
	ids, err := t.groups.number(keys, from, rows, sel, s)
	if err != nil {
		return err
	}
	t.grow()
	for i := range feeds {
		feeds[i].run(from, rows, sel, ids, s)
	}
	return nil
}

func (f *feed) run(from, rows int, sel mask, ids []uint32, s *scratch) {
	m := and(s.both, sel, f.nulls.valid(s.valid, from, rows))
	count := rows
	if m != nil {
		if count = m.count(); count == rows {
			m = nil
		} else if ids != nil {
			ids = gather(s.dense, ids, m)
		}
	}
	for _, c := range f.counters {
		c.add(ids, count)
	}
	if f.lane != nil {
		f.lane.run(from, rows, m, ids, s)
	}
}

func (t *table) grow() {
	n := t.groups.len()
	for _, st := range t.states {
		st.grow(n)
	}
}

// feeds makes the states of the plan, and a feed for each column that they read.
func (t *table) feeds(record arrow.Record) ([]feed, error) {
	var order []string
	states := map[string][]state{}
	for _, spec := range t.plan.states {
		var columnType arrow.DataType = arrow.Null
		if spec.kind != keepRows {
			column, err := countable(record, spec.column)
			if err != nil {
				return nil, err
			}
			columnType = column.DataType()
		}
		st, err := spec.newState(columnType)
		if err != nil {
			return nil, err
		}
		t.states = append(t.states, st)
		if states[spec.column] == nil {
			order = append(order, spec.column)
		}
		states[spec.column] = append(states[spec.column], st)
	}
	feeds := make([]feed, 0, len(order))
	for _, name := range order {
		var f feed
		for _, st := range states[name] {
			if c, ok := st.(*counter); ok {
				f.counters = append(f.counters, c)
			}
		}
		if name != "" {
			column, err := countable(record, name)
			if err != nil {
				return nil, err
			}
			f.nulls, f.lane = nullsOf(column), newLane(column, states[name])
		}
		feeds = append(feeds, f)
	}
	return feeds, nil
}

// countable finds a column whose type says of each row whether it is null.
func countable(record arrow.Record, name string) (arrow.Array, error) {
	i, err := columnIndex(record.Schema(), name)
	if err != nil {
		return nil, err
	}
	column := record.Column(i)
	switch column.DataType().ID() {
	case arrow.RUN_END_ENCODED, arrow.SPARSE_UNION, arrow.DENSE_UNION:
		return nil, status.Errorf(status.InvalidArgument,
			"the values of column %q of type %s cannot be counted", name, column.DataType())
	}
	return column, nil
}

func (p *plan) keyColumns(record arrow.Record) ([]arrow.Array, error) {
	columns := make([]arrow.Array, 0, len(p.by))
	for _, name := range p.by {
		i, err := columnIndex(record.Schema(), name)
		if err != nil {
			return nil, err
		}
		columns = append(columns, record.Column(i))
	}
	return columns, nil
}

func typesOf(columns []arrow.Array) []arrow.DataType {
	types := make([]arrow.DataType, len(columns))
	for i, column := range columns {
		types[i] = column.DataType()
	}
	return types
}

// part gives the table as a record that fold reads: keys, then states, a row for each group.
func (t *table) part() (arrow.Record, error) {
	fields, columns, err := t.groups.columns(t.groups.codes(), upTo(t.groups.len()))
	if err != nil {
		return nil, err
	}
	for i, st := range t.states {
		more := st.columns()
		fields = append(fields, t.plan.states[i].fields(more)...)
		columns = append(columns, more...)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(t.groups.len())), nil
}
