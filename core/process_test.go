package core

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// The test binary is another process of a test where roleVariable says which. What else it is told
// stands in the other variables.
const (
	roleVariable    = "DCF_CORE_ROLE"
	addressVariable = "DCF_CORE_ADDRESS" // where the server listens
	counterVariable = "DCF_CORE_COUNTER" // the name of the vertex that a client counts up
	pointVariable   = "DCF_CORE_POINT"   // the failpoint at which it dies, or empty
	plainVariable   = "DCF_CORE_PLAIN"   // whether a server is without shared memory
	hitsVariable    = "DCF_CORE_HITS"    // at which time that it comes there
)

func playRole(role string) int {
	parent := make(chan struct{}) // closed when the process that started this one lets go of it
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(parent)
	}()
	switch role {
	case "client":
		return callForever(parent)
	case "hostile":
		return spoil(parent)
	case "short":
		return exitCode(callShort())
	case "poor":
		return exitCode(callPoor())
	case "server":
		return serveForever(parent)
	case "listener":
		return serve(parent)
	}
	panic(role)
}

// child is another process of a test. It ends with the test, at the latest.
type child struct {
	*exec.Cmd
	in     io.Closer
	out    io.Reader
	stderr *bytes.Buffer // once it has ended
	reaped sync.Once
}

func start(t testing.TB, role string, variables ...string) *child {
	return startAs(t, nil, role, variables...)
}

// startAs starts a process of another user; nil: this one.
func startAs(t testing.TB, user *syscall.Credential, role string, variables ...string) *child {
	c := &child{Cmd: exec.Command("/proc/self/exe"), stderr: new(bytes.Buffer)}
	c.Env = append(append(os.Environ(), roleVariable+"="+role), variables...)
	c.Stderr = c.stderr
	c.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	c.in, c.out = in, out
	require.NoError(t, c.Start())
	return c
}

// reap waits until the process has ended, all of whose output was read.
func (c *child) reap() {
	c.reaped.Do(func() {
		_ = c.Wait()
		_ = c.in.Close()
	})
}

func (c *child) kill() {
	_ = c.Process.Kill()
	c.reap()
}

func (c *child) killed() bool {
	ended, ok := c.ProcessState.Sys().(syscall.WaitStatus)
	return ok && ended.Signaled() && ended.Signal() == syscall.SIGKILL
}

// expect waits for a byte that the process says.
func (c *child) expect(t testing.TB, want byte) {
	var said [1]byte
	_, err := io.ReadFull(c.out, said[:])
	if err != nil {
		c.kill()
		require.NoError(t, err, "%s", c.stderr)
	}
	require.Equal(t, string(want), string(said[:]))
}

