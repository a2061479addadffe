// Command goserver is the other process of the cases of shared memory whose function is in Go: a
// worker with the function and tables that the drivers call, and the floor's ring beside it. It
// prints "ready ADDRESS RING" when it serves, and ends when its standard input does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"dcf/bench/floors"
	"dcf/bench/functions"
	"dcf/core"
	"dcf/udf"
	"dcf/vertex"
)

// What bench/c/fixture.h says.
const (
	version    = "bench-1"
	tableBytes = 64 << 20
)

const closeTime = 10 * time.Second

func main() {
	spin := flag.Duration("spin", 0, "how long to spin before sleeping; 0: as dcf likes, negative: never")
	table := flag.Bool("table", false, `make "table", of 64 MiB`)
	flag.Parse()
	if err := run(*spin, *table); err != nil {
		fmt.Fprintln(os.Stderr, "goserver:", err)
		os.Exit(1)
	}
}

func run(spin time.Duration, table bool) (err error) {
	load := []core.Load{{Name: "item", Value: vertex.Int64Batch("value", 1, 2, 3, 4, 5, 6, 7, 8)}}
	if table {
		load = append(load, core.Load{Name: "table", Value: newTable()})
	}
	worker, err := core.Open(core.Options{Listen: []string{"tcp://127.0.0.1:0"}, Spin: spin, Load: load,
		UDFs: []udf.Definition{functions.Add(version)}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.Close(closeTime)) }()
	ring, err := floors.ServeRing(os.Getpid())
	if err != nil {
		return err
	}
	fmt.Println("ready", worker.Addresses()[0], ring)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// newTable counts its rows from 0.
func newTable() *vertex.Batch {
	values := make([]float64, tableBytes/8)
	for i := range values {
		values[i] = float64(i)
	}
	return vertex.Float64Batch("value", values...)
}
