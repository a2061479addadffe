package udftest

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// checkEcho also sees that a part is not the memory of the arguments, and that outputs are reused.
func checkEcho(t *testing.T, s *Suite) {
	s.run(t, Echo, func(p udf.Program) {
		for _, n := range []int{1, 2, 64, 1000} {
			b := newBench(n)
			for round := range 3 {
				echoOnce(t, p, b, fmt.Sprintf("round %d of input", round))
				b.clear()
				for i := range b.Outputs {
					require.False(t, b.Outputs[i].HasPart, "Clear left a part")
				}
			}
			b.free()
		}
	})
}

func echoOnce(t require.TestingT, p udf.Program, b *bench, prefix string) {
	want := make([]string, len(b.Inputs))
	for i := range b.Inputs {
		want[i] = fmt.Sprintf("%s %d", prefix, i)
		if i == 3 {
			want[i] = "" // no arguments at all are echoed, too
		}
		b.Inputs[i].Arguments = udf.Value{Bytes: []byte(want[i])}
		if i%2 == 1 && want[i] != "" {
			off := arena.Alloc(len(want[i]))
			defer arena.Free(off)
			copy(off, want[i])
			b.Inputs[i].Arguments = udf.Value{Bytes: off, OffHeap: true}
		}
	}
	p.Calculate(&b.Wave)
	for i := range b.Inputs {
		clear(b.Inputs[i].Arguments.Bytes)
		b.Inputs[i].Arguments = udf.Value{}
	}
	for i := range b.Outputs {
		out := &b.Outputs[i]
		require.Nil(t, out.Failure)
		require.True(t, out.HasPart)
		require.Nil(t, out.Part.Batch)
		require.Equal(t, want[i], string(out.Part.Bytes))
	}
}

// checkEchoBatch sees that a part owns its batch: it outlives the arguments.
func checkEchoBatch(t *testing.T, s *Suite) {
	s.run(t, Echo, func(p udf.Program) {
		b := newBench(3)
		defer b.free()
		for i := range b.Inputs {
			b.Inputs[i].Arguments = udf.Value{Batch: vertex.Int64Batch("n", int64(i), 7)}
		}
		p.Calculate(&b.Wave)
		for i := range b.Inputs {
			b.Inputs[i].Arguments.Batch.Release()
			require.Nil(t, b.Outputs[i].Failure)
			require.NotNil(t, b.Outputs[i].Part.Batch)
			require.Equal(t, []int64{int64(i), 7}, b.Outputs[i].Part.Batch.Int64(0))
		}
	})
}

// together runs f on several goroutines at once and fails where one of them does.
func together(t *testing.T, f func(t require.TestingT, worker int)) {
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() { f(collector{t}, worker) })
	}
	wait.Wait()
}

// collector lets a goroutine that is not the test's own fail the test and end itself.
type collector struct{ *testing.T }

// FailNow ends the goroutine; the test is marked as failed by then.
func (c collector) FailNow() { panic("the check above failed") }

func checkConcurrent(t *testing.T, s *Suite) {
	s.run(t, Echo, func(p udf.Program) {
		together(t, func(t require.TestingT, worker int) {
			b := newBench(1 + worker*5)
			defer b.free()
			for round := range 50 {
				echoOnce(t, p, b, fmt.Sprintf("worker %d round %d input", worker, round))
				b.clear()
			}
		})
	})
}

// numberIn reads the result of Sum.
func numberIn(t require.TestingT, v udf.Value) int64 {
	if v.Batch == nil {
		require.Len(t, v.Bytes, 8)
		return int64(binary.LittleEndian.Uint64(v.Bytes))
	}
	require.Equal(t, 1, v.Batch.Columns())
	require.Len(t, v.Batch.Int64(0), 1, "a sum is a batch of one int64")
	return v.Batch.Int64(0)[0]
}

// sums calculates Sum over vertices and gives the wave, whose outputs hold a part for each.
func sums(t require.TestingT, p udf.Program, arguments udf.Value, vertices [][]int64) *bench {
	b := newBench(len(vertices))
	for i, numbers := range vertices {
		b.Inputs[i].Batch = vertex.Int64Batch("value", numbers...)
		b.Inputs[i].Arguments = arguments
	}
	p.Calculate(&b.Wave)
	for i := range vertices {
		b.Inputs[i].Batch.Release()
		require.Nil(t, b.Outputs[i].Failure)
		require.True(t, b.Outputs[i].HasPart)
	}
	return b
}

func (b *bench) parts() []udf.Value {
	parts := make([]udf.Value, len(b.Outputs))
	for i := range parts {
		parts[i] = b.Outputs[i].Part
	}
	return parts
}

