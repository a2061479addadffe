// Package transporttest is what every transport has to do. It is run by the tests of each.
package transporttest

import (
	"errors"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// Subject is a transport to be tested.
type Subject struct {
	// New makes a transport of its own for one test.
	New func() transport.Transport
	// Address gives an address that nobody uses.
	Address func(t *testing.T) string
	// Nobody is an address at which nobody listens, Wrong one that is none.
	Nobody, Wrong string
}

var seed = flag.Uint64("seed", 0, "seed of randomised tests; 0: chosen at random")

// random gives a source of randomness whose seed is printed.
func random(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// patience is how long to wait for what has to happen.
const patience = 30 * time.Second

// Run runs all tests.
func Run(t *testing.T, s Subject) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"Order", testOrder},
		{"ConcurrentSenders", testConcurrentSenders},
		{"Values", testValues},
		{"LargeValues", testLargeValues},
		{"Skip", testSkip},
		{"Waits", testWaits},
		{"Park", testPark},
		{"BackPressure", testBackPressure},
		{"CloseDelivers", testCloseDelivers},
		{"CloseGivesUp", testCloseGivesUp},
		{"AbortInAnyState", testAbortInAnyState},
		{"Finish", testFinish},
		{"AbortBeforeTake", testAbortBeforeTake},
		{"FirstReasonCounts", testFirstReasonCounts},
		{"Written", testWritten},
		{"Counters", testCounters},
		{"Listen", testListen},
		{"Dial", testDial},
		{"CloseListener", testCloseListener},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// open gives a transport that is closed after the test.
func open(t *testing.T, s Subject) transport.Transport {
	tr := s.New()
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	return tr
}

// connect gives both ends of a connection.
func connect(t *testing.T, s Subject) (near, far transport.Conn) {
	tr := open(t, s)
	l, err := tr.Listen(s.Address(t), false)
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	near, err = tr.Dial(l.Address(), soon())
	require.NoError(t, err)
	far, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { end(near); end(far) })
	return near, far
}

func soon() int64 { return clock.After(patience) }

// end aborts a connection and takes what it received before.
func end(c transport.Conn) {
	transport.End(c, status.Errorf(status.Unavailable, "the test is over"))
}

// frame makes an operation that carries a number and a value.
func frame(number uint64, op wire.Operation) *wire.Frame {
	op.Op, op.Expected = wire.OpSet, number
	h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindOperation, CallID: number}
	return &wire.Frame{Header: h, Message: &op}
}

func send(t *testing.T, c transport.Conn, f *wire.Frame) {
	t.Helper()
	_, _, err := c.Send(f)
	require.NoError(t, err)
}

// next waits for the header of the next frame.
func next(t *testing.T, c transport.Conn) wire.SessionHeader {
	t.Helper()
	h, err := await(c)
	require.NoError(t, err)
	return h
}

func await(c transport.Conn) (wire.SessionHeader, error) {
	for until := soon(); ; {
		h, err := c.Next(time.Second)
		if !errors.Is(err, transport.ErrAgain) || clock.Until(until) <= 0 {
			return h, err
		}
	}
}

// receive takes the next frame, which has to carry that number.
func receive(t *testing.T, c transport.Conn, in *transport.Inbound, number uint64) *wire.Operation {
	t.Helper()
	h := next(t, c)
	require.Equal(t, number, h.CallID)
	require.NoError(t, c.Take(in))
	require.Equal(t, h, in.Frame.Header)
	op := in.Frame.Message.(*wire.Operation)
	require.Equal(t, number, op.Expected)
	return op
}

// requireEnd waits until the connection gives an end of that kind.
func requireEnd(t *testing.T, c transport.Conn) {
	t.Helper()
	for {
		_, err := await(c)
		if err != nil {
			require.ErrorIs(t, err, status.Unavailable)
			break
		}
		c.Skip()
	}
	_, _, err := c.Send(frame(1, wire.Operation{}))
	require.ErrorIs(t, err, status.Unavailable)
	require.ErrorIs(t, c.Flush(), status.Unavailable)
	require.ErrorIs(t, c.WaitRoom(soon()), status.Unavailable)
}
