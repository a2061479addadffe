package core

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
)

var seed = flag.Uint64("seed", 0, "seed of randomised tests; 0: chosen at random")

// seeded gives random numbers that -seed repeats.
func seeded(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// patience is how long a test waits for what must happen, on a machine that does much else.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(playRole(role))
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = l.Close() // the runtime's own descriptors for polling are there from now on
	}
	used, _ := arena.Usage()
	descriptors := openDescriptors()
	code := m.Run()
	if code == 0 {
		until := time.Now().Add(patience) // what was left behind ends a moment after it was let go
		for code = leaks(io.Discard, used, descriptors); code != 0 && time.Now().Before(until); {
			code = leaks(io.Discard, used, descriptors)
		}
		leaks(os.Stderr, used, descriptors)
	}
	os.Exit(code)
}

// leaks looks for what the tests left behind.
func leaks(to io.Writer, used, descriptors int) (code int) {
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(to, err)
		code = 1
	}
	if after, _ := arena.Usage(); after > used {
		fmt.Fprintf(to, "%d bytes outside the Go heap are left\n", after-used)
		code = 1
	}
	if after := openDescriptors(); after > descriptors {
		fmt.Fprintf(to, "%d descriptors are left\n", after-descriptors)
		code = 1
	}
	return code
}

// openDescriptors counts the descriptors of this process, but those of the memory that it keeps.
func openDescriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(entries) - arena.Shared().Descriptors // which stay for what comes next
}

// open opens a worker that is closed when the test ends.
func open(t testing.TB, o Options) *Worker {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	w, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close(patience)) })
	return w
}

// members opens workers that form a cluster; the first is its directory. With "shm" they listen at
// TCP ports, and find shared memory by themselves.
func members(t testing.TB, n int, scheme string, udfs func() []udf.Definition) []*Worker {
	t.Helper()
	workers := make([]*Worker, n)
	for i := range workers {
		address := "tcp://127.0.0.1:0"
		if scheme == "inproc" {
			address = fmt.Sprintf("inproc://%s-%d", t.Name(), i)
		}
		o := Options{NodeID: uint64(i + 1), Listen: []string{address}, NoSharedMemory: scheme != "shm"}
		if udfs != nil {
			o.UDFs = udfs()
		}
		if i > 0 {
			o.Join = workers[0].Addresses()
		}
		workers[i] = open(t, o)
	}
	return workers
}

func put(t testing.TB, w *Worker, name string, values ...int64) *Vertex {
	t.Helper()
	v, err := w.Put(PutOptions{Name: name}, vertex.Int64Batch("x", values...))
	require.NoError(t, err)
	t.Cleanup(v.Release)
	return v
}

func function(t testing.TB, w *Worker, name string) *UDF {
	t.Helper()
	u, err := w.OpenUDF(name)
	require.NoError(t, err)
	return u
}

// call makes one call and gives it back, its results cleared when the test ends.
func call(t testing.TB, w *Worker, c Call) *Call {
	t.Helper()
	calls := []Call{c}
	require.NoError(t, w.Run(calls))
	t.Cleanup(calls[0].Clear)
	return &calls[0]
}

// number makes one call on one vertex and gives its result as a number.
func number(t testing.TB, w *Worker, name string, v *Vertex) int64 {
	t.Helper()
	c := call(t, w, Call{UDF: function(t, w, name), Targets: []*Vertex{v}, Buffer: make([]byte, 8)})
	require.Nil(t, c.Err)
	return get(c.Result.Bytes)
}

func get(bytes []byte) int64 { return int64(binary.LittleEndian.Uint64(bytes)) }

func reply(out *udf.Output, n int64) { binary.LittleEndian.PutUint64(out.Reserve(8), uint64(n)) }

func valueOf(in *udf.Input) int64 {
	sum := int64(0)
	if in.Batch != nil {
		for _, x := range in.Batch.Int64(0) {
			sum += x
		}
	}
	return sum
}

func spawn(out *udf.Output, targets []vertex.ID, s udf.Spawn) error {
	for _, id := range targets {
		s.Target = id
		if err := out.Spawn(s); err != nil {
			return err
		}
	}
	return nil
}

func addUp(in *udf.MergeInput, out *udf.Output) error {
	sum := int64(0)
	for _, p := range in.Parts {
		sum += get(p.Bytes)
	}
	reply(out, sum)
	return nil
}

func goFunction(name string, flags udf.Flags, f udf.Func) udf.Definition {
	return udf.Definition{Kind: udf.KindGo, Name: name, Version: "1", Flags: flags, Code: f}
}

// common are functions that many tests use; each worker registers its own.
func common() []udf.Definition {
	return []udf.Definition{
		goFunction("value", udf.Short|udf.Commutative, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in))
				return nil
			}}),
		goFunction("tree_sum", udf.Short|udf.Commutative, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in))
				return spawn(out, in.Children, udf.Spawn{})
			}}),
		goFunction("increment", udf.Short|udf.Commutative|udf.Updates, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				next := valueOf(in) + 1
				reply(out, next)
				return out.SetValue(vertex.Int64Batch("x", next))
			}}),
		// trail gives a letter for each vertex of a tree, in order; its merge is not commutative.
		goFunction("trail", udf.Short, udf.Func{
			Calculate: func(in *udf.Input, out *udf.Output) error {
				out.Bytes([]byte{byte('a' + valueOf(in))})
				return spawn(out, in.Children, udf.Spawn{})
			},
			Merge: func(in *udf.MergeInput, out *udf.Output) error {
				var all []byte
				for _, p := range in.Parts {
					all = append(all, p.Bytes...)
				}
				out.Bytes(all)
				return nil
			}}),
		goFunction("parts", udf.Short, udf.Func{
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in))
				return nil
			}}),
	}
}

func requireCode(t testing.TB, code status.Code, err error, says ...string) {
	t.Helper()
	require.Equal(t, code, status.Of(err), "%v", err)
	for _, text := range says {
		require.Contains(t, err.Error(), text)
	}
}

// stat gives one of a worker's own counters, or -1.
func stat(w *Worker, name string) int64 {
	for _, s := range w.Stats() {
		if s.Name == name && s.Peer == 0 {
			return s.Value
		}
	}
	return -1
}
