package abi_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/capi/abi"
	"dcf/core/status"
)

var rewrite = flag.Bool("rewrite", false, "write abi.txt and libdcf.map anew")

const include = "../../include"

func header(t *testing.T) *abi.Header {
	h, err := abi.ReadHeader(include + "/dcf.h")
	require.NoError(t, err)
	return h
}

func run(t *testing.T, name string, arguments ...string) []byte {
	out, err := exec.Command(name, arguments...).CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(arguments, " "), out)
	return out
}

func TestHeaderIsReadWhole(t *testing.T) {
	h := header(t)
	require.Contains(t, h.Functions(), "dcf_call_run")
	require.Contains(t, h.Functions(), "dcf_input_view")
	require.Contains(t, h.Functions(), "dcf_version")
	require.Contains(t, h.Fields(), abi.Field{Struct: "dcf_output_api", Name: "add_child"})
	require.Contains(t, h.Fields(), abi.Field{Struct: "dcf_udf_input", Name: "private_data"})
	require.Contains(t, h.Fields(), abi.Field{Struct: "dcf_output", Name: "api"})
	require.Contains(t, h.Fields(), abi.Field{Struct: "dcf_udf_definition", Name: "user_data_free"})
	require.Contains(t, h.Constants(), "DCF_ABI_VERSION")
}

// TestList compares constants, sizes and offsets with the committed list: a change of one of them
// breaks programs that are built already.
func TestList(t *testing.T) {
	folder := t.TempDir()
	source, program := filepath.Join(folder, "probe.c"), filepath.Join(folder, "probe")
	require.NoError(t, os.WriteFile(source, []byte(header(t).Probe()), 0o600))
	run(t, "gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I"+include, source, "-o", program)
	got := string(run(t, program))
	if *rewrite {
		require.NoError(t, os.WriteFile("abi.txt", []byte(got), 0o644))
	}
	want, err := os.ReadFile("abi.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), got,
		"the ABI changed: if that is meant, see DCF_ABI_MAJOR and run with -rewrite")
}

func TestVersionScript(t *testing.T) {
	names := header(t).Functions()
	if *rewrite {
		var out strings.Builder
		out.WriteString("/* What libdcf.so exports: the functions of dcf.h. Package capi/abi keeps the " +
			"two in step. */\nDCF_0 {\n  global:\n")
		for _, name := range names {
			fmt.Fprintf(&out, "    %s;\n", name)
		}
		out.WriteString("  local:\n    *;\n};\n")
		require.NoError(t, os.WriteFile("../libdcf.map", []byte(out.String()), 0o644))
	}
	script, err := os.ReadFile("../libdcf.map")
	require.NoError(t, err)
	require.Equal(t, names, abi.Mapped(script), "run with -rewrite")
}

// TestLibrary compares what the library exports with what the header declares.
func TestLibrary(t *testing.T) {
	library := filepath.Join(t.TempDir(), "libdcf.so")
	script, err := filepath.Abs("../libdcf.map")
	require.NoError(t, err)
	run(t, "go", "build", "-trimpath", "-buildmode=c-shared", "-o", library, "-ldflags",
		"-s -w -extldflags '-Wl,-soname,libdcf.so.0 -Wl,--version-script="+script+"'", "dcf/capi")
	exported := abi.Exported(run(t, "nm", "-D", "--defined-only", library))
	require.Equal(t, header(t).Functions(), exported)
	require.Contains(t, string(run(t, "readelf", "-d", library)), "libdcf.so.0")
}

// TestHeaderCompiles compiles the header alone in each language that may include it, with every
// initialiser, as strictly as a user might.
func TestHeaderCompiles(t *testing.T) {
	folder := t.TempDir()
	var source strings.Builder
	source.WriteString("#include <dcf.h>\n#include <dcf.h>\n")
	for i, name := range []string{"worker_options", "vertex_info", "put_options", "spawn",
		"udf_definition", "call", "call_more"} {
		fmt.Fprintf(&source, "dcf_%s v%d = DCF_%s_INIT;\n", name, i, strings.ToUpper(name))
	}
	for _, c := range []struct{ compiler, standard, file string }{
		{"gcc", "c99", "t.c"}, {"gcc", "c11", "t.c"}, {"g++", "c++17", "t.cc"},
	} {
		path := filepath.Join(folder, c.file)
		require.NoError(t, os.WriteFile(path, []byte(source.String()), 0o600))
		run(t, c.compiler, "-std="+c.standard, "-Wall", "-Wextra", "-pedantic", "-Werror",
			"-Wstrict-aliasing", "-I"+include, "-c", path, "-o", filepath.Join(folder, "t.o"))
	}
}

// TestStatusCodes compares the codes of Go with those of the header, by a program that does not
// compile where they differ.
func TestStatusCodes(t *testing.T) {
	var source strings.Builder
	source.WriteString("#include <dcf.h>\n")
	for code := range status.Count {
		fmt.Fprintf(&source, "_Static_assert(%s == %d, \"%s\");\n", code, int(code), code)
	}
	path := filepath.Join(t.TempDir(), "status.c")
	require.NoError(t, os.WriteFile(path, []byte(source.String()), 0o600))
	run(t, "gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I"+include, "-c", path, "-o", path+".o")
}

// TestStatusNames compares the names that the library gives with those of Go.
func TestStatusNames(t *testing.T) {
	content, err := os.ReadFile("../plain.c")
	require.NoError(t, err)
	for code := range status.Count {
		require.Contains(t, string(content), `"`+code.String()+`"`)
	}
}

// TestPythonUsesAll sees that no function is forgotten in the Python package.
func TestPythonUsesAll(t *testing.T) {
	requireUsesAll(t, "../../bindings/python/src", "python-unused.txt")
}

// TestRustUsesAll sees that no function is forgotten in the crate dcf; dcf-sys declares them all.
func TestRustUsesAll(t *testing.T) {
	requireUsesAll(t, "../../bindings/rust/dcf/src", "rust-unused.txt")
}

func requireUsesAll(t *testing.T, folder, list string) {
	t.Helper()
	names := header(t).Functions()
	used, err := abi.Used(folder, names)
	require.NoError(t, err)
	unused, err := abi.Unused(list)
	require.NoError(t, err)
	for _, name := range used {
		require.NotContains(t, unused, name, "%s lists a function that is used", list)
		delete(unused, name)
	}
	listed := len(unused)
	for _, name := range names {
		if _, ok := unused[name]; ok {
			listed--
		} else {
			require.Contains(t, used, name, "neither used by %s nor listed with a reason", folder)
		}
	}
	require.Zero(t, listed, "%s lists what the header does not declare: %v", list, unused)
}

// TestRustBindings compares what the committed bindings of Rust say with the committed list: the
// compiler checks there that sizes and offsets are those, and here they are seen to be of today's
// header.
func TestRustBindings(t *testing.T) {
	h := header(t)
	bindings, err := os.ReadFile("../../bindings/rust/dcf-sys/src/bindings.rs")
	require.NoError(t, err)
	list, err := os.ReadFile("abi.txt")
	require.NoError(t, err)
	require.Equal(t, string(list), abi.RustList(h, string(bindings)), "run make generate")
	for _, name := range h.Functions() {
		require.Contains(t, string(bindings), "pub fn "+name+"(", "run make generate")
	}
}
