package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// town is a calm sim: nothing gets lost, so a wish ends within seconds.
type town struct {
	*sim
	t *testing.T
}

// newTown founds a cluster in slot 0 and lets the next slots join, the last of them guests.
func newTown(t *testing.T, slots, guests int, limits Limits) *town {
	w := &town{t: t, sim: newSim(*seed, 1, slots, guests, limits)}
	w.start(w.procs[0], func(p *proc) {
		require.Nil(t, w.wish(p, Found{Cluster: [16]byte{9}}).Err)
	})
	for _, p := range w.procs[1:] {
		p = w.start(p, func(*proc) {})
		require.Nil(t, w.wish(p, Join{Addresses: []string{"sim://1"}}).Err)
	}
	w.run(time.Second)
	return w
}

// wish steps what a worker wants and waits for its end.
func (w *town) wish(p *proc, event Event) (done Done) {
	w.t.Helper()
	ended := 0
	w.feed(p, event, func(d Done) { done = d; ended++ })
	for range 600 {
		if ended > 0 {
			break
		}
		w.run(100 * time.Millisecond)
	}
	require.Equal(w.t, 1, ended, "%T came to %d ends", event, ended)
	return done
}

func (w *town) refused(p *proc, event Event, code status.Code, message string) Done {
	w.t.Helper()
	done := w.wish(p, event)
	require.NotNil(w.t, done.Err)
	require.ErrorIs(w.t, done.Err, code)
	require.Contains(w.t, done.Err.Message, message)
	return done
}

func (w *town) again(slot int) *proc { return w.start(w.procs[slot], func(*proc) {}) }

func claimOf(name string) Claim { return Claim{ID: vertex.NameID(name), Name: name} }

func lookupOf(name string) Lookup { return Lookup{ID: vertex.NameID(name)} }

func TestFirstNodeAlone(t *testing.T) {
	w := newTown(t, 1, 0, Limits{})
	p := w.procs[0]
	require.Equal(t, [16]byte{9}, p.node.Cluster())
	directory, reachable := p.node.Directory()
	require.Equal(t, p.info.Identity, directory)
	require.True(t, reachable)
	require.Len(t, p.node.Nodes(), 1)
	require.True(t, p.node.Nodes()[0].Directory)

	w.refused(p, lookupOf("a"), status.NotFound, "there is no vertex")
	require.Equal(t, p.info.Identity, w.wish(p, claimOf("a")).Owner)
	require.Equal(t, p.info.Identity, w.wish(p, lookupOf("a")).Owner)
	w.refused(p, claimOf("a"), status.AlreadyExists, `vertex "a" exists already, on this worker`)
	replace := claimOf("a")
	replace.Replace = true
	require.Nil(t, w.wish(p, replace).Err)
	require.Nil(t, w.wish(p, Forget{ID: vertex.NameID("a")}).Err)
	require.Nil(t, w.wish(p, Forget{ID: vertex.NameID("a")}).Err, "a second drop finds nothing")
	w.refused(p, lookupOf("a"), status.NotFound, "there is no vertex")
	require.Nil(t, w.wish(p, claimOf("a")).Err, "the name is free")

	w.refused(p, Found{}, status.InvalidArgument, "joined a cluster already")
	w.refused(p, Join{Addresses: []string{"sim://1"}}, status.InvalidArgument, "joined a cluster")
	require.Nil(t, w.wish(p, Refresh{}).Err)
	require.Nil(t, w.wish(p, Leave{}).Err)
}

func TestNothingBeforeJoining(t *testing.T) {
	w := newTown(t, 2, 0, Limits{})
	w.crash(w.procs[1])
	p := w.again(1)
	for _, event := range []Event{lookupOf("a"), claimOf("a"), Refresh{}} {
		w.refused(p, event, status.Unavailable, "has not joined")
	}
	require.Nil(t, w.wish(p, Leave{}).Err)
	require.Zero(t, p.node.Wake())
	w.refused(p, Join{}, status.InvalidArgument, "from 1 to 64 addresses")
}

