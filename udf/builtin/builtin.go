// Package builtin is the kind of functions that every node knows by name: aggregates of columns,
// grouped or not, and the choice of rows and columns. Their arguments are one record batch of one
// row, described in docs/builtins.md. The package has no effects, spawns nothing and knows no
// worker; it never runs code of the user.
package builtin

import (
	"slices"
	"strings"

	"dcf/core/status"
	"dcf/udf"
)

// Version is the version of all builtins. It changes when a part or a result does, so that nodes
// of different versions never fold each other's parts.
const Version = "1"

// builtins is the list of all functions; a new one is a line here and a section in the docs.
var builtins = []struct {
	name  string
	flags udf.Flags
	load  func(name string) udf.Program
}{
	{"aggregate", udf.Commutative, newAggregate},
	{"count", udf.Commutative, newAggregate},
	{"filter", 0, newRows},
	{"head", 0, newRows},
	{"max", udf.Commutative, newAggregate},
	{"mean", udf.Commutative, newAggregate},
	{"min", udf.Commutative, newAggregate},
	{"select", 0, newRows},
	{"sum", udf.Commutative, newAggregate},
	{"variance", udf.Commutative, newAggregate},
}

// Kind is the kind of builtin functions; a Definition needs nothing but its Name.
type Kind struct{}

var _ udf.Kind = Kind{}

// ID gives udf.KindBuiltin.
func (Kind) ID() udf.KindID { return udf.KindBuiltin }

// Load makes the program of the builtin of that name. A definition may leave its flags 0.
func (Kind) Load(def *udf.Definition) (udf.Program, error) {
	for _, b := range builtins {
		if b.name != def.Name {
			continue
		}
		if def.Flags&^b.flags != 0 || len(def.Auxiliary) > 0 || def.Code != nil {
			return nil, status.Errorf(status.InvalidArgument, "the builtin %q is defined by its "+
				"name: leave code and auxiliary data empty and the flags 0", def.Name)
		}
		return b.load(b.name), nil
	}
	return nil, status.Errorf(status.NotFound, "there is no builtin %q; there are %s",
		def.Name, strings.Join(Names(), ", "))
}

// Names gives the names of all builtins, sorted.
func Names() []string {
	names := make([]string, 0, len(builtins))
	for _, b := range builtins {
		names = append(names, b.name)
	}
	slices.Sort(names)
	return names
}

// Definitions gives the definitions of all builtins, for a worker to register.
func Definitions() []udf.Definition {
	defs := make([]udf.Definition, 0, len(builtins))
	for _, b := range builtins {
		defs = append(defs, udf.Definition{
			Kind: udf.KindBuiltin, Flags: b.flags, Name: b.name, Version: Version,
		})
	}
	return defs
}
