package core

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

func numbers(n int) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i)
	}
	return all
}

// putTable puts the numbers below n as a group of shards.
func putTable(t testing.TB, w *Worker, name string, n, shards int) *Vertex {
	t.Helper()
	v, err := w.Put(PutOptions{Name: name, ShardCount: shards}, vertex.Int64Batch("x", numbers(n)...))
	require.NoError(t, err)
	t.Cleanup(v.Release)
	return v
}

// The same question on 1, 2 and 4 workers has the same answer, and every pair of workers that must
// speak exchanges one request and one reply.
func TestOneFrameForEachDestination(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		for _, scheme := range []string{"inproc", "shm", "tcp"} {
			t.Run(fmt.Sprint(scheme, n), func(t *testing.T) {
				workers := members(t, n, scheme, common)
				table := putTable(t, workers[0], "table", 1200, 12)
				require.Equal(t, int64(719400), number(t, workers[0], "value", table)) // all connected
				requests := requestsOf(workers)
				require.Equal(t, int64(719400), number(t, workers[0], "value", table))
				for i, sent := range requestsOf(workers) {
					want := int64(0)
					if i == 0 {
						want = int64(n - 1)
					}
					require.Equal(t, want, sent-requests[i], "requests of worker %d", i+1)
				}
				c := call(t, workers[0], Call{UDF: function(t, workers[0], "value"), Targets: []*Vertex{table},
					Buffer: make([]byte, 8)})
				require.Len(t, c.Ran, n)
				for _, r := range c.Ran {
					require.Equal(t, uint64(12/n), r.Runs)
				}
			})
		}
	}
}

func requestsOf(workers []*Worker) []int64 {
	sent := make([]int64, len(workers))
	for i, w := range workers {
		for _, s := range w.Stats() {
			if s.Name == "requests.sent" {
				sent[i] += s.Value
			}
		}
	}
	return sent
}

func TestGroups(t *testing.T) {
	workers := members(t, 2, "tcp", common)
	guest := open(t, Options{Join: workers[1].Addresses()})
	table := putTable(t, guest, "table", 100, 5)
	info, err := table.Info()
	require.NoError(t, err)
	require.True(t, info.Group)
	require.Equal(t, 5, info.Children)
	require.Equal(t, int64(-1), info.Rows)
	require.NotEqual(t, guest.NodeID(), info.Owner, "a guest's group is seen by all")

	reader, err := table.Stream(0)
	require.NoError(t, err)
	require.Equal(t, numbers(100), readAll(t, reader))

	refused := vertex.Int64Batch("x", 1, 2, 3)
	defer refused.Release()
	_, err = guest.Put(PutOptions{Name: "table", ShardCount: 3}, refused)
	requireCode(t, status.AlreadyExists, err, "table")
	again, err := guest.Put(PutOptions{Name: "table", ShardCount: 3, Replace: true},
		vertex.Int64Batch("x", 1, 2, 3))
	require.NoError(t, err)
	defer again.Release()
	all, err := guest.Vertices("")
	require.NoError(t, err)
	require.Len(t, all, 4, "the shards of the old table, or of the refused one, are left")

	require.NoError(t, again.Drop())
	all, err = guest.Vertices("")
	require.NoError(t, err)
	require.Empty(t, all)
	_, err = guest.OpenName("table")
	requireCode(t, status.NotFound, err, `"table"`)
}

func readAll(t *testing.T, r Reader) (all []int64) {
	defer r.Close()
	for {
		b, err := r.Next()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		all = append(all, b.Int64(0)...)
		b.Release()
	}
}

func TestShardsByColumn(t *testing.T) {
	w := open(t, Options{UDFs: common()})
	v, err := w.Put(PutOptions{Name: "t", ShardBy: "x"}, vertex.Int64Batch("x", 3, 1, 3, 2, 1))
	require.NoError(t, err)
	defer v.Release()
	shards, err := v.Children()
	require.NoError(t, err)
	require.Len(t, shards, 3)
	require.Equal(t, int64(10), number(t, w, "value", v))
	values := vertex.Int64Batch("x", 1)
	defer values.Release()
	for _, test := range []struct {
		o    PutOptions
		code status.Code
		says string
	}{
		{PutOptions{ShardBy: "y"}, status.NotFound, "y"},
		{PutOptions{ShardBy: "x", ShardCount: 2}, status.InvalidArgument, "exclude"},
		{PutOptions{ShardCount: MaxShards + 1}, status.Exhausted, "MaxShards"},
		{PutOptions{Node: 99}, status.NotFound, "99"},
		{PutOptions{Name: strings.Repeat("n", 256)}, status.InvalidArgument, "255"},
	} {
		_, err := w.Put(test.o, values)
		requireCode(t, test.code, err, test.says)
	}
}

