package cluster

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// sim runs whole clusters on one goroutine. Virtual time, an ordered queue of what happens next
// and one source of randomness make every run the same for the same seed.
type sim struct {
	random   *rand.Rand
	now      int64
	counter  uint64
	queue    queue
	procs    []*proc // one a slot; slot 0 is the directory
	sessions map[pair]bool
	told     map[pair]int64 // when the last PeerUp or PeerDown of a pair comes
	cut      map[pair]bool  // by slots: partitioned
	faults   bool
	trace    uint64
	lines    func(format string, args ...any) // nil: no trace
	limits   Limits
	step     uint64
	after    func(s *sim) // runs after each event: invariants
}

// pair is an observer and a peer.
type pair struct{ from, to wire.Identity }

// proc is one incarnation of one node.
type proc struct {
	slot    int
	info    wire.NodeInfo
	node    *Node
	alive   bool
	joined  bool
	refused error // why it could not join
	severed bool
	moved   int             // how often its directory was restarted
	dead    []wire.Identity // that it was told of
	view    uint64
	wake    int64
	believe map[string]bool // names that it holds as their owner
}

type happening struct {
	at  int64
	seq uint64
	run func()
}

type queue []happening

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newSim(seed, stream uint64, slots, guests int, limits Limits) *sim {
	s := &sim{random: rand.New(rand.NewPCG(seed, stream)), now: int64(time.Hour),
		sessions: map[pair]bool{}, told: map[pair]int64{}, cut: map[pair]bool{}, limits: limits}
	for slot := range slots {
		info := wire.NodeInfo{Identity: wire.Identity{Node: uint64(slot + 1)}}
		if slot < slots-guests {
			info.Member, info.Addresses = true, []string{fmt.Sprintf("sim://%d", slot+1)}
		}
		s.procs = append(s.procs, &proc{slot: slot, info: info})
	}
	return s
}

func (s *sim) schedule(delay time.Duration, run func()) {
	s.counter++
	heap.Push(&s.queue, happening{at: s.now + int64(delay), seq: s.counter, run: run})
}

// run lets happen what is due within d.
func (s *sim) run(d time.Duration) {
	end := s.now + int64(d)
	for len(s.queue) > 0 && s.queue[0].at <= end {
		next := heap.Pop(&s.queue).(happening)
		s.now = next.at
		s.step++
		next.run()
		if s.after != nil {
			s.after(s)
		}
	}
	s.now = end
}

func (s *sim) chance(percent int) bool { return s.random.IntN(100) < percent }

// delay is how long a message travels: mostly short, sometimes long past any timeout.
func (s *sim) delay() time.Duration {
	if s.faults && s.chance(3) {
		return time.Duration(s.random.Int64N(int64(4 * time.Second)))
	}
	return time.Duration(100_000 + s.random.Int64N(int64(30*time.Millisecond)))
}

func (s *sim) start(p *proc, first func(p *proc)) *proc {
	next := &proc{slot: p.slot, info: p.info, alive: true, believe: map[string]bool{}}
	next.info.Identity.Incarnation++
	next.node = NewNode(next.info, s.limits)
	s.procs[p.slot] = next
	first(next)
	return next
}

func (s *sim) crash(p *proc) {
	p.alive = false
	for _, other := range s.procs {
		s.sever(p, other)
	}
}

// sever ends a session; both sides that live are told some time later.
func (s *sim) sever(a, b *proc) {
	for _, ends := range [2][2]*proc{{a, b}, {b, a}} {
		p := pair{ends[0].info.Identity, ends[1].info.Identity}
		if s.sessions[p] {
			s.sessions[p] = false
			s.tell(ends[0], ends[1], PeerDown{Identity: p.to})
		}
	}
}

// tell delivers PeerUp and PeerDown in the order of what happened.
func (s *sim) tell(observer, peer *proc, event Event) {
	p := pair{observer.info.Identity, peer.info.Identity}
	at := max(s.now+int64(s.delay()), s.told[p]+1)
	s.told[p] = at
	s.schedule(time.Duration(at-s.now), func() { s.feed(observer, event, nil) })
}

