package exec

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

func TestSpawnBudget(t *testing.T) {
	for _, c := range []struct {
		budget     uint64
		left       uint64
		calculates uint64
		code       status.Code
	}{
		{budget: 6, left: 2, calculates: 5},
		{budget: 4, left: 0, calculates: 5},
		{budget: 3, left: 1, calculates: 2, code: status.Exhausted}, // b's two do not fit
		{budget: 1, left: 1, calculates: 1, code: status.Exhausted}, // nor do a's
		{budget: 0, left: 0, calculates: 1, code: status.Exhausted},
	} {
		t.Run(fmt.Sprint(c.budget), func(t *testing.T) {
			w := newWorld(t)
			w.tree("a(b(c d) e)")
			task := w.task(w.add("walk", 0, udf.Func{Calculate: w.walk, Merge: join}), w.id("a"))
			task.Budget = c.budget
			task.Finish()
			require.Equal(t, c.left, task.Budget)
			if c.code == 0 {
				require.Nil(t, task.Err)
				require.Equal(t, c.calculates, task.Calculates)
				return
			}
			require.Equal(t, c.code, task.Err.Code)
			require.Contains(t, task.Err.Error(), "DefaultSpawnBudget")
			require.LessOrEqual(t, task.Calculates, c.calculates+1, "b and e are one wave")
		})
	}
}

func TestSpawnDepth(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	deepest := 0
	f := w.add("down", udf.Commutative, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		deepest++
		return out.Spawn(udf.Spawn{Target: in.Vertex})
	}})
	task := w.run(f, id)
	require.Equal(t, status.Exhausted, task.Err.Code)
	require.Contains(t, task.Err.Error(), "MaxDepth")
	require.Equal(t, MaxDepth, deepest)
}

// A spawn may name another function, which gets the spawn's arguments instead of the call's.
func TestSpawnOfAnotherFunction(t *testing.T) {
	w := newWorld(t)
	a, b := w.vertex("a", 1), w.vertex("b", 2)
	w.add("echo", 0, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		out.Bytes(append([]byte(w.names[in.Vertex]+"/"), in.Arguments.Bytes...))
		return nil
	}})
	f := w.add("start", 0, udf.Func{Merge: join, Calculate: func(in *udf.Input, out *udf.Output) error {
		out.Bytes(in.Arguments.Bytes)
		require.NoError(t, out.Spawn(udf.Spawn{Target: b, UDF: "echo", Arguments: udf.Value{Bytes: []byte(" own ")}}))
		return out.Spawn(udf.Spawn{Target: a, UDF: "echo"})
	}})
	task := w.task(f, a)
	task.Arguments = udf.Value{Bytes: []byte("call ")}
	task.Finish()
	require.Nil(t, task.Err)
	require.Equal(t, []string{"call b/ own a/"}, said(task))
}

func TestSpawnOfAnUnknownFunction(t *testing.T) {
	w := newWorld(t)
	a := w.vertex("a", 1)
	f := w.add("start", 0, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		return out.Spawn(udf.Spawn{Target: a, UDF: "nobody", Arguments: udf.Value{Batch: vertex.Int64Batch("x", 1)}})
	}})
	task := w.run(f, a)
	require.Equal(t, status.NotFound, task.Err.Code)
	require.Contains(t, task.Err.Error(), `no function "nobody"`)
	require.Equal(t, a, vertex.ID(task.Err.Vertex))
}

// What does not update spawns nothing that does.
func TestReadOnlyTree(t *testing.T) {
	w := newWorld(t)
	a := w.vertex("a", 1)
	w.add("set", udf.Updates, udf.Func{Calculate: setTo(5)})
	f := w.add("start", 0, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		return out.Spawn(udf.Spawn{Target: a, UDF: "set"})
	}})
	task := w.task(f, a)
	task.ReadOnly = true
	task.Finish()
	require.Equal(t, status.InvalidArgument, task.Err.Code)
	require.Contains(t, task.Err.Error(), `function "start" does not update, so it must not spawn "set"`)
	require.Equal(t, int64(1), w.value(a))

	task = w.run(f, a)
	require.Nil(t, task.Err, "in a tree that may update it is fine")
	require.Equal(t, int64(5), w.value(a))
}

// spawnOnce makes a function that spawns "leaf" on a vertex with ONCE, so often and with these
// arguments.
func (w *world) spawnOnce(target vertex.ID, arguments ...udf.Value) *Function {
	return w.add("start", 0, udf.Func{Merge: join, Calculate: func(_ *udf.Input, out *udf.Output) error {
		for _, value := range arguments {
			if value.Batch != nil {
				value.Batch.Retain()
			}
			err := out.Spawn(udf.Spawn{Target: target, UDF: "leaf", Arguments: value, Once: true})
			require.NoError(w, err)
		}
		return nil
	}})
}

