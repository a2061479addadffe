// Package process runs the programs of a benchmark: drivers, which print blocks and end, and
// servers, which say that they are ready and serve until their input ends, so that none outlives
// the process that started it. Every wait has a deadline. It knows nothing about what they do.
package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The limits of a process.
const (
	ReadyTimeout  = 20 * time.Second  // until a server says that it is ready
	StopTimeout   = 10 * time.Second  // until a server that was told to end has ended
	DriverTimeout = 300 * time.Second // of one run of a driver
	maxErrorText  = 400               // bytes of a program's complaint that are passed on
)

// AnyCPU leaves a process on all processors.
const AnyCPU = -1

// Command is a program to run.
type Command struct {
	Path string
	Args []string
	Env  []string // beside this process's own
	CPU  int      // the only processor that it may use, or AnyCPU
}

// Run runs a driver to its end and gives what it printed. What it complained about is in the error,
// and otherwise copied to complaints.
func (c *Command) Run(complaints io.Writer) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), DriverTimeout)
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := c.command(ctx)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := start(cmd, c.CPU)
	if err == nil {
		err = cmd.Wait()
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("process: %s did not end within %v%s", c, DriverTimeout,
			said(complaint.Bytes()))
	case err != nil:
		return nil, fmt.Errorf("process: %s: %w%s", c, err, said(complaint.Bytes()))
	}
	if _, err := complaints.Write(complaint.Bytes()); err != nil {
		return nil, fmt.Errorf("process: %s: passing on its complaints: %w", c, err)
	}
	return out.Bytes(), nil
}

// Server is a running program.
type Server struct {
	command   *Command
	cmd       *exec.Cmd
	stdin     io.Closer
	complaint bytes.Buffer
	ended     chan error
	Ready     []string // the words after "ready"
}

// Serve starts a server and waits until it prints a line that begins with "ready". It must end
// when its standard input does.
func (c *Command) Serve() (*Server, error) {
	s := &Server{command: c, cmd: c.command(context.Background()), ended: make(chan error, 1)}
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("process: %s: %w", c, err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("process: %s: %w", c, err)
	}
	s.stdin, s.cmd.Stderr = stdin, &s.complaint
	if err := start(s.cmd, c.CPU); err != nil {
		return nil, fmt.Errorf("process: %s: %w", c, err)
	}
	ready := make(chan []string, 1)
	go func() {
		said := false
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			words := strings.Fields(scanner.Text())
			if !said && len(words) > 0 && words[0] == "ready" {
				ready <- words[1:]
				said = true
			}
		}
		s.ended <- s.cmd.Wait()
	}()
	timeout := time.NewTimer(ReadyTimeout)
	defer timeout.Stop()
	select {
	case s.Ready = <-ready:
		return s, nil
	case err := <-s.ended:
		return nil, fmt.Errorf("process: %s ended before it was ready: %v%s", c, err,
			said(s.complaint.Bytes()))
	case <-timeout.C:
		_ = s.kill()
		return nil, fmt.Errorf("process: %s was not ready within %v%s", c, ReadyTimeout,
			said(s.complaint.Bytes()))
	}
}

// PID gives the server's process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop tells the server to end, and kills it if it does not. The error says how it ended.
func (s *Server) Stop() error {
	s.stdin.Close()
	timeout := time.NewTimer(StopTimeout)
	defer timeout.Stop()
	select {
	case err := <-s.ended:
		if err != nil {
			return fmt.Errorf("process: %s: %w%s", s.command, err, said(s.complaint.Bytes()))
		}
		return nil
	case <-timeout.C:
		_ = s.kill()
		return fmt.Errorf("process: %s did not end within %v of being told to: killed%s", s.command,
			StopTimeout, said(s.complaint.Bytes()))
	}
}

func (s *Server) kill() (ended error) {
	_ = s.cmd.Process.Kill() // it may just have ended by itself
	return <-s.ended
}

func (c *Command) String() string { return strings.Join(append([]string{c.Path}, c.Args...), " ") }

func (c *Command) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	return cmd
}

// start starts a process on a processor. A child inherits the affinity of the thread that forks
// it, and must not change its own later: its runtime counts processors before its first line.
func start(cmd *exec.Cmd, cpu int) error {
	if cpu == AnyCPU {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, pinned unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("reading the processors of a thread: %w", err)
	}
	pinned.Set(cpu)
	if err := unix.SchedSetaffinity(0, &pinned); err != nil {
		return fmt.Errorf("pinning to processor %d: %w: is there one?", cpu, err)
	}
	err := cmd.Start()
	if e := unix.SchedSetaffinity(0, &before); e != nil && err == nil {
		err = fmt.Errorf("unpinning a thread: %w", e)
	}
	return err
}

// said quotes the end of what a program complained about.
func said(complaint []byte) string {
	text := strings.TrimSpace(string(complaint))
	if text == "" {
		return ""
	}
	if len(text) > maxErrorText {
		text = "..." + text[len(text)-maxErrorText:]
	}
	return ": " + text
}
