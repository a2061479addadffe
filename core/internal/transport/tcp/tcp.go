// Package tcp carries frames over TCP and over Unix sockets. Whoever waits for a frame reads the
// socket itself, in one system call that sleeps, without the Go scheduler's poller; a goroutine
// that has nothing to do for long parks and holds no thread. The package knows no requests.
package tcp

import (
	"time"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
)

// Transport makes TCP and Unix connections; addresses are "tcp://host:port" and "unix:///path".
type Transport struct {
	// StallAfter is how long a peer may take nothing of what waits for it; 0:
	// transport.StallAfter. It is set before the first use.
	StallAfter time.Duration

	poller socket.Poller
}

var _ transport.Transport = (*Transport)(nil)

// New makes a Transport.
func New() *Transport { return &Transport{} }

// Schemes gives "tcp" and "unix".
func (t *Transport) Schemes() []string { return []string{schemeTCP, schemeUnix} }

// Close frees what waits for idle connections. All connections and listeners are closed before.
func (t *Transport) Close() error {
	t.poller.Close()
	return nil
}

func (t *Transport) stallAfter() time.Duration {
	if t.StallAfter > 0 {
		return t.StallAfter
	}
	return transport.StallAfter
}
