package native_test

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/status"
	"dcf/udf"
	"dcf/udf/native"
	"dcf/udf/native/nativetest"
	"dcf/udf/udftest"
	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	state := nativetest.NewState()
	t.Cleanup(state.Close)
	udftest.Run(t, udftest.Suite{
		Kind: native.Kind{},
		Define: func(t *testing.T, f udftest.Function) udf.Definition {
			callbacks, ok := state.Suite(string(f))
			require.True(t, ok, "no function %q", f)
			def := udf.Definition{Kind: udf.KindNative, Name: string(f), Code: callbacks}
			if f == udftest.Effects {
				def.Flags = udf.Updates
			}
			return def
		},
		Without: map[udftest.Function]string{
			udftest.Panic: "C has no exceptions, and a crash is a crash",
		},
	})
}

// rig runs one native function directly.
type rig struct {
	*testing.T
	state   *nativetest.State
	program udf.Program
	scratch udf.Scratch
	never   []byte
	logs    []string
	ids     byte
}

func newRig(t *testing.T, flags udf.Flags,
	callbacks func(*nativetest.State) native.Callbacks) *rig {
	r := &rig{T: t, state: nativetest.NewState(), never: arena.Alloc(64)}
	clear(r.never)
	p, err := native.Kind{}.Load(&udf.Definition{Kind: udf.KindNative, Name: "f", Flags: flags,
		Auxiliary: []byte("aux"), Code: callbacks(r.state)})
	require.NoError(t, err)
	r.program = p
	before, _, _ := cdata.Live()
	t.Cleanup(func() {
		r.program.Close()
		require.Equal(t, int64(1), r.state.Frees(), "user data is freed once")
		r.scratch.Close()
		r.state.Close()
		arena.Free(r.never)
		after, _, _ := cdata.Live()
		require.Equal(t, before, after, "batches were leaked")
	})
	return r
}

func (r *rig) input(arguments string) udf.Input {
	never := (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(r.never)))
	return udf.Input{State: &udf.State{Vertex: vertex.ID{15: 9}, Version: 3},
		Terms: &udf.Terms{Cancelled: never}, Arguments: udf.Value{Bytes: []byte(arguments)}}
}

func (r *rig) output() udf.Output {
	return udf.Output{
		NewID: func() vertex.ID { r.ids++; return vertex.ID{3: 1, 7: 2, 15: r.ids} },
		Log:   func(level int, text string) { r.logs = append(r.logs, text) },
	}
}

// run runs a script on one vertex.
func (r *rig) run(script string, change ...func(*udf.Input)) *udf.Output {
	wave := udf.Wave{Inputs: []udf.Input{r.input(script)}, Outputs: []udf.Output{r.output()},
		Scratch: &r.scratch}
	for _, f := range change {
		f(&wave.Inputs[0])
	}
	r.program.Calculate(&wave)
	r.scratch.Reset()
	out := &wave.Outputs[0]
	r.Cleanup(out.Clear)
	return out
}

func withValue(b *vertex.Batch) func(*udf.Input) { return func(in *udf.Input) { in.Batch = b } }

func TestInputIsShown(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Describe)
	b := vertex.Int64Batch("n", 1, 2, 3)
	defer b.Release()
	arguments := vertex.Int64Batch("a", 7)
	defer arguments.Release()
	many := make([]vertex.ID, 5000) // more than is copied
	many[len(many)-1][15] = 0xab
	listed := []vertex.ID{4: {15: 0xcd}} // the first four make room for the list's head
	list := (*cdata.IDList)(unsafe.Pointer(unsafe.SliceData(listed)))
	list.Count = 1
	var parents atomic.Pointer[cdata.IDList]
	parents.Store(list)
	out := r.run("hello", func(in *udf.Input) {
		in.Batch, in.Remote, in.Deadline = b, true, 1<<62
		in.Children, in.Edges = many, &parents
	})
	require.Nil(t, out.Failure)
	require.Equal(t, "size=160 kind=1 vertex=0009 version=3 rows=3 children=5000:ab parents=1:cd "+
		"arguments=hello rows=-1 auxiliary=aux deadline=4611686018427387904 cancelled=0",
		string(out.Part.Bytes))
	out = r.run("", func(in *udf.Input) { in.Arguments = udf.Value{Batch: arguments} })
	require.Equal(t, "size=160 kind=0 vertex=0009 version=3 rows=-1 children=0:00 parents=0:00 "+
		"arguments= rows=1 auxiliary=aux deadline=0 cancelled=0", string(out.Part.Bytes))
}

