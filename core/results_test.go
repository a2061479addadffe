package core

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/cdata"
)

// plusArgument adds what a target's own argument holds.
func plusArgument() udf.Definition {
	return goFunction("plus", udf.Commutative, udf.Func{Merge: addUp,
		Calculate: func(in *udf.Input, out *udf.Output) error {
			reply(out, valueOf(in)+in.Arguments.Batch.Int64(0)[0])
			return nil
		}})
}

// Arguments for each target are the caller's, however often and in whatever way they are used.
func TestTargetArguments(t *testing.T) {
	w := open(t, Options{UDFs: []udf.Definition{plusArgument()}})
	one, two := put(t, w, "one", 1), put(t, w, "two", 2)
	before, _, _ := cdata.Live()
	arguments := []udf.Value{{Batch: vertex.Int64Batch("n", 10)}, {Batch: vertex.Int64Batch("n", 20)}}
	c := Call{UDF: function(t, w, "plus"), Targets: []*Vertex{one, two}, TargetArguments: arguments,
		Buffer: make([]byte, 8)}
	for range 3 {
		got := call(t, w, c)
		require.Nil(t, got.Err)
		require.Equal(t, int64(33), get(got.Result.Bytes))
	}
	q := queue(t, w)
	require.NoError(t, q.Submit([]*Call{&c}))
	require.Equal(t, int64(33), get(drain(t, q, 1)[0].Result.Bytes))
	live, _, _ := cdata.Live()
	require.Equal(t, before+2, live)
	for _, a := range arguments {
		require.Contains(t, []int64{10, 20}, a.Batch.Int64(0)[0])
		a.Batch.Release()
	}
	live, _, _ = cdata.Live()
	require.Equal(t, before, live)
}

// Parts that are batches are the caller's until it clears the call, whoever made them.
func TestPartsAsBatches(t *testing.T) {
	defs := func() []udf.Definition {
		return []udf.Definition{goFunction("copy", 0, udf.Func{Calculate: func(in *udf.Input, out *udf.Output) error {
			out.Batch(vertex.Int64Batch("x", valueOf(in)))
			return nil
		}})}
	}
	workers := members(t, 2, "inproc", defs)
	var ids []vertex.ID
	for i := range 6 {
		ids = append(ids, put(t, workers[i%2], fmt.Sprint(i), int64(i)).ID())
	}
	before, _, _ := cdata.Live()
	calls := []Call{{UDF: function(t, workers[0], "copy"), TargetIDs: ids}}
	require.NoError(t, workers[0].Run(calls))
	require.Nil(t, calls[0].Err)
	require.Len(t, calls[0].Parts, len(ids))
	live, _, _ := cdata.Live()
	require.GreaterOrEqual(t, live, before+len(ids))
	for i, p := range calls[0].Parts {
		require.Equal(t, []int64{int64(i)}, p.Batch.Int64(0))
	}
	calls[0].Clear()
	require.Eventually(t, func() bool { // the other worker lets go of its reply a moment later
		live, _, _ := cdata.Live()
		return live == before
	}, patience, time.Millisecond)
}

// A call says how far it went and who served it.
func TestServedHow(t *testing.T) {
	for scheme, far := range map[string]ServedHow{"shm": SharedMem, "tcp": Network} {
		workers := members(t, 2, scheme, common)
		put(t, workers[1], "there", 2)
		put(t, workers[0], "here", 1)
		for name, want := range map[string]struct {
			how ServedHow
			by  uint64
		}{"here": {InProcess, 1}, "there": {far, 2}} {
			c := call(t, workers[0], Call{UDF: function(t, workers[0], "value"),
				TargetIDs: []vertex.ID{vertex.NameID(name)}, Buffer: make([]byte, 8)})
			require.Nil(t, c.Err)
			require.Equal(t, want.how, c.ServedHow, name)
			require.Equal(t, want.by, c.ServedBy, name)
			require.Equal(t, want.how != InProcess, c.BytesMoved > 0)
		}
	}
}

// A call whose effects are unknown may be made again under its ticket, which is applied once, until
// it is cleared.
func TestTicket(t *testing.T) {
	s := newStuck(t)
	defs := func() []udf.Definition {
		return append(common(), goFunction("slow", udf.Updates, udf.Func{
			Calculate: func(in *udf.Input, out *udf.Output) error {
				if err := s.calculate(in, out); err != nil {
					return err
				}
				return out.SetValue(vertex.Int64Batch("x", valueOf(in)+1))
			}}))
	}
	workers := members(t, 2, "tcp", defs)
	put(t, workers[1], "there", 0)
	there, err := workers[0].OpenName("there")
	require.NoError(t, err)
	defer there.Release()
	c := s.timesOut(t, func(timeout time.Duration) *Call {
		return call(t, workers[0], Call{UDF: function(t, workers[0], "slow"), Targets: []*Vertex{there},
			Buffer: make([]byte, 8), Timeout: timeout})
	})
	require.Equal(t, EffectsUnknown, c.Effects)
	require.NotZero(t, c.Ticket)
	ticket := c.Ticket
	s.let()
	again := call(t, workers[0], Call{UDF: c.UDF, Targets: c.Targets, Buffer: make([]byte, 8), Ticket: ticket,
		Timeout: patience})
	if again.Err != nil { // what was cancelled in time was not applied, and stays so
		require.Equal(t, int64(0), number(t, workers[0], "value", there))
	} else {
		require.Equal(t, int64(1), number(t, workers[0], "value", there))
	}
	again.Clear()
	c.Clear()
	require.Zero(t, c.Ticket)
	late := call(t, workers[0], Call{UDF: c.UDF, Targets: c.Targets, Ticket: ticket})
	requireCode(t, status.InvalidArgument, late.Err, "belongs to no call")
}

