package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/exec"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// A name that was dropped is free for another member. Who knew the old owner finds the new one, by
// calls and by operations.
func TestAVertexThatMoved(t *testing.T) {
	workers := members(t, 3, "inproc", common)
	guest := open(t, Options{Join: workers[0].Addresses(), UDFs: common()})
	old := put(t, workers[1], "v", 1)
	value := func() int64 {
		c := call(t, guest, Call{UDF: function(t, guest, "value"), TargetIDs: []vertex.ID{vertex.NameID("v")},
			Buffer: make([]byte, 8)})
		require.Nil(t, c.Err)
		return get(c.Result.Bytes)
	}
	require.Equal(t, int64(1), value())
	for i := range 4 {
		require.NoError(t, old.Drop())
		old = put(t, workers[1+(i+1)%2], "v", int64(i+2))
		if i%2 == 0 {
			require.Equal(t, int64(i+2), value())
			continue
		}
		opened, err := guest.OpenName("v")
		require.NoError(t, err)
		info, err := opened.Info()
		require.NoError(t, err)
		require.Equal(t, workers[1+(i+1)%2].NodeID(), info.Owner)
		_, err = opened.Set(0, vertex.Int64Batch("x", 9))
		require.NoError(t, err)
		require.Equal(t, int64(9), value())
		opened.Release()
	}
}

func TestUnevenShards(t *testing.T) {
	w := open(t, Options{UDFs: common()})
	for _, shards := range []int{2, 3, 7, 11} {
		table := putTable(t, w, fmt.Sprint(shards), 10, shards)
		require.Equal(t, int64(45), number(t, w, "value", table), "%d shards", shards)
		ids, err := table.Children()
		require.NoError(t, err)
		require.Len(t, ids, shards)
	}
}

// A put that fails in the middle leaves no shards, and a name that it did not get stays free.
func TestAFailedPutLeavesNothing(t *testing.T) {
	w := open(t, Options{NodeID: 1, Listen: []string{"inproc://" + t.Name()}, MemoryLimit: 2000})
	for shards, rows := range map[int]int{1: 400, 4: 400} {
		large := vertex.Int64Batch("x", numbers(rows)...)
		_, err := w.Put(PutOptions{Name: "v", ShardCount: shards}, large)
		requireCode(t, status.Exhausted, err)
		large.Release()
		all, err := w.Vertices("")
		require.NoError(t, err)
		require.Empty(t, all)
	}
	other := open(t, Options{NodeID: 2, Listen: []string{"inproc://" + t.Name() + "-2"}, Join: w.Addresses()})
	taken := put(t, other, "v", 1)
	small := vertex.Int64Batch("x", numbers(8)...)
	_, err := w.Put(PutOptions{Name: "v", ShardCount: 4}, small)
	requireCode(t, status.AlreadyExists, err)
	small.Release()
	all, err := w.Vertices("")
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, taken.ID(), all[0].ID)
}

func TestParentsFollowTheChildren(t *testing.T) {
	workers := members(t, 2, "inproc", common)
	parent := put(t, workers[0], "parent", 1)
	for i, w := range workers {
		child := put(t, w, fmt.Sprint("child", i), 2)
		require.NoError(t, parent.Link(child.ID()))
		parents := func(want ...vertex.ID) func() bool {
			return func() bool {
				got, err := child.Parents()
				require.NoError(t, err)
				return fmt.Sprint(got) == fmt.Sprint(want)
			}
		}
		require.Eventually(t, parents(parent.ID()), patience, time.Millisecond)
		require.NoError(t, parent.Unlink(child.ID()))
		require.Eventually(t, parents(), patience, time.Millisecond)
	}
}

// Only vertex data counts as fetched.
func TestFetchedIsVertexData(t *testing.T) {
	workers := members(t, 2, "tcp", common)
	empty, err := workers[1].Put(PutOptions{Name: "empty"}, nil)
	require.NoError(t, err)
	defer empty.Release()
	c := call(t, workers[0], Call{UDF: function(t, workers[0], "value"), TargetIDs: []vertex.ID{empty.ID()},
		Buffer: make([]byte, 8), Flags: Here})
	require.Nil(t, c.Err)
	require.Equal(t, []NodeRuns{{1, 1}}, c.Ran)
	require.Positive(t, c.BytesMoved)
	require.Zero(t, c.BytesFetched)
}

// pair is two workers with a vertex each, which know each other.
func pair(t *testing.T, defs func() []udf.Definition) (workers []*Worker, ids [2]vertex.ID) {
	workers = members(t, 2, "inproc", defs)
	for i := range ids {
		ids[i] = put(t, workers[i], fmt.Sprint("v", i), 1).ID()
	}
	return workers, ids
}

