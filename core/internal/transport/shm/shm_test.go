package shm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/transporttest"
	"dcf/core/status"
	"dcf/vertex/arena"
)

// No goroutine, no descriptor, no batch and no memory of a connection may be left at the end.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(playRole(role))
	}
	before, _ := arena.Usage()
	files := transporttest.Descriptors()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if after, _ := arena.Usage(); code == 0 && after != before {
			fmt.Fprintf(os.Stderr, "%d bytes of batches before the tests, %d after\n", before, after)
			code = 1
		}
		// The Go runtime opens an epoll and an event descriptor when it first needs them.
		if after := transporttest.Descriptors(); code == 0 && after > files+2 {
			fmt.Fprintf(os.Stderr, "%d descriptors before the tests, %d after\n", files, after)
			code = 1
		}
		if n := mappings(); code == 0 && n > 0 {
			fmt.Fprintf(os.Stderr, "the memory of %d connections, or segments, is still mapped\n", n)
			code = 1
		}
		os.Exit(code)
	}))
}

// mappings counts the connections whose memory is mapped, and the segments that are to be read.
func mappings() int {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	n := 0
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "memfd:dcf-ring") || strings.Contains(line, " r--s ") && strings.Contains(line, "/memfd:") {
			n++
		}
	}
	return n
}

var names atomic.Uint64

// abstract gives a name that nobody uses.
func abstract() string { return fmt.Sprintf("shm://@dcf-test-%d-%d", os.Getpid(), names.Add(1)) }

func TestConformance(t *testing.T) {
	nobody := filepath.Join(t.TempDir(), "nobody.sock")
	for name, subject := range map[string]transporttest.Subject{
		"abstract": {
			Address: func(*testing.T) string { return abstract() },
			Nobody:  abstract(), Wrong: "shm://relative",
		},
		"path": {
			Address: func(t *testing.T) string {
				return "shm://" + filepath.Join(t.TempDir(), "dcf.sock")
			},
			Nobody: "shm://" + nobody, Wrong: "shm:///" + strings.Repeat("x", 108),
		},
	} {
		subject.New = func() transport.Transport { return New() }
		t.Run(name, func(t *testing.T) { transporttest.Run(t, subject) })
		subject.New = func() transport.Transport { return copying() }
		t.Run(name+" without loans", func(t *testing.T) { transporttest.Run(t, subject) })
	}
}

// Who dials while his node closes is refused: what watched its sockets is another file by then.
func TestDialOfAClosedTransport(t *testing.T) {
	listening := New()
	defer func() { require.NoError(t, listening.Close()) }()
	l, err := listening.Listen(abstract(), false)
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	dialling := New()
	near, err := dialling.Dial(l.Address(), clock.After(time.Minute))
	require.NoError(t, err)
	transport.End(near, errors.New("the test is over"))
	require.NoError(t, dialling.Close())
	for range 2 {
		_, err = dialling.Dial(l.Address(), clock.After(time.Minute))
		require.ErrorIs(t, err, status.Unavailable)
		require.ErrorContains(t, err, "closed")
	}
}
