package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/udf/native/nativetest"
	"dcf/vertex"
)

// A version says that functions are one, in whatever language they are written.
func TestAFunctionInGoIsOneInC(t *testing.T) {
	state := nativetest.NewState()
	t.Cleanup(state.Close)
	workers := members(t, 2, "inproc", nil)
	native := goFunction("total", udf.Commutative, udf.Func{})
	native.Kind, native.Code = udf.KindNative, state.Sum()
	_, err := workers[0].Register(native)
	require.NoError(t, err)
	_, err = workers[1].Register(goFunction("total", udf.Commutative, udf.Func{Merge: addUp,
		Calculate: func(*udf.Input, *udf.Output) error { return errors.New("it runs at the owner") }}))
	require.NoError(t, err)
	v := put(t, workers[0], "v", 20, 22)
	there, err := workers[1].Open(v.ID())
	require.NoError(t, err)
	defer there.Release()
	require.Equal(t, int64(42), number(t, workers[1], "total", there))
}

func TestCallOnLocalVertex(t *testing.T) {
	w := open(t, Options{UDFs: common()})
	v := put(t, w, "v", 20, 22)
	c := call(t, w, Call{UDF: function(t, w, "value"), Targets: []*Vertex{v}, Buffer: make([]byte, 8)})
	require.Nil(t, c.Err)
	require.Equal(t, int64(42), get(c.Result.Bytes))
	require.Equal(t, w.NodeID(), c.ServedBy)
	require.Equal(t, InProcess, c.ServedHow)
	require.Equal(t, EffectsNone, c.Effects)
	info, err := v.Info()
	require.NoError(t, err)
	require.Equal(t, info.Version, c.Version)
}

func TestManyCallsInOneRun(t *testing.T) {
	w := open(t, Options{UDFs: common()})
	names := []string{"value", "parts", "increment", "tree_sum", "trail"}
	v := put(t, w, "v", 3)
	calls := make([]Call, 300)
	for i := range calls {
		calls[i] = Call{UDF: function(t, w, names[i%len(names)]), Targets: []*Vertex{v}, Buffer: make([]byte, 8)}
	}
	calls[7].Targets = nil
	require.NoError(t, w.Run(calls))
	for i := range calls {
		c := &calls[i]
		if i == 7 {
			requireCode(t, status.InvalidArgument, c.Err, "no target")
			continue
		}
		require.Nil(t, c.Err, "call %d", i)
		require.NotEmpty(t, c.Result.Bytes, "call %d", i)
		c.Clear()
	}
	require.Equal(t, int64(3+59), number(t, w, "value", v), "each increment is applied once")
}

func TestCallsOfOneRunThatSpawnRunOnce(t *testing.T) {
	var runs atomic.Int64
	w := open(t, Options{UDFs: []udf.Definition{goFunction("walk", udf.Commutative, udf.Func{Merge: addUp,
		Calculate: func(in *udf.Input, out *udf.Output) error {
			runs.Add(1)
			reply(out, valueOf(in))
			return spawn(out, in.Children, udf.Spawn{})
		}})}})
	v, child := put(t, w, "v", 1), put(t, w, "child", 2)
	require.NoError(t, v.Link(child.ID()))
	calls := make([]Call, 5)
	for i := range calls {
		calls[i] = Call{UDF: function(t, w, "walk"), Targets: []*Vertex{v}, Buffer: make([]byte, 8)}
	}
	require.NoError(t, w.Run(calls))
	for i := range calls {
		require.Nil(t, calls[i].Err)
		require.Equal(t, int64(3), get(calls[i].Result.Bytes))
	}
	require.Equal(t, int64(10), runs.Load())
}

func TestResultThatDoesNotFit(t *testing.T) {
	w := open(t, Options{UDFs: []udf.Definition{goFunction("long", 0, udf.Func{
		Calculate: func(_ *udf.Input, out *udf.Output) error {
			out.Bytes([]byte(strings.Repeat("x", 100_000)))
			return nil
		}})}})
	c := call(t, w, Call{UDF: function(t, w, "long"), Targets: []*Vertex{put(t, w, "v", 1)},
		Buffer: make([]byte, 8)})
	require.Nil(t, c.Err)
	require.Len(t, c.Result.Bytes, 100_000)
	require.Equal(t, 100_000, c.ResultSize)
}

