// Package shm carries frames between processes of one host, and one user, through memory that they
// share: a ring each way (core/internal/ring). A Unix socket introduces the two, wakes who sleeps on more
// than the ring, and says when one is gone; in between, a frame costs no system call. The package
// knows no requests.
package shm

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
	"dcf/vertex/arena"
)

// Transport makes connections through shared memory; addresses are "shm:///path", a socket file, and
// "shm://@name", a name that the system forgets with its process.
type Transport struct {
	// StallAfter is how long a peer may take nothing of what waits for it; 0:
	// transport.StallAfter. It is set before the first use.
	StallAfter time.Duration

	// Share is how memory is shared that peers read where it lies. The first transport of the process
	// that is used decides; it is set before.
	Share arena.Options

	poller    socket.Poller
	lifelines lifelines
	sharing   sync.Once
	short     atomic.Int64 // until when peers are asked for copies, since segments could not be mapped
	popular   popular

	grouping sync.Mutex
	group    *group // under grouping: of those that receive requests; nil: not asked for yet
	// credentials says who is at the other end of a socket. A test may say something else.
	credentials func(fd int) (*unix.Ucred, error)
	// maxLoans is maxLoans but in tests.
	maxLoans int
	// greetTimeout is greetTimeout but in tests.
	greetTimeout time.Duration
}

var _ transport.Transport = (*Transport)(nil)

// New makes a Transport.
func New() *Transport {
	return &Transport{credentials: credentials, maxLoans: maxLoans, greetTimeout: greetTimeout}
}

// Schemes gives "shm".
func (t *Transport) Schemes() []string { return []string{scheme} }

// Close frees what watches the connections. All connections and listeners are closed before.
func (t *Transport) Close() error {
	t.lifelines.close(&t.poller)
	if t.group != nil {
		t.group.free()
	}
	return nil
}

// share makes large blocks of this process lie where peers find them. Where that fails, what is sent is
// copied.
func (t *Transport) share() { t.sharing.Do(func() { _ = arena.Share(t.Share) }) }

// isShort says whether peers are to be asked for copies.
func (t *Transport) isShort() bool { return clock.Until(t.short.Load()) > 0 }

func (t *Transport) stallAfter() time.Duration {
	if t.StallAfter > 0 {
		return t.StallAfter
	}
	return transport.StallAfter
}

func credentials(fd int) (*unix.Ucred, error) {
	return unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
}

// admit says whether whoever is at the other end of a socket may share memory with this process: the
// same user only.
func (t *Transport) admit(fd int, peer string) error {
	who, err := t.credentials(fd)
	if err != nil {
		return socket.SystemError("SO_PEERCRED", err)
	}
	if own := os.Geteuid(); int(who.Uid) != own {
		return status.Errorf(status.Denied, "%s is process %d of user %d: only processes of user %d "+
			"may share memory with this one; use a unix:// or tcp:// address", peer, who.Pid, who.Uid, own)
	}
	return nil
}
