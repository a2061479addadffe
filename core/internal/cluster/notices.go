package cluster

import (
	"cmp"
	"slices"

	"dcf/core/status"
	"dcf/wire"
)

func (c *Client) askView(background bool) Ask {
	ask := c.ask(&wire.Operation{Op: wire.OpView, Expected: c.view.number})
	ask.Background = background
	return ask
}

func (c *Client) viewAnswered(now int64, e Answered, actions []Action) []Action {
	if e.Ask.Background && e.Ask.To == c.directory {
		c.refreshing = false
		c.refreshAt = now + int64(c.limits.RefreshEvery)
		if e.Err != nil || c.newest > max(c.view.number, e.Reply.View) {
			c.refreshAt = now + int64(c.limits.RetryEvery)
		}
		if e.Err != nil && c.severed == nil {
			actions = c.seek(actions)
		}
	}
	done := Done{}
	switch {
	case e.Err != nil:
		done.Err = c.unreachable(e.Err, "the list of nodes may be old")
	case e.Reply.Error != nil:
		done.Err = ownError(e.Reply.Error)
	default:
		if len(e.Reply.Nodes) > 0 {
			actions = c.replace(e.Reply.Nodes, e.Reply.View, actions)
		}
		actions = c.settle(actions)
	}
	if e.Ask.Background {
		return actions
	}
	return append(actions, done)
}

// notice takes what the directory tells: what is new since the view Expected. Who missed one asks
// for the whole.
func (c *Client) notice(e Notice, actions []Action) []Action {
	op := e.Operation
	if op.Op != wire.OpView || !c.joined || c.severed != nil || e.From != c.directory {
		return actions
	}
	for _, node := range op.Nodes {
		if node.Identity == c.self.Identity && !node.Alive {
			return c.sever(status.Errorf(status.Unavailable, "the directory, node %d, declared "+
				"this worker dead, because it could not be reached for too long: what it owned "+
				"is lost to the cluster; restart it to join again", c.directory.Node), actions)
		}
	}
	switch {
	case op.View <= c.view.number:
		return actions
	case op.Expected != c.view.number:
		c.newest = max(c.newest, op.View)
		if !c.refreshing {
			c.refreshing = true
			actions = append(actions, c.askView(true))
		}
		return actions
	}
	c.view.number = op.View
	for _, node := range op.Nodes {
		if node.Alive {
			if old := c.view.node(node.Identity.Node); old != nil && old.Identity != node.Identity {
				actions = append(actions, PeerDead{Identity: old.Identity})
			}
			c.view.put(ownNode(node))
		} else if c.view.find(node.Identity) != nil {
			c.view.remove(node.Identity)
			actions = append(actions, PeerDead{Identity: node.Identity})
		}
	}
	return append(actions, Changed{View: op.View})
}

// replace takes over a whole list of nodes, unless a newer view is known.
func (c *Client) replace(nodes []wire.NodeInfo, number uint64, actions []Action) []Action {
	if number <= c.view.number {
		return actions
	}
	next := view{number: number, nodes: make([]wire.NodeInfo, len(nodes))}
	for i, node := range nodes {
		next.nodes[i] = ownNode(node)
	}
	slices.SortFunc(next.nodes, func(a, b wire.NodeInfo) int {
		return cmp.Compare(a.Identity.Node, b.Identity.Node)
	})
	for _, old := range c.view.nodes {
		if next.find(old.Identity) == nil {
			actions = append(actions, PeerDead{Identity: old.Identity})
		}
	}
	c.view = next
	return append(actions, Changed{View: number})
}
