package core

import (
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
)

// serving starts a server in a process of its own, and a client of it here.
func serving(t *testing.T, address string, timeout time.Duration) (server *child, w *Worker, c *caller) {
	server = start(t, "listener", addressVariable+"="+address)
	server.expect(t, 'L')
	w, err := Open(Options{Join: []string{address}, UDFs: shared(), Timeout: timeout})
	require.NoError(t, err)
	c, err = newCaller(w, "counter0")
	require.NoError(t, err)
	require.NoError(t, c.all())
	require.Equal(t, map[string]int64{"shm": 1}, sessionsOver(w, 1))
	return server, w, c
}

// A server that is killed takes only its calls with it: they end with status.Unavailable, what was fetched stays as
// it is, and another server takes its place at the same path.
func TestKilledServer(t *testing.T) {
	address := "shm://" + filepath.Join(t.TempDir(), "dcf.shm")
	for range 20 / slower {
		server, w, c := serving(t, address, patience)
		batch, _, err := c.table.Export(0)
		require.NoError(t, err)
		var callers sync.WaitGroup
		builder, sender := *c, *c
		for _, one := range []func() error{c.ask, c.count, sender.send, c.fetch, builder.build} {
			callers.Go(func() {
				var err error
				for err == nil {
					err = one()
				}
				assert.ErrorIs(t, err, status.Unavailable)
			})
		}
		require.NoError(t, c.ask())
		require.NoError(t, server.Process.Kill())
		callers.Wait()
		require.Equal(t, numbers(tableRows), batch.Int64(0))
		server.reap()
		c.release()
		require.NoError(t, w.Close(patience))
		batch.Release()
	}
	require.Zero(t, mappedToRead())
}

// While a server is stopped calls to it end when their time is over, and they go on when it does.
func TestStoppedServer(t *testing.T) {
	address := "shm://" + filepath.Join(t.TempDir(), "dcf.shm")
	server, w, c := serving(t, address, 300*time.Millisecond)
	defer server.kill()
	for range 3 {
		require.NoError(t, server.Process.Signal(syscall.SIGSTOP))
		calls := []func() error{c.ask, c.count, c.send, c.fetch, c.build}
		for _, one := range calls {
			err := one()
			for err == nil { // its threads stop one by one
				err = one()
			}
			require.Contains(t, []status.Code{status.Timeout, status.Unavailable}, status.Of(err), "%v", err)
		}
		require.NoError(t, server.Process.Signal(syscall.SIGCONT))
		require.Eventually(t, func() bool { return c.ask() == nil && c.fetch() == nil }, patience, time.Millisecond)
		require.Eventually(t, func() bool { return c.send() == nil && c.build() == nil && c.reread() == nil },
			patience, time.Millisecond)
	}
	c.release()
	require.NoError(t, w.Close(patience))
}