func TestJoinAtAnyMember(t *testing.T) {
	w := newTown(t, 4, 1, Limits{})
	w.crash(w.procs[2])
	w.run(10 * time.Second)
	p := w.again(2)
	done := w.wish(p, Join{Addresses: []string{"sim://3", "sim://2"}}) // itself, then a member
	require.Nil(t, done.Err)
	require.Equal(t, w.procs[0].info.Identity, done.Owner)
	w.run(12 * time.Second) // a guest asks every now and then
	for _, other := range w.procs {
		require.Equal(t, w.procs[0].node.view, other.node.view)
		require.Len(t, other.node.Nodes(), 4)
		require.Equal(t, [16]byte{9}, other.node.Cluster())
	}
	info, ok := p.node.Node(4)
	require.True(t, ok)
	require.False(t, info.Member)
	require.Equal(t, []string{"sim://2"}, p.node.Addresses(w.procs[1].info.Identity))
	require.Nil(t, p.node.Addresses(wire.Identity{Node: 2, Incarnation: 99}))
}

func TestJoinRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		limits  Limits
		change  func(w *town, info *wire.NodeInfo)
		code    status.Code
		message string
	}{
		{"id of a live node", Limits{}, func(w *town, info *wire.NodeInfo) {
			info.Identity.Node = 1
		}, status.AlreadyExists,
			"node id 1 is taken by a live worker, node 1 at sim://1: choose another node id"},
		{"no id", Limits{}, func(_ *town, info *wire.NodeInfo) { info.Identity.Node = 0 },
			status.InvalidArgument, "from 1 to 4294967295"},
		{"member without address", Limits{}, func(_ *town, info *wire.NodeInfo) {
			info.Addresses = nil
		}, status.InvalidArgument, "node 2 has 0"},
		{"guest with address", Limits{}, func(_ *town, info *wire.NodeInfo) {
			info.Member = false
		}, status.InvalidArgument, "a guest none"},
		{"endless address", Limits{}, func(_ *town, info *wire.NodeInfo) {
			info.Addresses = []string{string(make([]byte, MaxAddressBytes+1))}
		}, status.InvalidArgument, "has 257 bytes, the limit is 256"},
		{"too many members", Limits{Members: 1}, func(*town, *wire.NodeInfo) {},
			status.Exhausted, "1 members, which is the limit"},
		{"too many guests", Limits{Guests: -1}, func(_ *town, info *wire.NodeInfo) {
			info.Member, info.Addresses = false, nil
		}, status.Exhausted, "0 guests, which is the limit"},
		{"dead incarnation", Limits{}, func(w *town, info *wire.NodeInfo) {
			w.procs[0].node.directory.gone.add(info.Identity, died)
		}, status.Aborted, "was declared dead"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t, 1, 0, c.limits)
			info := wire.NodeInfo{Identity: wire.Identity{Node: 2, Incarnation: 5}, Member: true,
				Addresses: []string{"sim://2"}}
			c.change(w, &info)
			reply := w.request(info.Identity, &wire.Operation{Op: wire.OpJoin,
				Nodes: []wire.NodeInfo{info}})
			require.ErrorIs(t, reply.Error, c.code)
			require.Contains(t, reply.Error.Message, c.message)
			require.Len(t, w.procs[0].node.Nodes(), 1)
		})
	}
}

// request asks the directory as anybody.
func (w *town) request(from wire.Identity, op *wire.Operation) *wire.Reply {
	var reply *wire.Reply
	for _, action := range w.procs[0].node.Step(w.now, Request{From: from, Operation: op}, nil) {
		if a, ok := action.(Answer); ok {
			require.Nil(w.t, reply)
			reply = a.Reply
		}
	}
	require.NotNil(w.t, reply)
	return reply
}

