// The Go peer: a worker that does what it is told on its standard input, one line a command, and
// answers each with a line. pairs/peers.py says what the commands are.
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"dcf/core"
	"dcf/core/status"
	"dcf/udf"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer.go:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	if len(args) < 1 {
		return errors.New("usage: peer NODE [ADDRESS]")
	}
	node, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	worker, err := core.Open(core.Options{NodeID: node, Listen: []string{"tcp://127.0.0.1:0"},
		Join: args[1:]})
	if err != nil {
		return err
	}
	fmt.Println("ok", worker.Addresses()[0])
	p := &peer{worker: worker}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		words := strings.Fields(in.Text())
		if words[0] == "close" {
			say("ok", worker.Close(5*time.Second))
			return nil
		}
		say(p.obey(words[0], words[1:]))
	}
	return errors.New("nobody said close")
}

// say prints the answer to a command.
func say(text string, err error) {
	if err == nil {
		fmt.Println(text)
		return
	}
	effects := "-"
	if failed, ok := errors.AsType[*callError](err); ok {
		effects = effectsNames[failed.effects]
	}
	e := status.From(err)
	fmt.Printf("error %v %d %s %x %x\n", e.Code, e.Node, effects, e.Message, e.Detail)
}

// peer obeys commands on a worker.
type peer struct{ worker *core.Worker }

func (p *peer) obey(command string, args []string) (string, error) {
	switch command {
	case "register":
		return "ok", p.register(args[0], args[1])
	case "put":
		return "ok", p.put(args[0], args[1], args[2:])
	case "call":
		return p.call(args)
	}
	v, err := p.worker.OpenName(args[0])
	if err != nil {
		return "", err
	}
	defer v.Release()
	switch command {
	case "set":
		return "ok", set(v, args[1:])
	case "read":
		return "ok", read(v, args[1])
	case "drop":
		return "ok", v.Drop()
	}
	return "", fmt.Errorf("unknown command %q", command)
}

func (p *peer) register(name, flags string) error {
	n, err := strconv.ParseUint(flags, 10, 32)
	if err != nil {
		return err
	}
	u, err := p.worker.Register(udf.Definition{Kind: udf.KindGo, Name: name, Version: "1",
		Flags: udf.Flags(n), Code: function(name)})
	if err == nil {
		u.Release() // it stays registered
	}
	return err
}

func (p *peer) put(name, shards string, table []string) error {
	count, err := strconv.Atoi(shards)
	if err != nil {
		return err
	}
	value, err := readTable(table)
	if err != nil {
		return err
	}
	v, err := p.worker.Put(core.PutOptions{Name: name, ShardCount: count}, value)
	if err != nil {
		value.Release()
		return err
	}
	v.Release()
	return nil
}

func set(v *core.Vertex, table []string) error {
	value, err := readTable(table)
	if err != nil {
		return err
	}
	if _, err := v.Set(0, value); err != nil {
		value.Release()
		return err
	}
	return nil
}

func read(v *core.Vertex, path string) error {
	stream, err := v.Stream(0)
	if err != nil {
		return err
	}
	defer stream.Close()
	return writeTable(path, stream.Schema(), stream.Next)
}

// ---- Calls

var effectsNames = map[core.Effects]string{core.EffectsNone: "none",
	core.EffectsComplete: "complete", core.EffectsUnknown: "unknown"}

// callError is the error of a call that ran.
type callError struct {
	cause   *status.Error
	effects core.Effects
}

func (e *callError) Error() string { return e.cause.Error() }
func (e *callError) Unwrap() error { return e.cause }

// call does "UDF VERTEX HOW MILLISECONDS FILE ARGUMENTS...": a table that it results in goes to the
// file.
func (p *peer) call(args []string) (string, error) {
	u, err := p.worker.OpenUDF(args[0])
	if err != nil {
		return "", err
	}
	defer u.Release()
	v, err := p.worker.OpenName(args[1])
	if err != nil {
		return "", err
	}
	defer v.Release()
	milliseconds, err := strconv.Atoi(args[3])
	if err != nil {
		return "", err
	}
	calls := []core.Call{{UDF: u, Targets: []*core.Vertex{v},
		Flags:   map[string]core.CallFlags{"owner": core.AtOwner, "here": core.Here}[args[2]],
		Timeout: time.Duration(milliseconds) * time.Millisecond}}
	if err := arguments(&calls[0].Arguments, args[5:]); err != nil {
		return "", err
	}
	if b := calls[0].Arguments.Batch; b != nil {
		defer b.Release()
	}
	run := p.worker.Run
	if args[2] == "queue" {
		run = p.runByQueue
	}
	if err := run(calls); err != nil {
		return "", err
	}
	defer calls[0].Clear()
	if calls[0].Err != nil {
		return "", &callError{calls[0].Err, calls[0].Effects}
	}
	return result(&calls[0], args[4])
}

// arguments reads "bytes" and hexadecimal digits, "table" and a table, or "none".
func arguments(value *udf.Value, words []string) (err error) {
	switch words[0] {
	case "bytes":
		value.Bytes, err = hex.DecodeString(words[1])
	case "table":
		value.Batch, err = readTable(words[1:])
	}
	return err
}

// runByQueue submits the calls and waits for them.
func (p *peer) runByQueue(calls []core.Call) error {
	queue, err := p.worker.OpenQueue()
	if err != nil {
		return err
	}
	if err := queue.Submit([]*core.Call{&calls[0]}); err != nil {
		return errors.Join(err, queue.Close())
	}
	done := make([]*core.Call, 1)
	for n := 0; n == 0 && err == nil; {
		n, err = queue.Poll(done, 0)
	}
	return errors.Join(err, queue.Close())
}

func result(c *core.Call, path string) (string, error) {
	values := c.Parts
	if c.Result.Batch != nil {
		values = []udf.Value{c.Result}
	}
	text := fmt.Sprintf("ok %s %d", effectsNames[c.Effects], c.ServedBy)
	switch {
	case len(values) > 0 && values[0].Batch == nil:
		return fmt.Sprintf("%s bytes %x", text, values[0].Bytes), nil
	case len(values) > 0:
		return text + " table", writeTable(path, values[0].Batch.Schema(), batches(values))
	case c.Result.Bytes != nil:
		return fmt.Sprintf("%s bytes %x", text, c.Result.Bytes), nil
	}
	return text + " none", nil
}
