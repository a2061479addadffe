package cluster

import (
	"dcf/core/internal/once"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// replyBytes is what a remembered reply counts against the window's limit of bytes.
const replyBytes = 512

// effectsUnknown is core's EffectsUnknown, as replies carry it.
const effectsUnknown = 2

// update runs a claim or a drop once: a copy of it gets the reply of the first.
func (d *Directory) update(from *wire.NodeInfo, op *wire.Operation) *wire.Reply {
	if op.Sequence == 0 {
		if op.Op == wire.OpForget {
			return d.forgetLost(op)
		}
		return d.fail(status.Errorf(status.InvalidArgument, "a claim needs a sequence"))
	}
	event := once.Event[*wire.Reply]{Kind: once.Begin, Caller: from.Identity,
		Sequence: op.Sequence, Floor: op.Floor, Vertex: op.ID}
	action, _ := d.window.Step(&event, nil)
	switch action.Verdict {
	case once.Replay:
		reply := *action.Outcome // the receiver may do with it as it likes
		return &reply
	case once.Refuse:
		reply := d.fail(action.Err)
		if action.Undecided {
			reply.Effects = effectsUnknown
		}
		return reply
	}
	// It runs within this step, so no copy ever waits for it.
	var reply *wire.Reply
	if op.Op == wire.OpClaim {
		reply = d.claim(from, op)
	} else {
		reply = d.forget(from, op)
	}
	kept := *reply
	event.Kind, event.Ticket = once.End, action.Ticket
	event.Outcome, event.Bytes = &kept, replyBytes
	if action, _ = d.window.Step(&event, nil); action.Verdict == once.Refuse {
		d.window.Step(&once.Event[*wire.Reply]{Kind: once.Abort, Ticket: event.Ticket,
			Err: action.Err}, nil)
		return d.fail(action.Err)
	}
	d.apply(from.Identity, op, reply)
	return reply
}

// claim decides who owns a name. It changes nothing: apply does.
func (d *Directory) claim(from *wire.NodeInfo, op *wire.Operation) *wire.Reply {
	what := title(op.ID, op.Name)
	if err := d.claimable(from, op); err != nil {
		return d.fail(err.WithVertex(op.ID))
	}
	owner, live, found := d.ownerOf(op.ID)
	switch {
	case live != nil && (owner == from.Identity || op.Replace):
		return d.owned(live)
	case live != nil:
		reply := d.fail(status.Errorf(status.AlreadyExists, "%s exists already, on %s: choose "+
			"another name, or put it with replace", what, describe(live)).WithVertex(op.ID))
		reply.Identity, reply.Nodes = owner, []wire.NodeInfo{*live}
		return reply
	case found && !op.Replace:
		reply := d.fail(status.Errorf(status.AlreadyExists, "%s existed on node %d, which is "+
			"gone; its data is lost: put it with replace, or drop it first", what,
			owner.Node).WithVertex(op.ID))
		reply.Identity = owner
		return reply
	case !found && len(d.claims) >= d.limits.Names:
		return d.fail(status.Errorf(status.Exhausted, "the cluster has %d names, which is the "+
			"limit: drop vertices that are not needed", len(d.claims)).WithVertex(op.ID))
	}
	return d.owned(from)
}

func (d *Directory) claimable(from *wire.NodeInfo, op *wire.Operation) *status.Error {
	switch {
	case !from.Member:
		return status.Errorf(status.Unsupported, "node %d does not listen, so it cannot own %s "+
			"for others: put it on a member, or open the worker with a listen address",
			from.Identity.Node, title(op.ID, op.Name))
	case op.Identity != wire.Identity{} && op.Identity != from.Identity:
		return status.Errorf(status.InvalidArgument, "node %d claims %s for node %d: each owner "+
			"claims for itself", from.Identity.Node, title(op.ID, op.Name), op.Identity.Node)
	case op.Name != "" && vertex.NameID(op.Name) != op.ID:
		return status.Errorf(status.InvalidArgument, "the id %s is not that of the name %q",
			op.ID, op.Name)
	case !op.ID.Named():
		return status.Errorf(status.InvalidArgument, "vertex %s has no name: its birth node owns "+
			"it, and nobody claims it", op.ID)
	}
	return nil
}

// forget answers a drop by the owner. A name that is no longer its own is left alone: that is
// what a second drop finds.
func (d *Directory) forget(from *wire.NodeInfo, op *wire.Operation) *wire.Reply {
	if op.Identity != from.Identity {
		return d.fail(status.Errorf(status.Denied, "node %d may not drop %s of node %d: ask its "+
			"owner", from.Identity.Node, title(op.ID, op.Name), op.Identity.Node).
			WithVertex(op.ID))
	}
	return &wire.Reply{View: d.view.number}
}

// forgetLost takes the mark off a name whose owner is gone. It names that owner, so a late copy
// cannot hurt a new one.
func (d *Directory) forgetLost(op *wire.Operation) *wire.Reply {
	owner, found := d.claims[op.ID]
	if found && owner == op.Identity {
		if live := d.view.find(owner); live != nil {
			return d.fail(status.Errorf(status.Denied, "%s belongs to %s: ask that node to drop "+
				"it", title(op.ID, op.Name), describe(live)).WithVertex(op.ID))
		}
		delete(d.claims, op.ID)
	}
	return &wire.Reply{View: d.view.number}
}

// apply does what a successful reply says.
func (d *Directory) apply(from wire.Identity, op *wire.Operation, reply *wire.Reply) {
	switch {
	case reply.Error != nil:
	case op.Op == wire.OpClaim:
		if reply.Identity == from {
			d.claims[op.ID] = from
		}
	case d.claims[op.ID] == from:
		delete(d.claims, op.ID)
	}
}