func TestFinishRunsOnceAtTheCaller(t *testing.T) {
	var finished atomic.Int64
	double := func() []udf.Definition {
		return []udf.Definition{goFunction("double", udf.Commutative, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in))
				return nil
			},
			Finish: func(in *udf.MergeInput, out *udf.Output) error {
				finished.Add(1)
				reply(out, 2*get(in.Parts[0].Bytes))
				return nil
			}})}
	}
	workers := members(t, 2, "tcp", double)
	here, there := put(t, workers[0], "here", 1), put(t, workers[1], "there", 20)
	remote, err := workers[0].OpenName("there")
	require.NoError(t, err)
	defer remote.Release()
	_ = there
	for _, targets := range [][]*Vertex{{here}, {remote}, {here, remote}} {
		finished.Store(0)
		c := call(t, workers[0], Call{UDF: function(t, workers[0], "double"), Targets: targets,
			Buffer: make([]byte, 8)})
		require.Nil(t, c.Err)
		require.Equal(t, int64(1), finished.Load())
		require.Zero(t, get(c.Result.Bytes)%2)
	}
}

// A tree over two workers, each edge from one to the other: the parts come home in depth-first order.
func TestPartsComeHomeInOrder(t *testing.T) {
	for _, scheme := range []string{"inproc", "shm", "tcp"} {
		t.Run(scheme, func(t *testing.T) {
			workers := members(t, 2, scheme, common)
			var all []*Vertex
			for i := range 15 {
				all = append(all, put(t, workers[(i/2)%2], fmt.Sprint("v", i), int64(i)))
			}
			var want func(i int) string
			want = func(i int) string {
				if i >= len(all) {
					return ""
				}
				return string(rune('a'+i)) + want(2*i+1) + want(2*i+2)
			}
			for i := range 7 {
				require.NoError(t, all[i].Link(all[2*i+1].ID()))
				require.NoError(t, all[i].Link(all[2*i+2].ID()))
			}
			c := call(t, workers[0], Call{UDF: function(t, workers[0], "trail"), TargetIDs: []vertex.ID{all[0].ID()},
				Buffer: make([]byte, 100)})
			require.Nil(t, c.Err)
			require.Equal(t, want(0), string(c.Result.Bytes))
			require.Equal(t, int64(105), number(t, workers[0], "tree_sum", all[0]))
		})
	}
}

func TestWithoutMergePartsComeOneByOne(t *testing.T) {
	workers := members(t, 2, "tcp", common)
	var ids []vertex.ID
	for i := range 6 {
		ids = append(ids, put(t, workers[i%2], fmt.Sprint(i), int64(i)).ID())
	}
	c := call(t, workers[0], Call{UDF: function(t, workers[0], "parts"), TargetIDs: ids})
	require.Nil(t, c.Err)
	require.Len(t, c.Parts, 6)
	for i, p := range c.Parts {
		require.Equal(t, int64(i), get(p.Bytes))
	}
}

func TestOnceRunsOnce(t *testing.T) {
	var runs atomic.Int64
	walk := func() []udf.Definition {
		return []udf.Definition{goFunction("walk", udf.Commutative|udf.Short, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				runs.Add(1)
				reply(out, valueOf(in))
				return spawn(out, in.Children, udf.Spawn{Once: true})
			}})}
	}
	for _, n := range []int{1, 2} {
		workers := members(t, n, "tcp", walk)
		var all []*Vertex
		for i := range 8 { // every vertex has all later ones as children: 2^6 paths to the last one
			all = append(all, put(t, workers[i%n], fmt.Sprint("v", i), int64(i)))
		}
		for i := range all {
			for j := i + 1; j < len(all); j++ {
				require.NoError(t, all[i].Link(all[j].ID()))
			}
		}
		for range 2 {
			runs.Store(0)
			require.Equal(t, int64(28), number(t, workers[0], "walk", all[0]))
			require.Equal(t, int64(8), runs.Load(), "on %d workers", n)
		}
	}
}

