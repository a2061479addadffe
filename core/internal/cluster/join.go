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
	addresses []string // not tried yet
	failures  []string
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
	c.joining = joining{active: true, addresses: e.Addresses}
	return c.joinNext(actions)
}

// joinNext tries the next address, or gives up.
func (c *Client) joinNext(actions []Action) []Action {
	j := &c.joining
	if len(j.addresses) == 0 {
		return c.joinFailed(status.Errorf(status.Unavailable, "no cluster could be joined: %s. "+
			"Start a node there first, or correct the address", strings.Join(j.failures, "; ")),
			actions)
	}
	address := j.addresses[0]
	j.addresses = j.addresses[1:]
	return append(actions, Dial{Address: address})
}

func (c *Client) joinFailed(err *status.Error, actions []Action) []Action {
	c.joining = joining{}
	return append(actions, Done{Err: err})
}

func (c *Client) dialled(e Dialled, actions []Action) []Action {
	switch {
	case !c.joining.active:
		return actions
	case e.Err != nil && !worthRetrying(e.Err):
		return c.joinFailed(status.Errorf(status.Of(e.Err), "joining at %s: %w", e.Address,
			e.Err), actions)
	case e.Err != nil:
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
	return Ask{To: to, Addresses: addresses,
		Operation: &wire.Operation{Op: wire.OpJoin, Nodes: []wire.NodeInfo{c.self}}}
}

func (c *Client) joinAnswered(now int64, e Answered, actions []Action) []Action {
	if !c.joining.active {
		return append(actions, Done{Err: c.outside()})
	}
	where := fmt.Sprintf("node %d", e.Ask.To.Node)
	if len(e.Ask.Addresses) > 0 {
		where = strings.Join(e.Ask.Addresses, ", ")
	}
	if e.Err != nil {
		if !worthRetrying(e.Err) {
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
	case err.Code == status.Unavailable && e.Reply.Identity.Node == c.self.Identity.Node:
		return append(actions, Pause{Until: now + int64(c.limits.RetryEvery),
			Event: joinAgain{to: e.Ask.To, addresses: e.Ask.Addresses}})
	case err.Code == status.Unavailable || err.Code == status.Unsupported:
		return c.joinMissed(where, err.Message, actions)
	default:
		return c.joinFailed(ownError(err), actions)
	}
}

// adopt takes over what the directory answered.
func (c *Client) adopt(now int64, e Answered, actions []Action) []Action {
	reply := e.Reply
	for _, node := range reply.Nodes {
		if node.Directory {
			c.directory = node.Identity
		}
	}
	if len(reply.IDs) != 1 || c.directory == (wire.Identity{}) {
		return c.joinFailed(status.Errorf(status.Corrupt, "the directory's answer names no "+
			"cluster or no directory: run the same version on all nodes"), actions)
	}
	c.cluster = reply.IDs[0]
	c.joined, c.joining = true, joining{}
	c.refreshAt = now + int64(c.limits.RefreshEvery)
	actions = c.replace(reply.Nodes, reply.View, actions)
	return append(actions, Done{Owner: c.directory})
}

// plain is an error's message without its code, for a list of failures.
func plain(err error) string { return status.From(err).Message }
