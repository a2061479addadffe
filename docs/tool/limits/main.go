// Limits writes the tables of docs/limits.md: the exported constants of every limits.go, with their
// values as the compiler sees them and the words that stand beside them.
//
//	go run ./docs/tool/limits
package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

const module = "dcf/"

// sections are the packages that have limits, in the order of the page. A test compares them with
// the limits.go files that there are.
var sections = []struct{ title, path string }{
	{"Vertices", "vertex"},
	{"Functions", "udf"},
	{"Builtin functions", "udf/builtin"},
	{"Workers and calls", "core"},
	{"Running a call", "core/internal/exec"},
	{"The store of a worker", "core/internal/store"},
	{"Updates that are remembered", "core/internal/once"},
	{"The cluster", "core/internal/cluster"},
	{"Requests and connections", "core/internal/rpc"},
	{"Introductions", "core/internal/session"},
	{"Transports", "core/internal/transport"},
	{"Frames and Arrow data on the wire", "wire"},
	{"Memory shared by processes", "vertex/arena"},
	{"The C interface", "capi"},
}

func main() {
	read := &reader{files: token.NewFileSet()}
	read.sources = importer.ForCompiler(read.files, "source", nil).(types.ImporterFrom)
	for _, section := range sections {
		if err := read.write(section.title, section.path); err != nil {
			fmt.Fprintln(os.Stderr, "limits:", err)
			os.Exit(1)
		}
	}
}

// reader reads packages from their sources, C macros included.
type reader struct {
	files   *token.FileSet
	sources types.ImporterFrom
}

func (r *reader) write(title, path string) error {
	checked, err := r.sources.ImportFrom(module+path, ".", 0)
	if err != nil {
		return err
	}
	source, err := parser.ParseFile(r.files, filepath.Join(path, "limits.go"), nil,
		parser.ParseComments)
	if err != nil {
		return err
	}
	fmt.Printf("### %s\n\n`%s/limits.go`\n\n", title, path)
	for _, declaration := range source.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		rows, err := rowsOf(checked, path, group, fieldsOf(source))
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			continue
		}
		if group.Lparen.IsValid() && group.Doc != nil {
			fmt.Printf("%s\n\n", words(group.Doc))
		}
		fmt.Printf("| name | value | meaning |\n| --- | --- | --- |\n%s\n", strings.Join(rows, ""))
	}
	return nil
}

// rowsOf gives a line of the table for each comment on exported constants. A constant without words
// of its own belongs to the line above if that one's words name it.
func rowsOf(checked *types.Package, path string, group *ast.GenDecl,
	fields map[string]string) ([]string, error) {
	var rows []row
	for _, spec := range group.Specs {
		values := spec.(*ast.ValueSpec)
		meaning := words(values.Doc) + words(values.Comment)
		if meaning == "" && !group.Lparen.IsValid() {
			meaning = words(group.Doc)
		}
		for _, name := range values.Names {
			if !name.IsExported() {
				continue
			}
			limit, ok := checked.Scope().Lookup(name.Name).(*types.Const)
			if !ok {
				return nil, fmt.Errorf("%s: %s is no constant", path, name.Name)
			}
			value := valueOf(limit)
			if meaning == "" {
				meaning = fields[name.Name]
			}
			last := len(rows) - 1
			if meaning == "" && last >= 0 && strings.Contains(rows[last].meaning, name.Name) {
				rows[last].names = append(rows[last].names, name.Name)
				rows[last].values = append(rows[last].values, value)
				continue
			}
			if meaning == "" {
				return nil, fmt.Errorf("%s: no words about %s", path, name.Name)
			}
			rows = append(rows, row{[]string{name.Name}, []string{value}, meaning})
		}
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		lines[i] = row.line()
	}
	return lines, nil
}

// fieldsOf gives the words beside the fields of a struct Limits by the constants that are their
// defaults: `fill(&l.Entries, MaxEntries)` says which.
func fieldsOf(source *ast.File) map[string]string {
	about, defaults := map[string]string{}, map[string]string{}
	ast.Inspect(source, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Field:
			for _, name := range node.Names {
				about[name.Name] = words(node.Doc) + words(node.Comment)
			}
		case *ast.CallExpr:
			if len(node.Args) != 2 {
				break
			}
			address, _ := node.Args[0].(*ast.UnaryExpr)
			constant, named := node.Args[1].(*ast.Ident)
			if address != nil && named {
				defaults[constant.Name] = about[address.X.(*ast.SelectorExpr).Sel.Name]
			}
		}
		return true
	})
	return defaults
}

// value shows a constant in the unit that its type or name says.
func valueOf(limit *types.Const) string {
	number, _ := constant.Int64Val(limit.Val())
	switch {
	case limit.Type().String() == "time.Duration":
		return duration(number)
	case strings.Contains(limit.Name(), "Bytes") || limit.Name() == "MaxInlineTotal":
		return size(number)
	}
	return grouped(number)
}
