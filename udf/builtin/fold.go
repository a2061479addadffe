package builtin

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"dcf/core/status"
)

// fold makes one table of parts, of which there is at least one.
func (p *plan) fold(parts []arrow.Record) (*table, error) {
	t, widths, err := p.tableOf(parts[0])
	if err != nil {
		return nil, err
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for _, part := range parts {
		if err := sameTypes(parts[0].Schema(), part.Schema()); err != nil {
			return nil, err
		}
		if err := t.fold(part, widths, s); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// tableOf makes an empty table for parts like this one, and says how many columns each state has.
func (p *plan) tableOf(part arrow.Record) (*table, []int, error) {
	columns := part.Columns()
	if len(columns) < len(p.by) {
		return nil, nil, foreign("key columns are missing")
	}
	keys, columns := columns[:len(p.by)], columns[len(p.by):]
	t := &table{plan: p}
	var err error
	if t.groups, err = newGroups(p.by, typesOf(keys)); err != nil {
		return nil, nil, err
	}
	widths := make([]int, 0, len(p.states))
	for _, spec := range p.states {
		st, width, err := spec.read(columns)
		if err != nil {
			return nil, nil, err
		}
		t.states, widths = append(t.states, st), append(widths, width)
		columns = columns[width:]
	}
	if len(columns) > 0 {
		return nil, nil, foreign("it has more columns")
	}
	return t, widths, nil
}

// sameTypes compares the columns of two parts.
func sameTypes(a, b *arrow.Schema) error {
	if a.NumFields() != b.NumFields() {
		return foreign("it has another number of columns")
	}
	for i, field := range a.Fields() {
		if other := b.Field(i); !arrow.TypeEqual(field.Type, other.Type) {
			return status.Errorf(status.InvalidArgument, "%q is of type %s in one shard and of "+
				"type %s in another: give the shards of one table equal types",
				field.Name, field.Type, other.Type)
		}
	}
	return nil
}

// fold adds the rows of one part.
func (t *table) fold(part arrow.Record, widths []int, s *scratch) error {
	keys, columns := part.Columns()[:len(t.plan.by)], part.Columns()[len(t.plan.by):]
	readers := t.groups.bind(keys)
	for from := 0; from < int(part.NumRows()); from += chunkRows {
		rows := min(chunkRows, int(part.NumRows())-from)
		ids, err := t.groups.number(readers, from, rows, nil, s)
		if err != nil {
			return err
		}
		if ids == nil {
			ids = s.ids[:rows]
			clear(ids)
		}
		t.grow()
		rest := columns
		for i, st := range t.states {
			st.fold(ids, rest[:widths[i]], from)
			rest = rest[widths[i]:]
		}
	}
	t.grow()
	return nil
}

// result gives the final table: keys in order, then a column for each aggregate.
func (t *table) result() (arrow.Record, error) {
	codes := t.groups.codes()
	order := t.groups.sorted(codes)
	fields, columns, err := t.groups.columns(codes, order)
	if err != nil {
		return nil, err
	}
	for i := range t.plan.outputs {
		o := &t.plan.outputs[i]
		column, err := t.output(o, order)
		if err != nil {
			return nil, err
		}
		fields = append(fields, arrow.Field{Name: o.name, Type: column.DataType(),
			Nullable: o.function != "count" && o.function != "sum"})
		columns = append(columns, column)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(len(order))), nil
}

// output makes the column of one aggregate.
func (t *table) output(o *output, order []uint32) (arrow.Array, error) {
	switch st := t.states[o.state].(type) {
	case *counter:
		return makeColumn(arrow.PrimitiveTypes.Int64, take(st.counts, order), nil), nil
	case *integerSum[int64]:
		if o.function == "mean" {
			return t.mean(o, order, func(id uint32) float64 { return st.totals[id].float(true) }), nil
		}
		return sumColumn(o, st, order, arrow.PrimitiveTypes.Int64)
	case *integerSum[uint64]:
		if o.function == "mean" {
			return t.mean(o, order, func(id uint32) float64 { return st.totals[id].float(false) }), nil
		}
		return sumColumn(o, st, order, arrow.PrimitiveTypes.Uint64)
	case *floatSum:
		if o.function == "mean" {
			return t.mean(o, order, func(id uint32) float64 { return st.sums[id] }), nil
		}
		return makeColumn(arrow.PrimitiveTypes.Float64, take(st.sums, order), nil), nil
	case *extreme[int64]:
		return st.column(order), nil
	case *extreme[uint64]:
		return st.column(order), nil
	case *extreme[float64]:
		return st.column(order), nil
	case *moments[int64]:
		return variance(st.groups, order, o.ddof), nil
	case *moments[uint64]:
		return variance(st.groups, order, o.ddof), nil
	case *moments[float64]:
		return variance(st.groups, order, o.ddof), nil
	}
	return nil, status.Errorf(status.Internal, "no result is known for the state of %q", o.function)
}

// sumColumn makes the sums, if all of them are values of W.
func sumColumn[W int64 | uint64](
	o *output, st *integerSum[W], order []uint32, t arrow.DataType,
) (arrow.Array, error) {
	sums := make([]W, len(order))
	for i, id := range order {
		if !fits[W](st.totals[id]) {
			return nil, status.Errorf(status.UDFFailed, "the sum of column %q is about %.4g, "+
				"which overflows %s: make the column float64, or ask for its mean and count",
				o.column, st.totals[id].float(isSigned[W]()), t)
		}
		sums[i] = W(st.totals[id].lo)
	}
	return makeColumn(t, sums, nil), nil
}

// mean divides; it is null where there are no values.
func (t *table) mean(o *output, order []uint32, sum func(id uint32) float64) arrow.Array {
	counts := t.states[o.count].(*counter).counts
	out, valid := make([]float64, len(order)), make(mask, words(len(order)))
	for i, id := range order {
		if counts[id] > 0 {
			out[i] = sum(id) / float64(counts[id])
			valid.set(i)
		}
	}
	return makeColumn(arrow.PrimitiveTypes.Float64, out, valid)
}

// variance divides by count - ddof; it is null where that is not positive.
func variance(groups []moment, order []uint32, ddof int64) arrow.Array {
	out, valid := make([]float64, len(order)), make(mask, words(len(order)))
	for i, id := range order {
		if free := groups[id].count - float64(ddof); free > 0 {
			out[i] = groups[id].squares / free
			valid.set(i)
		}
	}
	return makeColumn(arrow.PrimitiveTypes.Float64, out, valid)
}
