package rpc

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"dcf/core/internal/clock"
	handshake "dcf/core/internal/session"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// Two nodes of one host that meet over a socket go on over a better transport, Config.Near, if both
// have it: the node that was dialled refers the dialer to its host address before their session
// begins. Where that fails the session goes over the socket, and the log says why.

// ListenNear serves peers of the same host at an address of the scheme Config.Near. Hellos have it;
// Addresses, which other hosts dial, do not.
func (n *Node) ListenNear(address string) error {
	l, err := n.listen(address)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.startLocked(l); err != nil {
		return err
	}
	n.hostAddress = l.Address()
	return nil
}

// schemeOf gives what stands before "://".
func schemeOf(address string) string {
	scheme, _, _ := strings.Cut(address, "://")
	return scheme
}

// surpassed says whether Near is better than the way of an address.
func (n *Node) surpassed(address string) bool {
	rank := func(scheme string) int {
		return slices.IndexFunc(n.cfg.Transports, func(t transport.Transport) bool {
			return slices.Contains(t.Schemes(), scheme)
		})
	}
	near := rank(n.cfg.Near)
	return near >= 0 && near < rank(schemeOf(address))
}

// refers says whether a dialer that came in at an address is to go on at the host address.
func (n *Node) refers(theirs *wire.Hello, address string) bool {
	if theirs.Purpose != wire.PurposePeer || theirs.Features&wire.FeatureReferral == 0 ||
		theirs.Host != n.cfg.Host || n.cfg.Host == "" || !n.surpassed(address) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hostAddress != ""
}

// refer answers a dialer with where to come again.
func (n *Node) refer(conn transport.Conn, theirs *wire.Hello) error {
	mine := n.hello(wire.PurposeReferral, theirs.Session)
	if err := handshake.Welcome(conn, mine); err != nil {
		return err
	}
	_ = conn.Close(clock.After(handshake.HelloTimeout)) // a dialer that is gone need not be told
	transport.Drain(conn)
	return nil
}

// reachable says whether a node can be dialled at its host address.
func (n *Node) reachable(hello *wire.Hello) bool {
	return hello != nil && hello.Host == n.cfg.Host && hello.Host != "" &&
		schemeOf(hello.HostAddress) == n.cfg.Near
}

// connect opens a session with who is at an address, over Near where that is better and possible.
// want, where it is not nil, is who has to be there.
func (n *Node) connect(address string, want *Peer, deadline int64) (*session, error) {
	surpassed := n.surpassed(address)
	if !surpassed || want == nil || !n.reachable(want.Hello()) {
		s, referral, err := n.open(address, want, surpassed, deadline)
		if s != nil && surpassed {
			n.tell(s, slog.LevelInfo, n.apart(s.hello))
		}
		if referral == nil {
			return s, err
		}
		if !n.reachable(referral) {
			return nil, status.Errorf(status.Internal, "%s refers to %q, which is no address of %s "+
				"on this host", address, referral.HostAddress, n.cfg.Near)
		}
		if want == nil {
			want = n.Peer(referral.Identity, nil)
		}
		want.learn(referral, address)
	}
	near := want.Hello().HostAddress
	s, _, reason := n.open(near, want, false, min(deadline, clock.After(handshake.HelloTimeout)))
	if reason == nil {
		n.tell(s, slog.LevelInfo, nil)
		return s, nil
	}
	s, _, err := n.open(address, want, false, deadline)
	if err == nil {
		n.tell(s, slog.LevelWarn, reason)
	}
	return s, err
}

// apart gives why a node was not dialled over Near.
func (n *Node) apart(hello *wire.Hello) error {
	switch {
	case n.cfg.Host == "":
		return errors.New("this host has no identity")
	case hello.Host != n.cfg.Host:
		return errors.New("it is on another host, or in another network namespace of this one")
	default:
		return errors.New("the peer has it off")
	}
}

// tell logs why a session does not go over Near, once for each peer and reason. nil: it does.
func (n *Node) tell(s *session, level slog.Level, reason error) {
	text := ""
	if reason != nil {
		text = reason.Error()
	}
	p := s.peer
	p.mu.Lock()
	known := p.apart
	p.apart = text
	p.mu.Unlock()
	if text == known || text == "" {
		return
	}
	n.cfg.Log.Log(context.Background(), level, "a peer is not reached over "+n.cfg.Near,
		"node", p.identity.Node, "instead", s.address, "reason", text)
}