func TestEffectsAppearTogether(t *testing.T) {
	grow := goFunction("grow", udf.Updates, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
		if _, err := out.AddChild("", vertex.Int64Batch("x", 1)); err != nil {
			return err
		}
		if _, err := out.AddChild("named", nil); err != nil {
			return err
		}
		if err := out.SetValue(vertex.Int64Batch("x", 100)); err != nil {
			return err
		}
		if len(in.Arguments.Bytes) > 0 {
			return fmt.Errorf("changed my mind")
		}
		return nil
	}})
	w := open(t, Options{UDFs: append(common(), grow)})
	v := put(t, w, "v", 1)
	before, err := v.Info()
	require.NoError(t, err)

	c := call(t, w, Call{UDF: function(t, w, "grow"), Targets: []*Vertex{v},
		Arguments: udf.Value{Bytes: []byte("fail")}})
	requireCode(t, status.UDFFailed, c.Err, "changed my mind", `"grow"`)
	require.Equal(t, EffectsNone, c.Effects)
	after, err := v.Info()
	require.NoError(t, err)
	require.Equal(t, before, after, "a failed calculate left something")

	c = call(t, w, Call{UDF: function(t, w, "grow"), Targets: []*Vertex{v}})
	require.Nil(t, c.Err)
	require.Equal(t, EffectsComplete, c.Effects)
	after, err = v.Info()
	require.NoError(t, err)
	require.Equal(t, before.Version+1, after.Version, "all effects make one version")
	require.Equal(t, c.Version, after.Version)
	require.Equal(t, 2, after.Children)
	require.Equal(t, int64(100), number(t, w, "value", v))
	named, err := w.OpenName("named")
	require.NoError(t, err)
	defer named.Release()
	parents, err := named.Parents()
	require.NoError(t, err)
	require.Equal(t, []vertex.ID{v.ID()}, parents)

	c = call(t, w, Call{UDF: function(t, w, "grow"), Targets: []*Vertex{v}})
	requireCode(t, status.AlreadyExists, c.Err, "named")
	again, err := v.Info()
	require.NoError(t, err)
	require.Equal(t, after, again, "a conflict of one effect lets none of them happen")
}

