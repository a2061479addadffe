// Command dcfpeer runs the cases in which dcf is compared with other systems, from C and from
// Python, against two servers of this host, and prints one line of JSON. See docs/bench.md.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dcf/bench/process"
)

// line is what is printed; its names are those that the other systems' runners print.
type line struct {
	Peer         string          `json:"peer"`
	Version      string          `json:"version"`
	Lang         string          `json:"lang"`
	LoadAverage  string          `json:"loadavg"`
	StartupS     float64         `json:"startup_s"`
	InstallMiB   float64         `json:"install_mib"`
	Idle         memory          `json:"idle"`
	RSSAfter     memory          `json:"rss_after"`
	Cases        json.RawMessage `json:"cases"`
	PythonClient json.RawMessage `json:"python_client,omitempty"`
	Notes        []string        `json:"notes"`
}

// memory is what a server takes.
type memory struct {
	RSSMiB float64 `json:"rss_mib"`
	PSSMiB float64 `json:"pss_mib"`
	Procs  int     `json:"procs"`
}

// client is what a program in C or Python prints.
type client struct {
	Version   string          `json:"version"`
	ServedHow string          `json:"served_how"`
	Cases     json.RawMessage `json:"cases"`
}

func main() {
	build := flag.String("build", "build", "the `folder` that make built into")
	python := flag.String("python", "", "a Python that has dcf; empty: C calls only")
	seconds := flag.Float64("seconds", 2, "`seconds` of each case")
	flag.Parse()
	l, err := run(*build, *python, *seconds)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dcfpeer:", err)
		os.Exit(1)
	}
}

func run(build, python string, seconds float64) (l *line, err error) {
	program := func(name string, args ...string) *process.Command {
		return &process.Command{Path: filepath.Join(build, "bench", name), Args: args,
			CPU: process.AnyCPU}
	}
	l = &line{Peer: "dcf", Lang: "c", Notes: []string{
		"the functions are in C and run in the server, for Python callers too",
		"the first server holds 72 MiB of data at idle",
		"call_pipelined: 64 calls in one dcf_queue_submit; from Python 64 calls of Worker.submit",
		"fanout_agg: 2 servers, one call of 8 targets",
	}}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil, err
	}
	l.LoadAverage = strings.TrimSpace(string(load))
	start := time.Now()
	first, err := program("server", "--case", "peer").Serve()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, first.Stop()) }()
	l.StartupS = hundredths(time.Since(start).Seconds())
	if len(first.Ready) == 0 {
		return nil, fmt.Errorf("the first server did not say where it listens")
	}
	address := first.Ready[0]
	second, err := program("server", "--case", "peer", "--server", address).Serve()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, second.Stop()) }()
	if l.Idle, err = memoryOf(first.PID()); err != nil {
		return nil, err
	}
	args := []string{"--server", address, "--seconds", strconv.FormatFloat(seconds, 'g', -1, 64)}
	c, err := runClient(program("peer", args...))
	if err != nil {
		return nil, err
	}
	l.Version, l.Cases = c.Version, c.Cases
	l.Notes = append(l.Notes, "calls from C are served by way of: "+c.ServedHow)
	if python != "" {
		command := &process.Command{Path: python, Args: append([]string{"bench/peer/client.py"}, args...),
			Env: []string{"PYTHONPATH=" + filepath.Join(build, "bench", "python")}, CPU: process.AnyCPU}
		if c, err = runClient(command); err != nil {
			return nil, err
		}
		l.PythonClient = c.Cases
		l.Notes = append(l.Notes, "calls from Python are served by way of: "+c.ServedHow)
	}
	if l.RSSAfter, err = memoryOf(first.PID()); err != nil {
		return nil, err
	}
	library, err := os.Stat(filepath.Join(build, "lib", "libdcf.so"))
	if err != nil {
		return nil, err
	}
	l.InstallMiB = hundredths(float64(library.Size()) / (1 << 20))
	return l, nil
}

func runClient(command *process.Command) (client, error) {
	var c client
	out, err := command.Run(os.Stderr)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(out, &c); err != nil {
		return c, fmt.Errorf("%s printed no result: %w: %.200q", command, err, out)
	}
	return c, nil
}

func memoryOf(pid int) (memory, error) {
	resident, err := process.ResidentKiB(pid)
	if err != nil {
		return memory{}, err
	}
	share, err := process.ProportionalKiB(pid)
	return memory{hundredths(resident / 1024), hundredths(share / 1024), 1}, err
}

func hundredths(v float64) float64 { return math.Round(v*100) / 100 }
