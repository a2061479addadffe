package builtin

import (
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"dcf/core/status"
	"dcf/udf"
)

// arguments are what a call says, read but not yet compared with any data. What was absent or null
// is zero.
type arguments struct {
	function   string
	by         []string
	aggregates []aggregate
	where      *where
	columns    []string
	n          *int64
}

// aggregate is one function of a column.
type aggregate struct {
	function string
	column   string // "": rows are counted
	name     string // of the result's column
	ddof     int64
}

// fields lists the arguments that each function takes; a where clause is allowed for all.
var fields = map[string][]string{
	"aggregate": {"aggregates", "by"},
	"count":     {"column", "by", "name"},
	"sum":       {"column", "by", "name"},
	"min":       {"column", "by", "name"},
	"max":       {"column", "by", "name"},
	"mean":      {"column", "by", "name"},
	"variance":  {"column", "by", "name", "ddof"},
	"head":      {"n", "columns"},
	"select":    {"columns", "n"},
	"filter":    {"columns", "n"},
}

var whereFields = []string{"where_column", "where_op", "where_value"}

// aggregateFields are the fields of one struct in aggregates.
var aggregateFields = []string{"function", "column", "name", "ddof"}

// row is one row of named values: the arguments, or one struct of a list.
type row struct {
	what  string // for messages
	names []string
	cells []cell
}

// cell is one value of a column.
type cell struct {
	column arrow.Array
	at     int
}

// parse reads the arguments of a function.
func parse(function string, value udf.Value) (*arguments, error) {
	r := row{what: "the argument"}
	if value.Batch != nil {
		record := value.Batch.Record()
		if record.NumRows() != 1 {
			return nil, status.Errorf(status.InvalidArgument, "the arguments of %q are a record "+
				"batch of one row, this one has %d", function, record.NumRows())
		}
		for i, field := range record.Schema().Fields() {
			r.names = append(r.names, field.Name)
			r.cells = append(r.cells, cell{record.Column(i), 0})
		}
	} else if len(value.Bytes) > 0 {
		return nil, status.Errorf(status.InvalidArgument,
			"the arguments of %q are a record batch of one row, not bytes", function)
	}
	if err := r.check(function, append(slices.Clone(fields[function]), whereFields...)); err != nil {
		return nil, err
	}
	return r.arguments(function)
}

// check refuses fields that the function does not know, and those that are there twice.
func (r *row) check(function string, known []string) error {
	for i, name := range r.names {
		if !slices.Contains(known, name) {
			return status.Errorf(status.InvalidArgument, "%q has no argument %q; it takes %s",
				function, name, strings.Join(known, ", "))
		}
		if slices.Contains(r.names[:i], name) {
			return status.Errorf(status.InvalidArgument, "%s %q is there twice", r.what, name)
		}
	}
	return nil
}

func (r *row) arguments(function string) (*arguments, error) {
	a := &arguments{function: function}
	var err error
	if a.by, err = r.texts("by", MaxKeys); err != nil {
		return nil, err
	}
	if a.columns, err = r.texts("columns", MaxColumns); err != nil {
		return nil, err
	}
	if n, ok := r.cell("n"); ok {
		value, err := n.integer(r.what, "n")
		if err != nil {
			return nil, err
		}
		a.n = &value
	}
	if a.where, err = r.where(); err != nil {
		return nil, err
	}
	if function == "aggregate" {
		a.aggregates, err = r.aggregates()
	} else if slices.Contains(fields[function], "column") {
		var one aggregate
		one, err = r.aggregate(function)
		a.aggregates = []aggregate{one}
	}
	if err != nil {
		return nil, err
	}
	return a, a.check()
}

// check compares the arguments with each other.
func (a *arguments) check() error {
	switch {
	case a.n != nil && *a.n < 0:
		return status.Errorf(status.InvalidArgument, "the argument \"n\" is %d: give 0 or more", *a.n)
	case a.function == "select" && len(a.columns) == 0:
		return missing(a.function, "columns")
	case a.function == "filter" && a.where == nil:
		return missing(a.function, "where_column")
	}
	names := slices.Clone(a.by)
	for _, g := range a.aggregates {
		names = append(names, g.name)
	}
	if len(a.aggregates) == 0 {
		names = a.columns
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return status.Errorf(status.InvalidArgument, "the result would have two columns %q: "+
				"name every column once, and give aggregates a \"name\"", name)
		}
	}
	return nil
}

// cell gives a value that is there and not null.
func (r *row) cell(name string) (cell, bool) {
	i := slices.Index(r.names, name)
	if i < 0 || r.cells[i].null() {
		return cell{}, false
	}
	return r.cells[i], true
}

func (r *row) text(name string) (string, error) {
	c, ok := r.cell(name)
	if !ok {
		return "", nil
	}
	return c.text(r.what, name)
}

// texts reads a list of strings; one string stands for a list of one.
func (r *row) texts(name string, limit int) ([]string, error) {
	c, ok := r.cell(name)
	if !ok {
		return nil, nil
	}
	if classOf(c.column.DataType()) == classText {
		one, err := c.text(r.what, name)
		return []string{one}, err
	}
	items, err := c.list(r.what, name, limit)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(items))
	for i, item := range items {
		if out[i], err = item.text(r.what, name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *row) aggregates() ([]aggregate, error) {
	c, ok := r.cell("aggregates")
	if !ok {
		return nil, missing("aggregate", "aggregates")
	}
	items, err := c.list(r.what, "aggregates", MaxAggregates)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, missing("aggregate", "aggregates")
	}
	out := make([]aggregate, 0, len(items))
	for _, item := range items {
		structs, ok := item.column.(*array.Struct)
		if !ok || item.null() {
			return nil, item.wrong(r.what, "aggregates", "a list of structs without nulls")
		}
		one := row{what: "the field"}
		for i, field := range structs.DataType().(*arrow.StructType).Fields() {
			one.names = append(one.names, field.Name)
			one.cells = append(one.cells, cell{structs.Field(i), item.at})
		}
		if err := one.check("aggregates", aggregateFields); err != nil {
			return nil, err
		}
		function, err := one.text("function")
		if err != nil {
			return nil, err
		}
		if function == "aggregate" || !slices.Contains(fields[function], "column") {
			return nil, status.Errorf(status.InvalidArgument, "an aggregate's function is count, "+
				"sum, min, max, mean or variance, this one is %q", function)
		}
		g, err := one.aggregate(function)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// aggregate reads one function's column, name and ddof.
func (r *row) aggregate(function string) (aggregate, error) {
	g := aggregate{function: function, ddof: 1}
	var err error
	if g.column, err = r.text("column"); err != nil {
		return g, err
	}
	if g.column == "" && function != "count" {
		return g, missing(function, "column")
	}
	if g.name, err = r.text("name"); err != nil {
		return g, err
	}
	if g.name == "" && g.column == "" {
		g.name = function
	} else if g.name == "" {
		g.name = g.column + "_" + function
	}
	if c, ok := r.cell("ddof"); ok {
		if g.ddof, err = c.integer(r.what, "ddof"); err != nil {
			return g, err
		}
		if g.ddof < 0 {
			return g, status.Errorf(status.InvalidArgument,
				"%s \"ddof\" is %d: give 0 or more", r.what, g.ddof)
		}
	}
	return g, nil
}

func missing(function, argument string) error {
	return status.Errorf(status.InvalidArgument, "%q needs the argument %q", function, argument)
}