// A cleared call's ticket is done with, also when nobody called again.
func TestClearGivesTheTicketUp(t *testing.T) {
	s := newStuck(t)
	defs := func() []udf.Definition {
		return []udf.Definition{goFunction("stuck", udf.Updates, udf.Func{Calculate: s.calculate})}
	}
	workers := members(t, 2, "tcp", defs)
	id := put(t, workers[1], "there", 0).ID()
	c := s.timesOut(t, func(timeout time.Duration) *Call {
		return call(t, workers[0], Call{UDF: function(t, workers[0], "stuck"), TargetIDs: []vertex.ID{id},
			Timeout: timeout})
	})
	require.Equal(t, EffectsUnknown, c.Effects)
	ticket := c.Ticket
	c.Clear()
	s.let()
	late := call(t, workers[0], Call{UDF: c.UDF, TargetIDs: []vertex.ID{id}, Ticket: ticket})
	requireCode(t, status.InvalidArgument, late.Err, "belongs to no call")
}

// A frame of a tree has its share of the call's budget, and brings back what it did not spend: also
// where the owner does not have the function and nothing ran there.
func TestBudgetIsSharedOut(t *testing.T) {
	workers := members(t, 3, "inproc", common)
	root := put(t, workers[0], "root", 1)
	for i := range 4 {
		top := put(t, workers[1+i%2], fmt.Sprint("top", i), 10)
		require.NoError(t, root.Link(top.ID()))
		for leaf := range 3 {
			require.NoError(t, top.Link(put(t, workers[1+i%2], fmt.Sprint(i, leaf), 100).ID()))
		}
	}
	private := common()[1]
	private.Name, private.Version = "only_here", "1"
	_, err := workers[0].Register(private)
	require.NoError(t, err)
	for _, name := range []string{"tree_sum", "only_here"} {
		c := Call{UDF: function(t, workers[0], name), Targets: []*Vertex{root}}
		task := workers[0].newTask(&c)
		task.Budget = 100
		workers[0].addTargets(task, &c)
		task.Finish()
		require.Nil(t, task.Err)
		require.Equal(t, int64(1241), get(task.Parts[0].Value.Bytes))
		require.Equal(t, uint64(100-4-12), task.Budget, name)
		workers[0].giveUp(task.Origin.Sequence)
		workers[0].endTask(task)
	}
}

// A frame below another is never sent again: its call fails, and the function ran once.
func TestAFrameInsideATreeIsSentOnce(t *testing.T) {
	s := newStuck(t)
	var runs atomic.Int64
	defs := func() []udf.Definition {
		return []udf.Definition{
			goFunction("leaf", udf.Commutative, udf.Func{Merge: addUp, Calculate: func(in *udf.Input, out *udf.Output) error {
				runs.Add(1)
				return s.calculate(in, out)
			}}),
			goFunction("top", udf.Commutative, udf.Func{Merge: addUp, Calculate: func(in *udf.Input, out *udf.Output) error {
				return spawn(out, in.Children, udf.Spawn{UDF: "leaf"})
			}})}
	}
	p := newProxy(t, nil)
	owner := behind(t, p, defs)
	leaf := put(t, owner, "leaf", 1)
	middle := open(t, Options{NodeID: 2, Listen: []string{"tcp://127.0.0.1:0"}, Join: []string{p.address()}, UDFs: defs()})
	top := put(t, middle, "top", 1)
	require.NoError(t, top.Link(leaf.ID()))
	guest := open(t, Options{Join: middle.Addresses(), UDFs: defs()})
	calls := []Call{{UDF: function(t, guest, "top"), TargetIDs: []vertex.ID{top.ID()}, Timeout: patience}}
	ended := make(chan error)
	go func() { ended <- guest.Run(calls) }()
	<-s.entered
	p.cut()
	s.let()
	require.NoError(t, <-ended)
	requireCode(t, status.Unavailable, calls[0].Err)
	require.Equal(t, int64(1), runs.Load())
	require.Zero(t, middle.counts.resends.Load())
	calls[0].Clear()
}