// connect makes a session if there is none, and says whether there is one now.
func (s *sim) connect(a, b *proc) bool {
	if !a.alive || !b.alive || s.cut[pair{a.info.Identity, b.info.Identity}] {
		return false
	}
	p, q := pair{a.info.Identity, b.info.Identity}, pair{b.info.Identity, a.info.Identity}
	if s.sessions[p] {
		return true
	}
	if !b.info.Member { // a guest is reached over its own sessions only
		return false
	}
	s.sessions[p], s.sessions[q] = true, true
	s.tell(a, b, PeerUp{Identity: p.to, Cluster: b.node.Cluster()})
	s.tell(b, a, PeerUp{Identity: q.to, Cluster: a.node.Cluster()})
	return true
}

// partition cuts or heals the way between two incarnations.
func (s *sim) partition(a, b *proc, cut bool) {
	s.cut[pair{a.info.Identity, b.info.Identity}] = cut
	s.cut[pair{b.info.Identity, a.info.Identity}] = cut
	if cut {
		s.sever(a, b)
	}
}

func (s *sim) find(identity wire.Identity) *proc {
	if identity.Node == 0 || identity.Node > uint64(len(s.procs)) {
		return nil
	}
	if p := s.procs[identity.Node-1]; p.info.Identity == identity {
		return p
	}
	return nil
}

// feed steps a node and does what it says. done takes the Done of a worker's own wish.
func (s *sim) feed(p *proc, event Event, done func(Done)) {
	if !p.alive {
		return
	}
	s.note(p, event)
	for _, action := range p.node.Step(s.now, event, nil) {
		switch a := action.(type) {
		case Done:
			done(a)
		case Ask:
			s.ask(p, a, unless(a.Background, done))
		case Dial:
			s.dial(p, a, unless(a.Background, done))
		case Pause:
			s.schedule(time.Duration(a.Until-s.now), func() { s.feed(p, a.Event, done) })
		case Notify:
			s.notify(p, a)
		case Probe:
			if to := s.find(a.To); to != nil {
				s.connect(p, to)
			}
		case Severed:
			p.severed = true
		case Moved:
			p.moved++
		case Unclaimed:
			for name := range p.believe {
				if vertex.NameID(name) == a.ID {
					delete(p.believe, name)
				}
			}
		case PeerDead:
			p.dead = append(p.dead, a.Identity)
		case Changed:
		case Answer:
			panic("an answer to no request")
		}
	}
	s.wakeAt(p)
}

func unless(background bool, done func(Done)) func(Done) {
	if background {
		return nil
	}
	return done
}

func (s *sim) wakeAt(p *proc) {
	wake := p.node.Wake()
	if wake == 0 || p.wake != 0 && p.wake <= wake && p.wake > s.now {
		return
	}
	p.wake = max(wake, s.now+1)
	at := p.wake
	s.schedule(time.Duration(at-s.now), func() {
		if p.wake == at {
			p.wake = 0
			s.feed(p, Tick{}, nil)
		}
	})
}

func (s *sim) dial(p *proc, a Dial, done func(Done)) {
	var slot uint64
	_, err := fmt.Sscanf(a.Address, "sim://%d", &slot)
	if err != nil {
		panic(err)
	}
	s.schedule(s.delay(), func() {
		to := s.procs[slot-1]
		if !s.connect(p, to) {
			s.feed(p, Dialled{Address: a.Address,
				Err: status.Errorf(status.Unavailable, "connection refused")}, done)
			return
		}
		s.feed(p, Dialled{Address: a.Address, Hello: &wire.Hello{Identity: to.info.Identity,
			Cluster: to.node.Cluster(), Member: to.info.Member}}, done)
	})
}

