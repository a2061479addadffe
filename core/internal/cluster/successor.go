package cluster

import (
	"slices"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// A directory that was restarted is a new cluster that knows nobody. Its workers come to it by
// themselves: while the directory does not answer they ask who listens where it was, and where they
// joined once. What they own they take along; the vertices of the old directory are lost.

// seek asks at the next opportunity who came after the directory, unless that is under way.
func (c *Client) seek(actions []Action) []Action {
	if c.joining.active || c.directory == c.self.Identity {
		return actions
	}
	addresses := slices.Clone(addressesOf(c.view.find(c.directory)))
	for _, address := range c.entrances {
		if !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	c.joining = joining{active: true, again: true, addresses: addresses}
	return c.joinNext(actions)
}

// move leaves the cluster for the one that the worker has just joined.
func (c *Client) move(now int64, directory wire.Identity, cluster [16]byte, actions []Action) []Action {
	c.former.nodes = append(c.former.nodes, c.view.nodes...)
	c.former.until = now + int64(c.limits.FormerFor)
	c.cluster, c.directory, c.directoryLost = cluster, directory, false
	c.view, c.newest, c.refreshing = view{}, 0, false
	c.owners = newOwners(c.limits.CachedOwners)
	c.claimant.again = c.claimant.again[:0]
	for id := range c.claimant.owned {
		c.claimant.again = append(c.claimant.again, id)
	}
	slices.SortFunc(c.claimant.again, func(a, b vertex.ID) int { return slices.Compare(a[:], b[:]) })
	return append(actions, Moved{Directory: directory})
}

// former are the nodes of the old cluster that have not come to the new one. They may be on their
// way, so what is remembered of them is kept for a while.
type former struct {
	nodes []wire.NodeInfo
	until int64
}

// bury declares former nodes dead: those with a successor, and others when their time is over.
func (c *Client) bury(now int64, actions []Action) []Action {
	over := now >= c.former.until
	c.former.nodes = slices.DeleteFunc(c.former.nodes, func(old wire.NodeInfo) bool {
		live := c.view.node(old.Identity.Node)
		if live != nil && live.Identity == old.Identity {
			return true
		}
		if live != nil || over {
			actions = append(actions, PeerDead{Identity: old.Identity})
			return true
		}
		return false
	})
	return actions
}

// reclaim claims names again, a few at a time, that this worker owned in the old cluster.
func (c *Client) reclaim(actions []Action) []Action {
	m := &c.claimant
	for len(m.again) > 0 && m.reclaims < MaxReclaims {
		id := m.again[len(m.again)-1]
		if m.owns(id) && m.find(id) == nil {
			ask, err := c.begin(&wire.Operation{Op: wire.OpClaim, ID: id, Identity: c.self.Identity})
			if err != nil {
				break // there are too many undecided; one that is decided goes on here
			}
			m.undecided[len(m.undecided)-1].again = true
			m.reclaims++
			ask.Background = true
			actions = append(actions, ask)
		}
		m.again = m.again[:len(m.again)-1]
	}
	return actions
}

// reclaimed takes in what the new directory said of a name that was claimed again.
func (c *Client) reclaimed(id vertex.ID, err *status.Error, actions []Action) []Action {
	if err == nil || !c.claimant.owns(id) {
		return actions
	}
	delete(c.claimant.owned, id)
	return append(actions, Unclaimed{ID: id, Err: err})
}
