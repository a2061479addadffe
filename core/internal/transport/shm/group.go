package shm

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/processor"
	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/futex"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
)

// group receives from many connections. It looks at the rings of those that were active lately, one
// after another. While it sleeps they wake it by the words of their rings, all at once; where they are many,
// and when it is parked, by their sockets, and those that are quiet do that always.
type group struct {
	epoll *socket.Epoll
	wake  int // the descriptor of an event that Add and Close set

	mu      sync.Mutex
	members map[uint64]*member // by token, also those that are in added
	added   []*member          // since Wait looked
	tokens  uint64
	closed  bool
	changed atomic.Bool // added or closed changed

	// Of the goroutine that waits:
	hot    []*member
	total  int          // how many members there are, added ones left out
	words  *futex.Words // nil: the system cannot wait for several
	laid   []*member    // of sleep: those that were hot before
	at     int          // the one of hot to look at next
	round  uint64       // how often hot was looked through
	over   bool         // closed, and nobody is left: there is nothing to wait for
	spin   transport.Spin
	parted int64 // when it changed its processor last
	events [64]unix.EpollEvent
}

// member is a connection of a group. It is hot, or armed: its ring's producer wakes its socket.
type member struct {
	c      *conn
	tag    any
	token  uint64
	armed  bool
	active uint64 // the round in which it had something last
}

var (
	_ transport.Grouped = (*conn)(nil)
	_ transport.Group   = (*group)(nil)
)

// Group gives the group of the connection's Transport; nil where the system has no descriptors for it.
func (c *conn) Group() transport.Group {
	t := c.transport
	t.grouping.Lock()
	defer t.grouping.Unlock()
	if t.group == nil {
		g, err := newGroup()
		if err != nil {
			return nil
		}
		t.group = g
	}
	return t.group
}

func newGroup() (*group, error) {
	epoll, err := socket.OpenEpoll()
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		epoll.Close()
		return nil, socket.SystemError("eventfd", err)
	}
	g := &group{epoll: epoll, wake: wake, members: map[uint64]*member{}, words: new(futex.Words)}
	if err := g.watch(wake, 0); err != nil {
		g.free()
		return nil, err
	}
	return g, nil
}

// free frees the descriptors. Nobody uses the group any more.
func (g *group) free() {
	g.epoll.Close()
	_ = unix.Close(g.wake)
}

// watch has epoll tell of a descriptor, each time that it becomes readable.
func (g *group) watch(fd int, token uint64) error {
	return g.epoll.Control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET, token)
}

// Add makes a connection part of the group.
func (g *group) Add(connection transport.Conn, tag any) error {
	c := connection.(*conn)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return status.Errorf(status.Unavailable, "this node is closed")
	}
	if !c.sock.Enter() {
		return c.reason()
	}
	defer c.sock.Leave()
	g.tokens++
	m := &member{c: c, tag: tag, token: g.tokens}
	if err := g.watch(c.sock.FD, m.token); err != nil {
		return err
	}
	g.members[m.token] = m
	g.added = append(g.added, m)
	if c.server != nil {
		c.server.Serve(true)
	}
	g.change()
	return nil
}

// change has the waiting goroutine look at added and closed. The caller holds mu.
func (g *group) change() {
	g.changed.Store(true)
	one := [8]byte{1}
	_, _ = unix.Write(g.wake, one[:]) // full: it is readable all the same
	if len(g.members)-len(g.added) > maxFew {
		return
	}
	for _, m := range g.members { // it may sleep on their words
		if m.c.sock.Enter() {
			m.c.inbox.ring.Interrupt()
			m.c.sock.Leave()
		}
	}
}

// Close says that no more connections come.
func (g *group) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.change()
}

// Remove takes a connection out, which Wait has given.
func (g *group) Remove(connection transport.Conn) {
	c := connection.(*conn)
	for i, m := range g.hot {
		if m.c != c {
			continue
		}
		g.hot = append(g.hot[:i], g.hot[i+1:]...)
		g.total--
		g.mu.Lock()
		delete(g.members, m.token)
		g.over = g.closed && len(g.members) == 0
		g.mu.Unlock()
		if c.sock.Enter() { // else it is closed, and epoll has forgotten it
			if c.server != nil {
				c.server.Serve(false)
			}
			_ = unix.EpollCtl(g.epoll.FD, unix.EPOLL_CTL_DEL, c.sock.FD, nil)
			c.sock.Leave()
		}
		return
	}
}

// Wait waits for a connection for which something is here: it polls for a while, and then sleeps.
func (g *group) Wait(wait time.Duration) any {
	m := g.look()
	if m == nil && wait > 0 && len(g.hot) > 0 && g.spin.Poll(wait, func() bool {
		ring.Pause()
		m = g.look()
		return m != nil
	}) {
		m.c.spun.Add(1)
	}
	if m == nil && wait > 0 && g.spin.InVain() {
		g.part()
	}
	if m == nil && wait > 0 {
		if m = g.sleep(wait); m != nil {
			m.c.slept.Add(1)
		}
	}
	if m == nil {
		return nil
	}
	return m.tag
}

// partEvery is how often the group changes its processor, at most.
const partEvery = 2 * time.Millisecond

// part leaves the processor on which the last caller waits, after polling in vain there. Schedulers bring two threads
// together that wake each other, and a call then takes two switches of threads, several times as long.
func (g *group) part() {
	if g.at >= len(g.hot) || g.hot[g.at].c.server == nil {
		return
	}
	cpu, now := processor.Current(), clock.Now()
	if cpu == g.hot[g.at].c.server.Waker() && now-g.parted > int64(partEvery) {
		g.parted = now
		processor.Leave(cpu)
	}
}