// A function that the owner does not have runs here, and the data comes to it.
func TestDataComesToThePrivateFunction(t *testing.T) {
	workers := members(t, 2, "tcp", common)
	guest := open(t, Options{Join: workers[0].Addresses()})
	table := putTable(t, guest, "table", 1000, 4)
	mine := common()[0]
	mine.Name, mine.Version = "mine", ""
	versioned := common()[0]
	versioned.Name, versioned.Version = "versioned", "7"
	for _, def := range []udf.Definition{mine, versioned} {
		u, err := guest.Register(def)
		require.NoError(t, err)
		for range 2 {
			c := call(t, guest, Call{UDF: u, Targets: []*Vertex{table}, Buffer: make([]byte, 8)})
			require.Nil(t, c.Err)
			require.Equal(t, int64(499500), get(c.Result.Bytes))
			require.Equal(t, []NodeRuns{{guest.NodeID(), 4}}, c.Ran)
			require.Greater(t, c.BytesFetched, uint64(8000))
			require.GreaterOrEqual(t, c.BytesMoved, c.BytesFetched)
		}
		c := call(t, guest, Call{UDF: u, Targets: []*Vertex{table}, Flags: AtOwner})
		requireCode(t, status.NotFound, c.Err, def.Name)
	}
	value, err := guest.Register(common()[0])
	require.NoError(t, err)
	c := call(t, guest, Call{UDF: value, Targets: []*Vertex{table}, Buffer: make([]byte, 8)})
	require.Nil(t, c.Err)
	require.Zero(t, c.BytesFetched, "the function went to the data")
	c = call(t, guest, Call{UDF: value, Targets: []*Vertex{table}, Buffer: make([]byte, 8), Flags: Here})
	require.Nil(t, c.Err)
	require.Equal(t, int64(499500), get(c.Result.Bytes))
	require.NotZero(t, c.BytesFetched)

	update := common()[2]
	update.Name = "increment_here"
	u, err := guest.Register(update)
	require.NoError(t, err)
	single := put(t, workers[0], "single", 1)
	remote, err := guest.Open(single.ID())
	require.NoError(t, err)
	defer remote.Release()
	c = call(t, guest, Call{UDF: u, Targets: []*Vertex{remote}})
	requireCode(t, status.Unsupported, c.Err, "register it there")
}

func TestRemoteVertexOperations(t *testing.T) {
	for _, scheme := range []string{"inproc", "shm", "tcp"} {
		t.Run(scheme, func(t *testing.T) {
			workers := members(t, 2, scheme, common)
			owner, other := workers[0], workers[1]
			put(t, owner, "v", 1, 2)
			child := put(t, other, "child", 5)
			v, err := other.OpenName("v")
			require.NoError(t, err)
			defer v.Release()
			info, err := v.Info()
			require.NoError(t, err)
			require.Equal(t, VertexInfo{ID: v.ID(), Name: "v", Kind: RemoteVertex, Owner: 1, Rows: 2, Bytes: 16,
				Version: info.Version}, info)

			batch, version, err := v.Export(0)
			require.NoError(t, err)
			require.Equal(t, []int64{1, 2}, batch.Int64(0))
			require.Equal(t, info.Version, version)
			batch.Release()

			next, err := v.Set(version, vertex.Int64Batch("x", 9))
			require.NoError(t, err)
			late := vertex.Int64Batch("x", 10)
			_, err = v.Set(version, late)
			requireCode(t, status.Aborted, err, "start over")
			late.Release()
			require.Greater(t, next, version)

			require.NoError(t, v.Link(child.ID()))
			children, err := v.Children()
			require.NoError(t, err)
			require.Equal(t, []vertex.ID{child.ID()}, children)
			require.Eventually(t, func() bool {
				parents, err := child.Parents()
				return err == nil && slices.Equal(parents, []vertex.ID{v.ID()})
			}, patience, time.Millisecond)
			require.Equal(t, int64(14), number(t, other, "tree_sum", v))
			require.NoError(t, v.Unlink(child.ID()))
			requireCode(t, status.NotFound, v.Unlink(child.ID()), "no child")
			require.NoError(t, v.Drop())
			_, err = v.Info()
			requireCode(t, status.NotFound, err)
		})
	}
}

func TestPutAtANode(t *testing.T) {
	workers := members(t, 3, "tcp", common)
	v, err := workers[0].Put(PutOptions{Name: "there", Node: 3}, vertex.Int64Batch("x", 7))
	require.NoError(t, err)
	defer v.Release()
	info, err := v.Info()
	require.NoError(t, err)
	require.Equal(t, uint64(3), info.Owner)
	_, err = workers[1].Put(PutOptions{Name: "there"}, nil)
	requireCode(t, status.AlreadyExists, err, "there")
	replaced, err := workers[1].Put(PutOptions{Name: "there", Replace: true}, vertex.Int64Batch("x", 8))
	require.NoError(t, err)
	defer replaced.Release()
	require.Equal(t, int64(8), number(t, workers[0], "value", v))
}

