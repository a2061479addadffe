// Package shm carries frames between processes of one host, and one user, through memory that they
// share: a ring each way (core/internal/ring). A Unix socket introduces the two, wakes who sleeps on more
// than the ring, and says when one is gone; in between, a frame costs no system call. The package
// knows no requests.
package shm

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
)

// Transport makes connections through shared memory; addresses are "shm:///path", a socket file, and
// "shm://@name", a name that the system forgets with its process.
type Transport struct {
	// StallAfter is how long a peer may take nothing of what waits for it; 0:
	// transport.StallAfter. It is set before the first use.
	StallAfter time.Duration

	poller socket.Poller

	grouping sync.Mutex
	group    *group // under grouping: of those that receive requests; nil: not asked for yet
	// credentials says who is at the other end of a socket. A test may say something else.
	credentials func(fd int) (*unix.Ucred, error)
	// greetTimeout is greetTimeout but in tests.
	greetTimeout time.Duration
}

var _ transport.Transport = (*Transport)(nil)

// New makes a Transport.
func New() *Transport {
	return &Transport{credentials: credentials, greetTimeout: greetTimeout}
}

// Schemes gives "shm".
func (t *Transport) Schemes() []string { return []string{scheme} }

// Close frees what watches the connections. All connections and listeners are closed before.
func (t *Transport) Close() error {
	t.poller.Close()
	if t.group != nil {
		t.group.free()
	}
	return nil
}

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
