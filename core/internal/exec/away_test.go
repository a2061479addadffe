package exec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// elsewhere answers for a target with one part, at the item's place.
func (w *world) elsewhere(name string, answer Answer) {
	w.answers[name] = func(t *Task, it Item) Answer {
		t.AddPart(it.Indexes(), udf.Value{Bytes: []byte(name)})
		return answer
	}
}

// What lies elsewhere leaves in one go, after what is here ran, and its parts come to their places.
func TestAway(t *testing.T) {
	w := newWorld(t)
	w.vertex("a", 1, "x", "b", "y")
	w.vertex("b", 1, "z")
	for i, name := range []string{"x", "y", "z", "far"} {
		w.elsewhere(name, Answer{How: uint16(i % 3), Moved: 10, Fetched: 3, SpawnsLeft: 2})
	}
	f := w.add("walk", 0, udf.Func{Calculate: w.walk, Merge: join})
	task := w.run(f, w.id("far"), w.id("a"))
	require.Nil(t, task.Err)
	require.Equal(t, []string{"fara xb zy"}, said(task))
	require.Equal(t, uint64(2), task.Calculates)
	require.Equal(t, uint16(2), task.How)
	require.Equal(t, uint64(40), task.Moved)
	require.Equal(t, uint64(12), task.Fetched)
	require.Equal(t, DefaultSpawnBudget-uint64(4)+8, task.Budget)
	require.Equal(t, []string{"away", "away", "away", "away", "flush", "flush", "flush", "flush", "wait", "wait",
		"wait", "wait"}, firstWords(w.log))
}

func firstWords(lines []string) (words []string) {
	for _, line := range lines {
		words = append(words, strings.Fields(line)[0])
	}
	return words
}

// Data that was brought runs here: a vertex, and a group, whose children are looked up anew.
func TestBrought(t *testing.T) {
	w := newWorld(t)
	w.vertex("here", 1)
	bring := func(b *Brought) func(*Task, Item) Answer {
		return func(_ *Task, it Item) Answer {
			it.Brought = b
			return Answer{Items: []Item{it}}
		}
	}
	w.answers["v"] = bring(&Brought{State: udf.State{Version: 77, Batch: vertex.Int64Batch("x", 5),
		Children: w.ids([]string{"here"})}})
	w.answers["g"] = bring(&Brought{Group: true,
		State: udf.State{Children: w.ids([]string{"here", "far"})}})
	w.elsewhere("far", Answer{})
	remote := []bool{}
	f := w.add("walk", 0, udf.Func{Merge: join, Calculate: func(in *udf.Input, out *udf.Output) error {
		remote = append(remote, in.Remote)
		if in.Remote {
			require.Equal(t, int64(5), in.Batch.Int64(0)[0])
			require.Equal(t, uint64(77), in.Version)
			require.Nil(t, in.Views)
			require.Equal(t, "all", string(in.Arguments.Bytes))
		}
		return w.walk(in, out)
	}})
	task := w.task(f, w.id("v"), w.id("g"))
	task.Arguments = udf.Value{Bytes: []byte("all")}
	task.Finish()
	require.Nil(t, task.Err)
	require.Equal(t, []string{"v here here far"}, said(task))
	require.ElementsMatch(t, []bool{true, false, false}, remote)
}

