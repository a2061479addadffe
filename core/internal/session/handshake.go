// Package session is how two nodes introduce themselves on a new connection: Hello first in both
// directions, with versions, identity and purpose, or a Refuse that says why not. It carries no
// requests.
package session

import (
	"errors"
	"slices"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// limits bound what may come before the peer is known.
var limits = wire.Limits{HeaderBytes: MaxHelloBytes, BodyBytes: 1}

// Greet introduces the dialer and gives who answered. Where the peer refuses, the error is what it
// said. On failure the connection is ended.
func Greet(conn transport.Conn, mine *wire.Hello, deadline int64) (*wire.Hello, error) {
	conn.SetLimits(limits)
	err := send(conn, wire.KindHello, mine)
	var theirs *wire.Hello
	if err == nil {
		theirs, err = receive(conn, min(deadline, clock.After(HelloTimeout)))
	}
	if err == nil {
		_, err = wire.Negotiate(theirs)
	}
	if err == nil && theirs.Identity == mine.Identity {
		err = status.Errorf(status.InvalidArgument, "%s is this node itself", conn.Peer())
	}
	if err != nil {
		transport.End(conn, err)
		return nil, err
	}
	conn.SetLimits(wire.Limits{})
	return theirs, nil
}

// Receive waits for the Hello of a dialer. A dialer with which this node shares no version is
// refused. On failure the connection is ended.
func Receive(conn transport.Conn) (*wire.Hello, error) {
	conn.SetLimits(limits)
	theirs, err := receive(conn, clock.After(HelloTimeout))
	if err != nil {
		transport.End(conn, err)
		return nil, err
	}
	if _, err := wire.Negotiate(theirs); err != nil {
		return nil, Refuse(conn, err)
	}
	return theirs, nil
}

// Welcome answers a dialer that was received.
func Welcome(conn transport.Conn, mine *wire.Hello) error {
	if err := send(conn, wire.KindHello, mine); err != nil {
		transport.End(conn, err)
		return err
	}
	conn.SetLimits(wire.Limits{})
	return nil
}

// Refuse tells a dialer why it may not come in, ends the connection and gives the reason back.
func Refuse(conn transport.Conn, reason error) error {
	e := status.From(reason)
	// A dialer that is gone need not be told.
	_ = send(conn, wire.KindRefuse, &wire.Refuse{Code: e.Code, Message: e.Message})
	_ = conn.Close(clock.After(HelloTimeout))
	transport.Drain(conn)
	return reason
}

func send(conn transport.Conn, kind wire.Kind, message any) error {
	header := wire.SessionHeader{Version: wire.Version, Kind: kind}
	if _, _, err := conn.Send(&wire.Frame{Header: header, Message: message}); err != nil {
		return err
	}
	return conn.Flush()
}

// receive waits for a Hello.
func receive(conn transport.Conn, deadline int64) (*wire.Hello, error) {
	for {
		_, err := conn.Next(clock.Until(deadline))
		if err == nil {
			break
		}
		if !errors.Is(err, transport.ErrAgain) {
			return nil, foreign(conn, err)
		}
		if clock.Until(deadline) <= 0 {
			return nil, status.Errorf(status.Unavailable,
				"%s did not introduce itself in time: it may be no dcf node", conn.Peer())
		}
	}
	var in transport.Inbound
	if err := conn.Take(&in); err != nil {
		return nil, foreign(conn, err)
	}
	defer in.Clear()
	switch m := in.Frame.Message.(type) {
	case *wire.Hello:
		theirs := *m
		theirs.Addresses = slices.Clone(m.Addresses)
		return &theirs, nil
	case *wire.Refuse:
		return nil, status.Errorf(m.Code, "%s refused: %s", conn.Peer(), m.Message)
	default:
		return nil, status.Errorf(status.Unavailable, "%s is not a dcf node: its first frame is "+
			"of kind %d", conn.Peer(), in.Frame.Header.Kind)
	}
}

// foreign says that who sends garbage before a Hello is probably something else.
func foreign(conn transport.Conn, err error) error {
	switch status.Of(err) {
	case status.Corrupt, status.Exhausted:
		return status.Errorf(status.Unavailable, "%s: this is not a dcf node: %w", conn.Peer(), err)
	}
	return err
}
