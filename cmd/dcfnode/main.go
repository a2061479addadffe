// Command dcfnode is a worker in a process of its own: it holds vertices, runs functions on them
// for others, and makes or joins a cluster. It turns flags and configuration into core.Options and
// decides nothing else.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"dcf/core"
	"dcf/core/status"
)

// Exit codes, as --help documents them.
const (
	exitOK       = 0
	exitFailure  = 1 // it ran and failed, or did not stop in time
	exitUsage    = 2 // wrong flags, configuration or input files
	exitNoAccess = 3 // it cannot listen, or nobody can be joined
)

func main() {
	core.UseProcessors()
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is main with everything that it depends on.
func run(args, environ []string, stdout, stderr io.Writer) int {
	p := &program{environ: environ, stdout: stdout, stderr: stderr}
	return p.run(args)
}

func (p *program) run(args []string) int {
	command := p.rootCommand()
	command.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	command.SetOut(p.stdout)
	command.SetErr(p.stderr)
	err := command.Execute()
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.stderr, "dcfnode: %s\n", describe(err))
	if failure, ok := errors.AsType[*failure](err); ok {
		return failure.exit
	}
	return exitUsage // cobra's own: an unknown command, flag or argument
}

// program is what the commands share.
type program struct {
	environ        []string
	stdout, stderr io.Writer
	base           core.Options // its UDFs are there beside the builtin ones
}

// failure is an error with the exit code that it leads to.
type failure struct {
	exit int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// wrong is a failure of whoever wrote the flags or the configuration.
func wrong(format string, args ...any) error {
	return &failure{exit: exitUsage, err: fmt.Errorf(format, args...)}
}

// describe gives an error in one line, a status.Error by its message and then its code.
func describe(err error) string {
	if e, ok := errors.AsType[*status.Error](err); ok && e.Message != "" {
		return fmt.Sprintf("%s (%v)", e.Message, e.Code)
	}
	return err.Error()
}