// ask carries a request and its reply. Either may be lost, late or doubled; the asker gives up
// after a while, as rpc does.
func (s *sim) ask(p *proc, a Ask, done func(Done)) {
	over := false
	answer := func(reply *wire.Reply, err error) {
		if over {
			return
		}
		over = true
		if reply != nil {
			received := *reply
			received.Nodes = deepCopy(reply.Nodes)
			defer scribble(received.Nodes)
			reply = &received
		}
		s.feed(p, Answered{Ask: a, Reply: reply, Err: err}, done)
	}
	to := s.find(a.To)
	if to == nil || !s.connect(p, to) {
		s.schedule(s.delay(), func() {
			answer(nil, status.Errorf(status.Unavailable, "connection refused"))
		})
		return
	}
	code := status.Unavailable
	if s.chance(20) {
		code = status.Timeout
	}
	s.schedule(time.Second, func() { answer(nil, status.Errorf(code, "no reply")) })
	copies := 1
	if s.faults && s.chance(10) {
		copies = s.random.IntN(3)
	}
	for range copies {
		s.schedule(s.delay(), func() { s.serve(p, to, a, answer) })
	}
}

func (s *sim) serve(from, to *proc, a Ask, answer func(*wire.Reply, error)) {
	if !to.alive || s.cut[pair{from.info.Identity, to.info.Identity}] {
		return
	}
	op := *a.Operation
	op.Nodes = deepCopy(op.Nodes)
	defer scribble(op.Nodes)
	event := Request{From: from.info.Identity, Operation: &op}
	s.note(to, event)
	for _, action := range to.node.Step(s.now, event, nil) {
		switch out := action.(type) {
		case Answer:
			if s.faults && s.chance(8) {
				continue
			}
			s.schedule(s.delay(), func() { answer(out.Reply, nil) })
		case Notify:
			s.notify(to, out)
		case Probe:
			if peer := s.find(out.To); peer != nil {
				s.connect(to, peer)
			}
		case PeerDead, Changed:
		default:
			panic(fmt.Sprintf("%T for a request", action))
		}
	}
	s.wakeAt(to)
}

func (s *sim) notify(p *proc, a Notify) {
	to := s.find(a.To)
	if to == nil || !s.connect(p, to) || s.faults && s.chance(8) {
		return
	}
	op := *a.Operation
	s.schedule(s.delay(), func() {
		op.Nodes = deepCopy(op.Nodes)
		defer scribble(op.Nodes)
		s.feed(to, Notice{From: p.info.Identity, Operation: &op}, nil)
	})
}

// deepCopy makes what a receiver gets to see, and scribble reuses its memory after the step, as
// rpc does: nothing of a message may be kept.
func deepCopy(nodes []wire.NodeInfo) []wire.NodeInfo {
	nodes = slices.Clone(nodes)
	for i := range nodes {
		nodes[i].Addresses = slices.Clone(nodes[i].Addresses)
	}
	return nodes
}

func scribble(nodes []wire.NodeInfo) {
	for i := range nodes {
		for j := range nodes[i].Addresses {
			nodes[i].Addresses[j] = "scribbled"
		}
		nodes[i] = wire.NodeInfo{}
	}
}

// note adds an event to the trace.
func (s *sim) note(p *proc, event Event) {
	h := fnv.New64a()
	line := fmt.Sprintf("%d node %d.%d %T", s.now, p.info.Identity.Node,
		p.info.Identity.Incarnation, event)
	switch e := event.(type) {
	case Request:
		line += fmt.Sprintf(" op %d of %v, sequence %d", e.Operation.Op, e.From,
			e.Operation.Sequence)
	case Answered:
		line += fmt.Sprintf(" op %d: %v", e.Ask.Operation.Op, e.Err)
		if e.Reply != nil && e.Reply.Error != nil {
			line += " " + e.Reply.Error.Error()
		}
	}
	fmt.Fprintf(h, "%x %s", s.trace, line)
	s.trace = h.Sum64()
	if s.lines != nil {
		s.lines("%s", line)
	}
}
