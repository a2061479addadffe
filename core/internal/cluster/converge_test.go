package cluster

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

var (
	seed   = flag.Uint64("seed", 0, "seed of the simulations; 0: a new one")
	traced = flag.Bool("trace", false, "print every event of a simulation")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()>>1 | 1
	}
	fmt.Printf("cluster: -seed %d\n", *seed)
	os.Exit(m.Run())
}

const names = 10

var nameOf = func() (list [names]string) {
	for i := range list {
		list[i] = fmt.Sprintf("name-%d", i)
	}
	return list
}()

// story is a workload on a sim with what must always hold.
type story struct {
	*sim
	t      *testing.T
	absent [names]uint64 // the last step at which the name had no live owner
	claims int           // that were granted
	lost   int           // lookups that found a lost name
}

// TestConverge lets nodes claim, look up, drop, leave, crash and lose each other. Always: a name
// has one live owner at most, a claimed name is never said not to exist, views never go back. When
// faults stop, everybody agrees.
func TestConverge(t *testing.T) {
	claims, lost := 0, 0
	for round := range uint64(24) {
		s := tell(t, *seed, round)
		if t.Failed() {
			t.Fatalf("round %d of -seed %d", round, *seed)
		}
		claims += s.claims
		lost += s.lost
	}
	require.Greater(t, claims, 200, "the story is about nothing")
	require.Positive(t, lost)
}

// TestReplay shows that a seed tells the same story again.
func TestReplay(t *testing.T) {
	first, again := tell(t, *seed, 7), tell(t, *seed, 7)
	require.Equal(t, first.trace, again.trace)
	require.Equal(t, first.step, again.step)
	require.NotEqual(t, first.trace, tell(t, *seed, 8).trace)
}

func tell(t *testing.T, seed, round uint64) *story {
	limits := Limits{}
	if round%4 == 3 {
		limits = Limits{Names: names - 2, CachedOwners: 3, Undecided: 4, Gone: 64}
	}
	s := &story{t: t, sim: newSim(seed, round, 6, 1, limits)}
	if *traced {
		s.lines = t.Logf
	}
	s.after = func(*sim) { s.check() }
	s.start(s.procs[0], func(p *proc) {
		s.feed(p, Found{Cluster: [16]byte{1, byte(round)}}, func(d Done) {
			require.Nil(t, d.Err)
			p.joined = true
		})
	})
	for _, p := range s.procs[1:] {
		s.enter(p)
	}
	s.run(time.Second)
	s.faults = true
	for range 400 {
		s.schedule(time.Duration(s.random.Int64N(int64(30*time.Second))), s.act)
	}
	s.run(31 * time.Second)
	s.calm()
	s.agree()
	return s
}

// enter starts a slot anew and joins at some node.
func (s *story) enter(p *proc) {
	s.start(p, func(p *proc) {
		addresses := []string{fmt.Sprintf("sim://%d", 2+s.random.IntN(4)), "sim://1"}
		s.feed(p, Join{Addresses: addresses}, func(d Done) { p.joined, p.refused = d.Err == nil, d.Err })
	})
}

func (s *story) act() {
	p := s.procs[s.random.IntN(len(s.procs))]
	name := s.random.IntN(names)
	id := vertex.NameID(nameOf[name])
	choice := s.random.IntN(100)
	switch {
	case !p.alive:
		s.enter(p)
	case !p.joined:
	case choice < 40:
		s.claim(p, name)
	case choice < 70:
		s.lookup(p, name)
	case choice < 80:
		delete(p.believe, nameOf[name])
		s.feed(p, Forget{ID: id}, func(Done) {})
	case choice < 84:
		s.dropLost(p, name)
	case choice < 87:
		s.feed(p, Refresh{}, func(Done) {})
	case choice < 91:
		s.sever(p, s.procs[s.random.IntN(len(s.procs))])
	case p.slot == 0:
	case choice < 93:
		s.feed(p, Leave{}, func(Done) { p.joined = false; s.crash(p) })
	case choice < 96:
		s.crash(p)
	default:
		peer := s.procs[s.random.IntN(2)*s.random.IntN(len(s.procs))]
		s.partition(p, peer, true)
		s.schedule(time.Duration(s.random.Int64N(int64(8*time.Second))), func() {
			s.partition(p, peer, false)
		})
	}
}

func (s *story) claim(p *proc, name int) {
	event := Claim{ID: vertex.NameID(nameOf[name]), Name: nameOf[name], Replace: s.chance(30)}
	held := p.believe[nameOf[name]]
	s.feed(p, event, func(d Done) {
		if d.Err == nil && d.Owner == p.info.Identity {
			p.believe[nameOf[name]] = true
			s.claims++
		}
		if held && event.Replace && p.believe[nameOf[name]] && !p.severed {
			require.Nil(s.t, d.Err)
		}
	})
}

