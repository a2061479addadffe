package exec

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// setTo makes a calculate that sets its vertex and answers with its old value.
func setTo(value int64) func(*udf.Input, *udf.Output) error {
	return func(in *udf.Input, out *udf.Output) error {
		putNumber(out, in.Batch.Int64(0)[0])
		return out.SetValue(vertex.Int64Batch("x", value))
	}
}

func splitSaid(t *Task) []string { return strings.Fields(strings.Join(said(t), " ")) }

// All effects of a calculate appear together, as one new version.
func TestEffects(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1, "a", "b", "a")
	_, before, _ := w.state(id)
	var named, unnamed vertex.ID
	f := w.add("change", udf.Updates, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) (err error) {
		require.NoError(t, out.SetValue(vertex.Int64Batch("x", 2)))
		require.NoError(t, out.SetValue(vertex.Int64Batch("x", 3)))
		named, err = out.AddChild("child", vertex.Int64Batch("x", 10))
		require.NoError(t, err)
		unnamed, err = out.AddChild("", vertex.Int64Batch("x", 11))
		require.NoError(t, err)
		w.names[unnamed] = "unnamed"
		require.NoError(t, out.Link(w.id("far")))
		require.NoError(t, out.Unlink(w.id("a")))
		require.Equal(t, int64(1), w.value(id), "nothing is seen while it runs")
		return out.Spawn(udf.Spawn{Target: in.Vertex, UDF: "read"})
	}})
	w.add("read", 0, udf.Func{Calculate: valueOf})
	task := w.run(f, id)
	require.Nil(t, task.Err)
	value, version, children := w.state(id)
	require.Equal(t, int64(3), value)
	require.Equal(t, before+1, version)
	require.Equal(t, version, task.Version)
	require.Equal(t, []string{"b", "a", "child", "unnamed", "far"}, children)
	require.Equal(t, int64(10), w.value(named))
	require.Equal(t, int64(11), w.value(unnamed))
	require.Equal(t, EffectsComplete, task.Effects)
	require.Equal(t, int64(3), number(task.Parts[0].Value), "spawns start after the effects")
	require.Equal(t, []string{"claim child", "linked v child true", "linked v unnamed true", "linked v far true",
		"linked v a false"}, w.logged("claim", "linked", "withdraw"))
}

func TestAnUpdateWithoutEffects(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	_, before, _ := w.state(id)
	task := w.run(w.add("look", udf.Updates, udf.Func{Calculate: valueOf}), id)
	require.Nil(t, task.Err)
	_, version, _ := w.state(id)
	require.Equal(t, before, version)
	require.Equal(t, EffectsNone, task.Effects)
	require.Equal(t, int64(1), number(task.Parts[0].Value))
}

func TestRemove(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	f := w.add("remove", udf.Updates, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
		out.Bytes([]byte("gone"))
		return out.Remove()
	}})
	task := w.run(f, id)
	require.Nil(t, task.Err)
	require.Equal(t, []string{"gone"}, said(task))
	require.Equal(t, EffectsComplete, task.Effects)
	require.Equal(t, int64(-1), w.value(id))
	require.Equal(t, []string{"dropped v"}, w.logged("dropped"))
	vertices, _, _ := w.Store.Usage()
	require.Zero(t, vertices)
}

// Where one effect cannot be, none is, and nothing stays behind.
func TestEffectsAreAllOrNone(t *testing.T) {
	refused := status.Errorf(status.AlreadyExists, "the name is taken")
	child := func(out *udf.Output, name string) {
		_, err := out.AddChild(name, vertex.Int64Batch("x", 1))
		if err != nil {
			panic(err)
		}
	}
	for name, c := range map[string]struct {
		change func(w *world, out *udf.Output) error
		code   status.Code
		log    []string
	}{
		"it fails": {func(_ *world, out *udf.Output) error {
			child(out, "one")
			return status.Errorf(status.InvalidArgument, "no")
		}, status.InvalidArgument, nil},
		"it panics": {func(_ *world, out *udf.Output) error {
			child(out, "one")
			panic("no")
		}, status.UDFFailed, nil},
		"a name cannot be claimed": {func(_ *world, out *udf.Output) error {
			child(out, "one")
			child(out, "")
			child(out, "taken")
			return nil
		}, status.AlreadyExists, []string{"claim one", "claim taken", "withdraw one"}},
		"a child exists here": {func(_ *world, out *udf.Output) error {
			child(out, "one")
			child(out, "v")
			return nil
		}, status.AlreadyExists, []string{"claim one", "claim v", "withdraw v", "withdraw one"}},
		"the value is too large": {func(_ *world, out *udf.Output) error {
			child(out, "one")
			return out.SetValue(vertex.Int64Batch("x", make([]int64, 1<<14)...))
		}, status.Exhausted, []string{"claim one", "withdraw one"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t, 1<<16)
			w.refuse["taken"] = refused
			id := w.vertex("v", 1)
			_, before, _ := w.state(id)
			f := w.add("change", udf.Updates, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
				if err := out.SetValue(vertex.Int64Batch("x", 2)); err != nil {
					return err
				}
				return c.change(w, out)
			}})
			task := w.run(f, id)
			require.NotNil(t, task.Err)
			require.Equal(t, c.code, task.Err.Code, task.Err)
			require.Contains(t, task.Err.Error(), `function "change"`)
			require.Equal(t, id, vertex.ID(task.Err.Vertex))
			require.Equal(t, EffectsNone, task.Effects)
			value, version, children := w.state(id)
			require.Equal(t, int64(1), value)
			require.Equal(t, before, version)
			require.Empty(t, children)
			require.Equal(t, c.log, w.logged("claim", "withdraw", "linked"))
			vertices, _, _ := w.Store.Usage()
			require.Equal(t, int64(1), vertices)
			require.Nil(t, w.run(w.add("set", udf.Updates, udf.Func{Calculate: setTo(4)}), id).Err,
				"the vertex is not held")
		})
	}
}

