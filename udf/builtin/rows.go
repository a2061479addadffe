package builtin

import (
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// defaultHead is how many rows head gives that was not told.
const defaultHead = 5

// rowsProgram runs head, select and filter: it chooses rows and columns. Parts are batches and are
// put one after another; there is no finish.
type rowsProgram struct{ function string }

var _ udf.Program = (*rowsProgram)(nil)

func newRows(function string) udf.Program { return &rowsProgram{function} }

// parse reads the arguments; limit is the number of rows wanted, or -1.
func (p *rowsProgram) parse(value udf.Value) (a *arguments, limit int64, err error) {
	if a, err = parse(p.function, value); err != nil {
		return nil, 0, err
	}
	switch {
	case a.n != nil:
		return a, *a.n, nil
	case p.function == "head":
		return a, defaultHead, nil
	}
	return a, -1, nil
}

// Calculate chooses from the rows of each vertex.
func (p *rowsProgram) Calculate(wave *udf.Wave) {
	for i := range wave.Inputs {
		in, out := &wave.Inputs[i], &wave.Outputs[i]
		if err := p.calculate(in, out); err != nil {
			out.FailWith(status.From(err))
		}
	}
}

func (p *rowsProgram) calculate(in *udf.Input, out *udf.Output) error {
	a, limit, err := p.parse(in.Arguments)
	if err != nil {
		return err
	}
	record, err := recordOf(in)
	if err != nil {
		return err
	}
	chosen, err := columnsOf(record.Schema(), a.columns)
	if err != nil {
		return err
	}
	rows := record.NumRows()
	if limit < 0 || limit > rows {
		limit = rows
	}
	var sel mask
	if a.where != nil {
		if sel, err = a.where.rows(record, limit, in); err != nil {
			return err
		}
		if int64(sel.count()) == rows {
			sel = nil
		}
	}
	if sel == nil && chosen == nil {
		out.Batch(in.Batch.Slice(0, limit))
		return nil
	}
	return give(out, func() (arrow.Record, error) { return choose(record, chosen, sel, limit) })
}

// columnsOf finds columns by name; nil: all of them, as they are.
func columnsOf(schema *arrow.Schema, names []string) ([]int, error) {
	if len(names) == 0 {
		return nil, nil
	}
	chosen := make([]int, 0, len(names))
	for _, name := range names {
		i, err := columnIndex(schema, name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, i)
	}
	if len(chosen) == schema.NumFields() && slices.IsSorted(chosen) {
		return nil, nil
	}
	return chosen, nil
}

// rows gives the first limit rows that the condition chooses.
func (w *where) rows(record arrow.Record, limit int64, in *udf.Input) (mask, error) {
	sel, err := w.bind(record)
	if err != nil {
		return nil, err
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	total := int(record.NumRows())
	out := make(mask, words(total))
	for from := 0; from < total && limit > 0; from += chunkRows {
		if in.Cancelled.Load() != 0 {
			return nil, status.Errorf(status.Cancelled, "the call was given up")
		}
		chunk := sel.choose(from, min(chunkRows, total-from), s)
		chunk.keep(limit)
		limit -= int64(chunk.count())
		copy(out[from/64:], chunk)
	}
	return out, nil
}

// choose makes a record of the rows in sel, or of the first limit, and of the chosen columns.
func choose(record arrow.Record, chosen []int, sel mask, limit int64) (arrow.Record, error) {
	if chosen == nil {
		for i := range record.NumCols() {
			chosen = append(chosen, int(i))
		}
	}
	rows := limit
	if sel != nil {
		rows = int64(sel.count())
	}
	schema := record.Schema()
	fields := make([]arrow.Field, 0, len(chosen))
	columns := make([]arrow.Array, 0, len(chosen))
	for _, i := range chosen {
		column := record.Column(i)
		if sel == nil {
			column = array.NewSlice(column, 0, rows)
		} else {
			var err error
			if column, err = filter(column, sel, int(rows)); err != nil {
				return nil, status.Errorf(status.Unsupported, "rows of column %q of type %s "+
					"cannot be chosen: %w", schema.Field(i).Name, schema.Field(i).Type, err)
			}
		}
		fields, columns = append(fields, schema.Field(i)), append(columns, column)
	}
	meta := schema.Metadata()
	return array.NewRecord(arrow.NewSchema(fields, &meta), columns, rows), nil
}

// HasMerge says that batches are put one after another.
func (p *rowsProgram) HasMerge() bool { return true }

// HasFinish says that a part is a result.
func (p *rowsProgram) HasFinish() bool { return false }

// Merge puts the parts one after another, up to the number of rows wanted.
func (p *rowsProgram) Merge(in *udf.MergeInput, out *udf.Output) {
	if err := p.merge(in, out); err != nil {
		out.FailWith(status.From(err))
	}
}

func (p *rowsProgram) merge(in *udf.MergeInput, out *udf.Output) error {
	_, limit, err := p.parse(in.Arguments)
	if err != nil {
		return err
	}
	var rows int64
	batches := make([]*vertex.Batch, 0, len(in.Parts))
	for i, part := range in.Parts {
		if part.Batch == nil {
			return foreign("it is bytes")
		}
		if i > 0 && (part.Batch.Rows() == 0 || limit >= 0 && rows >= limit) {
			continue
		}
		batches = append(batches, part.Batch)
		rows += part.Batch.Rows()
	}
	if limit < 0 || limit > rows {
		limit = rows
	}
	if len(batches) == 1 {
		out.Batch(batches[0].Slice(0, limit))
		return nil
	}
	whole, err := vertex.Concat(batches)
	if err != nil {
		return err
	}
	out.Batch(whole.Slice(0, limit))
	whole.Release()
	return nil
}

// Finish is never called.
func (p *rowsProgram) Finish(in *udf.MergeInput, out *udf.Output) {
	out.FailWith(status.Errorf(status.Internal, "%q has no finish", p.function))
}

// Close does nothing: the program holds nothing.
func (p *rowsProgram) Close() {}
