// Package cluster knows who belongs to a cluster and who owns which name. Directory is the first
// node's part, which decides; Client is every worker's part, which asks, caches and is corrected;
// Node joins the two for one worker. All are pure state machines, Step(event) -> actions: they
// never send, wait, lock or read a clock, so a test replays any run from its seed.
//
// A driver keeps a Node under a lock, feeds it what happens and does what it says:
//
//	func (w *worker) drive(event cluster.Event) cluster.Done { // on the thread that waits
//		for {
//			w.lock.Lock()
//			actions := w.node.Step(clock.Now(), event, nil)
//			w.lock.Unlock()
//			for _, action := range actions {
//				switch a := action.(type) {
//				case cluster.Done:
//					return a
//				case cluster.Ask: // and Dial
//					if a.Background { // somewhere else: w.background(a)
//						continue
//					}
//					reply, err := w.rpc.Peer(a.To, a.Addresses).Do(a.Operation)
//					event = cluster.Answered{Ask: a, Reply: reply, Err: err}
//				case cluster.Dial:
//					hello, err := w.rpc.Dial(a.Address)
//					event = cluster.Dialled{Address: a.Address, Hello: hello, Err: err}
//				case cluster.Pause:
//					sleepUntil(a.Until)
//					event = a.Event
//				default: // Notify, Probe, PeerDead, Changed, Moved, Unclaimed, Severed
//					w.do(a)
//				}
//			}
//		}
//	}
//
//	done := w.drive(cluster.Lookup{ID: vertex.NameID("prices")}) // done.Owner, done.Err
//
// The steps of Join, Lookup, Corrected, Missed, Claim, Forget, Refresh and Leave give exactly one
// of Done, Ask, Dial and Pause that is not in the background, beside other actions. Each Ask must
// be answered by one Answered, with Err where it failed or its caller gave up: what is undecided
// then is brought to an end in the background. All other events give no Done.
package cluster

