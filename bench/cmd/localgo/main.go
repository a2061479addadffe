// Command localgo measures a call of a Go function on a local vertex from Go, beside what a C
// thread pays for an empty Go export, and prints the blocks for dcfbench.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"dcf/bench/floors"
	"dcf/bench/functions"
	"dcf/bench/measure"
	"dcf/core"
	"dcf/vertex"
)

// What a block is, as in bench/c/measure.h.
const (
	blockTime  = 5 * time.Millisecond
	sampleTime = 5 * time.Microsecond
	maxSamples = 8192
	closeTime  = 10 * time.Second
)

// The call: 16 bytes there, 8 back.
const (
	firstValue = 1
	argument   = 5
)

func main() {
	name := flag.String("case", "local/go", "the case's `name`")
	rounds := flag.Int("rounds", 1, "blocks of each series")
	flag.Parse()
	if err := run(*name, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "localgo:", err)
		os.Exit(1)
	}
}

func run(name string, rounds int) (err error) {
	worker, err := core.Open(core.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.Close(closeTime)) }()
	calls, err := prepare(worker)
	if err != nil {
		return err
	}
	thread, err := floors.NewThread()
	if err != nil {
		return err
	}
	defer thread.Close()
	p := product{worker: worker, calls: calls}
	f := floor{thread}
	series := []struct {
		name    string
		measure func(batch int, samples []float32) (int, time.Duration, error)
		batch   int
	}{{name: measure.Product, measure: p.block}, {name: measure.Floor, measure: f.block}}
	samples := make([]float32, maxSamples)
	for i := range series {
		if series[i].batch, err = calibrate(series[i].measure, samples); err != nil {
			return err
		}
	}
	var blocks []measure.Block
	for round := range rounds {
		for i := range series {
			if round%2 == 1 {
				i = len(series) - 1 - i
			}
			s := &series[i]
			n, elapsed, err := s.measure(s.batch, samples)
			if err != nil {
				return err
			}
			blocks = append(blocks, newBlock(name, s.name, round, n*s.batch, elapsed, samples[:n]))
		}
	}
	return write(blocks)
}

// prepare makes a vertex, a function and a call of it that was seen to work.
func prepare(worker *core.Worker) ([]core.Call, error) {
	batch := vertex.Int64Batch("value", firstValue, 2, 3, 4, 5, 6, 7, 8)
	v, err := worker.Put(core.PutOptions{}, batch)
	if err != nil {
		return nil, err
	}
	add, err := worker.Register(functions.Add(""))
	if err != nil {
		return nil, err
	}
	arguments := make([]byte, 16)
	binary.LittleEndian.PutUint64(arguments, argument)
	calls := make([]core.Call, 1)
	c := &calls[0]
	c.UDF, c.Targets, c.Arguments.Bytes = add, []*core.Vertex{v}, arguments
	c.Buffer = make([]byte, 8)
	if err := worker.Run(calls); err != nil {
		return nil, err
	}
	if c.Err != nil {
		return nil, c.Err
	}
	if got := binary.LittleEndian.Uint64(c.Result.Bytes); got != firstValue+argument {
		return nil, fmt.Errorf("the call gave %d instead of %d", got, firstValue+argument)
	}
	return calls, nil
}

type product struct {
	worker *core.Worker
	calls  []core.Call
}

func (p *product) block(batch int, samples []float32) (int, time.Duration, error) {
	start := time.Now()
	var last time.Duration
	n := 0
	for ; last < blockTime && n < len(samples); n++ {
		for range batch {
			if err := p.worker.Run(p.calls); err != nil {
				return 0, 0, err
			}
			if err := p.calls[0].Err; err != nil {
				return 0, 0, err
			}
		}
		now := time.Since(start)
		samples[n] = float32(now-last) / float32(batch)
		last = now
	}
	return n, last, nil
}

type floor struct{ thread *floors.Thread }

func (f *floor) block(batch int, samples []float32) (int, time.Duration, error) {
	n, elapsed := f.thread.Block(int64(blockTime), batch, samples)
	return n, time.Duration(elapsed), nil
}

// calibrate finds how many calls make a sample long enough for the clock.
func calibrate(
	block func(int, []float32) (int, time.Duration, error), samples []float32,
) (int, error) {
	const trial = 64
	n, elapsed, err := block(trial, samples)
	if err != nil {
		return 0, err
	}
	each := elapsed / time.Duration(n*trial)
	return int(sampleTime/max(each, 1)) + 1, nil
}

func newBlock(
	name, series string, round, calls int, elapsed time.Duration, samples []float32,
) measure.Block {
	b := measure.Block{Case: name, Series: series, Round: round, Threads: 1, Calls: int64(calls),
		ElapsedNs: int64(elapsed), Samples: make([]float64, len(samples))}
	for i, s := range samples {
		b.Samples[i] = float64(s)
	}
	return b
}

func write(blocks []measure.Block) error {
	out := bufio.NewWriter(os.Stdout)
	for i := range blocks {
		if err := blocks[i].Print(out); err != nil {
			return err
		}
	}
	return out.Flush()
}
