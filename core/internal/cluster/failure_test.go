package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

func TestDirectoryGone(t *testing.T) {
	w := newTown(t, 4, 0, Limits{})
	a, b := w.procs[1], w.procs[2]
	require.Nil(t, w.wish(a, claimOf("x")).Err)
	require.Nil(t, w.wish(a, claimOf("hidden")).Err)
	require.Nil(t, w.wish(b, lookupOf("x")).Err)
	w.crash(w.procs[0])
	w.run(20 * time.Second)

	require.Equal(t, a.info.Identity, w.wish(b, lookupOf("x")).Owner, "it is cached")
	require.Equal(t, a.info.Identity, w.wish(a, lookupOf("x")).Owner)
	w.refused(b, lookupOf("hidden"), status.Unavailable,
		"the directory, node 1 at sim://1, did not answer: who owns the vertex is not known here")
	w.refused(b, claimOf("new"), status.Unavailable, "nothing was put")
	w.refused(a, Forget{ID: vertex.NameID("x")}, status.Unavailable,
		"dropped here, and its name becomes free once the directory is back")
	w.refused(b, Refresh{}, status.Unavailable, "the list of nodes may be old")
	_, reachable := b.node.Directory()
	require.False(t, reachable)
	require.Nil(t, b.node.Severed())
	require.Len(t, b.node.Nodes(), 4, "nobody is declared dead by anybody else")

	w.crash(w.procs[3])
	w.refused(w.again(3), Join{Addresses: []string{"sim://2"}}, status.Unavailable,
		"no cluster could be joined")
}

// What the directory's silence left undecided is settled when it is back: a claim that was given
// up is undone, a drop is done.
func TestUndecided(t *testing.T) {
	w := newTown(t, 2, 0, Limits{Undecided: 3})
	a := w.procs[1]
	require.Nil(t, w.wish(a, claimOf("old")).Err)
	w.partition(w.procs[0], a, true)
	w.run(100 * time.Millisecond)
	w.refused(a, claimOf("new"), status.Unavailable, "nothing was put")
	w.refused(a, Forget{ID: vertex.NameID("old")}, status.Unavailable, "dropped here")
	w.refused(a, claimOf("newer"), status.Unavailable, "nothing was put")
	w.refused(a, claimOf("newest"), status.Exhausted, "3 claims and drops of this worker are not")
	require.Len(t, w.procs[0].node.directory.claims, 1)
	w.partition(w.procs[0], a, false)
	w.run(3 * time.Second)
	require.Empty(t, a.node.claimant.undecided)
	require.Empty(t, w.procs[0].node.directory.claims)
	require.Nil(t, w.wish(a, claimOf("new")).Err)
	require.Nil(t, w.wish(w.procs[0], claimOf("old")).Err)
}

// Somebody with the directory's node id, which is refused everywhere, must not sever a cluster.
func TestImpostor(t *testing.T) {
	w := newTown(t, 2, 0, Limits{})
	a := w.procs[1]
	for _, cluster := range [][16]byte{{}, {77}} {
		impostor := wire.Identity{Node: 1, Incarnation: 66}
		w.feed(a, PeerUp{Identity: impostor, Cluster: cluster}, nil)
		w.feed(w.procs[0], PeerUp{Identity: impostor, Cluster: cluster}, nil)
		w.feed(a, PeerDown{Identity: impostor}, nil)
		w.feed(w.procs[0], PeerDown{Identity: impostor}, nil)
	}
	w.feed(a, PeerDown{Identity: w.procs[0].info.Identity}, nil)
	w.feed(a, PeerUp{Identity: w.procs[0].info.Identity, Cluster: [16]byte{9}}, nil)
	w.run(20 * time.Second)
	require.False(t, a.severed)
	require.False(t, w.procs[0].severed)
	require.Nil(t, w.wish(a, claimOf("x")).Err)
}

func TestDeclaredDead(t *testing.T) {
	for _, slot := range []int{1, 3} { // a member, which is probed, and a guest, which is not
		t.Run(fmt.Sprint("slot ", slot), func(t *testing.T) {
			w := newTown(t, 4, 1, Limits{})
			p, witness := w.procs[slot], w.procs[2]
			w.partition(w.procs[0], p, true)
			w.run(4 * time.Second)
			w.partition(w.procs[0], p, false)
			w.run(10 * time.Second)
			require.False(t, p.severed, "it came back in time")
			require.Len(t, witness.node.Nodes(), 4)

			w.partition(w.procs[0], p, true)
			w.run(10 * time.Second)
			require.Len(t, witness.node.Nodes(), 3)
			require.False(t, p.severed, "it cannot know yet")
			w.partition(w.procs[0], p, false)
			w.run(5 * time.Second)
			require.True(t, p.severed)
			require.Contains(t, p.node.Severed().Message, "declared")
			w.refused(p, lookupOf("x"), status.Unavailable, "dead")
		})
	}
}

