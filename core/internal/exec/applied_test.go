package exec

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/once"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

var far = wire.Identity{Node: 9, Incarnation: 3}

// foreign makes a task of another process's frame, with a target for each path.
func (w *world) foreign(f *Function, sequence, floor uint64, target vertex.ID, paths ...[]uint32) *Task {
	t := w.task(f)
	t.Foreign, t.Depth = true, 1
	t.Origin = Origin{Node: far.Node, Incarnation: far.Incarnation, Sequence: sequence, Floor: floor}
	for i := range paths {
		t.Add(Item{Function: f, Target: target, Prefix: paths[len(paths)-1-i]})
	}
	t.Finish()
	return t
}

// increment adds one, answers with the new value as bytes or batch, and spawns "leaf" with it.
func (w *world) increment(batch bool) *Function {
	leaf := func(in *udf.Input, out *udf.Output) error {
		out.Bytes([]byte("leaf"))
		require.Equal(w, int64(1), in.Arguments.Batch.Int64(0)[0])
		return nil
	}
	w.add("leaf", 0, udf.Func{Calculate: leaf})
	return w.add("increment", udf.Updates, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		next := in.Batch.Int64(0)[0] + 1
		if batch {
			out.Batch(vertex.Int64Batch("x", next))
		} else {
			putNumber(out, next)
		}
		err := out.Spawn(udf.Spawn{Target: in.Vertex, UDF: "leaf",
			Arguments: udf.Value{Batch: vertex.Int64Batch("n", 1)}})
		require.NoError(w, err)
		return out.SetValue(vertex.Int64Batch("x", next))
	}})
}

// A frame that comes again is applied once and answered each time with the same, and with what it
// spawned.
func TestAnUpdateIsAppliedOnce(t *testing.T) {
	for name, batch := range map[string]bool{"bytes": false, "a batch": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.vertex("v", 0)
			f := w.increment(batch)
			part := func(task *Task) int64 {
				require.Nil(t, task.Err)
				require.Equal(t, EffectsComplete, task.Effects)
				require.Len(t, task.Parts, 2)
				require.Equal(t, "leaf", string(task.Parts[1].Value.Bytes))
				if batch {
					return task.Parts[0].Value.Batch.Int64(0)[0]
				}
				return number(task.Parts[0].Value)
			}
			path := []uint32{0}
			first := w.foreign(f, 5, 1, id, path)
			require.Equal(t, int64(1), part(first))
			for range 2 {
				again := w.foreign(f, 5, 1, id, path)
				require.Equal(t, int64(1), part(again))
				require.Equal(t, first.Version, again.Version)
				require.Equal(t, int64(1), w.value(id))
			}
			require.Equal(t, int64(2), part(w.foreign(f, 6, 1, id, path)), "another call")
			require.Equal(t, int64(3), part(w.foreign(f, 6, 1, id, []uint32{1})), "another path of it")
		})
	}
}

// Updates within one process, and those without a number, take no entry.
func TestAnUpdateOfTheSameProcessIsNotRemembered(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	f := w.increment(false)
	for i := range 3 {
		task := w.task(f, id)
		task.Origin = Origin{Node: 1, Incarnation: 1, Sequence: 5, Floor: 1}
		task.Finish()
		require.Nil(t, task.Err)
		require.Equal(t, int64(i+1), w.value(id))
	}
	require.Nil(t, w.foreign(f, 0, 0, id, []uint32{0}).Err)
	require.Nil(t, w.foreign(f, 0, 0, id, []uint32{0}).Err)
	require.Equal(t, int64(5), w.value(id))
}