func TestNobodyAtTheJoinAddress(t *testing.T) {
	w := newTown(t, 3, 0, Limits{})
	w.crash(w.procs[1])
	p := w.again(2)
	w.refused(p, Join{Addresses: []string{"sim://2", "sim://3"}}, status.Unavailable,
		"no cluster could be joined: sim://2: connection refused; sim://3: that is this worker "+
			"itself. Start a node there first, or correct the address")
	w.crash(w.procs[0])
	require.False(t, w.procs[1].alive)
	w.refused(p, Join{Addresses: []string{"sim://1"}}, status.Unavailable, "connection refused")
}

// Where a worker may join nowhere that is the reason; where it could have joined somewhere it is not.
func TestJoinDenied(t *testing.T) {
	denied := status.Errorf(status.Denied, "only processes of user 1 may")
	for _, test := range []struct {
		name   string
		second error
		code   status.Code
		text   string
	}{
		{"everywhere", denied, status.Denied, "no cluster could be joined: shm://a: only processes of user 1 may; shm://b: only"},
		{"at one", status.Errorf(status.Unavailable, "nobody"), status.Unavailable, "shm://b: nobody. Start a node there first"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := NewNode(wire.NodeInfo{Identity: wire.Identity{Node: 1, Incarnation: 1}}, Limits{})
			require.Equal(t, []Action{Dial{Address: "shm://a"}}, n.Step(0, Join{Addresses: []string{"shm://a", "shm://b"}}, nil))
			require.Equal(t, []Action{Dial{Address: "shm://b"}}, n.Step(1, Dialled{Address: "shm://a", Err: denied}, nil))
			done, ok := n.Step(2, Dialled{Address: "shm://b", Err: test.second}, nil)[0].(Done)
			require.True(t, ok)
			require.ErrorIs(t, done.Err, test.code)
			require.ErrorContains(t, done.Err, test.text)
		})
	}
}

// A worker that was killed and started again at once waits for its predecessor's death.
func TestJoinAfterKill(t *testing.T) {
	w := newTown(t, 2, 0, Limits{})
	old := w.procs[1].info.Identity
	w.crash(w.procs[1])
	w.run(time.Second)
	reply := w.request(wire.Identity{Node: 2, Incarnation: 7}, &wire.Operation{Op: wire.OpJoin,
		Nodes: []wire.NodeInfo{{Identity: wire.Identity{Node: 2, Incarnation: 7}, Member: true,
			Addresses: []string{"sim://2"}}}})
	require.ErrorIs(t, reply.Error, status.Unavailable)
	require.Contains(t, reply.Error.Message, "whose connection is lost: it is free in 4.")
	require.Equal(t, old, reply.Identity)

	p := w.again(1)
	begun := w.now
	require.Nil(t, w.wish(p, Join{Addresses: []string{"sim://1"}}).Err)
	require.Greater(t, w.now-begun, int64(3*time.Second))
	node, _ := w.procs[0].node.Node(2)
	require.Equal(t, p.info.Identity, node.Identity)
}

func TestLostNames(t *testing.T) {
	for _, how := range []string{"killed", "left"} {
		t.Run(how, func(t *testing.T) {
			w := newTown(t, 3, 0, Limits{})
			a, b := w.procs[1], w.procs[2]
			for _, name := range []string{"x", "y"} {
				require.Nil(t, w.wish(a, claimOf(name)).Err)
				require.Equal(t, a.info.Identity, w.wish(b, lookupOf(name)).Owner)
			}
			if how == "left" {
				require.Nil(t, w.wish(a, Leave{}).Err)
				w.refused(a, lookupOf("z"), status.Unavailable, "left the cluster")
			}
			w.crash(a)
			w.run(10 * time.Second)
			require.Len(t, b.node.Nodes(), 2)

			done := w.refused(b, lookupOf("x"), status.Unavailable,
				"node 2, is gone; its data is lost: put it again with replace, or drop it")
			require.Equal(t, a.info.Identity, done.Owner)
			w.refused(b, claimOf("x"), status.AlreadyExists, "put it with replace, or drop it")
			replace := claimOf("x")
			replace.Replace = true
			require.Equal(t, b.info.Identity, w.wish(b, replace).Owner)
			require.Equal(t, b.info.Identity, w.wish(w.procs[0], lookupOf("x")).Owner)

			forget := Forget{ID: vertex.NameID("y"), Owner: a.info.Identity}
			require.Nil(t, w.wish(w.procs[0], forget).Err)
			w.refused(b, lookupOf("y"), status.NotFound, "there is no vertex")
			forget.ID = vertex.NameID("x")
			require.Nil(t, w.wish(w.procs[0], forget).Err, "it has a new owner, and keeps it")
			require.Equal(t, b.info.Identity, w.wish(w.procs[0], lookupOf("x")).Owner)
		})
	}
}

