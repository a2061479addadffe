package exec

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// spy notes the sizes of waves and folds.
type spy struct {
	udf.Program
	waves, folds []int
}

func (s *spy) Calculate(wave *udf.Wave) {
	s.waves = append(s.waves, len(wave.Inputs))
	s.Program.Calculate(wave)
}

func (s *spy) Merge(in *udf.MergeInput, out *udf.Output) {
	s.folds = append(s.folds, len(in.Parts))
	s.Program.Merge(in, out)
}

func watch(f *Function) *spy {
	s := &spy{Program: f.Program}
	f.Program = s
	return s
}

func putNumber(out *udf.Output, n int64) {
	binary.LittleEndian.PutUint64(out.Reserve(8), uint64(n))
}

func number(part udf.Value) int64 { return int64(binary.LittleEndian.Uint64(part.Bytes)) }

// valueOf answers with the vertex's value, addUp folds such numbers.
func valueOf(in *udf.Input, out *udf.Output) error {
	putNumber(out, in.Batch.Int64(0)[0])
	return nil
}

func addUp(in *udf.MergeInput, out *udf.Output) error {
	sum := int64(0)
	for _, part := range in.Parts {
		sum += number(part)
	}
	putNumber(out, sum)
	return nil
}

func (w *world) vertices(n int) (ids []vertex.ID) {
	for i := range n {
		ids = append(ids, w.vertex(fmt.Sprint(i), int64(i)))
	}
	return ids
}

func TestCalculatesOfOneFunctionGoInWaves(t *testing.T) {
	w := newWorld(t)
	ids := w.vertices(2*WaveSize + 3)
	f := w.add("value", udf.Commutative, udf.Func{Calculate: valueOf, Merge: addUp})
	seen := watch(f)
	task := w.run(f, ids...)
	require.Nil(t, task.Err)
	require.Equal(t, []int{WaveSize, WaveSize, 3}, seen.waves)
	require.Equal(t, uint64(2*WaveSize+3), task.Calculates)
	require.Len(t, task.Parts, 1)
	require.Equal(t, int64(len(ids)*(len(ids)-1)/2), number(task.Parts[0].Value))
	require.Equal(t, EffectsNone, task.Effects)
}

func TestAWaveIsOfOneFunction(t *testing.T) {
	w := newWorld(t)
	ids := w.vertices(5)
	a := w.add("a", 0, udf.Func{Calculate: valueOf})
	b := w.add("b", 0, udf.Func{Calculate: valueOf})
	ofA, ofB := watch(a), watch(b)
	task := w.task(a)
	for i, f := range []*Function{a, b, b, a, a} {
		task.Add(Item{Function: f, Target: ids[i], Index: uint32(i)})
	}
	task.Finish()
	require.Nil(t, task.Err)
	require.Equal(t, []int{2, 1}, ofA.waves)
	require.Equal(t, []int{2}, ofB.waves)
	require.Len(t, task.Parts, 5)
}

// What an input is made of.
func TestInput(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 7, "c", "d")
	w.Store.SetParents(id, []vertex.ID{w.id("p")}, true)
	var got udf.Input
	f := w.add("look", 0, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		state, terms := *in.State, *in.Terms // they are borrowed
		state.Children = slices.Clone(in.Children)
		got = udf.Input{State: &state, Terms: &terms, Arguments: in.Arguments}
		require.Equal(t, int64(7), in.Batch.Int64(0)[0])
		require.Equal(t, []vertex.ID{w.id("p")}, in.Parents())
		require.NotNil(t, in.Views)
		require.Zero(t, in.Cancelled.Load())
		return nil
	}})
	f.Auxiliary = []byte("auxiliary")
	task := w.task(f, id)
	task.Arguments = udf.Value{Bytes: []byte("arguments")}
	task.Deadline = 1 << 62
	task.Finish()
	require.Nil(t, task.Err)
	require.Equal(t, w.ids([]string{"c", "d"}), got.Children)
	require.Equal(t, id, got.Vertex)
	require.Equal(t, "arguments", string(got.Arguments.Bytes))
	require.Equal(t, "auxiliary", string(got.Auxiliary))
	require.Equal(t, int64(1<<62), got.Deadline)
	require.False(t, got.Remote)
	_, version, _ := w.state(id)
	require.Equal(t, version, got.Version)
	require.Equal(t, version, task.Version)
	require.Empty(t, task.Parts, "no part is no part")
}

