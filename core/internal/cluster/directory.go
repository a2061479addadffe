package cluster

import (
	"dcf/core/internal/once"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// Directory decides who belongs to the cluster and who owns which name. It lives on the first
// node, in memory: while that is gone nothing joins or changes owner, and a restarted one is a
// new cluster. An unnamed vertex needs no entry: its id says which node made it.
type Directory struct {
	self    wire.Identity
	cluster [16]byte
	limits  Limits
	view    view
	health  map[wire.Identity]*health
	ended   gone // sessions of strangers that ended: their join may be on its way still
	members int
	gone    gone
	// claims are the owners of names. An owner that is not in the view is gone, and the name is
	// lost until somebody replaces or drops it. No pointers, so the collector skips it.
	claims map[vertex.ID]wire.Identity
	// window makes claims and drops happen once, in whatever order their copies come.
	window *once.Window[*wire.Reply]
}

// health is what the directory knows of a node's session.
type health struct {
	session bool
	lostAt  int64 // when the session ended
	probeAt int64 // when to try next
}

// NewDirectory founds a cluster with self as its only node.
func NewDirectory(self wire.NodeInfo, cluster [16]byte, limits Limits) *Directory {
	limits = limits.orDefaults()
	self.Directory, self.Alive = true, true
	d := &Directory{
		self:    self.Identity,
		cluster: cluster,
		limits:  limits,
		view:    view{number: 1, nodes: []wire.NodeInfo{self}},
		health:  map[wire.Identity]*health{self.Identity: {session: true}},
		ended:   newGone(limits.Gone),
		gone:    newGone(limits.Gone),
		claims:  map[vertex.ID]wire.Identity{},
		window: once.NewWindow[*wire.Reply](once.Limits{
			Callers: limits.Members + 1, EntriesPerCaller: 2 * limits.Undecided}),
	}
	if self.Member {
		d.members = 1
	}
	return d
}

// Step takes a Request, PeerUp, PeerDown or Tick and appends what is to be done: one Answer for a
// Request, and Notify and Probe.
func (d *Directory) Step(now int64, event Event, actions []Action) []Action {
	switch e := event.(type) {
	case Request:
		return d.request(now, e, actions)
	case PeerUp:
		return d.peerUp(e.Identity, actions)
	case PeerDown:
		h := d.health[e.Identity]
		if h == nil {
			d.ended.add(e.Identity, left)
			return actions
		}
		if h.session && e.Identity != d.self {
			*h = health{lostAt: now, probeAt: now}
			return d.tick(now, actions)
		}
	case Tick:
		return d.tick(now, actions)
	}
	return actions
}

// Wake is when the next Tick is due, or 0.
func (d *Directory) Wake() int64 {
	wake := int64(0)
	for _, h := range d.health {
		if !h.session {
			wake = sooner(wake, min(h.probeAt, h.lostAt+int64(d.limits.DeadAfter)))
		}
	}
	return wake
}

// sooner is the earlier of two times of which 0 means never.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (d *Directory) request(now int64, r Request, actions []Action) []Action {
	op := r.Operation
	if op.Op == wire.OpJoin {
		return d.join(now, r, actions)
	}
	from := d.view.find(r.From)
	if from == nil {
		return append(actions, Answer{Reply: d.stranger(r.From)})
	}
	switch op.Op {
	case wire.OpLookup:
		return append(actions, Answer{Reply: d.lookup(r.From, op)})
	case wire.OpClaim, wire.OpForget:
		return append(actions, Answer{Reply: d.update(from, op)})
	case wire.OpView:
		return append(actions, Answer{Reply: d.nodes(op.Expected)})
	case wire.OpLeave:
		if r.From != d.self {
			actions = d.remove(*from, left, actions)
		}
		return append(actions, Answer{Reply: &wire.Reply{View: d.view.number}})
	}
	return append(actions, Answer{Reply: d.fail(status.Errorf(status.Unsupported,
		"the directory knows no operation %d: run the same version on all nodes", op.Op))})
}

// nodes answers with the whole view, or with its number only where that is what is known.
func (d *Directory) nodes(known uint64) *wire.Reply {
	reply := &wire.Reply{View: d.view.number, IDs: []vertex.ID{d.cluster}}
	if known != d.view.number {
		reply.Nodes = append([]wire.NodeInfo(nil), d.view.nodes...)
	}
	return reply
}

func (d *Directory) fail(err *status.Error) *wire.Reply {
	err.Node = d.self.Node
	return &wire.Reply{Error: err, View: d.view.number}
}

// stranger answers whoever is not in the view: by status.Aborted and no view.
func (d *Directory) stranger(from wire.Identity) *wire.Reply {
	err := status.Errorf(status.Aborted, "node %d is not part of this cluster, whose directory "+
		"is node %d: that was restarted, or the worker never joined; restart the worker to join",
		from.Node, d.self.Node)
	if reason := d.gone.reason(from); reason != "" {
		err = status.Errorf(status.Aborted, "node %d %s: what it owned is lost to the cluster; "+
			"restart that worker to join again", from.Node, reason)
	}
	err.Node = d.self.Node
	return &wire.Reply{Error: err}
}

// isStranger says whether a reply tells its receiver that it is not in the cluster.
func isStranger(reply *wire.Reply) bool {
	return reply.Error != nil && reply.Error.Code == status.Aborted && reply.View == 0
}

// lookup says who owns a vertex. Nothing is claimed to be absent that may have existed.
func (d *Directory) lookup(from wire.Identity, op *wire.Operation) *wire.Reply {
	owner, live, found := d.ownerOf(op.ID)
	switch {
	case live != nil && !live.Member && owner != from:
		return d.fail(status.Errorf(status.NotFound, "%s belongs to node %d, a guest, whose "+
			"vertices are private to it", title(op.ID, op.Name), owner.Node).WithVertex(op.ID))
	case live != nil:
		return d.owned(live)
	case found && !op.ID.Named() && d.view.node(owner.Node) != nil:
		return d.fail(status.Errorf(status.NotFound, "there is no %s any more: node %d, which made "+
			"it, was restarted since", title(op.ID, op.Name), owner.Node).WithVertex(op.ID))
	case found:
		reply := d.fail(status.Errorf(status.Unavailable, "the owner of %s, node %d, is gone; "+
			"its data is lost: put it again with replace, or drop it",
			title(op.ID, op.Name), owner.Node).WithVertex(op.ID))
		reply.Identity = owner
		return reply
	}
	return d.fail(status.Errorf(status.NotFound, "there is no %s in this cluster: check the "+
		"name, or put it first", title(op.ID, op.Name)).WithVertex(op.ID))
}

func (d *Directory) owned(owner *wire.NodeInfo) *wire.Reply {
	return &wire.Reply{Identity: owner.Identity, View: d.view.number,
		Nodes: []wire.NodeInfo{*owner}}
}

// ownerOf finds a vertex's owner, and its node if it lives.
func (d *Directory) ownerOf(id vertex.ID) (owner wire.Identity, live *wire.NodeInfo, found bool) {
	if !id.Named() {
		if live := d.view.birth(id); live != nil {
			return live.Identity, live, true
		}
		node, incarnation := id.Birth()
		return wire.Identity{Node: node, Incarnation: incarnation}, nil, true
	}
	owner, found = d.claims[id]
	if !found {
		return owner, nil, false
	}
	return owner, d.view.find(owner), true
}
