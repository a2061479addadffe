package shm

import (
	"errors"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

// The test binary is another process of a test where roleVariable says which; addressVariable is where
// it listens.
const (
	roleVariable    = "DCF_SHM_ROLE"
	addressVariable = "DCF_SHM_ADDRESS"
)

const patience = 30 * time.Second

func soon() int64 { return clock.After(patience) }

func playRole(role string) int {
	tr := New()
	l, err := tr.Listen(os.Getenv(addressVariable), false)
	if err != nil {
		panic(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		panic(err)
	}
	c := accepted.(*conn)
	switch role {
	case "echo":
		c.SetSpin(time.Second)
		echo(c)
	case "echoasleep":
		echo(c)
	case "echoring":
		echoRing(c.inbox.ring, c.outbox.ring)
	default:
		panic(role)
	}
	return 0
}

func isEarly(err error, until int64) bool {
	return errors.Is(err, status.Unavailable) && clock.Until(until) > 0
}

// connected gives both ends of a connection within this process.
func connected(t testing.TB, tr *Transport) (near, far *conn) {
	l, err := tr.Listen(abstract(), false)
	require.NoError(t, err)
	n, err := tr.Dial(l.Address(), soon())
	require.NoError(t, err)
	f, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() {
		end(n)
		end(f)
		require.NoError(t, tr.Close())
	})
	return n.(*conn), f.(*conn)
}

// end aborts a connection and takes what it received before.
func end(c transport.Conn) {
	c.Abort(status.Errorf(status.Unavailable, "the test is over"))
	for {
		if _, err := c.Next(0); err != nil {
			return
		}
		c.Skip()
	}
}

func await(c transport.Conn) (wire.SessionHeader, error) {
	for {
		h, err := c.Next(time.Second)
		if err != transport.ErrAgain {
			return h, err
		}
	}
}

// aligned gives memoryBytes bytes that start at a cache line.
func aligned(words []uint64) []byte {
	at := 0
	for uintptr(unsafe.Pointer(&words[at]))%64 != 0 {
		at++
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[at])), memoryBytes)
}