func (s *story) lookup(p *proc, name int) {
	begun := s.step - 1 // what held at the end of the step before holds now
	event := Event(Lookup{ID: vertex.NameID(nameOf[name])})
	if s.chance(20) {
		event = Missed{ID: vertex.NameID(nameOf[name]),
			By: wire.Identity{Node: 99, Incarnation: 1}}
	}
	s.feed(p, event, func(d Done) {
		switch {
		case d.Err == nil:
			require.NotZero(s.t, d.Owner.Node)
		case d.Err.Code == status.NotFound:
			require.GreaterOrEqual(s.t, s.absent[name], begun,
				"%s was owned all the time, and node %d is told: %v", nameOf[name],
				p.info.Identity.Node, d.Err)
		case d.Owner.Node != 0:
			s.lost++
		}
	})
}

// dropLost takes the mark off a name if its owner is gone.
func (s *story) dropLost(p *proc, name int) {
	id := vertex.NameID(nameOf[name])
	s.feed(p, Lookup{ID: id}, func(d Done) {
		if d.Err != nil && d.Err.Code == status.Unavailable && d.Owner.Node != 0 &&
			d.Owner != p.info.Identity {
			s.feed(p, Forget{ID: id, Owner: d.Owner}, func(Done) {})
		}
	})
}

// owners are the nodes that hold a name and that nobody declared dead.
func (s *story) owners(name int) (owners []wire.Identity) {
	directory := s.procs[0].node.directory
	for _, p := range s.procs {
		if p.alive && p.believe[nameOf[name]] && directory.view.find(p.info.Identity) != nil {
			owners = append(owners, p.info.Identity)
		}
	}
	return owners
}

// check runs after every step, so it calls require only for what is wrong.
func (s *story) check() {
	for name := range names {
		owners := s.owners(name)
		if len(owners) > 1 {
			require.Fail(s.t, "two owners", "%s is owned by %v", nameOf[name], owners)
		}
		if len(owners) == 0 {
			s.absent[name] = s.step
		}
	}
	for _, p := range s.procs {
		if !p.alive {
			continue
		}
		if p.node.View() < p.view {
			require.Fail(s.t, "a view fell", "node %d", p.info.Identity.Node)
		}
		p.view = p.node.View()
		if len(p.node.owners.slots) > p.node.limits.CachedOwners ||
			len(p.node.claimant.undecided) > p.node.limits.Undecided {
			require.Fail(s.t, "a limit is broken", "node %d", p.info.Identity.Node)
		}
	}
	if d := s.procs[0].node.directory; len(d.claims) > d.limits.Names {
		require.Fail(s.t, "the directory has too many names")
	}
}

// calm stops all faults and lets time pass.
func (s *story) calm() {
	s.faults = false
	for _, key := range slices.Collect(maps.Keys(s.cut)) {
		s.cut[key] = false
	}
	for _, p := range s.procs[1:] {
		if !p.alive || !p.joined {
			if p.alive {
				s.crash(p)
			}
			s.run(10 * time.Second) // its older incarnation is dead by then
			s.enter(s.procs[p.slot])
		}
	}
	s.run(time.Minute)
}

// agree asks everybody about everything.
func (s *story) agree() {
	directory := s.procs[0].node.directory
	for _, p := range s.procs {
		if p.severed { // it was declared dead; that it knows is all that it must
			require.Nil(s.t, directory.view.find(p.info.Identity))
			continue
		}
		require.True(s.t, p.joined, "node %d could not join again: %v",
			p.info.Identity.Node, p.refused)
		require.Equal(s.t, directory.view, p.node.view, "view of node %d", p.info.Identity.Node)
		require.Empty(s.t, p.node.claimant.undecided)
		for name := range names {
			s.agreeOn(p, name)
		}
	}
	require.Len(s.t, directory.health, len(directory.view.nodes))
}

func (s *story) agreeOn(p *proc, name int) {
	directory := s.procs[0].node.directory
	owners := s.owners(name)
	claim, claimed := directory.claims[vertex.NameID(nameOf[name])]
	asked := false
	answer := func(d Done) {
		asked = true
		switch {
		case len(owners) == 1:
			require.Nil(s.t, d.Err, nameOf[name])
			require.Equal(s.t, owners[0], d.Owner, nameOf[name])
			require.Equal(s.t, owners[0], claim)
			require.Equal(s.t, s.procs[d.Owner.Node-1].info.Addresses, d.Addresses)
		case claimed:
			require.Nil(s.t, directory.view.find(claim), "%s is a ghost", nameOf[name])
			require.ErrorIs(s.t, d.Err, status.Unavailable)
			require.Contains(s.t, d.Err.Message, "its data is lost")
		default:
			require.ErrorIs(s.t, d.Err, status.NotFound)
		}
	}
	// What is cached may be old: as core does, ask again after a miss at the owner.
	s.feed(p, Lookup{ID: vertex.NameID(nameOf[name])}, func(d Done) {
		holder := s.find(d.Owner)
		if d.Err == nil && (holder == nil || !holder.believe[nameOf[name]]) {
			s.feed(p, Missed{ID: vertex.NameID(nameOf[name]), By: d.Owner}, answer)
			return
		}
		answer(d)
	})
	s.run(5 * time.Second)
	require.True(s.t, asked, "a lookup never ended")
}
