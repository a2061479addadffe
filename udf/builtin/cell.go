package builtin

import (
	"math"
	"math/big"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"dcf/core/status"
)

// null says whether the value, or its dictionary entry, is null.
func (c cell) null() bool {
	n := nullsOf(c.column)
	valid := n.valid(make(mask, 1), c.at, 1)
	return valid != nil && valid[0] == 0
}

func (c cell) wrong(what, name, want string) error {
	return status.Errorf(status.InvalidArgument, "%s %q is of type %s, but should be %s",
		what, name, c.column.DataType(), want)
}

func (c cell) text(what, name string) (string, error) {
	if classOf(c.column.DataType()) != classText || c.null() {
		return "", c.wrong(what, name, "text without nulls")
	}
	column, at := c.column, c.at
	if entries := dictionaryOf(column); entries != nil {
		column, at = entries, codesOf(column).at(at)
	}
	t := textOf(column)
	return t.at(at), nil
}

func (c cell) integer(what, name string) (int64, error) {
	switch classOf(c.column.DataType()) {
	case classSigned:
		return signedReader(c.column).at(c.at), nil
	case classUnsigned:
		v := unsignedReader(c.column).at(c.at)
		return int64(min(v, math.MaxInt64)), nil
	}
	return 0, c.wrong(what, name, "an integer")
}

// list gives the items of a list.
func (c cell) list(what, name string, limit int) ([]cell, error) {
	lists, ok := c.column.(array.ListLike)
	if !ok {
		return nil, c.wrong(what, name, "a list")
	}
	from, to := lists.ValueOffsets(c.at)
	if to-from > int64(limit) {
		return nil, status.Errorf(status.InvalidArgument,
			"%s %q has %d items, at most %d are allowed", what, name, to-from, limit)
	}
	items := make([]cell, 0, to-from)
	for i := from; i < to; i++ {
		items = append(items, cell{lists.ListValues(), int(i)})
	}
	return items, nil
}

// scalar is a value to compare with. One of its forms is set, as its class says.
type scalar struct {
	class  class
	t      arrow.DataType
	number *big.Float // exact; nil: NaN, or no number
	word   int64      // of a bool, date or time
	text   string
}

func (c cell) scalar(what, name string) (scalar, error) {
	t := c.column.DataType()
	s := scalar{class: classOf(t), t: t}
	switch s.class {
	case classText:
		var err error
		s.text, err = c.text(what, name)
		return s, err
	case classBool, classTime:
		s.word = signedReader(c.column).at(c.at)
	case classSigned:
		s.number = new(big.Float).SetInt64(signedReader(c.column).at(c.at))
	case classUnsigned:
		s.number = new(big.Float).SetUint64(unsignedReader(c.column).at(c.at))
	case classFloat:
		if v := floatReader(c.column).at(c.at); !math.IsNaN(v) {
			s.number = new(big.Float).SetFloat64(v)
		}
	default:
		return s, c.wrong(what, name, "a number, a bool, text, a date or a time")
	}
	return s, nil
}
