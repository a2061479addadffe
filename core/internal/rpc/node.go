package rpc

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/lane"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// Handler is what a node does with what its peers send. Its methods are called by goroutines of
// rpc, several at a time, and never with locks held.
type Handler interface {
	// Serve takes a request, or several that came together and of which Together was true. It runs
	// on the goroutine that read the frames and must not block; it has each one's Reply called
	// exactly once, by itself or later. The slice is rpc's again when it returns. While it runs
	// longer than Overrun another goroutine reads the connection.
	Serve(requests []*Request)
	// Answer answers calls that came over lanes, at once or by leaving their answers as they are: then
	// the peer asks them as frames. It must not block.
	Answer(calls []lane.Call, answers []lane.Answer)
	// Together says whether next, which came after first, may wait for first and be served in one
	// go with it.
	Together(first, next *Request) bool
	// Notify takes an operation that wants no answer, valid until Notify returns. It must not
	// block. Batches that it takes out, setting their fields to nil, are its own.
	Notify(from wire.Identity, op *wire.Operation)
	// PeerUp and PeerDown say that the first session to or from a node came up, and that the last
	// one ended, and why. They come in order, one at a time, and must not block: no peer that
	// dials is served before its PeerUp has returned.
	PeerUp(hello *wire.Hello)
	PeerDown(id wire.Identity, err error)
}

// Config says who a node is.
type Config struct {
	Identity wire.Identity
	Member   bool
	Cluster  func() [16]byte // asked for every Hello; nil: none
	// Host is the identity of the host: equal on two nodes that reach each other's addresses of the
	// scheme Near. Empty: not known.
	Host string
	// Near is the scheme of the transport over which nodes of one host go on that have met over a
	// later one of Transports. Empty, or that of no transport: they do not.
	Near     string
	Timeout  time.Duration // for what waits without a deadline; 0: 30 s
	Spin     time.Duration // how long readers poll before they sleep; 0: never
	Insecure bool          // allows to listen beyond loopback
	// Advertise are the addresses that peers are told; nil: those where the node listens.
	Advertise []string
	Handler   Handler
	Log       *slog.Logger // nil: nothing is logged
	// Interrupt is asked about every 50 ms by a goroutine that waits; true ends its wait with
	// status.Interrupted. nil: never.
	Interrupt func() bool
	// Admit says whether a dialer may come in; its error is what the dialer gets. nil: any may.
	Admit func(hello *wire.Hello) error
	// Transports are the ways that frames travel, the better ones first. The node closes them.
	Transports []transport.Transport
	Limits     wire.Limits // of frames that are received
	Timing     Timing
}

// Node is this process's end of all its connections. All methods are safe for concurrent use.
type Node struct {
	cfg    Config
	watch  watch
	keeper keeper
	events events

	work       sync.WaitGroup // all goroutines
	closing    chan struct{}  // closed by Close
	once       sync.Once
	handshakes chan struct{} // a token for each that is under way

	mu        sync.Mutex
	closed    bool
	listeners []transport.Listener
	addresses []string
	// hostAddress is what Hellos have for peers of the same host; empty: nothing.
	hostAddress string
	peers       map[wire.Identity]*Peer
	reached     map[string]*Peer // by the address that was dialled
	sessions    map[sessionKey]*session
	greeting    map[transport.Conn]bool // connections before their Hello is answered
	pollers     map[transport.Group]*poller
}

// Open makes a node. It neither listens nor dials yet.
func Open(cfg Config) *Node {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Timing, cfg.Spin = cfg.Timing.withDefaults(), transport.SpinLimit(cfg.Spin)
	n := &Node{
		cfg:        cfg,
		closing:    make(chan struct{}),
		handshakes: make(chan struct{}, MaxHandshakes),
		peers:      map[wire.Identity]*Peer{},
		reached:    map[string]*Peer{},
		sessions:   map[sessionKey]*session{},
		greeting:   map[transport.Conn]bool{},
		pollers:    map[transport.Group]*poller{},
	}
	n.watch.init(n)
	n.keeper.wake = make(chan struct{}, 1)
	n.events.init()
	n.work.Add(2)
	go n.keep()
	go n.watch.run()
	go n.events.run(cfg.Handler)
	return n
}

// transport gives what connects to an address.
func (n *Node) transport(address string) (transport.Transport, error) {
	scheme, _, found := strings.Cut(address, "://")
	var schemes []string
	for _, t := range n.cfg.Transports {
		for _, s := range t.Schemes() {
			if found && s == scheme {
				return t, nil
			}
			schemes = append(schemes, s)
		}
	}
	return nil, status.Errorf(status.InvalidArgument,
		"the address %q starts with none of %s, followed by ://", address,
		strings.Join(schemes, ", "))
}

// Listen takes an address into use and gives it back with its port resolved. Peers are served at
// once.
func (n *Node) Listen(address string) (resolved string, err error) {
	l, err := n.listen(address)
	if err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.startLocked(l); err != nil {
		return "", err
	}
	n.addresses = append(slices.Clip(n.addresses), l.Address())
	return l.Address(), nil
}

func (n *Node) listen(address string) (transport.Listener, error) {
	t, err := n.transport(address)
	if err != nil {
		return nil, err
	}
	return t.Listen(address, n.cfg.Insecure)
}

