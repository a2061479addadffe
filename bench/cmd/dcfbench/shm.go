package main

import (
	"slices"
	"strings"

	"dcf/bench/measure"
	"dcf/bench/process"
)

// firstRuns is how many processes at most measure what each can do for the first time only once.
const firstRuns = 20

// The cases of shared memory whose server runs a function in C, and those that a process measures
// once.
var (
	servedByC = []string{"shm/c-to-c", "shm/64-c", "shm/64-submit-c", "tree/graphsum-shm"}
	firsts    = []string{"shm/get-64MiB-python", "shm/get-64MiB-rust", "shm/sum-64MiB"}
)

// isShm says whether a case is about shared memory.
func isShm(c *measure.Case) bool {
	return strings.HasPrefix(c.Name, "shm/") || c.Name == "tree/graphsum-shm"
}

// shm starts a server and runs the driver that calls it, which checks that it does so over shared
// memory.
func (b *bench) shm(c *measure.Case) ([]measure.Block, error) {
	return served(b.shmServer(c), 2, func(s *process.Server) ([]measure.Block, error) {
		driver := b.shmDriver(c)
		driver.Args = append(driver.Args, "--server", s.Ready[0], "--ring", s.Ready[len(s.Ready)-1])
		switch {
		case strings.HasPrefix(c.Name, "shm/1000-clients"):
			return served(b.shmServer(c), 2, func(alone *process.Server) ([]measure.Block, error) {
				driver.Args = append(driver.Args, "--alone", alone.Ready[0])
				return b.drive(c, driver)
			})
		case slices.Contains(firsts, c.Name):
			return b.repeat(c, driver)
		default:
			return b.drive(c, driver)
		}
	})
}

// shmServer gives the other process.
func (b *bench) shmServer(c *measure.Case) *process.Command {
	if slices.Contains(servedByC, c.Name) {
		server := b.driver("server", process.AnyCPU)
		if c.Name == "tree/graphsum-shm" {
			server.Args = []string{"--case", "tree"}
		}
		return server
	}
	server := b.driver("goserver", process.AnyCPU)
	switch c.Name {
	case "shm/asleep-one-cpu":
		server.Args, server.CPU = []string{"-spin", "-1ns"}, driverCPU
	case "shm/asleep-two-cpus":
		server.Args, server.CPU = []string{"-spin", "-1ns"}, otherCPU
	}
	if strings.HasPrefix(c.Name, "shm/get-64MiB") || strings.HasPrefix(c.Name, "shm/sum-64MiB") {
		server.Args = []string{"-table"}
	}
	return server
}

// shmDriver gives the process that calls.
func (b *bench) shmDriver(c *measure.Case) *process.Command {
	switch {
	case needsRust(c):
		return b.driver("rust", process.AnyCPU)
	case needsPython(c):
		return b.pythonDriver(c)
	case strings.HasPrefix(c.Name, "shm/1000-clients"):
		return b.driver("crowd", process.AnyCPU)
	case strings.Contains(c.Name, "-64MiB"):
		return b.driver("tables", process.AnyCPU)
	case strings.HasPrefix(c.Name, "shm/asleep"):
		return b.driver("shm", driverCPU)
	default:
		return b.driver("shm", process.AnyCPU)
	}
}

// repeat runs a driver that measures one round as often as there are rounds, firstRuns at most.
func (b *bench) repeat(c *measure.Case, driver *process.Command) ([]measure.Block, error) {
	var all []measure.Block
	for round := range min(b.rounds, firstRuns) {
		again := *driver
		again.Args = slices.Clone(driver.Args)
		blocks, err := b.drive(c, &again)
		if err != nil {
			return nil, err
		}
		for i := range blocks {
			blocks[i].Round = round
		}
		all = append(all, blocks...)
	}
	return all, nil
}
