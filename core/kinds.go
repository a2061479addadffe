package core

import (
	"dcf/udf"
	"dcf/udf/builtin"
	"dcf/udf/native"
)

// kinds are all kinds of functions that a worker can run.
var kinds = []udf.Kind{
	udf.GoKind{},
	builtin.Kind{},
	native.Kind{},
}

func kindOf(id udf.KindID) udf.Kind {
	for _, kind := range kinds {
		if kind.ID() == id {
			return kind
		}
	}
	return nil
}