// What is below the caller's floor, or of a caller that is gone, never runs.
func TestAnUpdateBelowTheFloor(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	f := w.increment(false)
	require.Nil(t, w.foreign(f, 5, 1, id, []uint32{0}).Err)
	w.Finished(far, 6)
	late := w.foreign(f, 5, 1, id, []uint32{0})
	require.Equal(t, status.Aborted, late.Err.Code)
	require.Equal(t, EffectsNone, late.Effects)
	require.Nil(t, w.foreign(f, 8, 8, id, []uint32{0}).Err)
	require.Equal(t, status.Aborted, w.foreign(f, 7, 1, id, []uint32{0}).Err.Code, "a frame raises the floor, too")
	w.Dead(far)
	require.NotNil(t, w.foreign(f, 9, 1, id, []uint32{0}).Err)
	require.Equal(t, int64(2), w.value(id))
}

// Where the window is full nothing runs. Of a frame that may have come before, nobody knows then.
func TestAFullWindow(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	var err error
	for i := 0; err == nil && i <= once.MaxEntriesPerCaller; i++ {
		origin := Origin{Node: far.Node, Incarnation: far.Incarnation, Sequence: uint64(i + 1), Floor: 1}
		_, err = w.Exactly(origin, id, func() (any, error) { return nil, nil })
	}
	require.ErrorIs(t, err, status.Exhausted)
	f := w.increment(false)
	for resent, effects := range map[bool]Effects{false: EffectsNone, true: EffectsUnknown} {
		task := w.task(f)
		task.Foreign, task.Resent = true, resent
		task.Origin = Origin{Node: far.Node, Incarnation: far.Incarnation, Sequence: 1 << 40, Floor: 1}
		task.Add(Item{Function: f, Target: id, Prefix: []uint32{0}})
		task.Finish()
		require.Equal(t, status.Exhausted, task.Err.Code)
		require.Equal(t, effects, task.Effects)
	}
	require.Zero(t, w.value(id))
	require.Nil(t, w.foreign(f, 1<<40, 1<<40, id, []uint32{0}).Err, "a floor makes room")
}

// A failed update was not applied: sent again, it fails again and does not run.
func TestAFailedUpdateIsRemembered(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	runs := 0
	f := w.add("fail", udf.Updates, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
		runs++
		require.NoError(t, out.SetValue(vertex.Int64Batch("x", 9)))
		return status.Errorf(status.InvalidArgument, "it will not")
	}})
	for range 2 {
		task := w.foreign(f, 5, 1, id, []uint32{0})
		require.Equal(t, status.InvalidArgument, task.Err.Code)
		require.Contains(t, task.Err.Error(), "it will not")
		require.Equal(t, EffectsNone, task.Effects)
	}
	require.Equal(t, 1, runs)
	require.Zero(t, w.value(id))
}

// A vertex that is removed stays so, and the removal is answered again.
func TestARemovalIsAppliedOnce(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	f := w.add("remove", udf.Updates, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
		return out.Remove()
	}})
	task := w.foreign(f, 5, 1, id, []uint32{0})
	require.Nil(t, task.Err)
	require.Equal(t, EffectsComplete, task.Effects)
	require.Equal(t, int64(-1), w.value(id))
}

// The operations that are no calculate are applied once by the same window.
func TestExactly(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	runs := 0
	origin := Origin{Node: far.Node, Incarnation: far.Incarnation, Sequence: 5, Floor: 1}
	run := func() (any, error) { runs++; return runs, nil }
	for range 2 {
		answer, err := w.Exactly(origin, id, run)
		require.NoError(t, err)
		require.Equal(t, 1, answer)
	}
	answer, err := w.Exactly(origin, w.id("another"), run)
	require.NoError(t, err)
	require.Equal(t, 2, answer, "another vertex")
	origin.Sequence = 6
	answer, err = w.Exactly(origin, id, run)
	require.NoError(t, err)
	require.Equal(t, 3, answer, "another number")
	origin.Sequence, origin.Floor = 5, 7
	_, err = w.Exactly(origin, id, run)
	require.ErrorIs(t, err, status.Aborted)

	origin.Sequence = 0
	for i := range 2 {
		answer, err = w.Exactly(origin, id, run)
		require.NoError(t, err)
		require.Equal(t, 4+i, answer, "without a number each runs")
	}
}