// tree makes vertices of a text such as "a(b(c d) e)" and gives their names in depth-first order.
func (w *world) tree(text string) (names []string) {
	names = strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("() ", r) })
	children := map[string][]string{}
	var above []string
	last := ""
	for token := range strings.FieldsSeq(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text)) {
		switch token {
		case "(":
			above = append(above, last)
		case ")":
			above = above[:len(above)-1]
		default:
			if len(above) > 0 {
				parent := above[len(above)-1]
				children[parent] = append(children[parent], token)
			}
			last = token
		}
	}
	for _, name := range names {
		w.vertex(name, 1, children[name]...)
	}
	return names
}

func wide(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "w%d(x%d y%d) ", i, i, i)
	}
	return "root(" + text.String() + ")"
}

// Parts whose order matters are in depth-first order of targets and spawns, and are folded once;
// without merge they stay as they are.
func TestOrderOfParts(t *testing.T) {
	for name, text := range map[string]string{
		"one":          "a",
		"a chain":      "a(b(c(d(e))))",
		"a fork":       "a(b c)",
		"uneven":       "a(b(c d(e f)) g(h) i)",
		"over a wave":  "r(" + strings.Join(strings.Split("abcdefghijklmnopq", ""), " ") + "(z))",
		"wide and low": wide(FoldSize + 5),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			names := w.tree(text)
			merging := w.add("walk", 0, udf.Func{Calculate: w.walk, Merge: join})
			seen := watch(merging)
			task := w.run(merging, w.id(names[0]))
			require.Nil(t, task.Err)
			require.Equal(t, []string{strings.Join(names, " ")}, said(task))
			require.Len(t, seen.folds, min(len(names)-1, 1), "one part is not merged, many are once")
			require.Equal(t, DefaultSpawnBudget-uint64(len(names)-1), task.Budget)

			plain := w.add("plain", 0, udf.Func{Calculate: w.walk})
			require.Equal(t, names, said(w.run(plain, w.id(names[0]))))

			below := w.task(merging, w.id(names[0]))
			below.Depth = 1
			below.Finish()
			require.Equal(t, names, said(below), "a frame's parts go home with their paths")
		})
	}
}

// Targets come before what the earlier ones spawn.
func TestOrderOfTargets(t *testing.T) {
	w := newWorld(t)
	w.tree("a(b c)")
	w.tree("d(e)")
	f := w.add("walk", 0, udf.Func{Calculate: w.walk, Merge: join})
	task := w.run(f, w.id("d"), w.id("a"), w.id("d"))
	require.Equal(t, []string{"d e a b c d e"}, said(task))
}

// Parts whose order does not matter are folded before they become many.
func TestCommutativePartsAreFoldedEarly(t *testing.T) {
	w := newWorld(t)
	ids := w.vertices(3*FoldSize + 1)
	f := w.add("value", udf.Commutative, udf.Func{Calculate: valueOf, Merge: addUp})
	seen := watch(f)
	task := w.run(f, ids...)
	require.Nil(t, task.Err)
	require.Equal(t, int64(len(ids)*(len(ids)-1)/2), number(task.Parts[0].Value))
	require.Nil(t, task.Parts[0].Path)
	require.Greater(t, len(seen.folds), 2)
	for _, fold := range seen.folds {
		require.GreaterOrEqual(t, fold, 2)
		require.Less(t, fold, FoldSize+WaveSize)
	}
}

// Folding gives the memory of the parts back: many parts take no more than some do.
func TestFoldingGivesMemoryBack(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	const size, targets = 1 << 10, 100 * FoldSize
	f := w.add("large", udf.Commutative, udf.Func{
		Calculate: func(_ *udf.Input, out *udf.Output) error {
			out.Reserve(size)
			return nil
		},
		Merge: func(_ *udf.MergeInput, out *udf.Output) error {
			out.Reserve(size)
			return nil
		}})
	all := make([]vertex.ID, targets)
	for i := range all {
		all[i] = id
	}
	before, _ := arena.Usage()
	task := w.run(f, all...)
	require.Nil(t, task.Err)
	after, _ := arena.Usage()
	require.Less(t, after-before, size*targets/10)
}