func TestParts(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Script)
	require.False(t, r.run("").HasPart)
	require.Equal(t, "abc", string(r.run("part abc").Part.Bytes))
	require.Equal(t, "last", string(r.run("part first\npart last").Part.Bytes))
	for _, size := range []string{"0", "1", "40", "41", "65536", "1000000"} {
		out := r.run("reserve " + size)
		require.Nil(t, out.Failure)
		require.True(t, out.HasPart)
		require.Equal(t, strings.Repeat("x", len(out.Part.Bytes)), string(out.Part.Bytes))
	}
	require.Len(t, r.run("reserve 1000000").Part.Bytes, 1_000_000)
	require.Equal(t, "small", string(r.run("reserve 1000000\npart small").Part.Bytes))

	b := vertex.Int64Batch("n", 4, 5)
	defer b.Release()
	out := r.run("reserve 1000000\narray own", withValue(b))
	require.Equal(t, []int64{4, 5}, out.Part.Batch.Int64(0))
	require.Equal(t, &b.Int64(0)[0], &out.Part.Batch.Int64(0)[0], "nothing was copied")
	require.Equal(t, "bytes", string(r.run("array own\npart bytes", withValue(b)).Part.Bytes))
}

func TestFailures(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Script)
	for _, c := range []struct {
		script  string
		code    status.Code
		message string
	}{
		{"fail no-luck", status.UDFFailed, "no-luck"},
		{"fail no-luck\nfail later", status.UDFFailed, "no-luck"},
		{"fail no-luck\nreturn 4", status.NotFound, "no-luck"},
		{"return 4", status.NotFound, "the function returned DCF_NOT_FOUND and did not say why"},
		{"return 1", status.UDFFailed, "the function returned DCF_INTERNAL"},
		{"return 99", status.UDFFailed, "the function returned DCF_STATUS_99"},
		{"return -3", status.UDFFailed, "the function returned DCF_STATUS_-3"},
		{"fail", status.UDFFailed, "the function failed and did not say why"},
		{"part x\nfail no-luck", status.UDFFailed, "no-luck"},
		{"array bad", status.UDFFailed, "the part that the function gave is no usable record batch"},
		{"set bad", status.UDFFailed, "the value of a vertex that the function gave is no usable"},
		{"spawn bad", status.UDFFailed, "the arguments of a spawn that the function gave is no usable"},
		{"spawn latin", status.UDFFailed, "names are UTF-8 without NUL"},
		{"latin-child", status.UDFFailed, "names are UTF-8 without NUL"},
	} {
		out := r.run(c.script)
		require.NotNil(t, out.Failure, c.script)
		require.Equal(t, c.code, out.Failure.Code, c.script)
		require.Contains(t, out.Failure.Message, c.message, c.script)
	}
	out := r.run("traceback")
	require.Equal(t, "first line", out.Failure.Message)
	require.Equal(t, "first line\n  at second line\n  at third line", out.Failure.Detail)
}

// TestRefusals shows what the output's functions say to the callback itself.
func TestRefusals(t *testing.T) {
	r := newRig(t, udf.Updates, (*nativetest.State).Script)
	for _, script := range []string{
		"null\nexpect 2", "half\nexpect 2", "spawn flags\nexpect 2", "spawn size\nexpect 2",
		"array own\nexpect 4", // the vertex has no value
		"child " + strings.Repeat("n", 256) + "\nexpect 2",
		"child " + strings.Repeat("n", 255) + "\nexpect 0",
		"view\nexpect 0",
	} {
		require.Nil(t, r.run(script).Failure, script)
	}
	for _, script := range []string{"many spawn 1048577\nexpect 9", "many child 1048577\nexpect 9"} {
		require.Equal(t, status.Aborted, r.run(script+"\nreturn 13").Failure.Code, script)
	}
}

func TestSpawns(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Script)
	b := vertex.Int64Batch("n", 4, 5)
	defer b.Release()
	out := r.run("spawn once first\nspawn other second\nspawn array third\nspawn", withValue(b))
	require.Nil(t, out.Failure)
	require.Len(t, out.Spawns, 4)
	for _, s := range out.Spawns {
		require.Equal(t, vertex.ID{15: 9}, s.Target)
	}
	require.True(t, out.Spawns[0].Once)
	require.Equal(t, "first", string(out.Spawns[0].Arguments.Bytes))
	require.False(t, out.Spawns[1].Once)
	require.Equal(t, "other", out.Spawns[1].UDF)
	require.Equal(t, "second", string(out.Spawns[1].Arguments.Bytes))
	require.Equal(t, []int64{4, 5}, out.Spawns[2].Arguments.Batch.Int64(0))
	require.Empty(t, out.Spawns[3].Arguments.Bytes)
}

