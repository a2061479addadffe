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

// restart starts the directory again, as the founder of a new cluster.
func (w *town) restart() *proc {
	if w.procs[0].alive {
		w.crash(w.procs[0])
	}
	next := w.start(w.procs[0], func(*proc) {})
	require.Nil(w.t, w.wish(next, Found{Cluster: [16]byte{9, byte(next.info.Identity.Incarnation)}}).Err)
	next.joined = true
	return next
}

func (w *town) claims(p *proc, names ...string) {
	for _, name := range names {
		require.Nil(w.t, w.wish(p, claimOf(name)).Err)
		p.believe[name] = true
	}
}

// Workers follow a directory that was restarted into its new cluster, with what they own.
func TestDirectoryRestarted(t *testing.T) {
	w := newTown(t, 5, 1, Limits{})
	old, a, b, guest := w.procs[0], w.procs[1], w.procs[2], w.procs[4]
	w.claims(old, "of the directory")
	w.claims(a, "x", "y", "dropped")
	require.Equal(t, a.info.Identity, w.wish(guest, lookupOf("x")).Owner)
	require.Equal(t, old.info.Identity, w.wish(guest, lookupOf("of the directory")).Owner)
	unnamed := vertex.NewSource(old.info.Identity.Node, old.info.Identity.Incarnation).Next()
	gone := w.procs[3]

	w.crash(old)
	w.crash(gone)
	w.run(2 * time.Second)
	w.refused(guest, lookupOf("y"), status.Unavailable, "the directory, node 1 at sim://1, did not answer")
	require.Nil(t, w.wish(guest, lookupOf("x")).Err, "it is cached")
	w.refused(a, Forget{ID: vertex.NameID("dropped")}, status.Unavailable, "dropped here")
	w.claims(w.restart(), "another")
	w.run(RefreshEvery + 3*time.Second) // when a guest looks who came after it

	directory := w.procs[0].node.directory
	for _, p := range []*proc{a, b, guest} {
		require.Equal(t, 1, p.moved)
		require.False(t, p.severed)
		require.Equal(t, directory.view, p.node.view)
		require.Equal(t, directory.cluster, p.node.Cluster())
		require.Equal(t, []wire.Identity{old.info.Identity}, p.dead, "others may still come")
		require.Empty(t, p.node.claimant.undecided)
		require.Equal(t, a.info.Identity, w.wish(p, lookupOf("x")).Owner)
		require.Equal(t, a.info.Identity, w.wish(p, lookupOf("y")).Owner)
		require.Equal(t, w.procs[0].info.Identity, w.wish(p, lookupOf("another")).Owner)
		for _, lost := range []Lookup{lookupOf("of the directory"), lookupOf("dropped"), {ID: unnamed}} {
			w.refused(p, lost, status.NotFound, "")
		}
	}
	w.claims(b, "new")
	require.Nil(t, w.wish(a, Forget{ID: vertex.NameID("y")}).Err)
	w.refused(b, Missed{ID: vertex.NameID("y"), By: a.info.Identity}, status.NotFound, "")
	w.run(FormerFor)
	require.Equal(t, []wire.Identity{old.info.Identity, gone.info.Identity}, a.dead)
	require.Nil(t, w.wish(b, Leave{}).Err)

	w.restart()
	w.run(3 * time.Second)
	require.Equal(t, 2, a.moved)
	require.Equal(t, a.info.Identity, w.wish(guest, lookupOf("x")).Owner)
}