func TestBatchesAsParts(t *testing.T) {
	w := newWorld(t)
	ids := w.vertices(FoldSize + 9)
	f := w.add("value", udf.Commutative, udf.Func{
		Calculate: func(in *udf.Input, out *udf.Output) error {
			out.Batch(vertex.Int64Batch("x", in.Batch.Int64(0)...))
			return nil
		},
		Merge: func(in *udf.MergeInput, out *udf.Output) error {
			sum := int64(0)
			for _, part := range in.Parts {
				sum += part.Batch.Int64(0)[0]
			}
			out.Batch(vertex.Int64Batch("x", sum))
			return nil
		}})
	task := w.run(f, ids...)
	require.Nil(t, task.Err)
	require.Len(t, task.Parts, 1)
	require.Equal(t, int64(len(ids)*(len(ids)-1)/2), task.Parts[0].Value.Batch.Int64(0)[0])
}

func TestGroupsRunOnTheirChildren(t *testing.T) {
	w := newWorld(t)
	w.tree("a(b)")
	w.tree("c")
	w.group("inner", "c", "a")
	w.group("outer", "a", "inner", "c")
	w.group("empty")
	f := w.add("walk", 0, udf.Func{Calculate: w.walk, Merge: join})
	require.Equal(t, []string{"a b c a b c"}, said(w.run(f, w.id("outer"))))
	require.Equal(t, []string{"c a b c"}, said(w.run(f, w.id("empty"), w.id("c"), w.id("empty"), w.id("a"),
		w.id("c"))))
	none := w.run(f, w.id("empty"))
	require.Nil(t, none.Err)
	require.Empty(t, none.Parts)
	require.Zero(t, none.Calculates)
}

// A group whose item has arguments of its own: each child has a reference to them.
func TestGroupsShareArguments(t *testing.T) {
	w := newWorld(t)
	ids := w.vertices(3)
	w.group("group", "0", "1", "2")
	f := w.add("add", udf.Commutative, udf.Func{Merge: addUp,
		Calculate: func(in *udf.Input, out *udf.Output) error {
			putNumber(out, in.Batch.Int64(0)[0]+in.Arguments.Batch.Int64(0)[0])
			return nil
		}})
	task := w.task(f)
	task.Add(Item{Function: f, Target: w.id("group"), Own: true,
		Value: udf.Value{Batch: vertex.Int64Batch("n", 10)}})
	task.Finish()
	require.Nil(t, task.Err)
	require.Equal(t, int64(0+1+2+10*len(ids)), number(task.Parts[0].Value))
}

func TestMaxParts(t *testing.T) {
	w := newWorld(t)
	id := w.vertex("v", 1)
	f := w.add("value", 0, udf.Func{Calculate: valueOf})
	task := w.task(f, id)
	task.Parts = make([]Part, MaxParts-1, MaxParts)
	task.Finish()
	require.Nil(t, task.Err)
	require.Len(t, task.Parts, MaxParts)
	task.Add(Item{Function: f, Target: id})
	task.Finish()
	require.Equal(t, status.Exhausted, task.Err.Code)
	require.Contains(t, task.Err.Error(), "MaxParts")
}

func TestFinishMakesTheResult(t *testing.T) {
	w := newWorld(t)
	f := w.add("f", 0, udf.Func{Calculate: valueOf, Finish: func(in *udf.MergeInput, out *udf.Output) error {
		if number(in.Parts[0]) < 0 {
			return status.Errorf(status.InvalidArgument, "it is negative")
		}
		if number(in.Parts[0]) > 0 {
			putNumber(out, number(in.Parts[0])+number(in.Arguments))
		}
		return nil
	}})
	value := func(n int64) udf.Value {
		return udf.Value{Bytes: binary.LittleEndian.AppendUint64(nil, uint64(n))}
	}
	var taken []int64
	take := func(v *udf.Value) { taken = append(taken, number(*v)) }
	require.Nil(t, w.Finish(f, value(2), value(5), take))
	require.Nil(t, w.Finish(f, value(0), value(0), take), "it may answer nothing")
	err := w.Finish(f, value(0), value(-1), take)
	require.Equal(t, status.InvalidArgument, err.Code)
	require.Contains(t, err.Error(), `finish of function "f": it is negative`)
	require.Equal(t, []int64{7}, taken)
}