func TestEffects(t *testing.T) {
	r := newRig(t, udf.Updates, (*nativetest.State).Script)
	b := vertex.Int64Batch("n", 4, 5)
	defer b.Release()
	out := r.run("set own\nunset\nchild named own\nchild\nchild\nlink\nunlink\nremove", withValue(b))
	require.Nil(t, out.Failure)
	require.Len(t, out.Effects, 8)
	for i, want := range []udf.EffectKind{udf.EffectSetValue, udf.EffectSetValue, udf.EffectAddChild,
		udf.EffectAddChild, udf.EffectAddChild, udf.EffectLink, udf.EffectUnlink, udf.EffectRemove} {
		require.Equal(t, want, out.Effects[i].Kind)
	}
	require.Equal(t, []int64{4, 5}, out.Effects[0].Value.Int64(0))
	require.Nil(t, out.Effects[1].Value)
	require.Equal(t, "named", out.Effects[2].Name)
	require.Equal(t, vertex.NameID("named"), out.Effects[2].ID)
	require.Equal(t, []int64{4, 5}, out.Effects[2].Value.Int64(0))
	require.Equal(t, vertex.ID{3: 1, 7: 2, 15: 1}, out.Effects[3].ID, "the id that Go chose")
	require.Equal(t, out.Effects[4].ID[:], out.Part.Bytes, "the callback is told the id")
	require.Equal(t, vertex.ID{15: 9}, out.Effects[5].ID)
}

// TestChildIDs compares the ids that C makes with those of package vertex.
func TestChildIDs(t *testing.T) {
	r := newRig(t, udf.Updates, (*nativetest.State).Script)
	for _, size := range []int{1, 3, 54, 55, 56, 63, 64, 119, 120, 128, 254, 255} {
		name := strings.Repeat("é", size/2) + strings.Repeat("x", size%2)
		out := r.run("child " + name)
		require.Equal(t, vertex.NameID(name), out.Effects[0].ID, "a name of %d bytes", len(name))
	}
	seen := map[vertex.ID]bool{}
	for range 3 {
		for _, e := range r.run("many child 100").Effects {
			require.False(t, seen[e.ID], "id %v was given twice", e.ID)
			require.False(t, e.ID.Named())
			node, incarnation := e.ID.Birth()
			require.Equal(t, uint64(2), node)
			require.Equal(t, uint32(1), incarnation)
			seen[e.ID] = true
		}
	}
	require.Len(t, seen, 300)
}

func TestLogs(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Script)
	long := strings.Repeat("y", udf.MaxLogBytes+1)
	r.run("log 0 one two three\nlog 8 caf\xe9\nlog 4 " + long + "\nfail no-luck")
	require.Equal(t, []string{"one two three", "caf\uFFFD", long[:udf.MaxLogBytes]}, r.logs)
	r.logs = nil
	r.run(strings.Repeat("log 0 again\n", 300))
	require.Len(t, r.logs, 256, "one callback logs so often only")
}

func TestViews(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Script)
	block := arena.Alloc(64)
	defer arena.Free(block)
	clear(block)
	views := (*cdata.Views)(unsafe.Pointer(unsafe.SliceData(block)))
	shown := func(in *udf.Input) { in.Views = views }
	require.Equal(t, "new 0", string(r.run("view", shown).Part.Bytes))
	require.Equal(t, "cached 5", string(r.run("view", shown).Part.Bytes))
	require.Equal(t, "new 11", string(r.run("view").Part.Bytes), "an input without views")
	require.Zero(t, r.state.ViewsFreed())
	views.Clear()
	require.Equal(t, int64(1), r.state.ViewsFreed())
}

func TestFolds(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).ScriptJoined)
	require.True(t, r.program.HasMerge())
	require.False(t, r.program.HasFinish())
	b := vertex.Int64Batch("n", 4, 5)
	defer b.Release()
	big := []byte(strings.Repeat("z", 100<<10))
	out := r.output()
	in := udf.MergeInput{
		Parts:     []udf.Value{{Bytes: []byte("a")}, {Batch: b}, {}, {Bytes: []byte("b")}},
		Arguments: udf.Value{Bytes: []byte("args")}, Scratch: &r.scratch}
	r.program.Merge(&in, &out)
	require.Nil(t, out.Failure)
	require.Equal(t, "a<2>bargsaux", string(out.Part.Bytes))
	out.Clear()
	in.Parts = []udf.Value{{Bytes: big}, {Bytes: []byte("b")}}
	r.program.Merge(&in, &out)
	require.Equal(t, string(big[:4096]), string(out.Part.Bytes), "a large part is seen where it is")
	out.Clear()
	r.scratch.Reset()
}

func TestFoldsHaveNoEffects(t *testing.T) {
	r := newRig(t, udf.Updates, (*nativetest.State).Overreach)
	out := r.output()
	in := udf.MergeInput{Parts: []udf.Value{{Bytes: []byte("a")}, {}}, Scratch: &r.scratch}
	r.program.Merge(&in, &out)
	require.Equal(t, "11 11 11", string(out.Part.Bytes))
	require.Empty(t, out.Effects)
	require.Empty(t, out.Spawns)
	out.Clear()
	r.scratch.Reset()
}