func sumOnce(t require.TestingT, p udf.Program, arguments udf.Value, vertices [][]int64) {
	var want int64
	for _, numbers := range vertices {
		for _, n := range numbers {
			want += n
		}
	}
	b := sums(t, p, arguments, vertices)
	defer b.free()
	out, err := fold(t, p, arguments, b.parts())
	defer out.Clear()
	require.NoError(t, err)
	require.Equal(t, want, numberIn(t, out.Part), "of %v", vertices)
}

func checkSum(t *testing.T, s *Suite) {
	s.run(t, Sum, func(p udf.Program) {
		require.True(t, p.HasMerge(), "a sum of several vertices needs a merge")
		for _, vertices := range [][][]int64{
			{{1, 2, 3}}, {{}}, {{-5}, {5}}, {{1}, {}, {2}, {3, 4}}, make([][]int64, 300),
			{{1 << 62}, {-1 << 62, 1}},
		} {
			sumOnce(t, p, s.arguments, vertices)
		}
	})
}

// checkGrouping folds the same parts in two ways; merge leaves the parts that it is given alone.
func checkGrouping(t *testing.T, s *Suite) {
	s.run(t, Sum, func(p udf.Program) {
		b := sums(t, p, s.arguments, [][]int64{{1, 2}, {30}, {400}, {}, {5000}})
		defer b.free()
		parts := b.parts()
		for split := 1; split < len(parts); split++ {
			left := mergeOnce(t, p, s.arguments, parts[:split])
			right := mergeOnce(t, p, s.arguments, parts[split:])
			out, err := fold(t, p, s.arguments, []udf.Value{left.Part, right.Part})
			require.NoError(t, err)
			require.Equal(t, int64(5433), numberIn(t, out.Part), "split at %d", split)
			out.Clear()
			left.Clear()
			right.Clear()
		}
	})
}

// mergeOnce merges without finishing.
func mergeOnce(
	t require.TestingT, p udf.Program, arguments udf.Value, parts []udf.Value,
) *udf.Output {
	out := &udf.Output{}
	if len(parts) == 1 {
		keep(out, parts[0])
		return out
	}
	var scratch udf.Scratch
	defer scratch.Close()
	p.Merge(&udf.MergeInput{Parts: parts, Arguments: arguments, Scratch: &scratch}, out)
	require.Nil(t, out.Failure)
	require.True(t, out.HasPart)
	return out
}

func checkConcurrentSum(t *testing.T, s *Suite) {
	s.run(t, Sum, func(p udf.Program) {
		together(t, func(t require.TestingT, worker int) {
			for round := range 20 {
				sumOnce(t, p, s.arguments, [][]int64{{int64(worker)}, {int64(round), 1}, {2}})
			}
		})
	})
}

func checkFail(t *testing.T, s *Suite) {
	failAmongOthers(t, s, Fail, "fail", FailMessage, FailDetail)
}

func checkPanic(t *testing.T, s *Suite) {
	failAmongOthers(t, s, Panic, "panic", PanicMessage, "")
}

// failAmongOthers sees that a failure is of its own input only, and that the program goes on.
func failAmongOthers(t *testing.T, s *Suite, f Function, arguments, message, detail string) {
	s.run(t, f, func(p udf.Program) {
		b := newBench(5)
		defer b.free()
		for range 3 {
			b.Inputs[1].Arguments = udf.Value{Bytes: []byte(arguments)}
			b.Inputs[4].Arguments = udf.Value{Bytes: []byte(arguments)}
			p.Calculate(&b.Wave)
			for i := range b.Outputs {
				out := &b.Outputs[i]
				if i != 1 && i != 4 {
					require.Nil(t, out.Failure, "input %d", i)
					require.Equal(t, "fine", string(out.Part.Bytes), "input %d", i)
					continue
				}
				require.NotNil(t, out.Failure, "input %d", i)
				require.Equal(t, status.UDFFailed, out.Failure.Code)
				require.Contains(t, out.Failure.Message, message)
				require.Contains(t, out.Failure.Detail, detail)
			}
			b.clear()
			require.Nil(t, b.Outputs[1].Failure, "Clear left a failure")
		}
	})
}

