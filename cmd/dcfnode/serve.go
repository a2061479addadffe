package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"dcf/core"
	"dcf/core/status"
)

// serve opens the worker, says so, and closes it when a signal asks for that.
func (p *program) serve(c *config) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	options := c.node.options
	if options.Spin == 0 {
		options.Spin = -1 // here it means never
	}
	options.Log = c.node.logger(p.stderr)
	options.UDFs = p.base.UDFs
	for _, name := range c.unknown {
		options.Log.Warn("an environment variable is no setting and is ignored", "name", name)
	}
	_ = core.ShareMemory(options) // Open says if it cannot be
	if err := loadAll(c.node.load, &options); err != nil {
		return err
	}
	worker, err := open(options, signals)
	if err != nil {
		return err
	}
	options.Log.Info("serving", "node", worker.NodeID(), "addresses", worker.Addresses(),
		"join", options.Join, "version", version)
	fmt.Fprintf(p.stdout, "listening on %s node %d\n", strings.Join(worker.Addresses(), ","),
		worker.NodeID())

	asked := <-signals
	options.Log.Info("stopping", "signal", asked.String(), "timeout", c.node.shutdown)
	closed := make(chan error, 1)
	go func() { closed <- worker.Close(c.node.shutdown) }()
	select {
	case err := <-closed:
		if err != nil {
			return &failure{exit: exitFailure, err: err}
		}
		options.Log.Info("stopped")
		return nil
	case asked := <-signals:
		return &failure{exit: exitFailure, err: fmt.Errorf(
			"stopped at once by a second signal (%v): calls under way were cut off", asked)}
	}
}

// open opens the worker, unless a signal comes first.
func open(options core.Options, signals <-chan os.Signal) (*core.Worker, error) {
	type opened struct {
		worker *core.Worker
		err    error
	}
	done := make(chan opened, 1)
	go func() {
		worker, err := core.Open(options)
		done <- opened{worker, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, &failure{exit: exitOf(o.err), err: o.err}
		}
		return o.worker, nil
	case asked := <-signals:
		return nil, &failure{exit: exitFailure, err: fmt.Errorf(
			"stopped by a signal (%v) before it served", asked)}
	}
}

// exitOf says whether a worker that did not open was told something wrong, or found the place
// taken or nobody there.
func exitOf(err error) int {
	switch status.Of(err) {
	case status.InvalidArgument, status.Unsupported, status.Corrupt, status.NotFound:
		return exitUsage
	case status.Internal, status.Exhausted:
		return exitFailure
	}
	return exitNoAccess
}

// loadAll reads the files that become vertices. The worker takes them over when it opens.
func loadAll(files []loadFile, options *core.Options) error {
	for _, f := range files {
		batch, err := core.LoadFile(f.path)
		if err != nil {
			for _, l := range options.Load {
				l.Value.Release()
			}
			reason := describe(err)
			if path, ok := errors.AsType[*os.PathError](err); ok {
				reason = path.Err.Error()
			}
			return wrong("cannot load %s as vertex %q: %s", f.path, f.name, reason)
		}
		options.Load = append(options.Load, core.Load{Name: f.name, Value: batch})
	}
	return nil
}

// logger writes structured logs.
func (n *node) logger(out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: n.logLevel}
	if n.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