func TestClaims(t *testing.T) {
	w := newTown(t, 4, 1, Limits{Names: 2})
	a, b, guest := w.procs[1], w.procs[2], w.procs[3]
	require.Nil(t, w.wish(a, claimOf("x")).Err)
	done := w.refused(b, claimOf("x"), status.AlreadyExists,
		`vertex "x" exists already, on node 2 at sim://2: choose another name`)
	require.Equal(t, a.info.Identity, done.Owner)
	replace := claimOf("x")
	replace.Replace = true
	done = w.wish(b, replace)
	require.Nil(t, done.Err)
	require.Equal(t, a.info.Identity, done.Owner, "the value is to be set there")
	require.Equal(t, []string{"sim://2"}, done.Addresses)

	w.refused(guest, claimOf("mine"), status.Unsupported, "does not listen")
	require.Nil(t, w.wish(b, claimOf("y")).Err)
	w.refused(b, claimOf("z"), status.Exhausted, "the cluster has 2 names, which is the limit")
	w.run(time.Minute)
	require.Empty(t, b.node.claimant.undecided, "a refusal for good is decided")

	// Two wishes of one worker for one name: the second waits for the first.
	require.Nil(t, w.wish(b, Forget{ID: vertex.NameID("y")}).Err)
	var ends []*status.Error
	for range 2 {
		w.feed(b, claimOf("w"), func(d Done) { ends = append(ends, d.Err) })
	}
	w.run(time.Second)
	require.Len(t, ends, 2)
	require.Nil(t, ends[0])
	require.ErrorIs(t, ends[1], status.AlreadyExists)
}

func TestDirectoryRefuses(t *testing.T) {
	w := newTown(t, 3, 1, Limits{})
	a, guest := w.procs[1].info.Identity, w.procs[2].info.Identity
	x := vertex.NameID("x")
	unnamed := vertex.NewSource(2, 1).Next()
	require.Nil(t, w.wish(w.procs[0], claimOf("x")).Err)
	for _, c := range []struct {
		name    string
		from    wire.Identity
		op      wire.Operation
		code    status.Code
		message string
	}{
		{"claim of a guest", guest, wire.Operation{Op: wire.OpClaim, ID: x, Sequence: 1},
			status.Unsupported, "does not listen"},
		{"claim for somebody", a, wire.Operation{Op: wire.OpClaim, ID: x, Sequence: 50,
			Identity: guest}, status.InvalidArgument, "each owner claims for itself"},
		{"another name", a, wire.Operation{Op: wire.OpClaim, ID: x, Name: "y", Sequence: 51},
			status.InvalidArgument, `is not that of the name "y"`},
		{"no name", a, wire.Operation{Op: wire.OpClaim, ID: unnamed, Sequence: 52},
			status.InvalidArgument, "nobody claims it"},
		{"no sequence", a, wire.Operation{Op: wire.OpClaim, ID: x}, status.InvalidArgument,
			"needs a sequence"},
		{"drop of another's", a, wire.Operation{Op: wire.OpForget, ID: x, Sequence: 53,
			Identity: w.procs[0].info.Identity}, status.Denied, "ask its owner"},
		{"drop of a mark", a, wire.Operation{Op: wire.OpForget, ID: x,
			Identity: w.procs[0].info.Identity}, status.Denied, "belongs to node 1"},
		{"below the floor", a, wire.Operation{Op: wire.OpClaim, ID: x, Sequence: 1, Floor: 54},
			status.Aborted, "given up"},
		{"unknown operation", a, wire.Operation{Op: wire.OpFetch}, status.Unsupported,
			"run the same version"},
		{"stranger", wire.Identity{Node: 8}, wire.Operation{Op: wire.OpLookup, ID: x},
			status.Aborted, "node 8 is not part of this cluster"},
		{"another incarnation", wire.Identity{Node: 2, Incarnation: 77},
			wire.Operation{Op: wire.OpView}, status.Aborted, "restart the worker"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply := w.request(c.from, &c.op)
			require.ErrorIs(t, reply.Error, c.code)
			require.Contains(t, reply.Error.Message, c.message)
			require.Equal(t, uint64(1), reply.Error.Node)
			require.Equal(t, map[vertex.ID]wire.Identity{x: w.procs[0].info.Identity},
				w.procs[0].node.directory.claims)
		})
	}
}

