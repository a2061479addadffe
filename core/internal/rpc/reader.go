package rpc

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport"
	"dcf/wire"
)

// Reader is one user's asynchronous requests. It reads their replies on the goroutine that wants
// them: no other stands between. While that goroutine is elsewhere, a goroutine of rpc reads, at
// once where the Reader is Eager, else within 50 ms. The zero Reader is ready.
type Reader struct {
	// Eager says that somebody waits for completions without calling Wait.
	Eager atomic.Bool

	mu    sync.Mutex
	links []*link // under mu: where requests were sent

	// Of Wait, which one goroutine at a time calls.
	all   []*link
	leads []led
	fds   []unix.PollFd
	spin  transport.Spin
}

// Start is a request that Reader.Start is to send.
type Start struct {
	Request  *wire.Frame
	Pending  *Pending
	Deadline int64
	Done     Completion
	Err      error // why it was not sent; Done is not told then
}

// Start sends requests to one peer over its call connection and has each one's Done told of its end,
// once, unless it has an Err. They leave at the next Flush. A Pending belongs to rpc until Done was
// told and Start has returned. Where there is no session, or not enough room, they fail at once.
func (r *Reader) Start(p *Peer, all []Start) {
	l, err := r.link(p)
	if err != nil {
		for i := range all {
			all[i].Err = err
		}
		return
	}
	l.session.start(l, all, r.Eager.Load() || l.async.blind)
	r.mu.Lock()
	if !slices.Contains(r.links, l) {
		r.links = append(slices.DeleteFunc(r.links, (*link).over), l)
	}
	r.mu.Unlock()
}

// link gives the connection for requests to a peer, if there is one that has room.
func (r *Reader) link(p *Peer) (*link, error) {
	s := p.connected()
	if s == nil {
		return nil, failed(p.unconnected(), false)
	}
	l, err := s.route(nil, 0)
	if err == nil {
		err = l.room(0, false)
	}
	return l, failed(err, false)
}

// over says that nothing is to come on the link any more.
func (l *link) over() bool { return l.session.down.Load() && l.async.open.Load() == 0 }

// Flush sends what Start left to be sent.
func (r *Reader) Flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.links {
		_ = l.conn.Flush() // if it fails the session ends, and with it the requests
		if r.Eager.Load() || l.async.blind {
			l.arm()
		}
	}
}

// Wait reads connections on which requests are due until something arrived, wake is readable, or the
// time is over. awake is called when it does not sleep any more and before anything completes.
func (r *Reader) Wait(wake int, wait time.Duration, awake func()) {
	r.mu.Lock()
	r.all = append(r.all[:0], r.links...)
	r.mu.Unlock()
	r.leads = r.leads[:0]
	r.fds = append(r.fds[:0], unix.PollFd{Fd: int32(wake), Events: unix.POLLIN})
	for _, l := range r.all {
		r.lead(l)
	}
	if !r.arrived() && (wait <= 0 || !r.poll(wait)) {
		r.sleep(wait)
	}
	awake()
	for _, led := range r.leads {
		if led.at > 0 && r.fds[led.at].Revents != 0 || led.conn.Ready() {
			led.read()
		}
		if led.at > 0 {
			led.conn.Return()
		}
		led.pass()
	}
	for _, l := range r.all {
		l.async.readers.Add(-1)
	}
	clear(r.all)
	clear(r.leads)
}

// led is a link that a Reader leads.
type led struct {
	*link
	at int // its place in fds; 0: none yet
}

// lead takes the lead of a link, if something is due there and nobody else has it.
func (r *Reader) lead(l *link) {
	l.async.readers.Add(1)
	if l.served || l.async.blind || l.async.open.Load() == 0 {
		return
	}
	if !l.async.visited.Load() {
		l.async.visited.Store(true)
	}
	l.mu.Lock()
	free := !l.leading
	l.leading = true
	l.mu.Unlock()
	if !free {
		return
	}
	r.leads = append(r.leads, led{link: l})
	if _, cheap := l.conn.(transport.Grouped); !cheap {
		r.arm(len(r.leads) - 1)
	}
}

// arm makes a link's descriptor one that the Reader waits for. One that has just ended has none:
// reading says so.
func (r *Reader) arm(i int) {
	if fd := r.leads[i].conn.Descriptor(); fd >= 0 {
		r.leads[i].at = len(r.fds)
		r.fds = append(r.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
}

// arrived says whether something is here that is seen without asking the system.
func (r *Reader) arrived() bool {
	for i := range r.leads {
		if r.leads[i].conn.Ready() {
			return true
		}
	}
	return false
}

// poll looks for what is to come, before the Reader sleeps.
func (r *Reader) poll(wait time.Duration) bool {
	if len(r.leads) == 0 {
		return false
	}
	r.spin.Limit = r.leads[0].session.node.cfg.Spin
	sockets, looks := len(r.fds) > 1, 0
	return r.spin.Poll(wait, func() bool {
		looks++
		return r.arrived() || (sockets || looks%wakeLooks == 0) && waitFor(r.fds, 0)
	})
}

// sleep waits until one of the descriptors is readable.
func (r *Reader) sleep(wait time.Duration) {
	for i := range r.leads {
		if r.leads[i].at == 0 {
			r.arm(i)
		}
	}
	if r.arrived() { // before its descriptor would have said so
		wait = 0
	}
	waitFor(r.fds, wait)
}

// read takes in what is here.
func (l *link) read() {
	again, err := l.receive(0)
	for err == nil && !again && l.conn.Ready() {
		again, err = l.receive(0)
	}
}

// waitFor sleeps until one of the descriptors is readable, and says whether one is.
func waitFor(fds []unix.PollFd, wait time.Duration) bool {
	timeout := unix.NsecToTimespec(int64(max(min(wait, transport.Slice), 0)))
	n, _, errno := unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(fds))),
		uintptr(len(fds)), uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	return errno == 0 && n > 0
}