func TestOnceRunsEqualSpawnsOnce(t *testing.T) {
	one, two := udf.Value{Bytes: []byte("1")}, udf.Value{Bytes: []byte("2")}
	long := vertex.Int64Batch("x", 1, 2, 3)
	equal := vertex.Int64Batch("x", 1, 2, 3)
	other, renamed := vertex.Int64Batch("x", 1, 2, 4), vertex.Int64Batch("y", 1, 2, 3)
	defer func() {
		for _, b := range []*vertex.Batch{long, equal, other, renamed} {
			b.Release()
		}
	}()
	batch := func(b *vertex.Batch) udf.Value { return udf.Value{Batch: b} }
	for name, c := range map[string]struct {
		arguments []udf.Value
		runs      int
	}{
		"without arguments":   {[]udf.Value{{}, {}, {}}, 1},
		"equal bytes":         {[]udf.Value{one, two, one, one, two}, 2},
		"equal batches":       {[]udf.Value{batch(long), batch(equal)}, 1},
		"other values":        {[]udf.Value{batch(long), batch(other)}, 2},
		"other names":         {[]udf.Value{batch(long), batch(renamed)}, 2},
		"a batch and nothing": {[]udf.Value{batch(long), {}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			target := w.vertex("v", 1)
			runs := 0
			count := func(*udf.Input, *udf.Output) error { runs++; return nil }
			w.add("leaf", 0, udf.Func{Calculate: count})
			f := w.spawnOnce(target, c.arguments...)
			task := w.run(f, target)
			require.Nil(t, task.Err)
			require.Equal(t, c.runs, runs)
			w.Forget(wire.Identity{Node: 1, Incarnation: 1}, task.Origin.Sequence)
		})
	}
}

// The same vertex is another spawn for another function, and for another vertex.
func TestOnceTellsFunctionsAndVerticesApart(t *testing.T) {
	w := newWorld(t)
	a, b := w.vertex("a", 1), w.vertex("b", 1)
	w.add("one", 0, udf.Func{Calculate: w.walk})
	w.add("other", 0, udf.Func{Calculate: w.walk})
	f := w.add("start", 0, udf.Func{Merge: join, Calculate: func(_ *udf.Input, out *udf.Output) error {
		for _, s := range []udf.Spawn{{Target: a, UDF: "one"}, {Target: b, UDF: "one"}, {Target: a, UDF: "other"},
			{Target: b, UDF: "one"}, {Target: a, UDF: "other"}} {
			s.Once = true
			require.NoError(t, out.Spawn(s))
		}
		return out.Spawn(udf.Spawn{Target: a, UDF: "one"}) // not ONCE: it always runs
	}})
	task := w.run(f, a)
	require.Nil(t, task.Err)
	require.ElementsMatch(t, []string{"a", "a", "a", "b"}, splitSaid(task))
}

// What is remembered of ONCE spawns ends with the call: forgotten by its caller's floor, by name, or
// with the caller. A frame that comes again runs what it ran before, and nothing else.
func TestOnceIsRememberedUntilTheCallIsFinished(t *testing.T) {
	caller := wire.Identity{Node: 9, Incarnation: 3}
	for name, c := range map[string]struct {
		between func(w *world)
		path    []uint32
		runs    bool
	}{
		"another path":        {func(*world) {}, []uint32{0, 5}, false},
		"the same path again": {func(*world) {}, []uint32{0, 4}, true},
		"forgotten":           {func(w *world) { w.Forget(caller, 70) }, []uint32{0, 5}, true},
		"another forgotten":   {func(w *world) { w.Forget(caller, 71) }, []uint32{0, 5}, false},
		"finished":            {func(w *world) { w.Finished(caller, 71) }, []uint32{0, 5}, true},
		"not finished yet":    {func(w *world) { w.Finished(caller, 70) }, []uint32{0, 5}, false},
		"another's floor":     {func(w *world) { w.Finished(wire.Identity{Node: 9}, 90) }, []uint32{0, 5}, false},
		"the caller is dead":  {func(w *world) { w.Dead(caller) }, []uint32{0, 5}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.vertex("v", 1)
			f := w.add("walk", 0, udf.Func{Calculate: w.walk})
			frame := func(path ...uint32) *Task {
				task := w.task(f)
				task.Origin = Origin{Node: 9, Incarnation: 3, Sequence: 70}
				task.Foreign = true
				task.Add(Item{Function: f, Target: id, Once: true, Prefix: path})
				task.Finish()
				require.Nil(t, task.Err)
				return task
			}
			require.Equal(t, uint64(1), frame(0, 4).Calculates)
			c.between(w)
			require.Equal(t, c.runs, frame(c.path...).Calculates == 1)
		})
	}
}

func TestPaths(t *testing.T) {
	top := Item{Index: 3}
	below := Item{Up: top.path(), Index: 1}
	deep := Item{Up: below.path(), Index: 7}
	came := Item{Prefix: []uint32{4, 5}}
	under := Item{Up: came.path(), Index: 6}
	deeper := Item{Up: under.path(), Index: 8}
	for want, it := range map[string]Item{"[3]": top, "[3 1]": below, "[3 1 7]": deep, "[4 5]": came,
		"[4 5 6]": under, "[4 5 6 8]": deeper} {
		require.Equal(t, want, fmt.Sprint(it.Indexes()))
		require.Equal(t, fmt.Sprint(append([]uint32{9}, it.Indexes()...)), fmt.Sprint(it.AppendIndexes([]uint32{9})))
		require.Equal(t, len(it.Indexes()), int(it.path().depth))
	}
}