func TestExactlyOfWhatFails(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	runs := 0
	origin := Origin{Node: far.Node, Incarnation: far.Incarnation, Sequence: 5, Floor: 1}
	for range 2 {
		_, err := w.Exactly(origin, id, func() (any, error) {
			runs++
			return nil, status.Errorf(status.NotFound, "there is none")
		})
		require.ErrorIs(t, err, status.NotFound)
	}
	require.Equal(t, 1, runs)
}

// The same number while it runs is told to come back.
func TestExactlyWhileItRuns(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 0)
	origin := Origin{Node: far.Node, Incarnation: far.Incarnation, Sequence: 5, Floor: 1}
	answer, err := w.Exactly(origin, id, func() (any, error) {
		_, inner := w.Exactly(origin, id, func() (any, error) {
			t.Error("it runs twice")
			return nil, nil
		})
		require.ErrorIs(t, inner, status.Aborted)
		return "done", nil
	})
	require.NoError(t, err)
	require.Equal(t, "done", answer)
}

// The answer of an operation whose caller is declared dead meanwhile is given to whoever waits.
func TestExactlyOfACallerThatDies(t *testing.T) {
	w := newWorld(t)
	origin := Origin{Node: far.Node, Incarnation: far.Incarnation, Sequence: 5, Floor: 1}
	answer, err := w.Exactly(origin, w.id("v"), func() (any, error) {
		w.Dead(far)
		return "done", nil
	})
	require.NoError(t, err)
	require.Equal(t, "done", answer)
	_, err = w.Exactly(origin, w.id("v"), func() (any, error) { return nil, nil })
	require.Error(t, err)
}

// An update whose answer cannot be remembered could not be answered again, so it is not applied.
func TestAnUpdateWhoseAnswerIsTooLarge(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1, "c")
	_, before, _ := w.state(id)
	large := vertex.Int64Batch("x", make([]int64, once.MaxOutcomeBytesPerCaller/8+1)...)
	defer large.Release()
	sequence := uint64(0)
	for name, effect := range map[string]func(*udf.Output) error{
		"look":   func(*udf.Output) error { return nil },
		"set":    func(out *udf.Output) error { return out.SetValue(vertex.Int64Batch("x", 2)) },
		"remove": func(out *udf.Output) error { return out.Remove() },
		"add": func(out *udf.Output) error {
			_, err := out.AddChild("child", vertex.Int64Batch("x", 2))
			return err
		},
	} {
		f := w.add(name, udf.Updates, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
			out.Batch(large.Retain())
			return effect(out)
		}})
		sequence++
		task := w.foreign(f, sequence, 1, id, []uint32{0})
		require.NotNil(t, task.Err, name)
		require.Equal(t, status.Exhausted, task.Err.Code)
		require.Equal(t, EffectsNone, task.Effects)
		value, version, children := w.state(id)
		require.Equal(t, int64(1), value, name)
		require.Equal(t, before, version)
		require.Equal(t, []string{"c"}, children)
		require.Equal(t, int64(-1), w.value(w.id("child")))
	}
	require.Equal(t, []string{"withdraw child"}, w.logged("withdraw", "linked", "dropped"))
}

// An update whose caller is declared dead while it runs is applied: nobody will ask again.
func TestAnUpdateOfACallerThatDies(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	f := w.add("set", udf.Updates, udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
		w.Dead(far)
		out.Batch(vertex.Int64Batch("x", 3))
		return out.SetValue(vertex.Int64Batch("x", 2))
	}})
	require.Nil(t, w.foreign(f, 5, 1, id, []uint32{0}).Err)
	require.Equal(t, int64(2), w.value(id))
	require.NotNil(t, w.foreign(f, 6, 1, id, []uint32{0}).Err)
	require.Equal(t, int64(2), w.value(id))
}
