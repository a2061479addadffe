package cluster

import (
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// Client is one worker's view of its cluster: who is in it, what this worker claimed, and who
// owns what it asked about. It takes all events but Request and Found.
type Client struct {
	self      wire.NodeInfo
	limits    Limits
	joined    bool
	severed   *status.Error // why this worker is in no cluster any more
	cluster   [16]byte
	directory wire.Identity
	view      view
	owners    owners
	claimant  claimant
	joining   joining

	entrances     []string // where it was asked to join
	former        former
	refusal       *status.Error // why it could not join its directory's successor
	directoryLost bool
	newest        uint64 // the highest view number that was heard of
	refreshing    bool   // a refresh is under way in the background
	refreshAt     int64  // when the next is due
}

// NewClient makes the client of a worker that is in no cluster yet. The addresses are those where
// it listens, with ports resolved.
func NewClient(self wire.NodeInfo, limits Limits) *Client {
	limits = limits.orDefaults()
	self.Alive = true
	return &Client{
		self:     self,
		limits:   limits,
		owners:   newOwners(limits.CachedOwners),
		claimant: newClaimant(),
	}
}

// Step takes one event and appends what is to be done.
func (c *Client) Step(now int64, event Event, actions []Action) []Action {
	switch e := event.(type) {
	case Join:
		return c.join(e, actions)
	case joinAgain:
		return append(actions, c.askJoin(e.to, e.addresses))
	case Dialled:
		return c.dialled(e, actions)
	case Lookup:
		return c.lookup(e.ID, wire.Identity{}, actions)
	case Corrected:
		return c.corrected(e, actions)
	case Missed:
		return c.missed(e, actions)
	case Claim:
		return c.claim(now, e, actions)
	case Forget:
		return c.forget(e, actions)
	case Refresh:
		if err := c.outside(); err != nil {
			return append(actions, Done{Err: err})
		}
		return append(actions, c.askView(false))
	case Leave:
		if c.outside() != nil {
			return append(actions, Done{})
		}
		return append(actions, c.ask(&wire.Operation{Op: wire.OpLeave, Identity: c.self.Identity}))
	case Answered:
		return c.answered(now, e, actions)
	case Notice:
		return c.notice(e, actions)
	case PeerUp:
		return c.peerUp(now, e, actions)
	case PeerDown:
		if c.joined && e.Identity == c.directory {
			c.directoryLost = true
			c.refreshAt = now + int64(c.limits.RetryEvery)
		}
		if c.view.find(e.Identity) != nil { // by then it is dead, if it does not come back
			c.refreshAt = min(c.refreshAt,
				now+int64(c.limits.DeadAfter)+int64(c.limits.RetryEvery))
		}
	case Tick:
		return c.tick(now, actions)
	}
	return actions
}

// Wake is when the next Tick is due, or 0.
func (c *Client) Wake() int64 {
	if c.outside() != nil {
		return 0
	}
	wake := c.claimant.wake()
	if len(c.former.nodes) > 0 {
		wake = sooner(wake, c.former.until)
	}
	if !c.refreshing {
		wake = sooner(wake, c.refreshAt)
	}
	return wake
}

// outside is why this worker cannot ask the directory, or nil.
func (c *Client) outside() *status.Error {
	switch {
	case c.severed != nil:
		err := *c.severed // each caller may add to its own
		return &err
	case !c.joined:
		return status.Errorf(status.Unavailable, "this worker has not joined its cluster yet")
	}
	return nil
}

func (c *Client) ask(op *wire.Operation) Ask {
	return Ask{To: c.directory, Addresses: addressesOf(c.view.find(c.directory)), Operation: op}
}

func (c *Client) answered(now int64, e Answered, actions []Action) []Action {
	op := e.Ask.Operation
	if op.Op == wire.OpJoin {
		return c.joinAnswered(now, e, actions)
	}
	if e.Ask.To != c.directory { // it has a successor by now
		e.Reply, e.Err = nil, status.Errorf(status.Unavailable, "node %d is the directory no longer",
			e.Ask.To.Node)
	}
	if e.Err == nil {
		c.directoryLost = false
		c.hear(now, e.Reply.View)
		if isStranger(e.Reply) && op.Op != wire.OpLeave && c.joined {
			actions = c.sever(e.Reply.Error, actions)
		}
	}
	switch op.Op {
	case wire.OpView:
		return c.viewAnswered(now, e, actions)
	case wire.OpLookup:
		return c.lookupAnswered(e, actions)
	case wire.OpClaim, wire.OpForget:
		return c.updateAnswered(now, e, actions)
	case wire.OpLeave:
		if e.Err != nil {
			return append(actions, Done{Err: c.unreachable(e.Err, "it finds out by itself that "+
				"this worker left")})
		}
		c.sever(status.Errorf(status.Unavailable, "this worker left the cluster"), nil)
	}
	return append(actions, Done{})
}

// unreachable says that the directory did not answer, and what follows from that. A wait that the
// caller ended stays what it was.
func (c *Client) unreachable(err error, consequence string) *status.Error {
	code := status.Unavailable
	if !worthRetrying(err) {
		code = status.Of(err)
	}
	name := "the directory"
	if info := c.view.find(c.directory); info != nil {
		name = describe(info)
	}
	if c.refusal != nil {
		return status.Errorf(code, "the directory, %s, was restarted, and its cluster refuses this "+
			"worker: %s (%w)", name, consequence, c.refusal)
	}
	return status.Errorf(code, "the directory, %s, did not answer: %s (%w)", name, consequence,
		err)
}

// worthRetrying says whether the wait may go on after a failure to reach a node.
func worthRetrying(err error) bool {
	switch status.Of(err) {
	case status.Timeout, status.Cancelled, status.Interrupted:
		return false
	}
	return true
}

// sever takes this worker out of its cluster for good.
func (c *Client) sever(err *status.Error, actions []Action) []Action {
	if c.severed != nil {
		return actions
	}
	c.severed = ownError(err)
	c.severed.Code = status.Unavailable
	c.claimant.undecided = nil
	return append(actions, Severed{Err: c.severed})
}

// hear notes that there is a newer view. Its notice is probably on its way, so a member waits for
// that before it asks; a guest gets no notices and asks at its leisure.
func (c *Client) hear(now int64, number uint64) {
	if number > c.newest && number > c.view.number && c.self.Member {
		c.refreshAt = min(c.refreshAt, now+int64(c.limits.RetryEvery))
	}
	c.newest = max(c.newest, number)
}

func (c *Client) peerUp(now int64, e PeerUp, actions []Action) []Action {
	if c.outside() != nil || e.Identity.Node != c.directory.Node ||
		c.directory == c.self.Identity {
		return actions
	}
	if e.Identity != c.directory {
		// Its successor, perhaps. Or it is somebody's mistake, which the directory outlives.
		if c.directoryLost {
			c.refreshAt = now
		}
		return actions
	}
	c.directoryLost = false
	if !c.refreshing {
		c.refreshing = true
		actions = append(actions, c.askView(true))
	}
	return c.settle(actions)
}

func (c *Client) tick(now int64, actions []Action) []Action {
	if c.outside() != nil {
		return actions
	}
	if !c.refreshing && now >= c.refreshAt {
		c.refreshing = true
		actions = append(actions, c.askView(true))
	}
	if len(c.former.nodes) > 0 {
		actions = c.bury(now, actions)
	}
	return c.settleDue(now, actions)
}

// Owner is the quick half of a Lookup: it says who owns a vertex where that is known without
// asking, and allocates nothing.
func (c *Client) Owner(id vertex.ID) (wire.Identity, bool) {
	if !id.Named() {
		if birth := c.view.birth(id); birth != nil {
			return birth.Identity, birth.Member || birth.Identity == c.self.Identity
		}
		return wire.Identity{}, false
	}
	if c.claimant.owns(id) {
		return c.self.Identity, true
	}
	if owner, ok := c.owners.get(id); ok && c.view.find(owner) != nil {
		return owner, true
	}
	return wire.Identity{}, false
}

// Elsewhere says who owns a vertex that this worker was asked for and does not have, so that it
// can send the asker there.
func (c *Client) Elsewhere(id vertex.ID) (wire.Identity, bool) {
	owner, ok := c.Owner(id)
	return owner, ok && owner != c.self.Identity
}

// Nodes are the live nodes as far as this worker knows, ordered by id. The slice is the caller's.
func (c *Client) Nodes() []wire.NodeInfo { return append([]wire.NodeInfo(nil), c.view.nodes...) }

// Node finds a live node by its id.
func (c *Client) Node(id uint64) (wire.NodeInfo, bool) {
	if n := c.view.node(id); n != nil {
		return *n, true
	}
	return wire.NodeInfo{}, false
}

// Addresses are where a live incarnation listens, or nil. They must not be changed.
func (c *Client) Addresses(identity wire.Identity) []string {
	return addressesOf(c.view.find(identity))
}

// View is the number of the newest change that is known. It never falls within one cluster.
func (c *Client) View() uint64 { return c.view.number }

// Cluster is the id of the cluster's incarnation, for Hello; zero before it joined one.
func (c *Client) Cluster() [16]byte { return c.cluster }

// Directory is the node that decides, and whether it can be reached as far as is known.
func (c *Client) Directory() (directory wire.Identity, reachable bool) {
	return c.directory, c.joined && c.severed == nil && !c.directoryLost
}

// Severed is why this worker is in no cluster any more, or nil.
func (c *Client) Severed() *status.Error { return c.severed }
