package core

import (
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/cluster"
	"dcf/core/internal/rpc"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// clusterView drives a worker's part in its cluster: it feeds the state machine what happens and
// does what that says.
type clusterView struct {
	mu     sync.Mutex
	node   *cluster.Node // under mu; nil: the worker is alone
	up     atomic.Bool   // node is set
	joined atomic.Bool
	work   chan []cluster.Action // background actions, in order
	stop   chan struct{}
	ended  chan struct{}
	wake   *time.Timer // for the next Tick
	recent [16]atomic.Pointer[rpc.Peer]
}

// MaxBackground is how many steps of the cluster's background work may wait, MaxBackgroundAsks how
// many requests of it are under way at a time.
const (
	MaxBackground     = 1024
	MaxBackgroundAsks = 8
)

// clustered says whether the worker has a part in a cluster.
func (w *Worker) clustered() bool { return w.view.up.Load() }

// member says whether others can see what this worker owns.
func (w *Worker) member() bool { return w.clustered() && len(w.options.Listen) > 0 }

// connect listens and joins, where the options ask for it.
func (w *Worker) connect(deadline int64) error {
	o := &w.options
	if len(o.Listen) == 0 && len(o.Join) == 0 {
		return nil
	}
	warm()
	if err := checkShared(o); err != nil {
		return err
	}
	w.rpc = rpc.Open(rpc.Config{Identity: w.self, Member: len(o.Listen) > 0, Cluster: w.clusterID,
		Host: hostID(), Near: sharedMemory, Timeout: w.timeout(0), Spin: spin(o.Spin), Insecure: o.Insecure, Advertise: o.Advertise, Handler: w,
		Log: w.log, Interrupt: interrupted, Transports: transports(o)})
	v := &w.view
	v.work = make(chan []cluster.Action, MaxBackground)
	v.stop, v.ended = make(chan struct{}), make(chan struct{})
	go w.background()
	w.listenNear()
	v.mu.Lock() // peers that connect before the worker knows its addresses wait
	var addresses []string
	for _, address := range o.Listen {
		resolved, err := w.rpc.Listen(address)
		if err != nil {
			v.mu.Unlock()
			return err
		}
		addresses = append(addresses, resolved)
	}
	if len(o.Advertise) > 0 {
		addresses = o.Advertise
	}
	info := wire.NodeInfo{Identity: w.self, Member: len(o.Listen) > 0, Alive: true, Addresses: addresses}
	v.node = cluster.NewNode(info, cluster.Limits{})
	v.up.Store(true)
	v.mu.Unlock()
	var first cluster.Event = cluster.Join{Addresses: o.Join}
	if len(o.Join) == 0 {
		var id [16]byte
		_, _ = rand.Read(id[:])
		first = cluster.Found{Cluster: id}
	}
	if done := w.drive(first, deadline); done.Err != nil {
		return done.Err
	}
	v.joined.Store(true)
	return w.learn(deadline)
}

// learn takes in the owners that the options name.
func (w *Worker) learn(deadline int64) error {
	for _, r := range w.options.Remote {
		if _, err := w.nodeByID(r.Node, deadline); err != nil {
			return status.Errorf(status.NotFound, "vertex %v is said to be at node %d, which is not a "+
				"member of this cluster: start it first, or leave the vertex out", r.ID, r.Node)
		}
		for _, n := range w.nodes() {
			if n.Identity.Node == r.Node {
				w.drive(cluster.Corrected{ID: r.ID, Owner: n.Identity}, deadline)
			}
		}
	}
	return nil
}

// leave takes the worker out of its cluster.
func (w *Worker) leave(deadline int64) {
	if w.view.joined.Load() {
		w.drive(cluster.Leave{}, min(deadline, clock.After(time.Second)))
	}
}

// disconnect ends all connections, and then the background, whose requests end with them.
func (w *Worker) disconnect(deadline int64) {
	v := &w.view
	if v.stop != nil {
		close(v.stop)
	}
	if w.rpc != nil {
		if err := w.rpc.Close(max(deadline, clock.After(100*time.Millisecond))); err != nil {
			w.log.Warn("connections did not close in order", "error", err)
		}
	}
	if v.ended != nil {
		<-v.ended
	}
}

func (w *Worker) clusterID() [16]byte {
	v := &w.view
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.node == nil {
		return [16]byte{}
	}
	return v.node.Cluster()
}

// step feeds the state machine one event.
func (w *Worker) step(event cluster.Event) []cluster.Action {
	v := &w.view
	v.mu.Lock()
	if v.node == nil { // it could not listen and is closing
		v.mu.Unlock()
		return nil
	}
	actions := v.node.Step(clock.Now(), event, nil)
	wake := v.node.Wake()
	if wake != 0 {
		after := max(clock.Until(wake), 0)
		if v.wake == nil {
			v.wake = time.AfterFunc(after, func() { w.happened(cluster.Tick{}) })
		} else {
			v.wake.Reset(after)
		}
	}
	v.mu.Unlock()
	return actions
}

// happened feeds an event whose consequences nobody waits for.
func (w *Worker) happened(event cluster.Event) {
	w.defers(w.step(event))
}

// defers leaves actions to the background.
func (w *Worker) defers(actions []cluster.Action) {
	if len(actions) == 0 {
		return
	}
	select {
	case w.view.work <- actions:
	case <-w.view.stop:
	default:
		w.log.Error("the cluster's background work is full and some was dropped", "limit", MaxBackground)
	}
}

// background does what nobody waits for, in order, until the worker closes.
func (w *Worker) background() {
	v := &w.view
	defer close(v.ended)
	var asking sync.WaitGroup
	places := make(chan struct{}, MaxBackgroundAsks)
	for {
		select {
		case <-v.stop:
			v.mu.Lock()
			if v.wake != nil {
				v.wake.Stop()
			}
			v.mu.Unlock()
			asking.Wait()
			return
		case actions := <-v.work:
			for _, action := range actions {
				if !asks(action) {
					w.do(action)
					continue
				}
				places <- struct{}{}
				asking.Go(func() { // a node that does not answer must not hold up notices
					w.happened(w.answerTo(action, clock.After(backgroundTimeout)))
					<-places
				})
			}
		}
	}
}

// asks says whether an action is answered by an event.
func asks(action cluster.Action) bool {
	switch action.(type) {
	case cluster.Ask, cluster.Dial:
		return true
	}
	return false
}

// answerTo does an action that is answered by an event.
func (w *Worker) answerTo(action cluster.Action, deadline int64) cluster.Event {
	if a, ok := action.(cluster.Ask); ok {
		return w.ask(a, deadline)
	}
	return w.dial(action.(cluster.Dial), deadline)
}

// backgroundTimeout is how long one background request may take.
const backgroundTimeout = 2 * time.Second

// drive feeds an event and does what it takes until it is done, on the calling goroutine.
func (w *Worker) drive(event cluster.Event, deadline int64) (done cluster.Done) {
	for event != nil {
		var next cluster.Event
		for _, action := range w.step(event) {
			switch a := action.(type) {
			case cluster.Done:
				done = a
			case cluster.Ask:
				if a.Background {
					w.defers([]cluster.Action{a})
					continue
				}
				next = w.ask(a, deadline)
			case cluster.Dial:
				if a.Background {
					w.defers([]cluster.Action{a})
					continue
				}
				next = w.dial(a, deadline)
			case cluster.Pause:
				if clock.Until(deadline) <= 0 {
					return cluster.Done{Err: status.Errorf(status.Timeout,
						"the directory did not decide in time")}
				}
				time.Sleep(min(max(clock.Until(a.Until), 0), max(clock.Until(deadline), 0)))
				next = a.Event
			default:
				w.do(a)
			}
		}
		event = next
	}
	if len(done.Addresses) > 0 && done.Owner != w.self {
		w.rpc.Peer(done.Owner, done.Addresses) // it may be too new for the view here
	}
	return done
}

// ask sends what the state machine wants to know. A reply that says no is an answer, too.
func (w *Worker) ask(a cluster.Ask, deadline int64) cluster.Event {
	request := wire.Frame{Header: wire.SessionHeader{Kind: wire.KindOperation}, Message: a.Operation}
	reply := new(rpc.Reply)
	if err := w.rpc.Peer(a.To, a.Addresses).Do(&request, reply, deadline); err != nil {
		return cluster.Answered{Ask: a, Err: err}
	}
	return cluster.Answered{Ask: a, Reply: &reply.Reply}
}

func (w *Worker) dial(a cluster.Dial, deadline int64) cluster.Event {
	peer := w.rpc.Reached(a.Address)
	if peer != nil {
		return cluster.Dialled{Address: a.Address, Hello: peer.Hello()}
	}
	peer, err := w.rpc.Dial(a.Address, deadline)
	if err != nil {
		return cluster.Dialled{Address: a.Address, Err: err}
	}
	return cluster.Dialled{Address: a.Address, Hello: peer.Hello()}
}

// do does an action that gives no event of its own.
func (w *Worker) do(action cluster.Action) {
	switch a := action.(type) {
	case cluster.Notify:
		if err := w.rpc.Peer(a.To, a.Addresses).Notify(a.Operation); err != nil {
			w.log.Debug("a notice did not leave", "to", a.To.Node, "error", err)
		}
	case cluster.Probe:
		go w.probe(a)
	case cluster.PeerDead:
		w.engine.Dead(a.Identity)
		w.floors.forget(a.Identity)
		w.missing.forget(a.Identity)
		w.log.Info("a node is gone", "node", a.Identity.Node)
	case cluster.Moved:
		w.log.Warn("the directory was restarted, and this worker is in its new cluster",
			"directory", a.Directory.Node)
	case cluster.Unclaimed:
		w.log.Error("a vertex of this worker is not known to others by its name any more",
			"vertex", a.ID.String(), "error", a.Err)
	case cluster.Severed:
		w.log.Error("this worker is no longer part of its cluster", "error", a.Err)
	}
}

// probe tries to reach a node whose connection ended; that it worked comes as PeerUp.
func (w *Worker) probe(p cluster.Probe) {
	if len(p.Addresses) > 0 && !w.closing.Load() {
		_, _ = w.rpc.Dial(p.Addresses[0], clock.After(backgroundTimeout))
	}
}

// PeerUp is called by rpc when a session with a node begins.
func (w *Worker) PeerUp(hello *wire.Hello) {
	w.happened(cluster.PeerUp{Identity: hello.Identity, Cluster: hello.Cluster})
}

// PeerDown is called by rpc when the last session with a node ended.
func (w *Worker) PeerDown(id wire.Identity, err error) {
	w.log.Info("connection lost", "node", id.Node, "error", err)
	w.happened(cluster.PeerDown{Identity: id})
}

// Notify is called by rpc for notices.
func (w *Worker) Notify(from wire.Identity, op *wire.Operation) {
	switch {
	case cluster.Handles(op.Op):
		w.happened(cluster.Notice{From: from, Operation: op})
	case op.Op == wire.OpParents:
		w.store.SetParents(op.ID, op.IDs, op.Direction == edgesChildren)
	}
}

// locate gives the owner of a vertex that is not in this worker's store.
func (w *Worker) locate(id vertex.ID, deadline int64) (wire.Identity, error) {
	if !w.clustered() {
		return wire.Identity{}, notFound(id)
	}
	done := w.drive(cluster.Lookup{ID: id}, deadline)
	if done.Err != nil {
		return wire.Identity{}, done.Err
	}
	if done.Owner == w.self {
		return wire.Identity{}, notFound(id)
	}
	return done.Owner, nil
}

func notFound(id vertex.ID) *status.Error {
	return status.Errorf(status.NotFound, "there is no vertex %v", id).WithVertex(id)
}

// elsewhere gives who owns a vertex that this worker does not, as far as it knows.
func (w *Worker) elsewhere(id vertex.ID) (wire.Identity, bool) {
	v := &w.view
	if !w.clustered() {
		return wire.Identity{}, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.node.Elsewhere(id)
}

// claim makes this worker the owner of a name, or tells who is.
func (w *Worker) claim(id vertex.ID, name string, replace bool, deadline int64) (wire.Identity, error) {
	done := w.drive(cluster.Claim{ID: id, Name: name, Replace: replace}, deadline)
	if done.Err != nil {
		return wire.Identity{}, done.Err
	}
	return done.Owner, nil
}

// Withdraw gives the claim of a name up.
func (w *Worker) Withdraw(id vertex.ID) {
	if w.member() {
		w.drive(cluster.Forget{ID: id}, clock.After(w.timeout(0)))
	}
}

// Dropped tells the cluster that a vertex of this worker is gone.
func (w *Worker) Dropped(id vertex.ID) {
	if id.Named() {
		w.Withdraw(id)
	}
}

// Nodes describes the workers of the cluster, this one among them, by their ids.
func (w *Worker) Nodes() ([]NodeInfo, error) {
	if w.closing.Load() {
		return nil, errClosed()
	}
	if !w.clustered() {
		return []NodeInfo{{Node: w.self.Node, Incarnation: w.self.Incarnation, Self: true, Alive: true,
			Directory: true}}, nil
	}
	var nodes []NodeInfo
	for _, n := range w.nodes() {
		info := NodeInfo{Node: n.Identity.Node, Incarnation: n.Identity.Incarnation, Member: n.Member,
			Directory: n.Directory, Alive: n.Alive, Self: n.Identity == w.self, Addresses: n.Addresses}
		if !info.Self {
			info.RoundTrip = time.Duration(w.rpc.Peer(n.Identity, n.Addresses).Counters().RoundTripNs)
		}
		nodes = append(nodes, info)
	}
	return nodes, nil
}

// nodes copies the view.
func (w *Worker) nodes() []wire.NodeInfo {
	v := &w.view
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.node.Nodes())
}

// members gives the ids of the members, in order.
func (w *Worker) members() (ids []uint64) {
	if !w.clustered() {
		return nil
	}
	for _, n := range w.nodes() {
		if n.Member && n.Alive {
			ids = append(ids, n.Identity.Node)
		}
	}
	slices.Sort(ids)
	return ids
}

// peer gives the connection to an incarnation of a node.
func (w *Worker) peer(id wire.Identity) *rpc.Peer {
	v := &w.view
	recent := &v.recent[id.Node%uint64(len(v.recent))]
	if p := recent.Load(); p != nil && p.Identity() == id && p.Connected() {
		return p // who is connected needs no address
	}
	v.mu.Lock()
	info, _ := v.node.Node(id.Node)
	v.mu.Unlock()
	if info.Identity != id {
		info.Addresses = nil
	}
	p := w.rpc.Peer(id, info.Addresses)
	recent.Store(p)
	return p
}

// nodeByID gives the connection to the member with a node id. One that is not in the view may have
// joined a moment ago.
func (w *Worker) nodeByID(node uint64, deadline int64) (*rpc.Peer, error) {
	if w.clustered() {
		if peer := w.knownMember(node); peer != nil {
			return peer, nil
		}
		if done := w.drive(cluster.Refresh{}, deadline); done.Err != nil {
			return nil, done.Err
		}
		if peer := w.knownMember(node); peer != nil {
			return peer, nil
		}
	}
	return nil, status.Errorf(status.NotFound, "there is no member with node id %d in this cluster", node)
}

func (w *Worker) knownMember(node uint64) *rpc.Peer {
	for _, n := range w.nodes() {
		if n.Identity.Node == node && n.Member && n.Identity != w.self {
			return w.rpc.Peer(n.Identity, n.Addresses)
		}
	}
	return nil
}

// Addresses gives where the worker listens, with ports resolved.
func (w *Worker) Addresses() []string {
	if w.rpc == nil {
		return nil
	}
	return w.rpc.Addresses()
}

// Vertices describes the vertices of the whole cluster whose names start with prefix, by name; those
// without a name only where prefix is empty.
func (w *Worker) Vertices(prefix string) ([]VertexInfo, error) {
	if w.closing.Load() {
		return nil, errClosed()
	}
	own, err := w.ownVertices(prefix)
	if err != nil {
		return nil, err
	}
	all := make([]VertexInfo, 0, len(own))
	for _, info := range own {
		all = append(all, infoOf(info, LocalVertex))
	}
	deadline := clock.After(w.timeout(0))
	if w.clustered() {
		for _, n := range w.nodes() {
			if !n.Member || !n.Alive || n.Identity == w.self {
				continue
			}
			reply, err := w.operate(w.rpc.Peer(n.Identity, n.Addresses),
				&wire.Operation{Op: wire.OpList, Name: prefix}, deadline)
			if err != nil {
				return nil, err
			}
			for _, info := range reply.Vertices {
				info.Name = strings.Clone(info.Name)
				all = append(all, infoOf(info, RemoteVertex))
			}
			releaseReply(reply)
		}
	}
	slices.SortFunc(all, func(a, b VertexInfo) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	return all, nil
}
