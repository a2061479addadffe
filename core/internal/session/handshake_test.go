package session

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/inproc"
	"dcf/core/internal/transport/tcp"
	"dcf/core/status"
	"dcf/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func soon() int64 { return clock.After(patience) }

var names atomic.Uint64

// pair gives both ends of a connection.
func pair(t *testing.T, scheme string) (near, far transport.Conn) {
	var tr transport.Transport = tcp.New()
	address := "tcp://127.0.0.1:0"
	if scheme == "inproc" {
		tr, address = inproc.New(), fmt.Sprintf("inproc://session-%d", names.Add(1))
	}
	l, err := tr.Listen(address, false)
	require.NoError(t, err)
	near, err = tr.Dial(l.Address(), soon())
	require.NoError(t, err)
	far, err = l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() {
		for _, c := range []transport.Conn{near, far} {
			c.Abort(status.Errorf(status.Unavailable, "the test is over"))
		}
		require.NoError(t, tr.Close())
	})
	return near, far
}

func hello(node uint64) *wire.Hello {
	return &wire.Hello{
		MinVersion: wire.Version, MaxVersion: wire.Version,
		Identity: wire.Identity{Node: node, Incarnation: 1}, Purpose: wire.PurposeCall,
		Addresses: []string{fmt.Sprintf("tcp://127.0.0.1:%d", node)},
	}
}

func each(t *testing.T, test func(t *testing.T, near, far transport.Conn)) {
	for _, scheme := range []string{"inproc", "tcp"} {
		t.Run(scheme, func(t *testing.T) {
			near, far := pair(t, scheme)
			test(t, near, far)
		})
	}
}

func TestIntroduction(t *testing.T) {
	each(t, func(t *testing.T, near, far transport.Conn) {
		greeted := make(chan error, 1)
		var theirs *wire.Hello
		go func() {
			var err error
			theirs, err = Greet(near, hello(1), soon())
			greeted <- err
		}()
		dialer, err := Receive(far)
		require.NoError(t, err)
		require.Equal(t, hello(1), dialer)
		require.NoError(t, Welcome(far, hello(2)))
		require.NoError(t, <-greeted)
		require.Equal(t, hello(2), theirs)
	})
}

// Unknown features are no reason to refuse, another major version is, in both directions.
func TestVersions(t *testing.T) {
	for _, test := range []struct {
		name     string
		min, max uint16
		features uint64
		ok       bool
	}{
		{"the same", wire.Version, wire.Version, 0, true},
		{"newer, still speaks ours", wire.Version, wire.Version + 7, 0, true},
		{"unknown features", wire.Version, wire.Version, 1 << 63, true},
		{"the next major", wire.Version + 0x100, wire.Version + 0x100, 0, false},
		{"the one before", wire.Version - 0x100, wire.Version - 0x100, 0, false},
		{"nonsense", wire.Version + 1, wire.Version, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			other := hello(1)
			other.MinVersion, other.MaxVersion, other.Features = test.min, test.max, test.features
			each(t, func(t *testing.T, near, far transport.Conn) {
				greeted := make(chan error, 1)
				go func() {
					_, err := Greet(near, other, soon())
					greeted <- err
				}()
				_, err := Receive(far)
				if test.ok {
					require.NoError(t, err)
					require.NoError(t, Welcome(far, hello(2)))
					require.NoError(t, <-greeted)
					return
				}
				require.ErrorIs(t, err, status.Unsupported)
				refused := <-greeted
				require.ErrorIs(t, refused, status.Unsupported)
				require.ErrorContains(t, refused, "refused: ")
				require.ErrorContains(t, refused, "upgrade the older one")
			})
			each(t, func(t *testing.T, near, far transport.Conn) {
				require.NoError(t, Welcome(far, other))
				_, err := Greet(near, hello(2), soon())
				if test.ok {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, status.Unsupported)
				}
			})
		})
	}
}

func TestRefuse(t *testing.T) {
	each(t, func(t *testing.T, near, far transport.Conn) {
		greeted := make(chan error, 1)
		go func() {
			_, err := Greet(near, hello(1), soon())
			greeted <- err
		}()
		_, err := Receive(far)
		require.NoError(t, err)
		reason := status.Errorf(status.Denied, "not you")
		require.Equal(t, error(reason), Refuse(far, reason))
		err = <-greeted
		require.ErrorIs(t, err, status.Denied)
		require.ErrorContains(t, err, near.Peer()+" refused: not you")
		_, _, err = near.Send(&wire.Frame{Header: wire.SessionHeader{Kind: wire.KindPing}})
		require.Error(t, err, "the connection is ended")
	})
}

// Whoever says something else first, or is this node itself, or says nothing, is nobody to talk to.
func TestStrangers(t *testing.T) {
	each(t, func(t *testing.T, near, far transport.Conn) {
		h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindPing}
		_, _, err := near.Send(&wire.Frame{Header: h})
		require.NoError(t, err)
		require.NoError(t, near.Flush())
		_, err = Receive(far)
		require.ErrorIs(t, err, status.Unavailable)
		require.ErrorContains(t, err, "is not a dcf node")
	})
	each(t, func(t *testing.T, near, far transport.Conn) {
		require.NoError(t, Welcome(far, hello(1)))
		_, err := Greet(near, hello(1), soon())
		require.ErrorIs(t, err, status.InvalidArgument)
		require.ErrorContains(t, err, "this node itself")
	})
	each(t, func(t *testing.T, near, far transport.Conn) {
		_, err := Greet(near, hello(1), clock.After(time.Millisecond))
		require.ErrorIs(t, err, status.Unavailable)
		require.ErrorContains(t, err, "did not introduce itself in time")
	})
	each(t, func(t *testing.T, near, far transport.Conn) {
		far.Abort(status.Errorf(status.Unavailable, "cut"))
		_, err := Greet(near, hello(1), soon())
		require.ErrorIs(t, err, status.Unavailable)
	})
}