// A tree that goes to and fro ends at the limit of frames below each other.
func TestFrameDepth(t *testing.T) {
	deepest := 0
	var ids [2]vertex.ID
	defs := func() []udf.Definition {
		return []udf.Definition{goFunction("ping", udf.Commutative|udf.Short, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				deepest++ // one after another, each caused by the one before
				other := ids[0]
				if in.Vertex == other {
					other = ids[1]
				}
				return out.Spawn(udf.Spawn{Target: other})
			}})}
	}
	workers, made := pair(t, defs)
	ids = made
	const levels = 64 // up to the limit: each has a thread that waits, and they wake each other
	c := Call{UDF: function(t, workers[0], "ping"), TargetIDs: ids[:1]}
	task := workers[0].newTask(&c)
	task.Depth = MaxFrameDepth - levels
	workers[0].addTargets(task, &c)
	task.Finish()
	requireCode(t, status.Exhausted, task.Err, "MaxFrameDepth")
	require.Equal(t, levels+1, deepest)
	workers[0].giveUp(task.Origin.Sequence)
	workers[0].endTask(task)
}

// A busy worker refuses new calls first, so that those inside a tree come to their end.
func TestNewCallsMayTakeHalfOfTheTasks(t *testing.T) {
	var ids [2]vertex.ID
	defs := func() []udf.Definition {
		return []udf.Definition{
			goFunction("leaf", udf.Commutative, udf.Func{Merge: addUp, Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in))
				return nil
			}}),
			goFunction("top", udf.Commutative, udf.Func{Merge: addUp, Calculate: func(_ *udf.Input, out *udf.Output) error {
				return out.Spawn(udf.Spawn{Target: ids[1], UDF: "leaf"})
			}})}
	}
	workers, made := pair(t, defs)
	ids = made
	guest := open(t, Options{Join: workers[0].Addresses(), UDFs: defs()})
	run := func(name string, target vertex.ID) *Call {
		return call(t, guest, Call{UDF: function(t, guest, name), TargetIDs: []vertex.ID{target}, Buffer: make([]byte, 8)})
	}
	busy := &workers[1].serving
	busy.Add(MaxTasks / 2)
	requireCode(t, status.Exhausted, run("leaf", ids[1]).Err, "MaxTasks")
	require.Nil(t, run("top", ids[0]).Err, "inside a tree there is room")
	busy.Add(MaxTasks / 2)
	requireCode(t, status.Exhausted, run("top", ids[0]).Err, "MaxTasks")
	busy.Add(-MaxTasks)
	require.Nil(t, run("top", ids[0]).Err)
}

// A function that only its caller's thread may run is not run for another worker.
func TestCallersFunctionsAreNotServed(t *testing.T) {
	var ids [2]vertex.ID
	defs := func() []udf.Definition {
		return []udf.Definition{goFunction("top", 0, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
			return out.Spawn(udf.Spawn{Target: ids[1], UDF: "mine"})
		}})}
	}
	workers, made := pair(t, defs)
	ids = made
	_, err := workers[1].Register(goFunction("mine", udf.CallerThread, udf.Func{
		Calculate: func(*udf.Input, *udf.Output) error {
			t.Error("it ran")
			return nil
		}}))
	require.NoError(t, err)
	c := call(t, workers[0], Call{UDF: function(t, workers[0], "top"), TargetIDs: ids[:1]})
	requireCode(t, status.NotFound, c.Err, `"mine"`)
}

// That a worker lacks a function is remembered for a while, and no longer than that worker lives.
func TestMissingFunctionsAreForgotten(t *testing.T) {
	var m missing
	node, other := wire.Identity{Node: 1}, wire.Identity{Node: 2}
	m.add(node, exec.Hash{1})
	m.add(other, exec.Hash{1})
	require.True(t, m.known(node, exec.Hash{1}))
	require.False(t, m.known(node, exec.Hash{2}))
	m.forget(node)
	require.False(t, m.known(node, exec.Hash{1}))
	require.True(t, m.known(other, exec.Hash{1}))
	m.seen[missingKey{other, exec.Hash{1}}] = 1 // until long ago
	require.False(t, m.known(other, exec.Hash{1}))
	for i := range 2 * MaxMissing {
		m.add(node, exec.Hash{1, byte(i), byte(i >> 8), byte(i >> 16)})
		require.LessOrEqual(t, len(m.seen), MaxMissing)
	}
}

// Updates tell how far their caller is, so that the owner can forget.
func TestUpdatesRaiseTheirFloor(t *testing.T) {
	workers, ids := pair(t, common)
	for range 10 {
		c := call(t, workers[0], Call{UDF: function(t, workers[0], "increment"), TargetIDs: ids[1:], Buffer: make([]byte, 8)})
		require.Nil(t, c.Err)
	}
	f := &workers[1].floors
	f.mu.Lock()
	defer f.mu.Unlock()
	require.GreaterOrEqual(t, f.seen[workers[0].self], uint64(9), "all before the last are finished")
}

// The shards of a table take as much of the memory limit as the table, and give it back.
func TestShardsCountAsTheirTable(t *testing.T) {
	w := open(t, Options{})
	before := stat(w, "vertices.bytes")
	table := vertex.Int64Batch("x", make([]int64, 1<<16)...)
	size := table.Bytes()
	v, err := w.Put(PutOptions{ShardCount: 12}, table)
	require.NoError(t, err)
	defer v.Release()
	grown := stat(w, "vertices.bytes") - before
	require.GreaterOrEqual(t, grown, size)
	require.Less(t, grown, size+size/100, "the values, and the list of shards")
	require.NoError(t, v.Drop())
	w.store.Reclaim()
	require.Equal(t, before, stat(w, "vertices.bytes"))
}