func TestUnnamed(t *testing.T) {
	w := newTown(t, 4, 1, Limits{})
	a, b, guest := w.procs[1], w.procs[2], w.procs[3]
	made := vertex.NewSource(a.info.Identity.Node, a.info.Identity.Incarnation).Next()
	private := vertex.NewSource(guest.info.Identity.Node, guest.info.Identity.Incarnation).Next()

	owner, ok := b.node.Owner(made)
	require.True(t, ok, "its id says it: nobody needs to be asked")
	require.Equal(t, a.info.Identity, owner)
	require.Equal(t, a.info.Identity, w.wish(a, Claim{ID: made}).Owner)
	w.refused(b, Claim{ID: made}, status.Unsupported, "was made by node 2")
	w.refused(b, Missed{ID: made, By: a.info.Identity}, status.NotFound, "it was dropped")

	require.Equal(t, guest.info.Identity, w.wish(guest, Lookup{ID: private}).Owner)
	w.refused(b, Lookup{ID: private}, status.NotFound, "private to it")
	reply := w.request(b.info.Identity, &wire.Operation{Op: wire.OpLookup, ID: private})
	require.ErrorIs(t, reply.Error, status.NotFound)

	w.crash(a)
	w.run(10 * time.Second)
	w.refused(b, Lookup{ID: made}, status.Unavailable, "its data is lost")
}

func TestMissesAndCorrections(t *testing.T) {
	w := newTown(t, 3, 0, Limits{})
	a, b := w.procs[1], w.procs[2]
	x := vertex.NameID("x")
	require.Nil(t, w.wish(a, claimOf("x")).Err)
	require.Equal(t, a.info.Identity, w.wish(b, lookupOf("x")).Owner)
	elsewhere, ok := b.node.Elsewhere(x)
	require.True(t, ok)
	require.Equal(t, a.info.Identity, elsewhere)
	_, ok = a.node.Elsewhere(x)
	require.False(t, ok, "it is here")

	// a drops it and the first node makes it anew: what b remembers is old.
	require.Nil(t, w.wish(a, Forget{ID: x}).Err)
	require.Nil(t, w.wish(w.procs[0], claimOf("x")).Err)
	require.Equal(t, a.info.Identity, w.wish(b, lookupOf("x")).Owner)
	require.Equal(t, w.procs[0].info.Identity, w.wish(b, Missed{ID: x, By: a.info.Identity}).Owner)
	require.Equal(t, w.procs[0].info.Identity, w.wish(b, lookupOf("x")).Owner)
	w.refused(b, Missed{ID: x, By: w.procs[0].info.Identity}, status.NotFound, "dropped it")

	require.Equal(t, a.info.Identity, w.wish(b, Corrected{ID: x, Owner: a.info.Identity}).Owner)
	stranger := wire.Identity{Node: 77}
	require.Equal(t, a.info.Identity, w.wish(b, Corrected{ID: x, Owner: stranger}).Owner,
		"who is not in the view is not believed")
}