// Updating calls on one vertex run one after another, whoever makes them.
func TestUpdatesAreSerialised(t *testing.T) {
	workers := members(t, 2, "tcp", common)
	v := put(t, workers[1], "counter", 0)
	var group sync.WaitGroup
	const callers, each = 8, 50
	for i := range callers {
		w := workers[i%2]
		target, err := w.OpenName("counter")
		require.NoError(t, err)
		u := function(t, w, "increment")
		group.Go(func() {
			defer target.Release()
			for range each {
				calls := []Call{{UDF: u, Targets: []*Vertex{target}, Buffer: make([]byte, 8)}}
				if err := w.Run(calls); err != nil || calls[0].Err != nil {
					t.Error(err, calls[0].Err)
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(callers*each), number(t, workers[1], "value", v))
}

func TestFailuresHarmTheirCallOnly(t *testing.T) {
	bad := func() []udf.Definition {
		calculate := func(f func(in *udf.Input, out *udf.Output) error) udf.Func { return udf.Func{Calculate: f} }
		return append(common(),
			goFunction("fails", udf.Commutative, calculate(func(*udf.Input, *udf.Output) error {
				return fmt.Errorf("no luck")
			})),
			goFunction("panics", udf.Commutative, calculate(func(in *udf.Input, _ *udf.Output) error {
				_ = in.Children[5]
				return nil
			})),
			goFunction("updates_secretly", udf.Commutative, calculate(func(_ *udf.Input, out *udf.Output) error {
				return out.Remove()
			})),
			goFunction("spawns_deep", udf.Commutative, calculate(func(in *udf.Input, out *udf.Output) error {
				return spawn(out, []vertex.ID{in.Vertex, in.Vertex}, udf.Spawn{})
			})),
			goFunction("spawns_wide", udf.Commutative, calculate(func(in *udf.Input, out *udf.Output) error {
				return spawn(out, slices.Repeat([]vertex.ID{in.Vertex}, 1000), udf.Spawn{})
			})),
			goFunction("spawns_on_nothing", udf.Commutative, calculate(func(_ *udf.Input, out *udf.Output) error {
				return out.Spawn(udf.Spawn{Target: vertex.NameID("nothing")})
			})),
			goFunction("spawns_unknown", udf.Commutative, calculate(func(in *udf.Input, out *udf.Output) error {
				return out.Spawn(udf.Spawn{Target: in.Vertex, UDF: "unheard_of"})
			})),
			goFunction("spawns_update", udf.Commutative, calculate(func(in *udf.Input, out *udf.Output) error {
				return out.Spawn(udf.Spawn{Target: in.Vertex, UDF: "increment"})
			})),
		)
	}
	workers := members(t, 2, "tcp", bad)
	w := workers[0]
	here := put(t, w, "here", 1)
	put(t, workers[1], "there", 2)
	there, err := w.OpenName("there")
	require.NoError(t, err)
	defer there.Release()
	for _, test := range []struct {
		name string
		code status.Code
		says []string
	}{
		{"fails", status.UDFFailed, []string{`function "fails": no luck`}},
		{"panics", status.UDFFailed, []string{`function "panics"`, "index out of range"}},
		{"updates_secretly", status.UDFFailed, []string{"DCF_UDF_UPDATES"}},
		{"spawns_deep", status.Exhausted, []string{"MaxDepth"}},
		{"spawns_wide", status.Exhausted, []string{"DefaultSpawnBudget"}},
		{"spawns_on_nothing", status.NotFound, []string{vertex.NameID("nothing").String()}},
		{"spawns_unknown", status.NotFound, []string{"unheard_of"}},
		{"spawns_update", status.InvalidArgument, []string{"increment", "must not spawn"}},
	} {
		for _, v := range []*Vertex{here, there} {
			t.Run(test.name, func(t *testing.T) {
				c := call(t, w, Call{UDF: function(t, w, test.name), Targets: []*Vertex{v}})
				requireCode(t, test.code, c.Err, test.says...)
				if test.name == "panics" {
					require.Contains(t, c.Err.Detail, "core/call_test.go", "no traceback")
				}
				if v == there && test.name != "spawns_on_nothing" { // that is what the directory says
					require.Equal(t, uint64(2), c.Err.Node)
				}
				require.Equal(t, int64(1), number(t, w, "value", here))
				require.Equal(t, int64(2), number(t, w, "value", there))
			})
		}
	}
}

func TestBadCalls(t *testing.T) {
	w, other := open(t, Options{UDFs: common()}), open(t, Options{UDFs: common()})
	v, foreign := put(t, w, "v", 1), put(t, other, "v", 1)
	released := put(t, w, "released", 1)
	released.Release()
	dropped := put(t, w, "dropped", 1)
	require.NoError(t, dropped.Drop())
	value := function(t, w, "value")
	gone, err := w.Register(goFunction("gone", 0, udf.Func{Calculate: func(*udf.Input, *udf.Output) error { return nil }}))
	require.NoError(t, err)
	require.NoError(t, gone.Drop(patience))
	for _, test := range []struct {
		name string
		call Call
		code status.Code
		says string
	}{
		{"no function", Call{Targets: []*Vertex{v}}, status.InvalidArgument, "needs a function"},
		{"another worker's function", Call{UDF: function(t, other, "value"), Targets: []*Vertex{v}},
			status.BadHandle, "another worker"},
		{"another worker's vertex", Call{UDF: value, Targets: []*Vertex{foreign}}, status.BadHandle, "another worker"},
		{"nil target", Call{UDF: value, Targets: []*Vertex{nil}}, status.InvalidArgument, "no vertex"},
		{"released", Call{UDF: value, Targets: []*Vertex{released}}, status.BadHandle, "released"},
		{"dropped vertex", Call{UDF: value, Targets: []*Vertex{dropped}}, status.NotFound, "dropped"},
		{"dropped function", Call{UDF: gone, Targets: []*Vertex{v}}, status.NotFound, "dropped"},
		{"unknown flags", Call{UDF: value, Targets: []*Vertex{v}, Flags: 64}, status.InvalidArgument, "0x40"},
		{"no target", Call{UDF: value}, status.InvalidArgument, "no target"},
		{"contradiction", Call{UDF: value, Targets: []*Vertex{v}, Flags: AtOwner | Here},
			status.InvalidArgument, "exclude"},
		{"arguments", Call{UDF: value, Targets: []*Vertex{v, v}, TargetArguments: make([]udf.Value, 1)},
			status.InvalidArgument, "2 targets and 1"},
		{"ticket", Call{UDF: value, Targets: []*Vertex{v}, Ticket: 99}, status.InvalidArgument, "ticket 99"},
		{"unknown id", Call{UDF: value, TargetIDs: []vertex.ID{vertex.NameID("nobody")}}, status.NotFound, "no vertex"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := call(t, w, test.call)
			require.NotNil(t, c.Err)
			requireCode(t, test.code, c.Err, test.says)
			require.Equal(t, int64(1), number(t, w, "value", v))
		})
	}
}

func TestBadDefinitions(t *testing.T) {
	w := open(t, Options{UDFs: common()})
	nothing := udf.Func{Calculate: func(*udf.Input, *udf.Output) error { return nil }}
	long := strings.Repeat("x", 256)
	for _, test := range []struct {
		name string
		def  udf.Definition
		code status.Code
		says string
	}{
		{"no name", udf.Definition{Kind: udf.KindGo, Code: nothing}, status.InvalidArgument, "needs a name"},
		{"long name", udf.Definition{Kind: udf.KindGo, Name: long, Code: nothing}, status.InvalidArgument, "255"},
		{"long version", udf.Definition{Kind: udf.KindGo, Name: "f", Version: long, Code: nothing},
			status.InvalidArgument, "255"},
		{"no calculate", udf.Definition{Kind: udf.KindGo, Name: "f"}, status.InvalidArgument, "no calculate"},
		{"unknown kind", udf.Definition{Kind: 77, Name: "f"}, status.Unsupported, "77"},
		{"unknown flags", udf.Definition{Kind: udf.KindGo, Name: "f", Flags: 1 << 20, Code: nothing},
			status.InvalidArgument, "flags"},
		{"taken", goFunction("value", 0, nothing), status.AlreadyExists, "drop it first"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := w.Register(test.def)
			requireCode(t, test.code, err, test.says)
		})
	}
	_, err := w.OpenUDF("nobody")
	requireCode(t, status.NotFound, err, "nobody")
	requireCode(t, status.Unsupported, function(t, w, "sum").Drop(patience), "built in")
}

// stuck is a function that returns when it is released.
type stuck struct {
	entered  chan struct{}
	release  chan struct{}
	released sync.Once
}

func newStuck(t *testing.T) *stuck {
	s := &stuck{entered: make(chan struct{}, 100), release: make(chan struct{})}
	t.Cleanup(s.let)
	return s
}

func (s *stuck) let() { s.released.Do(func() { close(s.release) }) }

func (s *stuck) calculate(_ *udf.Input, out *udf.Output) error {
	s.entered <- struct{}{}
	<-s.release
	reply(out, 1)
	return nil
}

// timesOut makes a call by run that ends at its deadline while its function runs. Where a busy machine
// did not begin it in time, it is made anew and has more.
func (s *stuck) timesOut(t *testing.T, run func(timeout time.Duration) *Call) *Call {
	t.Helper()
	for timeout := 50 * time.Millisecond; ; timeout *= 2 {
		c := run(timeout)
		select {
		case <-s.entered:
			requireCode(t, status.Timeout, c.Err)
			return c
		default: // its owner may not have been reached either
			require.Contains(t, []status.Code{status.Timeout, status.Unavailable}, status.Of(c.Err), "%v", c.Err)
			c.Clear()
		}
	}
}

// A function that does not return costs its call, not the worker.
func TestFunctionThatNeverReturns(t *testing.T) {
	s, update := newStuck(t), newStuck(t)
	defs := func() []udf.Definition {
		return append(common(), goFunction("stuck", udf.Commutative, udf.Func{Calculate: s.calculate}),
			goFunction("stuck_update", udf.Updates, udf.Func{Calculate: update.calculate}))
	}
	workers := members(t, 2, "tcp", defs)
	put(t, workers[1], "there", 2)
	there, err := workers[0].OpenName("there")
	require.NoError(t, err)
	defer there.Release()
	w := workers[0]
	late := func(name string) func(time.Duration) *Call {
		return func(timeout time.Duration) *Call {
			return call(t, w, Call{UDF: function(t, w, name), Targets: []*Vertex{there}, Timeout: timeout})
		}
	}
	s.timesOut(t, late("stuck"))
	require.Equal(t, int64(2), number(t, w, "value", there), "the owner goes on serving")

	c := update.timesOut(t, late("stuck_update"))
	require.Equal(t, EffectsUnknown, c.Effects)
	c.Clear()
	require.Equal(t, int64(2), number(t, w, "value", there), "readers do not wait for an update")
	c = late("increment")(200 * time.Millisecond)
	requireCode(t, status.Timeout, c.Err)
	c.Clear()
	s.let()
	update.let()
}

func TestDropOfFunctionWaitsForIt(t *testing.T) {
	s := newStuck(t)
	w := open(t, Options{})
	u, err := w.Register(goFunction("stuck", 0, udf.Func{Calculate: s.calculate}))
	require.NoError(t, err)
	v := put(t, w, "v", 1)
	var group sync.WaitGroup
	group.Go(func() { _ = w.Run([]Call{{UDF: u, Targets: []*Vertex{v}, Buffer: make([]byte, 8)}}) })
	<-s.entered
	requireCode(t, status.Timeout, u.Drop(50*time.Millisecond), "still running")
	_, err = w.OpenUDF("stuck")
	requireCode(t, status.NotFound, err)
	s.let()
	group.Wait()
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	w := open(t, Options{UDFs: common()})
	v := put(t, w, "v", 1)
	calls := []Call{{UDF: function(t, w, "parts"), Targets: []*Vertex{v}, Buffer: make([]byte, 8),
		Arguments: udf.Value{Bytes: make([]byte, 16)}}}
	require.NoError(t, w.Run(calls))
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if w.Run(calls) != nil || calls[0].Err != nil {
			panic("failed")
		}
	}))
}
