package cluster

import (
	"time"

	"dcf/core/internal/once"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// Why a node is gone.
const (
	left = "left the cluster"
	died = "was declared dead, because it could not be reached for too long"
)

// join takes a node in and answers with all nodes, the view and the cluster's id (IDs[0]). Asking
// again gives the same answer.
func (d *Directory) join(now int64, r Request, actions []Action) []Action {
	if d.view.find(r.From) != nil {
		return append(actions, Answer{Reply: d.nodes(0)})
	}
	info, err := d.admissible(r)
	if err != nil {
		return append(actions, Answer{Reply: d.fail(err)})
	}
	if old := d.view.node(r.From.Node); old != nil {
		return append(actions, Answer{Reply: d.taken(now, old)})
	}
	info = ownNode(info)
	info.Alive, info.Directory = true, false
	if info.Member {
		d.members++
	}
	d.view.put(info)
	d.health[info.Identity] = &health{session: d.ended.reason(info.Identity) == "", lostAt: now,
		probeAt: now}
	notice := d.change(info)
	actions = append(actions, Answer{Reply: d.nodes(0)})
	return d.publish(notice, info.Identity, actions)
}

func (d *Directory) admissible(r Request) (wire.NodeInfo, *status.Error) {
	if reason := d.gone.reason(r.From); reason != "" {
		return wire.NodeInfo{}, d.stranger(r.From).Error
	}
	if len(r.Operation.Nodes) != 1 || r.Operation.Nodes[0].Identity != r.From ||
		r.From.Node == 0 || r.From.Node > vertex.MaxNodeID {
		return wire.NodeInfo{}, status.Errorf(status.InvalidArgument, "a worker joins with its "+
			"own node id, from 1 to %d", uint64(vertex.MaxNodeID))
	}
	info := r.Operation.Nodes[0]
	if info.Member == (len(info.Addresses) == 0) || len(info.Addresses) > MaxAddresses {
		return wire.NodeInfo{}, status.Errorf(status.InvalidArgument, "a member has from 1 to %d "+
			"addresses and a guest none; node %d has %d", MaxAddresses, r.From.Node,
			len(info.Addresses))
	}
	for _, address := range info.Addresses {
		if len(address) > MaxAddressBytes {
			return wire.NodeInfo{}, status.Errorf(status.InvalidArgument, "an address of node %d "+
				"has %d bytes, the limit is %d", r.From.Node, len(address), MaxAddressBytes)
		}
	}
	switch {
	case info.Member && d.members >= d.limits.Members:
		return wire.NodeInfo{}, status.Errorf(status.Exhausted, "the cluster has %d members, "+
			"which is the limit", d.members)
	case !info.Member && len(d.view.nodes)-d.members >= d.limits.Guests:
		return wire.NodeInfo{}, status.Errorf(status.Exhausted, "the cluster has %d guests, "+
			"which is the limit: close workers that are not needed",
			len(d.view.nodes)-d.members)
	}
	return info, nil
}

// taken refuses a node id that is in use. Where its session is gone the answer is not final: the
// Identity tells the worker whose death to wait for.
func (d *Directory) taken(now int64, old *wire.NodeInfo) *wire.Reply {
	h := d.health[old.Identity]
	if h.session {
		return d.fail(status.Errorf(status.AlreadyExists, "node id %d is taken by a live worker, "+
			"%s: choose another node id, or stop that worker first", old.Identity.Node,
			describe(old)))
	}
	rest := time.Duration(h.lostAt + int64(d.limits.DeadAfter) - now).Round(time.Millisecond)
	reply := d.fail(status.Errorf(status.Unavailable, "node id %d belongs to %s, whose "+
		"connection is lost: it is free in %v unless that worker comes back",
		old.Identity.Node, describe(old), max(rest, 0)))
	reply.Identity = old.Identity
	return reply
}

func (d *Directory) peerUp(identity wire.Identity, actions []Action) []Action {
	if h := d.health[identity]; h != nil {
		*h = health{session: true}
		return actions
	}
	d.ended.remove(identity)
	if d.gone.reason(identity) == "" {
		return actions
	}
	// It may not know yet that it is out.
	return append(actions, Notify{To: identity, Operation: &wire.Operation{Op: wire.OpView,
		View: d.view.number, Nodes: []wire.NodeInfo{{Identity: identity}}}})
}

// tick tries to reach nodes without a session, and declares dead whose time is over.
func (d *Directory) tick(now int64, actions []Action) []Action {
	var dead []wire.NodeInfo
	for _, node := range d.view.nodes {
		h := d.health[node.Identity]
		switch {
		case h.session:
		case now >= h.lostAt+int64(d.limits.DeadAfter):
			dead = append(dead, node)
		case now >= h.probeAt:
			h.probeAt = now + int64(d.limits.ProbeEvery)
			if node.Member { // a guest comes by itself
				actions = append(actions, Probe{To: node.Identity, Addresses: node.Addresses})
			}
		}
	}
	for _, node := range dead {
		actions = d.remove(node, died, actions)
	}
	return actions
}

// remove takes a node out of the view. Its claims stay, and are lost now.
func (d *Directory) remove(node wire.NodeInfo, reason string, actions []Action) []Action {
	d.view.remove(node.Identity)
	delete(d.health, node.Identity)
	d.gone.add(node.Identity, reason)
	d.window.Step(&once.Event[*wire.Reply]{Kind: once.Dead, Caller: node.Identity}, nil)
	if node.Member {
		d.members--
	}
	node.Alive = false
	return d.publish(d.change(node), node.Identity, actions)
}

// change counts the view on and makes the notice of it: Nodes is what is new since the view
// Expected.
func (d *Directory) change(node wire.NodeInfo) *wire.Operation {
	d.view.number++
	return &wire.Operation{Op: wire.OpView, View: d.view.number, Expected: d.view.number - 1,
		Nodes: []wire.NodeInfo{node}}
}

// publish tells all members but the one that it is about. Guests, which come in any number, learn
// of changes when they ask.
func (d *Directory) publish(notice *wire.Operation, about wire.Identity,
	actions []Action) []Action {
	for _, node := range d.view.nodes {
		if node.Identity != about && (node.Member || node.Identity == d.self) {
			actions = append(actions, Notify{To: node.Identity, Addresses: node.Addresses,
				Operation: notice})
		}
	}
	return actions
}

// gone remembers the last incarnations that are gone, and why.
type gone struct {
	limit   int
	ring    []wire.Identity
	oldest  int
	reasons map[wire.Identity]string
}

func newGone(limit int) gone { return gone{limit: limit, reasons: map[wire.Identity]string{}} }

// reason is why an incarnation is gone, or empty.
func (g *gone) reason(identity wire.Identity) string { return g.reasons[identity] }

// remove takes one out again. Its place in the ring stays taken.
func (g *gone) remove(identity wire.Identity) { delete(g.reasons, identity) }

func (g *gone) add(identity wire.Identity, reason string) {
	if g.reasons[identity] != "" {
		return
	}
	g.reasons[identity] = reason
	if len(g.ring) < g.limit {
		g.ring = append(g.ring, identity)
		return
	}
	delete(g.reasons, g.ring[g.oldest])
	g.ring[g.oldest] = identity
	g.oldest = (g.oldest + 1) % g.limit
}