func checkSpawn(t *testing.T, s *Suite) {
	s.run(t, Spawn, func(p udf.Program) {
		b := newBench(2)
		defer b.free()
		children := []vertex.ID{vertex.NameID("a"), vertex.NameID("b"), vertex.NameID("c")}
		arguments := []byte("from the parent")
		b.Inputs[1].Children, b.Inputs[1].Arguments = children, udf.Value{Bytes: arguments}
		p.Calculate(&b.Wave)
		clear(arguments)
		require.Empty(t, b.Outputs[0].Spawns)
		require.Len(t, b.Outputs[1].Spawns, len(children))
		for i, spawn := range b.Outputs[1].Spawns {
			require.Equal(t, children[i], spawn.Target)
			require.Equal(t, SpawnUDF, spawn.UDF)
			require.True(t, spawn.Once)
			require.Equal(t, "from the parent", string(spawn.Arguments.Bytes))
		}
		for i := range b.Outputs {
			require.Nil(t, b.Outputs[i].Failure)
			require.False(t, b.Outputs[i].HasPart)
		}
		b.clear()
		require.Empty(t, b.Outputs[1].Spawns, "Clear left spawns")
	})
}

func checkEffects(t *testing.T, s *Suite) {
	s.run(t, Effects, func(p udf.Program) {
		b := newBench(2)
		defer b.free()
		child := vertex.NameID("child")
		for i := range b.Inputs {
			b.Inputs[i].Children = []vertex.ID{child}
		}
		p.Calculate(&b.Wave)
		for i := range b.Outputs {
			require.Nil(t, b.Outputs[i].Failure)
			require.False(t, b.Outputs[i].HasPart)
			requireEffects(t, b.Outputs[i].Effects, child)
		}
		b.clear()
		require.Empty(t, b.Outputs[0].Effects, "Clear left effects")
	})
}

func requireEffects(t *testing.T, effects []udf.Effect, child vertex.ID) {
	require.Len(t, effects, 6)
	for i, kind := range []udf.EffectKind{udf.EffectSetValue, udf.EffectAddChild, udf.EffectAddChild,
		udf.EffectLink, udf.EffectUnlink, udf.EffectRemove} {
		require.Equal(t, kind, effects[i].Kind, "effect %d", i)
	}
	require.Equal(t, []int64{1, 2, 3}, effects[0].Value.Int64(0))
	require.Equal(t, MadeName, effects[1].Name)
	require.Equal(t, vertex.NameID(MadeName), effects[1].ID)
	require.Equal(t, []int64{1, 2, 3}, effects[1].Value.Int64(0))
	require.Empty(t, effects[2].Name)
	require.False(t, effects[2].ID.IsZero() || effects[2].ID.Named(), "an unnamed child has a new id")
	require.Nil(t, effects[2].Value)
	require.Equal(t, child, effects[3].ID)
	require.Equal(t, child, effects[4].ID)
}

func checkBig(t *testing.T, s *Suite) {
	s.run(t, Big, func(p udf.Program) {
		b := newBench(3)
		defer b.free()
		for range 2 {
			p.Calculate(&b.Wave)
			for i := range b.Outputs {
				require.Nil(t, b.Outputs[i].Failure)
				part := b.Outputs[i].Part.Bytes
				require.Len(t, part, BigBytes)
				for k, v := range part {
					if v != byte(k%251) {
						require.Fail(t, "wrong byte", "byte %d of output %d is %d", k, i, v)
					}
				}
			}
			b.clear()
		}
	})
}

func checkRubbish(t *testing.T, s *Suite) {
	s.run(t, Rubbish, func(p udf.Program) {
		b := newBench(2)
		defer b.free()
		p.Calculate(&b.Wave)
		for i := range b.Outputs {
			require.NotNil(t, b.Outputs[i].Failure, "a part that is no batch was accepted")
			require.Contains(t, []status.Code{status.UDFFailed, status.InvalidArgument},
				b.Outputs[i].Failure.Code)
		}
	})
}

// checkWait sees that one waiting calculate holds up no other, and that it hears of its cancelling.
func checkWait(t *testing.T, s *Suite) {
	s.run(t, Wait, func(p udf.Program) {
		slow, done := newBench(1), make(chan struct{})
		defer slow.free()
		go func() {
			defer close(done)
			p.Calculate(&slow.Wave)
		}()
		quick := newBench(4)
		defer quick.free()
		quick.cancelled.Store(1)
		p.Calculate(&quick.Wave)
		select {
		case <-done:
			require.Fail(t, "it did not wait")
		default:
		}
		slow.cancelled.Store(1)
		select {
		case <-done:
		case <-time.After(patience):
			require.Fail(t, "it was cancelled and does not return")
		}
		for _, out := range []*udf.Output{&slow.Outputs[0], &quick.Outputs[0]} {
			if out.Failure != nil {
				require.Equal(t, status.Cancelled, out.Failure.Code)
			}
		}
	})
}
