package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"dcf/bench/measure"
	"dcf/bench/process"
)

// idleNode is the id of the dcfnode that has idle clients: they put a vertex there.
const idleNode = "1"

// How long its wake-ups are counted; a quick run shows only that they can be.
const (
	idleTime      = 10 * time.Second
	quickIdleTime = time.Second
)

// wakeUps counts how often an idle dcfnode wakes up whose clients are idle, too.
func (b *bench) wakeUps(c *measure.Case) ([]measure.Block, error) {
	node := exec.Command(filepath.Join(b.build, "bin", "dcfnode"), "--node-id", idleNode,
		"--listen", "tcp://127.0.0.1:0")
	address, err := startNode(node)
	if err != nil {
		return nil, err
	}
	defer kill(node)
	clients := b.driver("crowd", process.AnyCPU)
	clients.Args = []string{"--case", c.Name, "--server", address}
	return served(clients, 1, func(*process.Server) ([]measure.Block, error) {
		settle, window := settleTime, idleTime
		if b.rounds <= quickRounds {
			settle, window = 0, quickIdleTime
		}
		time.Sleep(settle)
		before, err := process.WakeUps(node.Process.Pid)
		if err != nil {
			return nil, err
		}
		time.Sleep(window)
		after, err := process.WakeUps(node.Process.Pid)
		return value(c, float64(after-before)/window.Seconds(), "wake-ups/s"), err
	})
}

// startNode starts a dcfnode and gives the address that it says it listens on.
func startNode(node *exec.Cmd) (string, error) {
	stdout, err := node.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := node.Start(); err != nil {
		return "", err
	}
	late := time.AfterFunc(process.ReadyTimeout, func() { _ = node.Process.Kill() })
	defer late.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) < 3 || words[0] != "listening" {
		kill(node)
		return "", fmt.Errorf("dcfnode did not say where it listens, but %q", line)
	}
	return words[2], nil
}

// kill ends a dcfnode at once: how it stops is for its own tests to say.
func kill(node *exec.Cmd) {
	_ = node.Process.Kill()
	_ = node.Wait()
}
