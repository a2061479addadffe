package cluster

import (
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// lookup says who owns a vertex, or asks the directory. missed is who does not have it.
func (c *Client) lookup(id vertex.ID, missed wire.Identity, actions []Action) []Action {
	if missed == (wire.Identity{}) {
		if owner, ok := c.Owner(id); ok {
			return append(actions, c.found(owner))
		}
	}
	if birth := c.view.birth(id); !id.Named() && birth != nil {
		reason := "its birth node says so; it was dropped"
		if !birth.Member && birth.Identity != c.self.Identity {
			reason = "it belongs to a guest, whose vertices are private to it"
		}
		return append(actions, Done{Err: status.Errorf(status.NotFound, "there is no vertex %s "+
			"for this worker: %s", id, reason).WithVertex(id)})
	}
	if err := c.outside(); err != nil {
		return append(actions, Done{Err: err.WithVertex(id)})
	}
	ask := c.ask(&wire.Operation{Op: wire.OpLookup, ID: id})
	ask.missed = missed
	return append(actions, ask)
}

func (c *Client) found(owner wire.Identity) Done {
	return Done{Owner: owner, Addresses: addressesOf(c.view.find(owner))}
}

// corrected believes a node that sent this worker on, if it can; the next miss asks the directory.
func (c *Client) corrected(e Corrected, actions []Action) []Action {
	if e.ID.Named() && e.Owner != c.self.Identity && c.view.find(e.Owner) != nil {
		c.owners.put(e.ID, e.Owner)
	}
	return c.lookup(e.ID, wire.Identity{}, actions)
}

func (c *Client) missed(e Missed, actions []Action) []Action {
	c.owners.drop(e.ID)
	return c.lookup(e.ID, e.By, actions)
}

func (c *Client) lookupAnswered(e Answered, actions []Action) []Action {
	id := e.Ask.Operation.ID
	if e.Err != nil {
		if e.Ask.attempt+1 < MaxAttempts && worthRetrying(e.Err) && c.outside() == nil {
			ask := c.ask(e.Ask.Operation)
			ask.attempt, ask.missed = e.Ask.attempt+1, e.Ask.missed
			return append(actions, ask)
		}
		return append(actions, Done{Err: c.unreachable(e.Err, "who owns the vertex is not known "+
			"here; owners that are known go on being used").WithVertex(id)})
	}
	if err := e.Reply.Error; err != nil {
		c.owners.drop(id)
		return append(actions, Done{Owner: e.Reply.Identity, Err: ownError(err)})
	}
	owner := e.Reply.Identity
	if owner == e.Ask.missed {
		return append(actions, Done{Err: status.Errorf(status.NotFound, "there is no vertex %s "+
			"any more: its owner, node %d, dropped it", id, owner.Node).WithVertex(id)})
	}
	c.remember(id, e.Reply)
	return append(actions, c.foundBy(e.Reply))
}

// remember caches the owner that a reply of the directory names.
func (c *Client) remember(id vertex.ID, reply *wire.Reply) {
	if id.Named() && reply.Identity != c.self.Identity {
		c.owners.put(id, reply.Identity)
	}
}

// foundBy gives the owner that a reply names. The reply says where it is, since the view here may
// not have it yet.
func (c *Client) foundBy(reply *wire.Reply) Done {
	done := c.found(reply.Identity)
	for i := range reply.Nodes {
		if reply.Nodes[i].Identity == reply.Identity {
			done.Addresses = ownNode(reply.Nodes[i]).Addresses
		}
	}
	return done
}