// startLocked has peers served at a listener.
func (n *Node) startLocked(l transport.Listener) error {
	if n.closed {
		_ = l.Close()
		return errClosed()
	}
	n.listeners = append(n.listeners, l)
	n.work.Add(1)
	go n.accept(l)
	return nil
}

// Addresses gives where the node listens. The slice must not be changed.
func (n *Node) Addresses() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addresses
}

// Dial connects to an address and gives who is there.
func (n *Node) Dial(address string, deadline int64) (*Peer, error) {
	s, err := n.connect(address, nil, deadline)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.reached) >= MaxPeers {
		clear(n.reached)
	}
	n.reached[address] = s.peer
	return s.peer, nil
}

// Reached gives who was there when an address was dialled, while there is a session with it; else nil.
func (n *Node) Reached(address string) *Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.reached[address]
	if p != nil && !p.Up() {
		delete(n.reached, address)
		return nil
	}
	return p
}

// Peer gives a node that is known by other means, without connecting: always the same Peer for the
// same identity. addresses are tried in order; where they are empty, and were so far, the node can
// be reached only over connections that it opens, as a guest can.
func (n *Node) Peer(id wire.Identity, addresses []string) *Peer {
	n.mu.Lock()
	p := n.peers[id]
	if p == nil {
		n.forgetLocked()
		p = newPeer(n, id, addresses)
		n.peers[id] = p
		n.mu.Unlock()
		return p
	}
	n.mu.Unlock()
	if len(addresses) > 0 {
		p.mu.Lock()
		p.addresses = addresses
		p.mu.Unlock()
	}
	return p
}

// forgetLocked makes room for a peer.
func (n *Node) forgetLocked() {
	if len(n.peers) < MaxPeers {
		return
	}
	for id, p := range n.peers {
		if !p.Up() {
			delete(n.peers, id)
			return
		}
	}
}

// hello introduces this node.
func (n *Node) hello(purpose wire.Purpose, number uint64) *wire.Hello {
	h := &wire.Hello{
		MinVersion: wire.Version &^ 0xff, MaxVersion: wire.Version,
		Identity: n.cfg.Identity, Host: n.cfg.Host, Purpose: purpose, Session: number,
		Member: n.cfg.Member, Addresses: n.advertised(),
	}
	n.mu.Lock()
	h.HostAddress = n.hostAddress
	n.mu.Unlock()
	if n.cfg.Cluster != nil {
		h.Cluster = n.cfg.Cluster()
	}
	return h
}

// advertised gives the addresses that peers are told.
func (n *Node) advertised() []string {
	if n.cfg.Advertise != nil {
		return n.cfg.Advertise
	}
	return n.Addresses()
}

// all gives the sessions of this moment.
func (n *Node) all() []*session {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*session, 0, len(n.sessions))
	for _, s := range n.sessions {
		all = append(all, s)
	}
	return all
}

func (n *Node) interrupted() error {
	if n.cfg.Interrupt != nil && n.cfg.Interrupt() {
		return status.Errorf(status.Interrupted, "the wait for a reply was interrupted")
	}
	return nil
}

func errClosed() error { return status.Errorf(status.Unavailable, "this node is closed") }

// Close says goodbye to all peers and ends all sessions; requests under way end with
// status.Unavailable. No goroutine and no descriptor is left, unless Serve or a callback does not
// return before the deadline: then Close gives status.Timeout, and nothing is sent or received any
// more all the same.
func (n *Node) Close(deadline int64) error {
	n.once.Do(n.shut)
	for _, s := range n.all() {
		n.work.Add(1)
		go s.leave(deadline)
	}
	n.mu.Lock()
	for group := range n.pollers {
		group.Close() // its poller ends with its last connection
	}
	n.mu.Unlock()
	done := make(chan struct{})
	go func() {
		n.work.Wait()
		n.events.close()
		close(done)
	}()
	late := time.NewTimer(max(clock.Until(deadline), 0))
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		for _, s := range n.all() {
			s.cut(errClosed())
		}
		return status.Errorf(status.Timeout,
			"a request or a callback did not return before the node closed")
	}
	for _, t := range n.cfg.Transports {
		if err := t.Close(); err != nil {
			return err
		}
	}
	return nil
}

// shut ends everything that could make new sessions.
func (n *Node) shut() {
	n.mu.Lock()
	n.closed = true
	listeners := n.listeners
	greeting := make([]transport.Conn, 0, len(n.greeting))
	for c := range n.greeting {
		greeting = append(greeting, c)
	}
	n.mu.Unlock()
	close(n.closing)
	for _, l := range listeners {
		_ = l.Close() // only frees
	}
	for _, c := range greeting {
		c.Abort(errClosed())
	}
	n.watch.close()
}

// leave says goodbye and ends the session.
func (s *session) leave(deadline int64) {
	defer s.node.work.Done()
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	for _, l := range links {
		if l.served {
			_ = l.control(wire.KindGoodbye, 0) // a peer that is gone need not be told
		}
	}
	for _, l := range links {
		if l.served {
			_ = l.conn.Close(deadline)
		} else {
			l.conn.Finish(errClosed()) // whoever leads it gives the lead up, for teardown
		}
	}
	s.fail(errClosed())
}
