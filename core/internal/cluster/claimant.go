package cluster

import (
	"slices"

	"dcf/core/internal/once"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// claimant is what a worker claimed of the directory. A claim or drop whose answer is lost is
// sent again under its sequence until it is decided; a claim that its caller gave up meanwhile is
// then undone. So no name stays with a worker that has no such vertex.
type claimant struct {
	sequences once.Sequences
	owned     map[vertex.ID]struct{}
	undecided []*undecided // in order of their sequences
	again     []vertex.ID  // names to be claimed of the directory's successor
	reclaims  int          // of those, under way
}

type undecided struct {
	op      *wire.Operation
	waiting bool  // an Ask is under way
	undo    bool  // nobody waits for the claim any more
	again   bool  // a claim of what this worker owned in an earlier cluster
	retryAt int64 // where nothing is under way
}

func newClaimant() claimant { return claimant{owned: map[vertex.ID]struct{}{}} }

func (m *claimant) owns(id vertex.ID) bool {
	_, ok := m.owned[id]
	return ok
}

func (m *claimant) find(id vertex.ID) *undecided {
	for _, u := range m.undecided {
		if u.op.ID == id {
			return u
		}
	}
	return nil
}

func (m *claimant) remove(u *undecided) {
	if u.again {
		m.reclaims--
	}
	m.sequences.Finish(u.op.Sequence)
	at := slices.Index(m.undecided, u)
	m.undecided = slices.Delete(m.undecided, at, at+1)
}

func (m *claimant) wake() int64 {
	wake := int64(0)
	for _, u := range m.undecided {
		if !u.waiting {
			wake = sooner(wake, u.retryAt)
		}
	}
	return wake
}

func (c *Client) claim(now int64, e Claim, actions []Action) []Action {
	m := &c.claimant
	what := title(e.ID, e.Name)
	refuse := func(err *status.Error) []Action {
		return append(actions, Done{Err: err.WithVertex(e.ID)})
	}
	if !e.ID.Named() { // its id says who owns it
		if node, _ := e.ID.Birth(); node != c.self.Identity.Node {
			return refuse(status.Errorf(status.Unsupported, "%s was made by node %d, which owns "+
				"it: only that node can make it again", what, node))
		}
		return append(actions, c.found(c.self.Identity))
	}
	if err := c.outside(); err != nil {
		return refuse(err)
	}
	switch {
	case !c.self.Member:
		return refuse(status.Errorf(status.Unsupported, "this worker does not listen, so it "+
			"cannot own %s for others: put it on a member, or open the worker with a listen "+
			"address", what))
	case m.owns(e.ID) && e.Replace:
		return append(actions, c.found(c.self.Identity))
	case m.owns(e.ID):
		return refuse(status.Errorf(status.AlreadyExists, "%s exists already, on this worker: "+
			"choose another name, or put it with replace", what))
	case m.find(e.ID) != nil:
		return append(actions, Pause{Until: now + int64(pauseFor), Event: e})
	}
	ask, err := c.begin(&wire.Operation{Op: wire.OpClaim, ID: e.ID, Name: e.Name,
		Identity: c.self.Identity, Replace: e.Replace})
	if err != nil {
		return refuse(err)
	}
	return append(actions, ask)
}

func (c *Client) forget(e Forget, actions []Action) []Action {
	m := &c.claimant
	if e.Owner != (wire.Identity{}) && e.Owner != c.self.Identity {
		if err := c.outside(); err != nil {
			return append(actions, Done{Err: err.WithVertex(e.ID)})
		}
		c.owners.drop(e.ID)
		return append(actions, c.ask(&wire.Operation{Op: wire.OpForget, ID: e.ID,
			Identity: e.Owner}))
	}
	if c.severed != nil {
		delete(m.owned, e.ID)
		return append(actions, Done{})
	}
	if !m.owns(e.ID) {
		return append(actions, Done{})
	}
	if m.find(e.ID) != nil { // it is being claimed again, which is undone then
		delete(m.owned, e.ID)
		return append(actions, Done{})
	}
	ask, err := c.begin(&wire.Operation{Op: wire.OpForget, ID: e.ID, Identity: c.self.Identity})
	if err != nil {
		return append(actions, Done{Err: err.WithVertex(e.ID)})
	}
	delete(m.owned, e.ID)
	return append(actions, ask)
}

// begin numbers an operation and keeps it until it is decided.
func (c *Client) begin(op *wire.Operation) (Ask, *status.Error) {
	m := &c.claimant
	if len(m.undecided) >= c.limits.Undecided {
		return Ask{}, status.Errorf(status.Exhausted, "%d claims and drops of this worker are "+
			"not decided, which is the limit: try again once the directory answers",
			len(m.undecided))
	}
	sequence, err := m.sequences.Begin()
	if err != nil {
		return Ask{}, status.From(err)
	}
	op.Sequence = sequence
	u := &undecided{op: op}
	m.undecided = append(m.undecided, u)
	return c.send(u, false), nil
}

// send asks for an undecided operation, with the floor of now. The operation is copied: an older
// copy may still be under way.
func (c *Client) send(u *undecided, background bool) Ask {
	u.waiting = true
	op := *u.op
	op.Floor = c.claimant.sequences.Floor()
	ask := c.ask(&op)
	ask.Background = background
	return ask
}

func (c *Client) updateAnswered(now int64, e Answered, actions []Action) []Action {
	op := e.Ask.Operation
	if op.Sequence == 0 {
		return append(actions, c.markForgotten(e))
	}
	u := c.claimant.find(op.ID)
	if u == nil || u.op.Sequence != op.Sequence { // severed meanwhile
		if e.Ask.Background {
			return actions
		}
		return append(actions, Done{Err: c.outside()})
	}
	if unsure := c.unsure(e); unsure != nil {
		if !e.Ask.Background && e.Ask.attempt+1 < MaxAttempts && e.Err != nil &&
			worthRetrying(e.Err) {
			ask := c.send(u, false)
			ask.attempt = e.Ask.attempt + 1
			return append(actions, ask)
		}
		u.waiting, u.retryAt = false, now+int64(c.limits.RetryEvery)
		u.undo = op.Op == wire.OpClaim && !u.again
		if e.Ask.Background {
			return actions
		}
		return append(actions, Done{Err: unsure.WithVertex(op.ID)})
	}
	return c.decided(u, e, actions)
}

// unsure is the error of an answer that does not say whether the operation was or will be
// applied, else nil.
func (c *Client) unsure(e Answered) *status.Error {
	switch {
	case e.Err != nil && e.Ask.Operation.Op == wire.OpClaim:
		return c.unreachable(e.Err, "nothing was put, and nothing changes owner until it does")
	case e.Err != nil:
		return c.unreachable(e.Err, "the vertex is dropped here, and its name becomes free once "+
			"the directory is back")
	case e.Reply.Effects == effectsUnknown:
		return ownError(e.Reply.Error)
	}
	return nil
}

// decided ends an operation: the directory said what became of it.
func (c *Client) decided(u *undecided, e Answered, actions []Action) []Action {
	op, reply := u.op, e.Reply
	undo := u.undo || u.again && !c.claimant.owns(op.ID)
	c.claimant.remove(u)
	done := Done{Owner: reply.Identity, Err: ownError(reply.Error)}
	if op.Op == wire.OpClaim && reply.Error == nil {
		done = c.foundBy(reply)
		if reply.Identity == c.self.Identity && undo {
			ask, err := c.begin(&wire.Operation{Op: wire.OpForget, ID: op.ID,
				Identity: c.self.Identity})
			if err == nil { // there is room: its predecessor just left
				ask.Background = true
				actions = append(actions, ask)
			}
		} else if reply.Identity == c.self.Identity {
			c.claimant.owned[op.ID] = struct{}{}
			c.owners.drop(op.ID)
		} else {
			c.remember(op.ID, reply)
		}
	}
	if u.again {
		return c.reclaim(c.reclaimed(op.ID, done.Err, actions))
	}
	if e.Ask.Background {
		return actions
	}
	return append(actions, done)
}

func (c *Client) markForgotten(e Answered) Done {
	if e.Err != nil {
		return Done{Err: c.unreachable(e.Err, "the name may still be marked as lost").
			WithVertex(e.Ask.Operation.ID)}
	}
	return Done{Err: ownError(e.Reply.Error)}
}

// settle sends all that is undecided and not under way again: the directory answers.
func (c *Client) settle(actions []Action) []Action {
	for _, u := range c.claimant.undecided {
		if !u.waiting {
			actions = append(actions, c.send(u, true))
		}
	}
	return c.reclaim(actions)
}

func (c *Client) settleDue(now int64, actions []Action) []Action {
	for _, u := range c.claimant.undecided {
		if !u.waiting && now >= u.retryAt {
			actions = append(actions, c.send(u, true))
		}
	}
	return actions
}