// serve is a server with all that callers call. It says 'L' when it listens.
func serve(parent <-chan struct{}) int {
	w, err := Open(Options{NodeID: 1, Listen: []string{os.Getenv(addressVariable)}, UDFs: shared()})
	if err == nil {
		err = furnish(w)
	}
	if err == nil {
		var v *Vertex
		v, err = w.Put(PutOptions{Name: "counter0"}, vertex.Int64Batch("x", 0))
		if err == nil {
			v.Release()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	say('L')
	<-parent
	return 0
}

func exitCode(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func say(b byte) { _, _ = os.Stdout.Write([]byte{b}) }

// shared are the functions that clients of these tests call.
func shared() []udf.Definition {
	return append(common(), goFunction("echo", udf.Short, udf.Func{
		Calculate: func(in *udf.Input, out *udf.Output) error {
			out.Bytes(in.Arguments.Bytes)
			return nil
		}}))
}

const (
	answer    = 42
	builtRows = 20_000
	tableRows = 40_000
	echoBytes = 150_000 // more than the queue of bytes holds of a request and its reply
)

// furnish makes what callers call: a number, and a table of several pieces.
func furnish(w *Worker) error {
	v, err := w.Put(PutOptions{Name: "answer"}, vertex.Int64Batch("x", answer))
	if err != nil {
		return err
	}
	v.Release()
	v, err = w.Put(PutOptions{Name: "table"}, vertex.Int64Batch("x", numbers(tableRows)...))
	if err == nil {
		v.Release()
	}
	return err
}

// caller makes calls of all kinds through shared memory, and looks at every answer.
type caller struct {
	w              *Worker
	name           string // of its counter, and of what it builds but for the end
	value, echo    *UDF
	increment      *UDF
	answer, table  *Vertex
	counter        *Vertex
	round          uint64
	before, behind func() // of an update; nil: nobody asks
}

func newCaller(w *Worker, counter string) (c *caller, err error) {
	c = &caller{w: w, name: counter, before: func() {}, behind: func() {}}
	for name, u := range map[string]**UDF{"value": &c.value, "echo": &c.echo, "increment": &c.increment} {
		if *u, err = w.OpenUDF(name); err != nil {
			return nil, err
		}
	}
	for name, v := range map[string]**Vertex{"answer": &c.answer, "table": &c.table, counter: &c.counter} {
		if *v, err = w.OpenName(name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *caller) release() {
	for _, v := range []*Vertex{c.answer, c.table, c.counter} {
		v.Release()
	}
}

// run makes one call, and gives what its result is, which is valid until then returns.
func (c *caller) run(u *UDF, target *Vertex, arguments []byte, then func(result []byte) error) error {
	calls := []Call{{UDF: u, Targets: []*Vertex{target}, Flags: AtOwner, Buffer: make([]byte, 8),
		Arguments: udf.Value{Bytes: arguments}}}
	if err := c.w.Run(calls); err != nil {
		return err
	}
	defer calls[0].Clear()
	if calls[0].Err != nil {
		return calls[0].Err
	}
	return then(calls[0].Result.Bytes)
}

// ask reads the number.
func (c *caller) ask() error {
	return c.run(c.value, c.answer, nil, func(result []byte) error {
		if len(result) != 8 || get(result) != answer {
			return fmt.Errorf("the answer is %x", result)
		}
		return nil
	})
}

// send has a large argument come back. Each is another one, so that what is left of an earlier one shows.
func (c *caller) send() error {
	c.round++
	sent := bytes.Repeat([]byte(fmt.Sprintf("%08x", c.round*0x9e3779b9&0xffffffff)), echoBytes/8)
	return c.run(c.echo, c.answer, sent, func(result []byte) error {
		if !bytes.Equal(sent, result) {
			return fmt.Errorf("%d bytes came back as %d others", len(sent), len(result))
		}
		return nil
	})
}

// count counts up.
func (c *caller) count() error {
	c.before()
	return c.run(c.increment, c.counter, nil, func([]byte) error {
		c.behind()
		return nil
	})
}

// fetch brings the table here.
func (c *caller) fetch() error {
	batch, _, err := c.table.Export(0)
	if err != nil {
		return err
	}
	defer batch.Release()
	for i, x := range batch.Int64(0) {
		if x != int64(i) {
			return fmt.Errorf("row %d of the table is %d", i, x)
		}
	}
	return nil
}

// builtBy is the name of the table that the caller of a counter builds.
func builtBy(counter string) string { return counter + " built" }

// build makes a table at the server of one that was filled in here, where it lies. Each has the same
// number in all its rows, another one than those before it.
func (c *caller) build() error {
	c.round++
	schema, err := vertex.SchemaOf(builtSchema)
	if err != nil {
		return err
	}
	b, err := c.w.Build(schema, builtRows)
	if err != nil {
		return err
	}
	defer b.Abort()
	numbers, err := b.Column(0, 0)
	if err != nil {
		return err
	}
	texts, err := b.Column(1, builtRows*8)
	if err != nil {
		return err
	}
	values, offsets := of[float64](numbers.Values), of[int32](texts.Offsets)
	for i := range int(builtRows) {
		values[i], offsets[i+1] = float64(c.round), int32(i+1)*8
		binary.LittleEndian.PutUint64(texts.Values[i*8:], c.round)
	}
	v, value, err := b.Commit(PutOptions{Name: builtBy(c.name), Node: 1, Replace: true})
	if err != nil {
		return err
	}
	value.Release()
	v.Release()
	return nil
}

var builtSchema = arrow.NewSchema([]arrow.Field{
	{Name: "x", Type: arrow.PrimitiveTypes.Float64}, {Name: "t", Type: arrow.BinaryTypes.Binary}}, nil)

// of gives memory as values.
func of[T any](memory []byte) []T {
	var one T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(memory))), uintptr(len(memory))/unsafe.Sizeof(one))
}

// look fetches what a caller built, and says what number it has, or that it is of several, in parts.
func look(w *Worker, counter string) (number uint64, err error) {
	v, err := w.OpenName(builtBy(counter))
	if err != nil {
		return 0, err
	}
	defer v.Release()
	batch, _, err := v.Export(0)
	if err != nil {
		return 0, err
	}
	defer batch.Release()
	texts := batch.Record().Column(1).(*array.Binary)
	values := batch.Float64(0)
	number = uint64(values[0])
	want := binary.LittleEndian.AppendUint64(nil, number)
	for i, x := range values {
		if text := texts.Value(i); x != float64(number) || !bytes.Equal(text, want) {
			return 0, status.Errorf(status.Corrupt, "row %d of a table of %d is %v, %x", i, number, x, text)
		}
	}
	return number, nil
}

// reread fetches what build made.
func (c *caller) reread() error {
	got, err := look(c.w, c.name)
	if err == nil && got != c.round {
		err = fmt.Errorf("the table %d came back as %d", c.round, got)
	}
	return err
}

// all makes a call of each kind.
func (c *caller) all() error {
	for _, one := range []func() error{c.ask, c.count, c.send, c.build, c.reread, c.ask, c.fetch, c.count} {
		if err := one(); err != nil {
			return err
		}
	}
	return nil
}

// sharing opens a server that others reach through shared memory only, with a counter for each of so many.
func sharing(t *testing.T, counters int) (server *Worker, address string, counts []*Vertex) {
	address = fmt.Sprintf("shm://@dcf-core-%d-%s", os.Getpid(), t.Name())
	server = open(t, Options{NodeID: 1, Listen: []string{address}, UDFs: shared()})
	require.NoError(t, furnish(server))
	for i := range counters {
		counts = append(counts, put(t, server, fmt.Sprint("counter", i), 0))
	}
	return server, address, counts
}
