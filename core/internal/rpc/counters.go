package rpc

import (
	"maps"
	"slices"

	"dcf/core/internal/transport"
)

// Counters count what passed between this node and a peer. A frame is counted when it is handed to
// its connection, and when it was taken from there. Heartbeats and Hellos count too.
type Counters struct {
	transport.Counters
	Requests    uint64 // that this node sent
	RoundTripNs int64  // of heartbeats, averaged; 0: not measured
}

// Counters gives the counts of all sessions, those that ended included.
func (p *Peer) Counters() Counters {
	p.mu.Lock()
	c := Counters{Counters: p.finished, Requests: p.requests.Load()}
	p.mu.Unlock()
	for _, s := range p.node.all() {
		if s.peer != p {
			continue
		}
		c.Add(s.counters())
		if ns := s.beat.roundTrip.Load(); ns != 0 {
			c.RoundTripNs = ns
		}
	}
	c.Requests += c.Calls
	return c
}

// Calls counts what this node asked over lanes, of all peers.
func (n *Node) Calls() (calls uint64) {
	n.mu.Lock()
	peers := slices.Collect(maps.Values(n.peers))
	n.mu.Unlock()
	for _, p := range peers {
		calls += p.Counters().Calls
	}
	return calls
}

// Schemes gives the scheme of each session that is up: how many go which way.
func (p *Peer) Schemes() (schemes []string) {
	for _, s := range p.node.all() {
		if s.peer == p {
			schemes = append(schemes, s.scheme)
		}
	}
	return schemes
}

func (s *session) counters() transport.Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c transport.Counters
	for _, l := range s.links {
		c.Add(l.conn.Counters())
	}
	return c
}