func TestBroughtIsRefusedWhereItCannotRun(t *testing.T) {
	for name, c := range map[string]struct {
		item Item
		code status.Code
		text string
	}{
		"it updates":    {Item{Function: &Function{Name: "set", Flags: udf.Updates}}, status.Unsupported, `"set" updates its vertex`},
		"nobody has it": {Item{Name: "lost"}, status.NotFound, `no function "lost"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answers["v"] = func(*Task, Item) Answer {
				it := c.item
				it.Target = w.id("v")
				it.Brought = &Brought{State: udf.State{Batch: vertex.Int64Batch("x", 5)}}
				return Answer{Items: []Item{it}}
			}
			task := w.run(w.add("f", 0, udf.Func{Calculate: w.walk}), w.id("v"))
			require.Equal(t, c.code, task.Err.Code)
			require.Contains(t, task.Err.Error(), c.text)
			require.Equal(t, w.id("v"), vertex.ID(task.Err.Vertex))
		})
	}
}

// The first failure elsewhere ends the call: what else is under way is dropped, nothing new starts.
func TestAFailureElsewhere(t *testing.T) {
	for effects, want := range map[Effects]Effects{EffectsNone: EffectsNone, EffectsComplete: EffectsUnknown,
		EffectsUnknown: EffectsUnknown} {
		t.Run(fmt.Sprint(effects), func(t *testing.T) {
			w := newWorld(t)
			w.vertex("here", 1)
			failure := status.Errorf(status.Unavailable, "the node is gone")
			w.elsewhere("one", Answer{Version: 8})
			w.elsewhere("two", Answer{Err: failure, Effects: effects, Items: []Item{{Target: w.id("here"), Own: true,
				Value: udf.Value{Batch: vertex.Int64Batch("x", 1)}}}})
			w.elsewhere("three", Answer{})
			task := w.run(w.add("walk", 0, udf.Func{Calculate: w.walk}), w.ids([]string{"one", "two", "three"})...)
			require.Same(t, failure, task.Err)
			require.Equal(t, want, task.Effects)
			require.Equal(t, uint64(8), task.Version)
			require.Zero(t, task.Calculates)
			gone := w.logged("wait", "drop")
			require.Len(t, gone, 3)
			require.Contains(t, gone, "wait two")
		})
	}
}

func TestTheNetworkRefuses(t *testing.T) {
	w := newWorld(t)
	w.awayError = status.Errorf(status.Exhausted, "there are too many requests")
	task := w.run(w.add("walk", 0, udf.Func{Calculate: w.walk}), w.id("far"))
	require.ErrorIs(t, task.Err, status.Exhausted)
	require.Equal(t, []string{"away far"}, w.log)
}

func TestEffectsElsewhereCount(t *testing.T) {
	w := newWorld(t)
	w.elsewhere("one", Answer{Effects: EffectsComplete, Version: 3})
	w.elsewhere("two", Answer{Effects: EffectsNone, Version: 2})
	task := w.run(w.add("walk", 0, udf.Func{Calculate: w.walk}), w.ids([]string{"one", "two"})...)
	require.Nil(t, task.Err)
	require.Equal(t, EffectsComplete, task.Effects)
	require.Equal(t, uint64(3), task.Version)
}

// Launch starts, Progress takes in what is there, and only Finish waits.
func TestLaunchAndProgress(t *testing.T) {
	w := newWorld(t)
	w.vertex("here", 1)
	w.elsewhere("far", Answer{})
	w.ready = false
	f := w.add("walk", 0, udf.Func{Calculate: w.walk, Merge: join})
	task := w.task(f, w.id("here"), w.id("far"))
	task.Launch()
	require.Equal(t, uint64(1), task.Calculates)
	require.Equal(t, []string{"away far"}, w.log, "it is not flushed and not waited for")
	require.True(t, task.Waiting())
	require.False(t, task.Progress())
	task.Poll(1)
	task.Flush()
	require.Equal(t, []string{"away far", "poll far", "flush far"}, w.log)
	w.ready = true
	require.True(t, task.Progress())
	require.False(t, task.Waiting())
	task.Finish()
	require.Equal(t, []string{"here far"}, said(task))
}

// What was brought is still to run: Progress does not say that all is done.
func TestProgressWithItems(t *testing.T) {
	w := newWorld(t)
	w.vertex("here", 1)
	w.answers["far"] = func(_ *Task, it Item) Answer {
		it.Brought = &Brought{State: udf.State{Batch: vertex.Int64Batch("x", 1),
			Children: w.ids([]string{"here"})}}
		return Answer{Items: []Item{it}}
	}
	task := w.task(w.add("walk", 0, udf.Func{Calculate: w.walk, Merge: join}), w.id("far"))
	task.Launch()
	require.False(t, task.Progress())
	require.False(t, task.Waiting())
	task.Finish()
	require.Equal(t, []string{"far here"}, said(task))
}

func TestRunHere(t *testing.T) {
	w := newWorld(t)
	w.vertex("a", 1, "b")
	w.vertex("b", 1)
	w.elsewhere("far", Answer{})
	f := w.add("walk", udf.Commutative, udf.Func{Calculate: w.walk, Merge: join})
	local := w.task(f, w.id("a"))
	require.True(t, local.RunHere())
	local.Finish()
	require.Equal(t, uint64(2), local.Calculates)
	require.Empty(t, w.log)

	partly := w.task(f, w.id("far"), w.id("b"))
	require.False(t, partly.RunHere())
	require.Equal(t, uint64(1), partly.Calculates)
	require.Empty(t, w.log, "nothing leaves yet")
	partly.Finish()
	require.Len(t, said(partly), 1)
}

func TestRunsElsewhereAreCounted(t *testing.T) {
	w := newWorld(t)
	task := w.task(nil)
	for _, r := range []Runs{{2, 3}, {5, 1}, {2, 4}} {
		task.AddRuns(r)
	}
	require.Equal(t, []Runs{{2, 7}, {5, 1}}, task.Ran)
}

// A part's bytes and path are copied: what they were read from may go.
func TestPartsOfOthersAreCopied(t *testing.T) {
	w := newWorld(t)
	task := w.task(nil)
	bytes, path := []byte("part"), []uint32{1, 2}
	task.AddPart(path, udf.Value{Bytes: bytes})
	task.AddPart(nil, udf.Value{Batch: vertex.Int64Batch("x", 1)})
	copy(bytes, "xxxx")
	path[0] = 9
	require.Equal(t, "part", string(task.Parts[0].Value.Bytes))
	require.Equal(t, []uint32{1, 2}, task.Parts[0].Path)
	require.Nil(t, task.Parts[1].Path)
}
