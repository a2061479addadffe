package exec

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// A call that was cancelled, or is late, starts nothing new.
func TestStopped(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(*Task)
		code status.Code
	}{
		"cancelled":       {func(task *Task) { task.Cancel() }, status.Cancelled},
		"by its own flag": {func(task *Task) { task.Cancelled().Store(1) }, status.Cancelled},
		"late":            {func(task *Task) { task.Deadline = clock.Now() - 1 }, status.Timeout},
		"failed":          {func(task *Task) { task.Fail(status.Errorf(status.Unavailable, "it closes")) }, status.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ids := w.vertices(2 * WaveSize)
			f := w.add("value", udf.Commutative, udf.Func{Calculate: valueOf, Merge: addUp})
			task := w.task(f, ids...)
			c.stop(task)
			task.Finish()
			require.Equal(t, c.code, task.Err.Code)
			require.Zero(t, task.Calculates)

			var running *Task
			stop := w.add("stop", 0, udf.Func{Calculate: func(*udf.Input, *udf.Output) error {
				c.stop(running)
				return nil
			}})
			running = w.task(stop, append(ids, w.id("far"))...)
			running.Finish()
			require.Equal(t, c.code, running.Err.Code)
			require.Equal(t, uint64(WaveSize), running.Calculates, "the wave that ran is the last")
			require.Empty(t, w.logged("wait"))
		})
	}
}

func TestADeadlineAhead(t *testing.T) {
	w := newWorld(t)
	f := w.add("value", 0, udf.Func{Calculate: valueOf})
	task := w.task(f, w.vertex("v", 1))
	task.Deadline = 1 << 62
	task.Finish()
	require.Nil(t, task.Err)
}

func TestAFlagOfTheCallers(t *testing.T) {
	w := newWorld(t)
	flag := NewFlag()
	defer FreeFlag(flag)
	f := w.add("value", 0, udf.Func{Calculate: func(in *udf.Input, _ *udf.Output) error {
		require.Same(t, flag, in.Cancelled)
		return nil
	}})
	task := w.task(f, w.vertex("v", 1))
	task.UseFlag(flag)
	require.True(t, task.RunHere())
	flag.Store(1)
	task.Add(Item{Function: f, Target: w.id("v")})
	task.Finish()
	require.Equal(t, status.Cancelled, task.Err.Code)
}

// A failure names the function and the vertex, keeps its code and detail, and is the first one.
func TestFailures(t *testing.T) {
	w := newWorld(t)
	ids := w.vertices(3)
	f := w.add("f", 0, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		switch in.Batch.Int64(0)[0] {
		case 0:
			putNumber(out, 1)
			return nil
		case 1:
			out.Fail("it is odd", "the trace")
			return nil
		default:
			return status.Errorf(status.InvalidArgument, "it is even")
		}
	}})
	task := w.run(f, ids[1])
	require.Equal(t, status.UDFFailed, task.Err.Code)
	require.Contains(t, task.Err.Error(), `function "f": it is odd`)
	require.Equal(t, "the trace", task.Err.Detail)
	require.Equal(t, ids[1], vertex.ID(task.Err.Vertex))

	both := w.run(f, ids...)
	require.Equal(t, status.UDFFailed, both.Err.Code, "the first of a wave counts")
	require.Equal(t, status.InvalidArgument, w.run(f, ids[2], ids[1]).Err.Code)
}

func TestAnUnknownFunction(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	task := w.task(nil)
	task.Add(Item{Name: "nobody", Target: id})
	task.Finish()
	require.Equal(t, status.NotFound, task.Err.Code)
	require.Contains(t, task.Err.Error(), `"nobody"`)
	require.Equal(t, id, vertex.ID(task.Err.Vertex))
}