import (
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// Event is one input of a Node.
type Event interface{ event() }

// What a worker wants. Times are nanoseconds of the monotonic clock.
type (
	// Found makes the worker the first node of a new cluster, and its directory.
	Found struct{ Cluster [16]byte }
	// Join joins the cluster of whoever listens at one of the addresses, tried in order.
	Join struct{ Addresses []string }
	// Lookup asks who owns a vertex.
	Lookup struct{ ID vertex.ID }
	// Corrected is a Lookup after a node that does not own the vertex said who does.
	Corrected struct {
		ID    vertex.ID
		Owner wire.Identity
	}
	// Missed is a Lookup after By, which was taken for its owner, said that it has no such vertex.
	Missed struct {
		ID vertex.ID
		By wire.Identity
	}
	// Claim asks to become the owner of a vertex that this worker is about to make. With Replace
	// an owner that lives keeps it and is told in Done.Owner: the value is to be set there.
	Claim struct {
		ID      vertex.ID
		Name    string // empty: the id is not made of a name
		Replace bool
	}
	// Forget says that this worker dropped a vertex of its own, after it is gone here; or, with
	// Owner, that the mark of a vertex whose owner is gone is no longer wanted.
	Forget struct {
		ID    vertex.ID
		Owner wire.Identity // zero: this worker
	}
	// Refresh brings the view up to date.
	Refresh struct{}
	// Leave takes the worker out of the cluster. What it owned is lost to the others.
	Leave struct{}
)

// What happened.
type (
	// Dialled answers a Dial: Hello, or Err.
	Dialled struct {
		Address string
		Hello   *wire.Hello
		Err     error
	}
	// Answered answers an Ask: Reply, whose Error may be set, where the node answered; Err only
	// where no answer came, so that it is not known whether the request got there. The reply is
	// borrowed for the step, as are all operations.
	Answered struct {
		Ask   Ask
		Reply *wire.Reply
		Err   error
	}
	// Request is a directory operation that a peer asks for (see Handles). Its step gives one
	// Answer.
	Request struct {
		From      wire.Identity
		Operation *wire.Operation
	}
	// Notice is a notice that a peer sent.
	Notice struct {
		From      wire.Identity
		Operation *wire.Operation
	}
	// PeerUp says that there is a session with a peer, PeerDown that there is none any more. For
	// one peer they come in the order in which they happened.
	PeerUp struct {
		Identity wire.Identity
		Cluster  [16]byte // of the peer's Hello; zero: none
	}
	PeerDown struct{ Identity wire.Identity }
	// Tick says that the time that Wake told has come. It is harmless at any other time.
	Tick struct{}
)

// Action is one output of a Node.
type Action interface{ action() }

// What the driver is to do.
type (
	// Dial asks who listens at an address; answered by Dialled. Dials and Asks in the Background
	// are nobody's: they must not hold up the thread that steps.
	Dial struct {
		Address    string
		Background bool
	}
	// Ask sends an operation to a node and awaits the reply; answered by Answered.
	Ask struct {
		To         wire.Identity
		Addresses  []string
		Operation  *wire.Operation
		Background bool

		attempt int           // how often it was sent before
		missed  wire.Identity // who said that it has no such vertex
	}
	// Pause asks to wait until a time and to step Event then.
	Pause struct {
		Until int64
		Event Event
	}
	// Done ends what the worker wanted.
	Done struct {
		Owner     wire.Identity // Lookup, Claim: who owns the vertex; Join: the directory
		Addresses []string      // of the owner, where they are known
		Err       *status.Error
	}
	// Answer answers the Request of this step.
	Answer struct{ Reply *wire.Reply }
	// Notify sends a notice. It may get lost: whoever missed it finds out and asks.
	Notify struct {
		To        wire.Identity
		Addresses []string
		Operation *wire.Operation
	}
	// Probe asks for a session with a node whose session ended: it comes as PeerUp, or not at all.
	Probe struct {
		To        wire.Identity
		Addresses []string
	}
	// PeerDead says that an incarnation is out of the cluster for good: its windows, its session
	// and what is cached of it can go.
	PeerDead struct{ Identity wire.Identity }
	// Changed says that the nodes changed: see Nodes and View.
	Changed struct{ View uint64 }
	// Moved says that this worker is in another cluster now: its directory was restarted.
	Moved struct{ Directory wire.Identity }
	// Unclaimed says that a vertex which this worker has is no longer known to others by its name,
	// and why.
	Unclaimed struct {
		ID  vertex.ID
		Err *status.Error
	}
	// Severed says that this worker is no longer part of a cluster, and why: it must be restarted.
	// Its own vertices and owners that it knows go on being served.
	Severed struct{ Err *status.Error }
)

func (Found) event()     {}
func (Join) event()      {}
func (Lookup) event()    {}
func (Corrected) event() {}
func (Missed) event()    {}
func (Claim) event()     {}
func (Forget) event()    {}
func (Refresh) event()   {}
func (Leave) event()     {}
func (Dialled) event()   {}
func (Answered) event()  {}
func (Request) event()   {}
func (Notice) event()    {}
func (PeerUp) event()    {}
func (PeerDown) event()  {}
func (Tick) event()      {}

func (Dial) action()      {}
func (Ask) action()       {}
func (Pause) action()     {}
func (Done) action()      {}
func (Answer) action()    {}
func (Notify) action()    {}
func (Probe) action()     {}
func (PeerDead) action()  {}
func (Changed) action()   {}
func (Moved) action()     {}
func (Unclaimed) action() {}
func (Severed) action()   {}

// Handles says whether an operation is for Request, or, as a notice, for Notice.
func Handles(op wire.Op) bool {
	switch op {
	case wire.OpLookup, wire.OpClaim, wire.OpForget, wire.OpJoin, wire.OpLeave, wire.OpView:
		return true
	}
	return false
}
