// Package capitest builds libdcf in several ways, and compiles and runs C programs against it. It
// is for tests only.
package capitest

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Library is one way to build libdcf, and what a program needs to use it.
type Library struct {
	Name  string
	mode  string
	build []string // flags of go build
	cc    []string // flags of gcc
	link  []string // libraries
	env   []string // of the program
	file  string
}

// The libraries. Race and Sanitized are slow, and find what the other does not.
var (
	// Shared is libdcf.so as users get it.
	Shared = Library{Name: "shared", mode: "c-shared", file: "libdcf.so",
		link: []string{"-L.", "-ldcf", "-Wl,-rpath,$ORIGIN"}}
	// Race is a static library with the race detector, which works in no shared one.
	Race = Library{Name: "race", mode: "c-archive", file: "libdcf.a", build: []string{"-race"},
		cc: []string{"-no-pie"}, link: []string{"libdcf.a"},
		env: []string{"GORACE=halt_on_error=1"}}
	// Sanitized is libdcf.so with the address sanitizer in its C, its Go, and the program.
	Sanitized = Library{Name: "sanitized", mode: "c-shared", file: "libdcf.so",
		build: []string{"-asan"}, cc: []string{"-fsanitize=address"},
		link: []string{"-L.", "-ldcf", "-Wl,-rpath,$ORIGIN"},
		env:  []string{"ASAN_OPTIONS=detect_leaks=0:abort_on_error=0"}}
)

// patience is how long anything may take before it counts as hung.
const patience = 10 * time.Minute

// Build builds the library into a folder. The root is that of the module.
func (l *Library) Build(root, folder string) error {
	if err := look(root); err != nil {
		return err
	}
	flags := ""
	if l.mode == "c-shared" {
		flags = fmt.Sprintf("-s -w -extldflags '-Wl,--version-script=%s'",
			filepath.Join(root, "capi", "libdcf.map"))
	}
	arguments := []string{"build", "-trimpath", "-buildmode=" + l.mode, "-ldflags", flags}
	arguments = append(arguments, l.build...)
	_, err := run(root, nil, "go", append(arguments, "-o", filepath.Join(folder, l.file), "./capi")...)
	return err
}

// look asks for the state of all that the library is built of. The go command sees that, and answers
// from its cache of test results only while nothing of it has changed.
func look(root string) error {
	for _, part := range []string{"capi", "core", "include", "udf", "vertex", "wire", "go.mod"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Compile compiles a program, named after its first C file, into the library's folder and gives its
// path.
func (l *Library) Compile(root, folder string, sources ...string) (string, error) {
	program := strings.TrimSuffix(filepath.Base(sources[0]), ".c")
	arguments := append([]string{"-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
		"-I" + filepath.Join(root, "include")}, l.cc...)
	arguments = append(append(arguments, sources...), "-o", program)
	arguments = append(append(arguments, l.link...), "-lpthread")
	_, err := run(folder, nil, "gcc", arguments...)
	return filepath.Join(folder, program), err
}

// Run runs a program and gives what it printed.
func (l *Library) Run(program string, arguments ...string) (string, error) {
	return run(filepath.Dir(program), l.env, program, arguments...)
}

func run(folder string, env []string, name string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", filepath.Base(name),
			strings.Join(arguments, " "), err, out)
	}
	return string(out), nil
}
