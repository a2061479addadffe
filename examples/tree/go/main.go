// The tree is the classic testbed of systems that send functions to data: a tree of fourteen
// numbers on two workers, and three questions that walk it.
//
//	go run ./examples/tree/go -over tcp
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"dcf/core"
)

func main() {
	over := flag.String("over", "one", "where the tree lies: one worker, or two that speak over inproc or tcp")
	flag.Parse()
	if err := show(*over); err != nil {
		fmt.Fprintln(os.Stderr, "tree:", err)
		os.Exit(1)
	}
}

// workers opens the worker that asks and the one that has the second half of the tree.
func workers(over string) (first, second *core.Worker, err error) {
	addresses := map[string]string{"one": "", "inproc": "inproc://tree", "tcp": "tcp://127.0.0.1:0"}
	address, known := addresses[over]
	if !known {
		return nil, nil, fmt.Errorf("-over is one, inproc or tcp, not %q", over)
	}
	options := core.Options{UDFs: definitions()}
	if over == "one" {
		first, err = core.Open(options)
		return first, first, err
	}
	options.NodeID, options.Listen = 1, []string{address}
	if first, err = core.Open(options); err != nil {
		return nil, nil, err
	}
	options.NodeID, options.Listen, options.Join = 2, []string{"tcp://127.0.0.1:0"}, first.Addresses()
	if over == "inproc" {
		options.Listen = []string{"inproc://tree-2"}
	}
	if second, err = core.Open(options); err != nil {
		_ = first.Close(time.Second)
		return nil, nil, err
	}
	return first, second, nil
}

func closeAll(first, second *core.Worker) {
	if second != first {
		_ = second.Close(5 * time.Second)
	}
	_ = first.Close(5 * time.Second)
}

func show(over string) error {
	first, second, err := workers(over)
	if err != nil {
		return err
	}
	defer closeAll(first, second)
	t, err := build(first, second, "")
	if err != nil {
		return err
	}
	for distance := range 4 {
		sum, err := t.maxAdjacentSum(distance)
		if err != nil {
			return err
		}
		fmt.Printf("MaxAdjacentSum %d: %d\n", distance, sum)
	}
	largest, smallest, err := t.swapLargestAndSmallest()
	if err != nil {
		return err
	}
	fmt.Printf("SwapLargestAndSmallest: %d and %d\n", largest.Value, smallest.Value)
	for range 2 {
		sum, err := t.graphSum()
		if err != nil {
			return err
		}
		fmt.Printf("GraphSum: %d\n", sum)
	}
	return t.drop()
}