// A guest gets no notices, but it loses its own session with a dead node.
func TestGuestLearnsOfDeath(t *testing.T) {
	w := newTown(t, 3, 1, Limits{RefreshEvery: time.Hour})
	member, guest := w.procs[1], w.procs[2]
	require.Nil(t, w.wish(member, claimOf("x")).Err)
	require.Nil(t, w.wish(guest, lookupOf("x")).Err)
	require.True(t, w.connect(guest, member))
	w.run(time.Second)
	w.crash(member)
	w.run(8 * time.Second)
	require.Len(t, guest.node.Nodes(), 2)
	w.refused(guest, lookupOf("x"), status.Unavailable, "its data is lost")
}

// A notice that never came is noticed, and so is a list that is older than what is known.
func TestNotices(t *testing.T) {
	w := newTown(t, 3, 0, Limits{})
	c := w.procs[1].node.Client
	directory := w.procs[0].info.Identity
	number, nodes := c.View(), c.Nodes()
	fresh := wire.NodeInfo{Identity: wire.Identity{Node: 50, Incarnation: 1}, Alive: true}
	notice := func(from wire.Identity, view, base uint64, nodes ...wire.NodeInfo) []Action {
		return c.Step(w.now, Notice{From: from, Operation: &wire.Operation{Op: wire.OpView,
			View: view, Expected: base, Nodes: nodes}}, nil)
	}
	require.Empty(t, notice(wire.Identity{Node: 3}, number+1, number, fresh), "not the directory")
	require.Empty(t, notice(directory, number, number-1, fresh), "an old one")
	gap := notice(directory, number+2, number+1, fresh)
	require.Len(t, gap, 1)
	require.True(t, gap[0].(Ask).Background)
	require.Equal(t, wire.OpView, gap[0].(Ask).Operation.Op)
	require.Empty(t, notice(directory, number+3, number+2, fresh), "it asks already")
	require.Equal(t, nodes, c.Nodes())

	again := fresh
	again.Identity.Incarnation = 2
	require.Equal(t, []Action{Changed{View: number + 1}},
		notice(directory, number+1, number, fresh))
	require.Equal(t, []Action{PeerDead{Identity: fresh.Identity}, Changed{View: number + 2}},
		notice(directory, number+2, number+1, again))
	again.Alive = false
	require.Equal(t, []Action{PeerDead{Identity: again.Identity}, Changed{View: number + 3}},
		notice(directory, number+3, number+2, again))

	// The answer to the first question is older than all that.
	actions := c.Step(w.now, Answered{Ask: gap[0].(Ask), Reply: &wire.Reply{View: number + 1,
		Nodes: append(nodes, fresh)}}, nil)
	require.Empty(t, actions)
	require.Equal(t, number+3, c.View())
	require.Equal(t, nodes, c.Nodes())
}

func TestOwnersCache(t *testing.T) {
	o := newOwners(3)
	id := func(i int) vertex.ID { return vertex.NameID(fmt.Sprint(i)) }
	owner := func(i int) wire.Identity { return wire.Identity{Node: uint64(i)} }
	for i := range 3 {
		o.put(id(i), owner(i))
	}
	_, ok := o.get(id(0))
	require.True(t, ok)
	o.put(id(3), owner(3)) // 0 was used, so 1 goes
	_, ok = o.get(id(1))
	require.False(t, ok)
	got, ok := o.get(id(0))
	require.True(t, ok)
	require.Equal(t, owner(0), got)
	o.put(id(0), owner(9))
	got, _ = o.get(id(0))
	require.Equal(t, owner(9), got)
	o.drop(id(0))
	o.drop(id(0))
	_, ok = o.get(id(0))
	require.False(t, ok)
	for i := range 1000 {
		o.put(id(i), owner(i))
		o.drop(id(i - 1))
		o.put(id(i-1), owner(i))
		require.LessOrEqual(t, len(o.slots), 3)
		require.LessOrEqual(t, len(o.index), 3)
		got, ok := o.get(id(i - 1))
		require.True(t, ok)
		require.Equal(t, owner(i), got)
	}
}

func TestOwnerAllocatesNothing(t *testing.T) {
	w := newTown(t, 2, 0, Limits{})
	require.Nil(t, w.wish(w.procs[0], claimOf("x")).Err)
	require.Nil(t, w.wish(w.procs[1], lookupOf("x")).Err)
	c, x := w.procs[1].node, vertex.NameID("x")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, ok := c.Owner(x); !ok {
			panic("not cached")
		}
	}))
}