func TestNodesAndStats(t *testing.T) {
	workers := members(t, 2, "tcp", common)
	guest := open(t, Options{Join: workers[0].Addresses()})
	require.Eventually(t, func() bool {
		nodes, err := workers[1].Nodes()
		return err == nil && len(nodes) == 3
	}, patience, time.Millisecond)
	nodes, err := guest.Nodes()
	require.NoError(t, err)
	require.Len(t, nodes, 3)
	members := 0
	for _, n := range nodes {
		require.Equal(t, n.Node == guest.NodeID(), n.Self)
		require.Equal(t, n.Node == 1, n.Directory)
		if n.Member {
			members++
		}
	}
	require.Equal(t, 2, members)
	stats, err := guest.PeerStats(2, 0)
	require.NoError(t, err)
	require.NotEmpty(t, stats)
	_, err = guest.PeerStats(77, 0)
	requireCode(t, status.NotFound, err, "77")
}

func TestLoadedAndKnownBeforehand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "numbers.arrow")
	writeFile(t, path, 1, 2, 3)
	loaded, err := LoadFile(path)
	require.NoError(t, err)
	owner := open(t, Options{NodeID: 5, Listen: []string{"tcp://127.0.0.1:0"}, UDFs: common(),
		Load: []Load{{Name: "numbers", Value: loaded}}})
	other := open(t, Options{NodeID: 6, Listen: []string{"tcp://127.0.0.1:0"}, Join: owner.Addresses(),
		UDFs: common(), Remote: []Remote{{ID: vertex.NameID("numbers"), Node: 5}}})
	c := call(t, other, Call{UDF: function(t, other, "value"), TargetIDs: []vertex.ID{vertex.NameID("numbers")},
		Buffer: make([]byte, 8)})
	require.Nil(t, c.Err)
	require.Equal(t, int64(6), get(c.Result.Bytes))
	_, err = LoadFile(filepath.Join(t.TempDir(), "nothing.arrow"))
	require.Error(t, err)
	require.Contains(t, err.Error(), "nothing.arrow")
}

func writeFile(t *testing.T, path string, values ...int64) {
	batch := vertex.Int64Batch("x", values...)
	defer batch.Release()
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	writer, err := ipc.NewFileWriter(file, ipc.WithSchema(batch.Schema().Arrow()))
	require.NoError(t, err)
	require.NoError(t, writer.Write(batch.Record()))
	require.NoError(t, writer.Close())
}

func TestOpeningBadWorkers(t *testing.T) {
	first := open(t, Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}})
	for _, test := range []struct {
		name string
		o    Options
		code status.Code
		says string
	}{
		{"port in use", Options{Listen: first.Addresses()}, status.AlreadyExists, first.Addresses()[0]},
		{"nobody there", Options{Join: []string{"tcp://127.0.0.1:1"}, Timeout: 300 * time.Millisecond},
			status.Unavailable, "tcp://127.0.0.1:1"},
		{"beyond loopback", Options{Listen: []string{"tcp://0.0.0.0:0"}}, status.Denied, "--insecure"},
		{"no address", Options{Listen: []string{"here"}}, status.InvalidArgument, "here"},
		{"node id too large", Options{NodeID: 1 << 32}, status.InvalidArgument, "node id"},
		{"node id taken", Options{NodeID: 1, Join: first.Addresses()}, status.AlreadyExists, "node 1"},
		{"negative limit", Options{MemoryLimit: -1}, status.InvalidArgument, "memory limit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(test.o)
			requireCode(t, test.code, err, test.says)
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	w := open(t, Options{MemoryLimit: 1000, UDFs: common()})
	v := put(t, w, "small", 1)
	big := vertex.Int64Batch("x", numbers(1000)...)
	defer big.Release()
	_, err := w.Put(PutOptions{Name: "big"}, big)
	requireCode(t, status.Exhausted, err, "memory limit of 1000")
	require.Equal(t, int64(1), number(t, w, "value", v))
}

// The sum over a tree that lies on 1, 2 and 4 workers is the same, and each pair that must speak
// exchanges one request and one reply: every worker has one branch.
func TestTreeOverWorkers(t *testing.T) {
	for _, n := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			workers := members(t, n, "tcp", common)
			root := put(t, workers[0], "root", 1)
			for branch := range 8 {
				owner := workers[branch%n]
				top := put(t, owner, fmt.Sprint("top", branch), 10)
				require.NoError(t, root.Link(top.ID()))
				for leaf := range 3 {
					v := put(t, owner, fmt.Sprint("leaf", branch, leaf), 100)
					require.NoError(t, top.Link(v.ID()))
				}
			}
			require.Equal(t, int64(2481), number(t, workers[0], "tree_sum", root)) // all connected
			before := requestsOf(workers)
			require.Equal(t, int64(2481), number(t, workers[0], "tree_sum", root))
			for i, sent := range requestsOf(workers) {
				want := int64(0)
				if i == 0 {
					want = int64(n - 1)
				}
				require.Equal(t, want, sent-before[i], "requests of worker %d", i+1)
			}
		})
	}
}