func TestAMergeThatFails(t *testing.T) {
	for name, flags := range map[string]udf.Flags{"in order": 0, "in any order": udf.Commutative} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ids := w.vertices(3)
			f := w.add("f", flags, udf.Func{
				Calculate: func(in *udf.Input, out *udf.Output) error {
					out.Batch(vertex.Int64Batch("x", 1))
					return nil
				},
				Merge: func(_ *udf.MergeInput, out *udf.Output) error {
					out.Fail("they do not fit", "why")
					return nil
				}})
			task := w.run(f, ids...)
			require.Equal(t, status.UDFFailed, task.Err.Code)
			require.Contains(t, task.Err.Error(), `merge of function "f": they do not fit`)
			require.Equal(t, "why", task.Err.Detail)
		})
	}
}

// A merge that gives nothing leaves nothing.
func TestAMergeWithoutAPart(t *testing.T) {
	w := newWorld(t)
	ids := w.vertices(3)
	f := w.add("f", 0, udf.Func{Calculate: valueOf, Merge: func(*udf.MergeInput, *udf.Output) error { return nil }})
	task := w.run(f, ids...)
	require.Nil(t, task.Err)
	require.Empty(t, task.Parts)
}

func TestMergeAndFinishSeeTheCall(t *testing.T) {
	w := newWorld(t)
	ids := w.vertices(2)
	seen := 0
	see := func(in *udf.MergeInput, out *udf.Output) error {
		seen++
		require.Equal(t, "arguments", string(in.Arguments.Bytes))
		require.Equal(t, "auxiliary", string(in.Auxiliary))
		return nil
	}
	f := w.add("f", 0, udf.Func{Calculate: valueOf, Merge: see, Finish: see})
	f.Auxiliary = []byte("auxiliary")
	task := w.task(f, ids...)
	task.Arguments = udf.Value{Bytes: []byte("arguments")}
	task.Finish()
	require.Nil(t, task.Err)
	require.Nil(t, w.Finish(f, task.Arguments, udf.Value{}, func(*udf.Value) {}))
	require.Equal(t, 2, seen)
}

// A task is used again, and nothing of the call before it is left in it.
func TestTasksAreUsedAgain(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	f := w.add("f", udf.Updates, udf.Func{Calculate: setTo(1)})
	task := NewTask(w.Engine)
	task.Called, task.Foreign, task.Resent, task.ReadOnly, task.Depth = f, true, true, true, 4
	task.Origin = Origin{Node: 3, Incarnation: 1, Sequence: 1}
	task.Add(Item{Function: f, Target: id})
	task.Finish()
	task.AddRuns(Runs{2, 2})
	task.Add(Item{Function: f, Target: id, Own: true, Value: udf.Value{Batch: vertex.Int64Batch("x", 1)}})
	task.Cancel()
	task.Close()

	again := NewTask(w.Engine)
	defer again.Close()
	require.Same(t, task, again)
	require.True(t, again.RunHere(), "there is nothing to do")
	require.Nil(t, again.Err)
	require.Empty(t, again.Parts)
	require.Empty(t, again.Ran)
	require.Zero(t, again.Calculates)
	require.Zero(t, again.Version)
	require.Equal(t, EffectsNone, again.Effects)
	require.Equal(t, Origin{}, again.Origin)
	require.Nil(t, again.Called)
	require.False(t, again.Foreign || again.Resent || again.ReadOnly)
	require.Zero(t, again.Depth)
	require.Zero(t, again.Cancelled().Load())
	require.Equal(t, uint64(DefaultSpawnBudget), again.Budget)

	other := NewTask(w.Engine)
	defer other.Close()
	require.NotSame(t, again, other)
}

func TestCost(t *testing.T) {
	f := &Function{}
	require.Zero(t, f.Cost(), "not known")
	f.Measured(10, 8000)
	require.Equal(t, int64(800), f.Cost())
	f.Measured(1, 1600)
	require.Equal(t, int64(900), f.Cost(), "an eighth of the difference")
	f.Measured(0, 0)
	require.Positive(t, f.Cost())
	require.False(t, f.Gone())
	f.Drop()
	require.True(t, f.Gone())
}