// Names are claimed again a few at a time. What is dropped meanwhile does not stay with its owner, and
// what somebody else has by then is said.
func TestReclaims(t *testing.T) {
	const many = 100
	w := newTown(t, 3, 0, Limits{Undecided: 5})
	a, b := w.procs[1], w.procs[2]
	for i := range many {
		w.claims(a, fmt.Sprint("x", i))
	}
	w.crash(w.procs[0])
	next := w.restart()
	w.claims(next, "x7")
	dropped := 0
	w.after = func(s *sim) {
		require.LessOrEqual(t, len(a.node.claimant.undecided), 5)
		if u := a.node.claimant.undecided; len(u) > 0 && dropped < 10 {
			dropped++
			id := u[0].op.ID
			for name := range a.believe {
				if vertex.NameID(name) == id {
					delete(a.believe, name)
				}
			}
			w.schedule(0, func() { w.feed(a, Forget{ID: id}, func(d Done) { require.Nil(t, d.Err) }) })
		}
	}
	w.run(20 * time.Second)
	w.after = nil
	require.Equal(t, 10, dropped)
	require.NotContains(t, a.believe, "x7")
	for i := range many {
		name := fmt.Sprint("x", i)
		done := w.wish(b, lookupOf(name))
		switch {
		case name == "x7":
			require.Equal(t, next.info.Identity, done.Owner)
		case a.believe[name]:
			require.Equal(t, a.info.Identity, done.Owner, name)
		default:
			require.ErrorIs(t, done.Err, status.NotFound, name)
		}
	}
}

// A worker that the new cluster does not take says so, and comes in once it may.
func TestSuccessorRefuses(t *testing.T) {
	w := newTown(t, 3, 2, Limits{Guests: 2})
	w.crash(w.procs[0])
	w.crash(w.procs[2])
	guest := w.procs[1]
	w.partition(w.procs[0], guest, true)
	w.procs[0].node.limits.Guests = 1
	w.limits.Guests = 1
	w.restart()
	rival := w.again(2)
	require.Nil(t, w.wish(rival, Join{Addresses: []string{"sim://1"}}).Err)
	w.run(3 * time.Second)
	w.refused(guest, lookupOf("x"), status.Unavailable, "was restarted, and its cluster refuses this worker")
	w.refused(guest, lookupOf("x"), status.Unavailable, "has 1 guests, which is the limit")
	require.Nil(t, w.wish(rival, Leave{}).Err)
	w.run(3 * time.Second)
	w.refused(guest, lookupOf("x"), status.NotFound, "")
}

// However often a directory is restarted while the network is bad: in the end all workers are in the
// newest cluster, and agree.
func TestSuccession(t *testing.T) {
	for round := range uint64(24) {
		w := &town{t: t, sim: newSim(*seed, round, 5, 1, Limits{})}
		s := &story{t: t, sim: w.sim}
		w.start(w.procs[0], func(p *proc) { require.Nil(t, w.wish(p, Found{Cluster: [16]byte{9}}).Err) })
		w.procs[0].joined = true
		for _, p := range w.procs[1:] {
			s.enter(p)
		}
		w.run(time.Second)
		w.faults = true
		for range 3 {
			for range 40 {
				w.schedule(time.Duration(w.random.Int64N(int64(6*time.Second))), func() {
					p, name := w.procs[1+w.random.IntN(3)], w.random.IntN(names)
					switch {
					case w.chance(60):
						s.claim(p, name)
					case w.chance(50):
						delete(p.believe, nameOf[name])
						w.feed(p, Forget{ID: vertex.NameID(nameOf[name])}, func(Done) {})
					default:
						w.sever(p, w.procs[w.random.IntN(len(w.procs))])
					}
				})
			}
			w.run(time.Duration(w.random.Int64N(int64(7 * time.Second))))
			w.crash(w.procs[0])
			w.run(time.Duration(w.random.Int64N(int64(3 * time.Second))))
			w.restart()
		}
		w.run(5 * time.Second)
		w.faults = false
		w.run(2 * time.Minute)
		for _, p := range w.procs[1:] {
			require.False(t, p.severed, "round %d of -seed %d: %v", round, *seed, p.node.Severed())
			require.Equal(t, w.procs[0].node.Cluster(), p.node.Cluster())
		}
		s.agree()
		if t.Failed() {
			t.Fatalf("round %d of -seed %d", round, *seed)
		}
	}
}
