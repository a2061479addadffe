// Package inproc connects workers of one process. Frames are handed over as they are, without
// encoding: values in bytes are copied, batches are shared. It behaves like a socket in all else:
// order, back-pressure, ends that close or vanish.
package inproc

import (
	"strings"
	"sync"

	"dcf/core/internal/transport"
	"dcf/core/status"
)

// scheme is what stands before "://" in the addresses of this package.
const scheme = "inproc"

// backlog is how many connections wait for Accept.
const backlog = 64

// names are the addresses in use in this process.
var names = struct {
	sync.Mutex
	listeners map[string]*listener
}{listeners: map[string]*listener{}}

// Transport connects by names that are known in this process: "inproc://name".
type Transport struct{}

var _ transport.Transport = Transport{}

// New makes a Transport.
func New() Transport { return Transport{} }

// Schemes gives "inproc".
func (Transport) Schemes() []string { return []string{scheme} }

// Close does nothing: a Transport holds nothing.
func (Transport) Close() error { return nil }

func check(address string) error {
	if rest, ok := strings.CutPrefix(address, scheme+"://"); !ok || rest == "" {
		return status.Errorf(status.InvalidArgument, "the address %q is not inproc://name", address)
	}
	return nil
}

// Listen takes a name into use.
func (Transport) Listen(address string, _ bool) (transport.Listener, error) {
	if err := check(address); err != nil {
		return nil, err
	}
	names.Lock()
	defer names.Unlock()
	if names.listeners[address] != nil {
		return nil, status.Errorf(status.AlreadyExists, "cannot listen on %s: the address is in "+
			"use by another worker of this process", address)
	}
	l := &listener{address: address, waiting: make(chan *conn, backlog)}
	names.listeners[address] = l
	return l, nil
}

// Dial connects to a listener of this process. It never waits.
func (Transport) Dial(address string, _ int64) (transport.Conn, error) {
	if err := check(address); err != nil {
		return nil, err
	}
	names.Lock()
	defer names.Unlock()
	l := names.listeners[address]
	if l == nil {
		return nil, status.Errorf(status.Unavailable, "nobody can be reached at %s: no worker of "+
			"this process listens there", address)
	}
	near, far := pair(address)
	select {
	case l.waiting <- far:
		return near, nil
	default:
		return nil, status.Errorf(status.Unavailable,
			"%s does not accept: %d connections wait already", address, backlog)
	}
}

type listener struct {
	address string
	waiting chan *conn // closed, under the lock of names, with the listener
}

// Accept gives the next connection.
func (l *listener) Accept() (transport.Conn, error) {
	if c := <-l.waiting; c != nil {
		return c, nil
	}
	return nil, status.Errorf(status.Unavailable, "%s is closed", l.address)
}

// Address gives the address.
func (l *listener) Address() string { return l.address }

// Close frees the name and drops who waits.
func (l *listener) Close() error {
	names.Lock()
	defer names.Unlock()
	if names.listeners[l.address] != l {
		return nil
	}
	delete(names.listeners, l.address)
	close(l.waiting)
	for c := range l.waiting {
		c.Abort(status.Errorf(status.Unavailable, "%s is closed", l.address))
	}
	return nil
}