// look looks once at each hot connection, and now and then at the rest.
func (g *group) look() *member {
	g.round++
	if g.round%aroundRounds == 0 {
		g.lookAround()
	}
	if g.changed.Load() {
		g.take()
	}
	for range g.hot {
		if g.at++; g.at >= len(g.hot) {
			g.at = 0
		}
		if m := g.hot[g.at]; m.c.arrived() {
			m.active = g.round
			return m
		}
	}
	return nil
}

// arrived says, at little cost, whether there is something for Next.
func (i *inbox) arrived() bool {
	return i.header != nil || i.ring.Ready() || i.c.server != nil && i.c.server.Ready() ||
		i.c.hungUp.Load() || i.c.aborted.Load()
}

// take makes what was added hot, and looks whether all is over.
func (g *group) take() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed.Store(false)
	for _, m := range g.added {
		m.active = g.round
		g.spin.Limit = max(g.spin.Limit, m.c.spin.Limit)
		g.hot = append(g.hot, m)
	}
	g.total += len(g.added)
	clear(g.added)
	g.added = g.added[:0]
	g.over = g.closed && len(g.members) == 0
}

// lookAround wakes connections whose sockets ask for it, and arms those that were quiet for long: each
// hot one costs the others time.
func (g *group) lookAround() {
	if g.few() {
		return
	}
	g.heed(0)
	kept := g.hot[:0]
	for _, m := range g.hot {
		if g.round-m.active < quietRounds || !m.arm() {
			kept = append(kept, m)
		}
	}
	g.forget(len(kept))
}

// forget shortens hot.
func (g *group) forget(to int) {
	clear(g.hot[to:])
	g.hot = g.hot[:to]
}

// arm makes a connection wake the group by its socket, unless something is here.
func (m *member) arm() bool {
	if m.c.Descriptor() < 0 {
		return false
	}
	if m.c.arrived() {
		m.c.Return()
		return false
	}
	m.armed = true
	return true
}

// few says whether the connections are so few that all are kept hot: the group can sleep on all their
// words, and looking at them costs little.
func (g *group) few() bool { return g.words != nil && g.total > 0 && g.total <= maxFew }

// doze sleeps on the words of all rings until one has something.
func (g *group) doze(wait time.Duration) {
	g.rouse()
	g.words.Clear()
	idle := true
	for _, m := range g.hot {
		m.c.inbox.ring.Arm()
		idle = idle && !m.c.arrived()
		g.words.Add(m.c.inbox.ring.Word())
	}
	if idle && !g.changed.Load() && !g.over && !g.words.Wait(ring.Armed, clock.After(min(wait, transport.Slice))) {
		g.words = nil
	}
	for _, m := range g.hot {
		m.c.inbox.ring.Disarm()
	}
}

// rouse makes those hot that a park, or a larger group, has left to their sockets.
func (g *group) rouse() {
	if len(g.hot) == g.total {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.members {
		if m.armed {
			g.heat(m)
		}
	}
}

// heat makes an armed connection hot.
func (g *group) heat(m *member) {
	m.armed, m.active = false, g.round
	m.c.Return()
	g.hot = append(g.hot, m)
}

// sleep sleeps until a connection has something, on their sockets where they are many.
func (g *group) sleep(wait time.Duration) *member {
	if g.few() {
		g.doze(wait)
		return g.look()
	}
	g.laid = append(g.laid[:0], g.hot...)
	g.arm()
	if len(g.hot) == 0 && !g.changed.Load() && !g.over {
		g.heed(min(wait, transport.Slice))
	}
	if len(g.hot) > 0 { // those that were active together will be so again
		for _, m := range g.laid {
			if m.armed && g.round-m.active < quietRounds {
				m.armed = false
				m.c.Return()
				g.hot = append(g.hot, m)
			}
		}
	}
	clear(g.laid)
	return g.look()
}

// arm leaves all connections for which nothing is here to their sockets.
func (g *group) arm() {
	kept := g.hot[:0]
	for _, m := range g.hot {
		if !m.arm() {
			kept = append(kept, m)
		}
	}
	g.forget(len(kept))
}

// heed waits for sockets that ask to be woken for, and makes their connections hot.
func (g *group) heed(wait time.Duration) {
	n, err := unix.EpollWait(g.epoll.FD, g.events[:], int((wait+time.Millisecond-1)/time.Millisecond))
	if err == nil {
		g.warm(n)
	}
}

// warm makes the connections of n events hot.
func (g *group) warm(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range n {
		m := g.members[socket.Token(&g.events[i])]
		if m == nil { // it was removed, or it is the group's own event
			continue
		}
		if g.events[i].Events&^unix.EPOLLIN != 0 {
			m.c.hangUp()
		}
		if m.armed {
			g.heat(m)
		}
	}
}

// Park waits in the scheduler's poller.
func (g *group) Park() error {
	g.take()
	if g.arm(); len(g.hot) > 0 {
		return nil
	}
	if g.over {
		return status.Errorf(status.Unavailable, "this node is closed")
	}
	err := g.epoll.Raw.Read(func(uintptr) bool {
		n, err := unix.EpollWait(g.epoll.FD, g.events[:], 0)
		if err == nil {
			g.warm(n)
		}
		return n > 0 || g.changed.Load()
	})
	if err != nil {
		return socket.SystemError("epoll", err)
	}
	return nil
}
