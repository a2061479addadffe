package builtin

import (
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
)

// where is a condition on rows: a column compared with a value. A null is never chosen but by
// is_null; NaN is unequal to everything and neither less nor greater, as in IEEE 754.
type where struct {
	column string
	op     string
	value  scalar
}

var operators = []string{"==", "!=", "<", "<=", ">", ">=", "is_null", "is_not_null"}

func (w *where) unary() bool { return w.op == "is_null" || w.op == "is_not_null" }

// where reads the condition of the arguments; nil: there is none.
func (r *row) where() (*where, error) {
	w := &where{}
	var err error
	if w.column, err = r.text("where_column"); err != nil {
		return nil, err
	}
	if w.op, err = r.text("where_op"); err != nil {
		return nil, err
	}
	value, hasValue := r.cell("where_value")
	switch {
	case w.column == "" && w.op == "" && !hasValue:
		return nil, nil
	case w.column == "" || w.op == "":
		return nil, status.Errorf(status.InvalidArgument, "a condition needs both arguments "+
			"\"where_column\" and \"where_op\"")
	case !slices.Contains(operators, w.op):
		return nil, status.Errorf(status.InvalidArgument, "the argument \"where_op\" is %q: give "+
			"one of %s", w.op, strings.Join(operators, " "))
	case w.unary() && hasValue:
		return nil, status.Errorf(status.InvalidArgument,
			"the operator %q takes no \"where_value\"", w.op)
	case !w.unary() && !hasValue:
		return nil, status.Errorf(status.InvalidArgument, "the operator %q needs a "+
			"\"where_value\" that is not null; ask for nulls with is_null", w.op)
	case hasValue:
		w.value, err = value.scalar(r.what, "where_value")
	}
	return w, err
}

// selector chooses rows of one column.
type selector struct {
	nulls   nulls
	isNull  bool // choose nulls and nothing else
	matcher      // nil: all that are not null
}

// matcher writes the rows of from..from+rows that match to dst, whatever it says of nulls.
type matcher interface {
	match(dst mask, from, rows int, s *scratch)
}

// bind compares the condition with the column's type.
func (w *where) bind(record arrow.Record) (*selector, error) {
	i, err := columnIndex(record.Schema(), w.column)
	if err != nil {
		return nil, err
	}
	column := record.Column(i)
	switch column.DataType().ID() {
	case arrow.RUN_END_ENCODED, arrow.SPARSE_UNION, arrow.DENSE_UNION:
		return nil, w.unfit(column.DataType())
	}
	s := &selector{nulls: nullsOf(column), isNull: w.op == "is_null"}
	if w.unary() {
		return s, nil
	}
	c := classOf(column.DataType())
	switch {
	case c == classText && w.value.class == classText:
		s.matcher = newTextMatcher(column, w.op, w.value.text)
	case c == classBool && w.value.class == classBool,
		c == classTime && arrow.TypeEqual(column.DataType(), w.value.t):
		s.matcher = newRange(signedReader(column), signedWord(w.op, w.value.word))
	case c == classSigned && w.value.numeric():
		s.matcher = newRange(signedReader(column), signedRange(w.op, w.value.number))
	case c == classUnsigned && w.value.numeric():
		s.matcher = newRange(unsignedReader(column), unsignedRange(w.op, w.value.number))
	case c == classFloat && w.value.numeric():
		s.matcher = newRange(floatReader(column), floatRange(w.op, w.value.number))
	default:
		return nil, w.unfit(column.DataType())
	}
	return s, nil
}

func (s *scalar) numeric() bool {
	return s.class == classSigned || s.class == classUnsigned || s.class == classFloat
}

func (w *where) unfit(t arrow.DataType) error {
	if w.unary() {
		return status.Errorf(status.InvalidArgument,
			"column %q of type %s cannot be asked for nulls", w.column, t)
	}
	return status.Errorf(status.InvalidArgument, "column %q of type %s cannot be compared with a "+
		"value of type %s: give a value of the column's type", w.column, t, w.value.t)
}

// choose writes the rows that the condition chooses of from..from+rows to s.sel.
func (sel *selector) choose(from, rows int, s *scratch) mask {
	out := s.sel[:words(rows)]
	valid := sel.nulls.valid(s.valid, from, rows)
	switch {
	case sel.isNull:
		out.fill(rows, false)
		for w, word := range valid {
			out[w] = ^word
		}
		out.trim(rows)
		return out
	case sel.matcher == nil:
		out.fill(rows, true)
	default:
		sel.match(out, from, rows, s)
	}
	return and(out, out, valid)
}

// columnIndex finds a column by its name.
func columnIndex(schema *arrow.Schema, name string) (int, error) {
	indices := schema.FieldIndices(name)
	if len(indices) == 1 {
		return indices[0], nil
	}
	if len(indices) > 1 {
		return 0, status.Errorf(status.InvalidArgument, "there are %d columns %q: rename all but one",
			len(indices), name)
	}
	names := make([]string, 0, schema.NumFields())
	for _, field := range schema.Fields() {
		names = append(names, field.Name)
	}
	if len(names) > maxNamesShown {
		names = append(names[:maxNamesShown:maxNamesShown], "...")
	}
	return 0, status.Errorf(status.NotFound, "there is no column %q; there are %s",
		name, strings.Join(names, ", "))
}
