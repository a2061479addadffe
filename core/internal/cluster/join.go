package cluster

import (
	"fmt"
	"strings"

	"dcf/core/status"
	"dcf/wire"
)

// joining is a Join under way.
type joining struct {
	active    bool
	again     bool     // nobody waits for it: the directory does not answer any more
	addresses []string // not tried yet
	failures  []string
	denied    int // how many of those are that this worker may not
	hops      int
}

// joinAgain asks once more, after a pause.
type joinAgain struct {
	to        wire.Identity
	addresses []string
}

func (joinAgain) event() {}

func (c *Client) join(e Join, actions []Action) []Action {
	switch {
	case c.joined || c.joining.active:
		return append(actions, Done{Err: status.Errorf(status.InvalidArgument,
			"this worker joined a cluster already")})
	case len(e.Addresses) == 0 || len(e.Addresses) > MaxJoinAddresses:
		return append(actions, Done{Err: status.Errorf(status.InvalidArgument,
			"give from 1 to %d addresses to join; there are %d", MaxJoinAddresses,
			len(e.Addresses))})
	}
	c.entrances = e.Addresses
	c.joining = joining{active: true, addresses: e.Addresses}
	return c.joinNext(actions)
}

// joinNext tries the next address, or gives up.
func (c *Client) joinNext(actions []Action) []Action {
	j := &c.joining
	if len(j.addresses) == 0 {
		code, hint := status.Unavailable, ". Start a node there first, or correct the address"
		if j.denied == len(j.failures) {
			code, hint = status.Denied, ""
		}
		return c.joinFailed(status.Errorf(code, "no cluster could be joined: %s%s",
			strings.Join(j.failures, "; "), hint), actions)
	}
	address := j.addresses[0]
	j.addresses = j.addresses[1:]
	return append(actions, Dial{Address: address, Background: j.again})
}

func (c *Client) joinFailed(err *status.Error, actions []Action) []Action {
	again := c.joining.again
	c.joining = joining{}
	if again {
		return actions // it is tried again with the next refresh
	}
	return append(actions, Done{Err: err})
}

func (c *Client) dialled(e Dialled, actions []Action) []Action {
	switch {
	case !c.joining.active:
		return actions
	case e.Err != nil && !c.joining.again && !worthRetrying(e.Err):
		return c.joinFailed(status.Errorf(status.Of(e.Err), "joining at %s: %w", e.Address,
			e.Err), actions)
	case e.Err != nil:
		if status.Of(e.Err) == status.Denied {
			c.joining.denied++
		}
		return c.joinMissed(e.Address, plain(e.Err), actions)
	case e.Hello.Identity == c.self.Identity:
		return c.joinMissed(e.Address, "that is this worker itself", actions)
	}
	c.joining.hops = 0
	return append(actions, c.askJoin(e.Hello.Identity, []string{e.Address}))
}

func (c *Client) joinMissed(where, why string, actions []Action) []Action {
	c.joining.failures = append(c.joining.failures, where+": "+why)
	return c.joinNext(actions)
}

func (c *Client) askJoin(to wire.Identity, addresses []string) Ask {
	return Ask{To: to, Addresses: addresses, Background: c.joining.again,
		Operation: &wire.Operation{Op: wire.OpJoin, Nodes: []wire.NodeInfo{c.self}}}
}

func (c *Client) joinAnswered(now int64, e Answered, actions []Action) []Action {
	if !c.joining.active {
		if e.Ask.Background {
			return actions
		}
		return append(actions, Done{Err: c.outside()})
	}
	where := fmt.Sprintf("node %d", e.Ask.To.Node)
	if len(e.Ask.Addresses) > 0 {
		where = strings.Join(e.Ask.Addresses, ", ")
	}
	if e.Err != nil {
		if !c.joining.again && !worthRetrying(e.Err) {
			return c.joinFailed(status.Errorf(status.Of(e.Err), "joining at %s: %w", where,
				e.Err), actions)
		}
		return c.joinMissed(where, plain(e.Err), actions)
	}
	switch err := e.Reply.Error; {
	case err == nil:
		return c.adopt(now, e, actions)
	case err.Code == status.Unsupported && len(e.Reply.Nodes) == 1 &&
		c.joining.hops < MaxJoinHops: // that was a member: it says where the directory is
		c.joining.hops++
		return append(actions, c.askJoin(e.Reply.Identity,
			ownNode(e.Reply.Nodes[0]).Addresses))
	case c.joining.again && isStranger(e.Reply):
		c.joining = joining{}
		return c.sever(err, actions)
	case !c.joining.again && err.Code == status.Unavailable &&
		e.Reply.Identity.Node == c.self.Identity.Node:
		return append(actions, Pause{Until: now + int64(c.limits.RetryEvery),
			Event: joinAgain{to: e.Ask.To, addresses: e.Ask.Addresses}})
	case err.Code == status.Unavailable || err.Code == status.Unsupported:
		return c.joinMissed(where, err.Message, actions)
	default:
		if c.joining.again {
			c.refusal = ownError(err)
		}
		return c.joinFailed(ownError(err), actions)
	}
}

// adopt takes over what the directory answered.
func (c *Client) adopt(now int64, e Answered, actions []Action) []Action {
	reply, again, directory := e.Reply, c.joining.again, wire.Identity{}
	for _, node := range reply.Nodes {
		if node.Directory {
			directory = node.Identity
		}
	}
	if len(reply.IDs) != 1 || directory == (wire.Identity{}) {
		return c.joinFailed(status.Errorf(status.Corrupt, "the directory's answer names no "+
			"cluster or no directory: run the same version on all nodes"), actions)
	}
	if cluster := [16]byte(reply.IDs[0]); again && cluster != c.cluster {
		actions = c.move(now, directory, cluster, actions)
	} else {
		c.directory, c.cluster = directory, cluster
	}
	c.joined, c.joining, c.refusal = true, joining{}, nil
	c.refreshAt = now + int64(c.limits.RefreshEvery)
	actions = c.replace(reply.Nodes, reply.View, actions)
	if again {
		return c.settle(c.bury(now, actions))
	}
	return append(actions, Done{Owner: c.directory})
}

// plain is an error's message without its code, for a list of failures.
func plain(err error) string { return status.From(err).Message }
