package shm

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
)

// Listen takes a name or a socket file into use. The file of a process that is gone is replaced.
func (t *Transport) Listen(address string, _ bool) (transport.Listener, error) {
	at, err := parse(address)
	if err != nil {
		return nil, err
	}
	t.share()
	bound, err := socket.Listen(&t.poller, unix.AF_UNIX, at, address)
	if err != nil {
		return nil, err
	}
	l := &listener{Listener: bound, transport: t, address: address, over: make(chan struct{}),
		accepted: make(chan transport.Conn), refused: make(chan error, 1), greetings: make(chan struct{}, maxGreetings)}
	l.work.Go(l.run)
	return l, nil
}

// listener takes connections in on goroutines of its own, so that a dialer that is slow to hand its
// memory over delays nobody.
type listener struct {
	*socket.Listener
	transport *Transport
	address   string
	accepted  chan transport.Conn
	refused   chan error    // the last one that Accept has not told of
	greetings chan struct{} // one for each connection that Accept has not given
	over      chan struct{} // closed by Close
	closing   sync.Once
	work      sync.WaitGroup
}

// run takes connections from the system until the listener is closed.
func (l *listener) run() {
	for {
		select {
		case l.greetings <- struct{}{}:
		case <-l.over:
			return
		}
		fd, err := l.Listener.Accept()
		if err != nil {
			<-l.greetings
			if errors.Is(err, status.Unavailable) {
				return
			}
			select { // it is tried again when Accept has told of it: there may be no descriptor left
			case l.refused <- err:
				continue
			case <-l.over:
				return
			}
		}
		l.work.Go(func() {
			l.take(fd)
			<-l.greetings
		})
	}
}

// take makes a connection of a socket, and gives it to Accept.
func (l *listener) take(fd int) {
	conn, err := l.greet(fd)
	if err != nil {
		select {
		case l.refused <- err:
		default: // Accept has enough to tell of
		}
		return
	}
	select {
	case l.accepted <- conn:
	case <-l.over:
		// Nobody has used it.
		conn.Abort(l.closed())
		_, _ = conn.Next(0)
	}
}

func (l *listener) closed() error {
	return status.Errorf(status.Unavailable, "%s is closed", l.address)
}

// greet makes a connection of a socket, which it takes over.
func (l *listener) greet(fd int) (*conn, error) {
	peer := "a peer at " + l.address
	memory, err := l.handed(fd, peer)
	if err != nil {
		refuse(fd, err)
		_ = unix.Close(fd)
		return nil, err
	}
	return newConn(l.transport, fd, memory, false, peer)
}

// handed waits for the memory that a dialer hands over, and maps it.
func (l *listener) handed(fd int, peer string) ([]byte, error) {
	if err := l.transport.admit(fd, peer); err != nil {
		return nil, err
	}
	if err := l.await(fd, peer); err != nil {
		return nil, err
	}
	shared, err := greeted(fd)
	if err != nil {
		return nil, named(peer, err)
	}
	defer func() { _ = unix.Close(shared) }()
	memory, err := mapMemory(shared)
	if err != nil {
		return nil, named(peer, err)
	}
	return memory, nil
}

// await waits until a dialer has said something.
func (l *listener) await(fd int, peer string) error {
	var place socket.Parking
	if err := l.transport.poller.Arm(fd, &place); err != nil {
		return err
	}
	defer l.transport.poller.Forget(&place)
	late := time.NewTimer(l.transport.greetTimeout)
	defer late.Stop()
	select {
	case <-place.Ready():
		return nil
	case <-late.C:
		return status.Errorf(status.Timeout, "%s handed no memory over within %v: it may be no dcf "+
			"process", peer, l.transport.greetTimeout)
	case <-l.over:
		return l.closed()
	}
}

// named names the peer in what is wrong with its greeting.
func named(peer string, err error) error {
	if err == nil {
		return nil
	}
	e := *status.From(err)
	e.Message = peer + ": " + e.Message
	return &e
}

// Accept gives the next connection, or, where none is to be given, tells of one that was refused.
func (l *listener) Accept() (transport.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	default:
	}
	select {
	case c := <-l.accepted:
		return c, nil
	case err := <-l.refused:
		return nil, err
	case <-l.over:
		return nil, l.closed()
	}
}

// Address gives the address.
func (l *listener) Address() string { return l.address }

// Close ends Accept and frees the address. Connections that Accept has not given are cut.
func (l *listener) Close() (err error) {
	l.closing.Do(func() {
		close(l.over)
		err = l.Listener.Close()
	})
	l.work.Wait()
	return err
}
