package shm

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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
	go func() { // the process that started this one holds the other end
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
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
	case "silent":
		time.Sleep(time.Hour)
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

// memoryOf gives the whole memory of a connection that was dialled.
func memoryOf(c *conn) []byte { return c.memory }

// residentPages gives how many bytes of a connection's memory the system has given pages to.
func residentPages(t *testing.T, c *conn) int {
	pages := make([]byte, memoryBytes/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&c.memory[0])), memoryBytes,
		uintptr(unsafe.Pointer(&pages[0])))
	require.Zero(t, errno)
	resident := 0
	for _, page := range pages {
		resident += int(page & 1)
	}
	return resident * os.Getpagesize()
}

// dialChild connects to another process that has a role.
func dialChild(t testing.TB, role string) *conn {
	c, _ := dialProcess(t, New(), role)
	return c
}

// dialProcess starts this binary again as another process, and connects to it.
func dialProcess(t testing.TB, tr *Transport, role string) (*conn, *os.Process) {
	address := abstract()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), roleVariable+"="+role, addressVariable+"="+address)
	child.Stderr = os.Stderr
	_, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	c, err := dialUntil(tr, address)
	require.NoError(t, err)
	t.Cleanup(func() {
		end(c)
		require.NoError(t, tr.Close())
	})
	return c.(*conn), child.Process
}

// dialUntil connects to a process that may be about to listen.
func dialUntil(tr *Transport, address string) (c transport.Conn, err error) {
	for until := soon(); ; {
		c, err = tr.Dial(address, until)
		if err == nil || !isEarly(err, until) {
			return c, err
		}
	}
}
