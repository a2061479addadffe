// Package archtest holds the one table of who may import whom.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module = "dcf/"
	root   = "../../.."
)

// allowed lists, for every package of the module, the packages of the module that it may import. A
// new package or a new arrow is a line here, seen in review.
var allowed = map[string][]string{
	"core/status":                           {},
	"core/invariant":                        {},
	"vertex/arena":                          {"core/status"},
	"vertex/cdata":                          {"vertex/arena"},
	"vertex":                                {"core/invariant", "core/status", "vertex/arena", "vertex/cdata"},
	"udf":                                   {"core/status", "vertex", "vertex/arena", "vertex/cdata"},
	"udf/udftest":                           {"core/status", "udf", "vertex", "vertex/arena", "vertex/cdata"},
	"udf/builtin":                           {"core/status", "udf", "vertex"},
	"udf/native":                            {"core/status", "udf", "vertex", "vertex/arena", "vertex/cdata"},
	"udf/native/nativetest":                 {"core/status", "udf", "udf/native", "vertex", "vertex/cdata"},
	"wire/flatbuf":                          {},
	"wire/flatbuf/arrowfb":                  {},
	"wire":                                  {"core/status", "udf", "vertex", "wire/flatbuf", "wire/flatbuf/arrowfb"},
	"core/internal/clock":                   {},
	"core/internal/once":                    {"core/invariant", "core/status", "vertex", "wire"},
	"core/internal/lane":                    {"core/internal/clock", "core/internal/failpoint", "core/internal/processor", "core/internal/ring", "core/internal/transport/futex", "core/invariant", "core/status", "vertex", "vertex/cdata"},
	"core/internal/transport":               {"core/internal/clock", "core/internal/lane", "core/status", "udf", "vertex", "wire"},
	"core/internal/transport/futex":         {},
	"core/internal/transport/inproc":        {"core/internal/clock", "core/internal/transport", "core/internal/transport/futex", "core/status", "vertex", "wire"},
	"core/internal/failpoint":               {},
	"core/internal/processor":               {},
	"core/internal/ring":                    {"core/internal/failpoint", "core/invariant", "core/internal/transport/futex", "core/status", "vertex/cdata"},
	"core/internal/transport/shm":           {"core/internal/clock", "core/internal/failpoint", "core/internal/lane", "core/internal/processor", "core/internal/ring", "core/internal/transport", "core/internal/transport/futex", "core/internal/transport/socket", "core/status", "vertex", "vertex/arena", "vertex/cdata", "wire"},
	"core/internal/transport/socket":        {"core/internal/clock", "core/internal/transport", "core/status"},
	"core/internal/transport/tcp":           {"core/internal/clock", "core/internal/transport", "core/internal/transport/socket", "core/status", "vertex", "wire"},
	"core/internal/transport/transporttest": {"core/internal/clock", "core/internal/transport", "core/status", "udf", "vertex", "vertex/arena", "vertex/cdata", "wire"},
	"core/internal/session":                 {"core/internal/clock", "core/internal/transport", "core/status", "wire"},
	"core/internal/rpc":                     {"core/internal/clock", "core/internal/lane", "core/internal/session", "core/internal/transport", "core/internal/transport/futex", "core/internal/transport/inproc", "core/internal/transport/shm", "core/internal/transport/tcp", "core/status", "wire"},
	"core/internal/cluster":                 {"core/internal/once", "core/status", "vertex", "wire"},
	"core/internal/store":                   {"core/status", "udf", "vertex", "vertex/arena", "vertex/cdata"},
	"core/internal/sched":                   {},
	"core/internal/exec":                    {"core/internal/clock", "core/internal/once", "core/internal/store", "core/status", "udf", "vertex", "vertex/arena", "wire"},
	"core":                                  {"core/internal/clock", "core/internal/cluster", "core/internal/exec", "core/internal/failpoint", "core/internal/lane", "core/internal/once", "core/internal/rpc", "core/internal/sched", "core/internal/store", "core/internal/transport", "core/internal/transport/inproc", "core/internal/transport/shm", "core/internal/transport/tcp", "core/status", "udf", "udf/builtin", "udf/native", "vertex", "vertex/arena", "wire"},
	"core/internal/archtest":                {},
	"capi":                                  {"core", "core/status", "udf", "udf/native", "vertex", "vertex/arena", "vertex/cdata"},
	"capi/abi":                              {},
	"capi/capitest":                         {},
	"cmd/dcfnode":                           {"core", "core/status", "vertex"},
	"examples/tree/go":                      {"core", "core/status", "udf", "vertex"},
	"docs/tool/limits":                      {},
}

// mayUseC lists the packages that may use cgo.
var mayUseC = []string{"capi", "udf/native", "udf/native/nativetest", "vertex/arena", "vertex/cdata"}

// free lists folders whose programs stand outside the table: they use what any user may.
var free = []string{"bench", "packaging/consumers", "pairs"}

// The files are parsed, not listed by the go tool: so every build tag counts, and the test cache
// knows what was read.
func TestImports(t *testing.T) {
	seen := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && name != "." || name == "build" ||
			entry.Name() == "testdata" || slices.Contains(free, name)) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		seen[filepath.ToSlash(filepath.Dir(name))] = true
		return checkFile(t, path, filepath.ToSlash(filepath.Dir(name)))
	}))
	for name := range allowed {
		if !seen[name] && name != "core/internal/archtest" {
			t.Errorf("the table has package %s, which does not exist", name)
		}
	}
}

func checkFile(t *testing.T, path, name string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	may, known := allowed[name]
	if !known {
		t.Errorf("package %s is not in the table of imports", name)
	}
	for _, imported := range file.Imports {
		what := strings.Trim(imported.Path.Value, `"`)
		if dep, ours := strings.CutPrefix(what, module); ours && !slices.Contains(may, dep) {
			t.Errorf("%s: %s imports %s, which the table does not allow", path, name, dep)
		}
		if what == "C" && !slices.Contains(mayUseC, name) {
			t.Errorf("%s: %s uses cgo, which only %v may", path, name, mayUseC)
		}
		arrow := strings.HasPrefix(what, "github.com/apache/arrow/")
		if arrow && name != "vertex" && name != "wire" && name != "udf/builtin" {
			t.Errorf("%s: %s imports Arrow, which only vertex, wire and udf/builtin may", path, name)
		}
	}
	return nil
}
