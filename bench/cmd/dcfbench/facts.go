package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"dcf/bench/measure"
	"dcf/bench/process"
)

// settleTime is how long an idle dcfnode is left alone before its memory is read: what starting
// took has then been given back, or never will be.
const settleTime = 3 * time.Second

// size measures a product without its symbols.
func (b *bench) size(c *measure.Case) ([]measure.Block, error) {
	path := filepath.Join(b.build, "lib", "libdcf.so")
	if c.Name == "size/dcfnode" {
		path = filepath.Join(b.build, "bin", "dcfnode")
	}
	folder, err := os.MkdirTemp("", "dcfbench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	stripped := filepath.Join(folder, "stripped")
	if text, err := exec.Command("strip", "-o", stripped, path).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("strip %s: %w: %s", path, err, text)
	}
	info, err := os.Stat(stripped)
	if err != nil {
		return nil, err
	}
	return value(c, float64(info.Size())/1e6, "MB"), nil
}

// idle measures the memory of a dcfnode that has nothing to do.
func (b *bench) idle(c *measure.Case) (blocks []measure.Block, err error) {
	node := exec.Command(filepath.Join(b.build, "bin", "dcfnode"), "--listen", "tcp://127.0.0.1:0")
	if err := node.Start(); err != nil {
		return nil, err
	}
	defer kill(node)
	time.Sleep(settleTime)
	kib, err := process.ResidentKiB(node.Process.Pid)
	if err != nil {
		return nil, fmt.Errorf("dcfnode ended, or cannot be looked at: %w", err)
	}
	return value(c, kib/1024, "MiB"), nil
}

// value wraps a figure that is no time.
func value(c *measure.Case, v float64, unit string) []measure.Block {
	return []measure.Block{{Case: c.Name, Value: &v, Unit: unit}}
}
