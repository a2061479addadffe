package builtin

import (
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
)

// stateKind says what a state keeps.
type stateKind uint8

const (
	keepRows    stateKind = iota // how many rows there are
	keepCount                    // how many values are not null
	keepSum                      // their sum
	keepMin                      // the least of them
	keepMax                      // the greatest of them
	keepMoments                  // what their variance is made of
)

var stateNames = [...]string{"rows", "count", "sum", "min", "max", "variance"}

// stateSpec names a state that a plan needs.
type stateSpec struct {
	kind   stateKind
	column string // "" for keepRows
}

// plan says which states a call keeps and how results are made of them. Results that need the
// same state share it.
type plan struct {
	by      []string
	where   *where
	states  []stateSpec
	outputs []output
}

// output is one column of the result: state, and count for a mean, are indices of plan.states.
type output struct {
	aggregate
	state, count int
}

func newPlan(a *arguments) *plan {
	p := &plan{by: a.by, where: a.where}
	for _, g := range a.aggregates {
		o := output{aggregate: g}
		switch g.function {
		case "count":
			if g.column == "" {
				o.state = p.state(keepRows, "")
			} else {
				o.state = p.state(keepCount, g.column)
			}
		case "sum":
			o.state = p.state(keepSum, g.column)
		case "min":
			o.state = p.state(keepMin, g.column)
		case "max":
			o.state = p.state(keepMax, g.column)
		case "mean":
			o.state, o.count = p.state(keepSum, g.column), p.state(keepCount, g.column)
		case "variance":
			o.state = p.state(keepMoments, g.column)
		}
		p.outputs = append(p.outputs, o)
	}
	return p
}

func (p *plan) state(kind stateKind, column string) int {
	spec := stateSpec{kind, column}
	if i := slices.Index(p.states, spec); i >= 0 {
		return i
	}
	p.states = append(p.states, spec)
	return len(p.states) - 1
}

// newState makes the state for a column of type t.
func (s stateSpec) newState(t arrow.DataType) (state, error) {
	c := classOf(t)
	switch {
	case s.kind == keepRows, s.kind == keepCount:
		return &counter{}, nil
	case s.kind == keepSum && (c == classSigned || c == classBool):
		return &integerSum[int64]{}, nil
	case s.kind == keepSum && c == classUnsigned:
		return &integerSum[uint64]{}, nil
	case s.kind == keepSum && c == classFloat:
		return &floatSum{}, nil
	case s.kind == keepMoments && (c == classSigned || c == classBool):
		return &moments[int64]{}, nil
	case s.kind == keepMoments && c == classUnsigned:
		return &moments[uint64]{}, nil
	case s.kind == keepMoments && c == classFloat:
		return &moments[float64]{}, nil
	case s.kind != keepMin && s.kind != keepMax:
	case c.signed():
		return newExtreme[int64](s.kind == keepMax, t), nil
	case c == classUnsigned:
		return newExtreme[uint64](s.kind == keepMax, t), nil
	case c == classFloat:
		return newExtreme[float64](s.kind == keepMax, t), nil
	}
	return nil, status.Errorf(status.InvalidArgument, "there is no %s of column %q of type %s: "+
		"it must hold numbers or bools (min and max: dates and times, too)",
		stateNames[s.kind], s.column, t)
}

// fields names the columns of the state in a part.
func (s stateSpec) fields(columns []arrow.Array) []arrow.Field {
	name := stateNames[s.kind]
	if s.column != "" {
		name += "(" + s.column + ")"
	}
	suffixes := []string{"", ".low", ""}
	if s.kind == keepMoments {
		suffixes = []string{".count", ".mean", ".squares"}
	}
	fields := make([]arrow.Field, len(columns))
	for i, column := range columns {
		fields[i] = arrow.Field{Name: name + suffixes[i], Type: column.DataType(),
			Nullable: s.kind == keepMin || s.kind == keepMax}
	}
	return fields
}

// read finds the columns of the state at the front of columns and makes a state that folds them.
func (s stateSpec) read(columns []arrow.Array) (state, int, error) {
	var want []arrow.Type
	if len(columns) == 0 {
		return nil, 0, foreign("columns are missing")
	}
	first := columns[0].DataType()
	switch s.kind {
	case keepRows, keepCount:
		want = []arrow.Type{arrow.INT64}
	case keepSum:
		want = []arrow.Type{arrow.FLOAT64}
		if first.ID() == arrow.INT64 || first.ID() == arrow.UINT64 {
			want = []arrow.Type{first.ID(), arrow.UINT64}
		}
	case keepMoments:
		want = []arrow.Type{arrow.FLOAT64, arrow.FLOAT64, arrow.FLOAT64}
	default:
		want = []arrow.Type{first.ID()}
	}
	if len(columns) < len(want) {
		return nil, 0, foreign("columns are missing")
	}
	for i, id := range want {
		if t := columns[i].DataType(); t.ID() != id {
			return nil, 0, foreign("a column is of type " + t.String())
		}
	}
	st, err := s.newState(first)
	return st, len(want), err
}
