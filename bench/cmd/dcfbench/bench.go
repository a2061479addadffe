package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"dcf/bench/measure"
	"dcf/bench/process"
)

// The processors that pinned cases use.
const (
	driverCPU = 0
	otherCPU  = 1
)

// bench measures cases.
type bench struct{ *options }

// measure measures one case. What goes wrong is in the result.
func (b *bench) measure(c *measure.Case, machine measure.Machine) measure.Result {
	blocks, err := b.blocks(c)
	if err == nil {
		var r measure.Result
		if r, err = measure.NewResult(c, blocks, machine); err == nil {
			return r
		}
	}
	return measure.NewFailure(c, err, machine)
}

// blocks runs whatever measures a case.
func (b *bench) blocks(c *measure.Case) ([]measure.Block, error) {
	switch group, _, _ := strings.Cut(c.Name, "/"); {
	case c.Name == "memory/idle-dcfnode":
		return b.idle(c)
	case group == "size":
		return b.size(c)
	case c.Name == "local/go":
		return b.drive(c, b.driver("localgo", process.AnyCPU))
	case c.Name == "shm/idle":
		return b.wakeUps(c)
	case isShm(c):
		return b.shm(c)
	case needsRust(c):
		return b.drive(c, b.driver("rust", process.AnyCPU))
	case needsPython(c):
		return b.drive(c, b.pythonDriver(c))
	case group == "local":
		return b.drive(c, b.driver("local", process.AnyCPU))
	case c.Name == "memory/calls":
		return b.drive(c, b.driver("memory", process.AnyCPU))
	case c.Name == "memory/calls-tcp":
		return b.remote(c, "memory")
	default:
		return b.remote(c, "remote")
	}
}

// pythonDrivers are the programs in Python, by the beginnings of their cases' names.
var pythonDrivers = []struct{ prefix, program string }{
	{"local/python", "bench/python/local.py"},
	{"async/python", "bench/python/awaited.py"},
	{"arrow/", "bench/python/arrow.py"},
	{"import", "bench/python/imports.py"},
	{"shm/python", "bench/python/shm.py"},
	{"shm/get-64MiB-python", "bench/python/shm.py"},
}

// pythonProgram gives the program that measures a case; empty: it is not Python's.
func pythonProgram(c *measure.Case) string {
	for _, d := range pythonDrivers {
		if strings.HasPrefix(c.Name, d.prefix) {
			return d.program
		}
	}
	return ""
}

// needsPython says whether a case is about Python.
func needsPython(c *measure.Case) bool { return pythonProgram(c) != "" }

// pythonDriver gives the command of a case of Python.
func (b *bench) pythonDriver(c *measure.Case) *process.Command {
	return &process.Command{Path: b.python, Args: []string{pythonProgram(c)},
		Env: []string{"PYTHONPATH=" + filepath.Join(b.build, "bench", "python")}, CPU: process.AnyCPU}
}

// needsRust says whether a case is about Rust.
func needsRust(c *measure.Case) bool {
	return strings.HasPrefix(c.Name, "local/rust") || strings.HasPrefix(c.Name, "async/rust") ||
		strings.HasPrefix(c.Name, "shm/rust") || strings.HasPrefix(c.Name, "shm/get-64MiB-rust")
}

// remote starts a server and runs the driver that calls it.
func (b *bench) remote(c *measure.Case, name string) ([]measure.Block, error) {
	serverCPU, callerCPU := process.AnyCPU, process.AnyCPU
	switch c.Name {
	case "tcp/1-one-cpu":
		serverCPU, callerCPU = driverCPU, driverCPU
	case "tcp/1-two-cpus":
		serverCPU, callerCPU = otherCPU, driverCPU
	}
	command := b.driver("server", serverCPU)
	switch c.Name {
	case "tree/graphsum":
		command.Args = []string{"--case", "tree"}
	case "tcp/fetch-64MiB":
		command.Args = []string{"--case", "table"}
	}
	return served(command, 3, func(server *process.Server) ([]measure.Block, error) {
		driver := b.driver(name, callerCPU)
		driver.Args = []string{"--server", server.Ready[0], "--floor", server.Ready[1],
			"--pid", strconv.Itoa(server.PID())}
		return b.drive(c, driver)
	})
}

// served runs something while a server serves, which says so with as many words at least.
func served(
	command *process.Command, words int, run func(*process.Server) ([]measure.Block, error),
) (blocks []measure.Block, err error) {
	server, err := command.Serve()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if len(server.Ready) < words {
		return nil, fmt.Errorf("the server said ready %q: %d words were expected", server.Ready, words)
	}
	return run(server)
}

// driver gives the command of a program that make built.
func (b *bench) driver(name string, cpu int) *process.Command {
	return &process.Command{Path: filepath.Join(b.build, "bench", name), CPU: cpu}
}

// drive runs a driver for one case and reads its blocks.
func (b *bench) drive(c *measure.Case, driver *process.Command) ([]measure.Block, error) {
	driver.Args = append(driver.Args, "--case", c.Name, "--rounds", strconv.Itoa(b.rounds))
	out, err := driver.Run(os.Stderr)
	if err != nil {
		return nil, err
	}
	return measure.ReadBlocks(bytes.NewReader(out))
}