// TestWaveStops sees that calculates of a wave do not start once they are cancelled or late.
func TestWaveStops(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Script)
	flag := (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(r.never)))
	wave := udf.Wave{Inputs: make([]udf.Input, 3), Outputs: make([]udf.Output, 3), Scratch: &r.scratch}
	for i := range wave.Inputs {
		wave.Inputs[i] = r.input("part x")
		wave.Inputs[i].Deadline = 1
	}
	run := func() (codes []status.Code) {
		r.program.Calculate(&wave)
		r.scratch.Reset()
		for i := range wave.Outputs {
			code := status.OK
			if wave.Outputs[i].Failure != nil {
				code = wave.Outputs[i].Failure.Code
			}
			codes = append(codes, code)
			wave.Outputs[i].Clear()
		}
		return codes
	}
	require.Equal(t, []status.Code{status.OK, status.Timeout, status.Timeout}, run())
	flag.Store(1)
	require.Equal(t, []status.Code{status.Cancelled, status.Cancelled, status.Cancelled}, run())
	require.Equal(t, int64(1), r.state.Calculates())
}

func TestThreadKnowsThatItIsInACallback(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Script)
	r.run("part x")
	require.True(t, r.state.WasInCallback())
	require.False(t, r.state.WasInUpdate())
	u := newRig(t, udf.Updates, (*nativetest.State).Script)
	u.run("part x")
	require.True(t, u.state.WasInUpdate())
	require.False(t, native.InUpdate())
	require.False(t, native.InCallback())
}

func TestUserDataIsFreedOnlyOfWhatWasRegistered(t *testing.T) {
	state := nativetest.NewState()
	defer state.Close()
	load := func() (udf.Program, *native.Callbacks) {
		c := state.Script()
		c.Registration = &native.Registration{}
		p, err := native.Kind{}.Load(&udf.Definition{Kind: udf.KindNative, Name: "f", Code: c})
		require.NoError(t, err)
		return p, &c
	}
	p, _ := load()
	p.Close()
	require.Zero(t, state.Frees())
	p, c := load()
	c.Registration.Accept(c)
	require.Zero(t, state.Frees())
	p.Close()
	require.Equal(t, int64(1), state.Frees())
	p, c = load()
	p.Close() // dropped by somebody else before it was accepted
	c.Registration.Accept(c)
	require.Equal(t, int64(2), state.Frees())
}

func TestCalculateDoesNotAllocate(t *testing.T) {
	r := newRig(t, 0, (*nativetest.State).Sum)
	b := vertex.Int64Batch("n", 1, 2, 3)
	defer b.Release()
	for _, n := range []int{1, 64} {
		wave := udf.Wave{Inputs: make([]udf.Input, n), Outputs: make([]udf.Output, n),
			Scratch: &r.scratch}
		for i := range wave.Inputs {
			wave.Inputs[i] = r.input("sixteen bytes...")
			wave.Inputs[i].Batch = b
		}
		once := func() {
			r.program.Calculate(&wave)
			for i := range wave.Outputs {
				require.Equal(t, uint64(6), binary.NativeEndian.Uint64(wave.Outputs[i].Part.Bytes))
				wave.Outputs[i].Clear()
			}
			r.scratch.Reset()
		}
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			r.program.Calculate(&wave)
			for i := range wave.Outputs {
				wave.Outputs[i].Clear()
			}
			r.scratch.Reset()
		}))
		once()
	}
}

func BenchmarkCalculate(b *testing.B) {
	state := nativetest.NewState()
	defer state.Close()
	p, err := native.Kind{}.Load(&udf.Definition{Kind: udf.KindNative, Name: "f", Code: state.Sum()})
	require.NoError(b, err)
	value := vertex.Int64Batch("n", 1, 2, 3)
	defer value.Release()
	never := arena.Alloc(64)
	clear(never)
	for _, n := range []int{1, 64} {
		b.Run(map[int]string{1: "1", 64: "64"}[n], func(b *testing.B) {
			var scratch udf.Scratch
			wave := udf.Wave{Inputs: make([]udf.Input, n), Outputs: make([]udf.Output, n), Scratch: &scratch}
			for i := range wave.Inputs {
				wave.Inputs[i] = udf.Input{State: &udf.State{Batch: value},
					Terms:     &udf.Terms{Cancelled: (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(never)))},
					Arguments: udf.Value{Bytes: never[:16], OffHeap: true}}
			}
			for b.Loop() {
				p.Calculate(&wave)
				for i := range wave.Outputs {
					wave.Outputs[i].Clear()
				}
				scratch.Reset()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/calculate")
		})
	}
}