// A failure after effects of other vertices were applied leaves the call's effects unknown.
func TestEffectsOfAFailedCall(t *testing.T) {
	w := newWorld(t)
	good, bad := w.vertex("good", 1), w.vertex("bad", -1)
	f := w.add("set", udf.Updates, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		if in.Batch.Int64(0)[0] < 0 {
			return status.Errorf(status.InvalidArgument, "it is negative")
		}
		return out.SetValue(vertex.Int64Batch("x", 9))
	}})
	task := w.run(f, good, bad)
	require.Equal(t, status.InvalidArgument, task.Err.Code)
	require.Equal(t, EffectsUnknown, task.Effects)
	require.Equal(t, int64(9), w.value(good))

	task = w.run(f, bad, good)
	require.Equal(t, status.InvalidArgument, task.Err.Code)
	require.Equal(t, EffectsNone, task.Effects)
}

func TestEffectsNeedTheFlag(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	task := w.run(w.add("set", 0, udf.Func{Calculate: setTo(2)}), id)
	require.Equal(t, status.UDFFailed, task.Err.Code)
	require.Contains(t, task.Err.Error(), "DCF_UDF_UPDATES")
	require.Equal(t, int64(1), w.value(id))
	require.Empty(t, task.Parts)
}

// Each update sees what the one before it made, also of one call.
func TestUpdatesOfOneVertexRunOneAfterAnother(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	f := w.add("increment", udf.Updates|udf.Commutative, udf.Func{Merge: addUp,
		Calculate: func(in *udf.Input, out *udf.Output) error {
			putNumber(out, 1)
			return out.SetValue(vertex.Int64Batch("x", in.Batch.Int64(0)[0]+1))
		}})
	targets := make([]vertex.ID, 3*WaveSize)
	for i := range targets {
		targets[i] = id
	}
	task := w.run(f, targets...)
	require.Nil(t, task.Err)
	require.Equal(t, int64(len(targets)), w.value(id))
	require.Equal(t, int64(len(targets)), number(task.Parts[0].Value))
	require.Equal(t, uint64(len(targets)), task.Calculates)
}

// An update that would wait for another one's vertex does so only where it may block.
func TestAnUpdateWaitsForItsVertex(t *testing.T) {
	w := newWorld(t)
	id, other := w.vertex("v", 1), w.vertex("other", 1)
	f := w.add("set", udf.Updates, udf.Func{Calculate: setTo(2)})
	held := w.Store.Open(id)
	require.True(t, w.Store.TryLock(held))
	task := w.task(f, other, id)
	require.False(t, task.RunHere(), "v is held")
	require.Nil(t, task.Err)
	require.Equal(t, int64(2), w.value(other))
	require.Equal(t, int64(1), w.value(id))
	w.Store.Unlock(held)
	task.Finish()
	require.Nil(t, task.Err)
	require.Equal(t, int64(2), w.value(id))
	require.Equal(t, uint64(2), task.Calculates)

	require.True(t, w.Store.TryLock(held))
	late := w.task(f, id)
	require.False(t, late.RunHere())
	late.Deadline = 1 // long ago
	late.Finish()
	require.Equal(t, status.Timeout, late.Err.Code)
	w.Store.Unlock(held)
	w.Store.Release(held)
	require.Zero(t, late.Calculates)
}

// A vertex that is dropped while an update waits for it is not found.
func TestAnUpdateOfADroppedVertex(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	f := w.add("set", udf.Updates, udf.Func{Calculate: setTo(2)})
	w.answers["v"] = func(*Task, Item) Answer { // where the task looks for it after the drop
		return Answer{Err: status.Errorf(status.NotFound, "there is no v")}
	}
	held := w.Store.Open(id)
	require.True(t, w.Store.TryLock(held))
	task := w.task(f, id)
	task.Deadline = 1 << 62
	done := make(chan struct{})
	go func() {
		defer close(done)
		task.Finish()
	}()
	w.Store.Drop(held)
	w.Store.Unlock(held)
	<-done
	w.Store.Release(held)
	require.NotNil(t, task.Err)
	require.Equal(t, status.NotFound, task.Err.Code)
}
