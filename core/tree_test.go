package core

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/udf"
)

// treeFunctions are functions that spawn themselves on all children.
func treeFunctions() []udf.Definition {
	down := func(name string, more udf.Flags, of func(*udf.Input, *udf.Output) error) udf.Definition {
		once := name == "once"
		return goFunction(name, udf.Short|more, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				if err := of(in, out); err != nil {
					return err
				}
				return spawn(out, in.Children, udf.Spawn{UDF: name, Arguments: in.Arguments, Once: once})
			}})
	}
	sum := func(in *udf.Input, out *udf.Output) error {
		extra := int64(0)
		if len(in.Arguments.Bytes) == 8 {
			extra = get(in.Arguments.Bytes)
		}
		reply(out, valueOf(in)+extra)
		return nil
	}
	return append(common(), down("down", udf.Commutative, sum), down("once", udf.Commutative, sum),
		down("in order", 0, sum),
		down("picky", udf.Commutative, func(in *udf.Input, out *udf.Output) error {
			if valueOf(in) == 13 {
				return errors.New("no thirteen")
			}
			return sum(in, out)
		}))
}

// laneCalls is how many calls a worker made over lanes to the owner of a vertex.
func laneCalls(t *testing.T, w *Worker, v *Vertex) uint64 {
	t.Helper()
	owner, err := w.ownerOf(v.ID(), clock.After(patience))
	require.NoError(t, err)
	lanes := w.peer(owner).Lanes()
	require.NotNil(t, lanes)
	return lanes.Traffic().Calls
}

// Trees that cross processes come to the same over lanes as in frames over a socket, and take lanes where they can.
func TestTreesOverLanes(t *testing.T) {
	owner := open(t, Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}, UDFs: treeFunctions()})
	third := open(t, Options{NodeID: 2, Listen: []string{"tcp://127.0.0.1:0"}, Join: owner.Addresses(), UDFs: treeFunctions()})
	near := open(t, Options{NodeID: 3, Join: owner.Addresses(), UDFs: treeFunctions()})
	far := open(t, Options{NodeID: 4, Join: owner.Addresses(), UDFs: treeFunctions(), NoSharedMemory: true})

	link := func(parent *Vertex, children ...*Vertex) *Vertex {
		for _, child := range children {
			require.NoError(t, parent.Link(child.ID()))
		}
		return parent
	}
	many := func(w *Worker, name string, n int) (all []*Vertex) {
		for i := range n {
			all = append(all, put(t, w, fmt.Sprintf("%s%d", name, i), int64(i)))
		}
		return all
	}
	small := link(put(t, owner, "small", 1), link(put(t, owner, "left", 2), many(owner, "leaf", 3)...), put(t, owner, "right", 4))
	second := link(put(t, owner, "second", 7), many(owner, "twig", 2)...)
	wide := link(put(t, owner, "wide", 1), many(owner, "wide", maxTreeSpawns+1)...)
	bad := link(put(t, owner, "bad", 1), put(t, owner, "thirteen", 13))
	split := link(put(t, owner, "split", 1), put(t, third, "elsewhere", 5))

	shared := put(t, owner, "shared", 1000)
	diamond := []*Vertex{link(put(t, owner, "one side", 1), shared), link(put(t, owner, "other side", 1), shared)}

	for _, test := range []struct {
		name     string
		function string
		below    []*Vertex // of a root that the caller has
		lanes    []uint64  // that each run takes: of the tree below a root of the caller's, and of the one by itself, twice
	}{
		{"small", "down", []*Vertex{small}, []uint64{1, 1, 1, 1}},
		{"two", "down", []*Vertex{small, second}, []uint64{2, 2}},
		{"mixed", "down", []*Vertex{small, put(t, owner, "alone", 9)}, []uint64{2, 2}},
		{"more than pay", "down", many(owner, "pay", maxBranches+1), []uint64{0, 0}},
		{"in order", "in order", []*Vertex{small}, []uint64{0, 1, 0, 0}},
		{"a vertex once", "once", diamond, []uint64{0, 0}},
		{"one of many once", "once", []*Vertex{link(put(t, owner, "top", 1), diamond...)}, []uint64{0, 1, 0, 0}},
		{"failing", "picky", []*Vertex{bad}, []uint64{1, 1, 1, 1}},
		{"of a function that fails elsewhere", "picky", []*Vertex{small}, []uint64{1, 1, 1, 1}},
		{"not all there", "picky", []*Vertex{split}, []uint64{1, 0, 0, 0}},
		{"too wide", "down", []*Vertex{wide}, []uint64{1, 1, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			runs := 0
			for run := range 2 {
				for _, root := range []bool{true, false} { // below a vertex of the caller's, and by itself
					if !root && len(test.below) != 1 {
						continue
					}
					before := laneCalls(t, near, small)
					var results []*Call
					for _, w := range []*Worker{near, far} {
						var target *Vertex
						if root {
							target = link(put(t, w, fmt.Sprint("root of ", w.self.Node, test.name, run), 100), test.below...)
						} else {
							var err error
							target, err = w.Open(test.below[0].ID())
							require.NoError(t, err)
							t.Cleanup(target.Release)
						}
						results = append(results, call(t, w, Call{UDF: function(t, w, test.function), Timeout: patience,
							Targets: []*Vertex{target}, Arguments: argument(1), Buffer: make([]byte, 8)}))
					}
					a, b := results[0], results[1]
					require.Equal(t, test.lanes[runs], laneCalls(t, near, small)-before, "run %d", runs)
					runs++
					require.Equal(t, b.Result.Bytes, a.Result.Bytes)
					require.Equal(t, b.ResultSize, a.ResultSize)
					require.Equal(t, b.Err == nil, a.Err == nil)
					if b.Err != nil {
						require.Equal(t, b.Err.Code, a.Err.Code)
						require.Equal(t, b.Err.Error(), a.Err.Error())
						require.Equal(t, b.Err.Vertex, a.Err.Vertex)
						continue
					}
					require.Equal(t, runsElsewhere(b, 4), runsElsewhere(a, 3))
					require.Equal(t, SharedMem, a.ServedHow)
				}
			}
		})
	}
}

// runsElsewhere gives how many calculates of a call ran on which other node than its caller.
func runsElsewhere(c *Call, caller uint64) map[uint64]uint64 {
	runs := map[uint64]uint64{}
	for _, r := range c.Ran {
		if r.Node != caller {
			runs[r.Node] += r.Runs
		}
	}
	return runs
}
