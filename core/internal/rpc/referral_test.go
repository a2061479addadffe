package rpc

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/transport"
	"dcf/core/internal/transport/inproc"
	"dcf/core/internal/transport/tcp"
	"dcf/core/status"
	"dcf/wire"
)

// near is a transport of one host: Unix sockets under a scheme of their own, which can be made to
// fail.
type near struct {
	*tcp.Transport
	failure atomic.Pointer[status.Error]
}

func newNear() *near { return &near{Transport: tcp.New()} }

func (n *near) Schemes() []string { return []string{"near"} }

func (n *near) Listen(address string, insecure bool) (transport.Listener, error) {
	l, err := n.Transport.Listen(strings.Replace(address, "near", "unix", 1), insecure)
	if err != nil {
		return nil, err
	}
	return nearListener{l}, nil
}

func (n *near) Dial(address string, deadline int64) (transport.Conn, error) {
	if e := n.failure.Load(); e != nil {
		return nil, e
	}
	return n.Transport.Dial(strings.Replace(address, "near", "unix", 1), deadline)
}

type nearListener struct{ transport.Listener }

func (l nearListener) Address() string {
	return strings.Replace(l.Listener.Address(), "unix", "near", 1)
}

func nearAddress(t testing.TB) string {
	return strings.Replace(anyAddress(t, "unix"), "unix", "near", 1)
}

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// about gives the lines about ways that were not taken.
func (l *lines) about() (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, "a peer is not reached over near") {
			found = append(found, line)
		}
	}
	return found
}

// nearConfig is config on a host called "here", with the transport near between inproc and tcp.
func nearConfig(id uint64, h Handler) (Config, *near, *lines) {
	cfg := config(id, h)
	way, log := newNear(), new(lines)
	cfg.Transports = []transport.Transport{inproc.New(), way, tcp.New()}
	cfg.Host, cfg.Near, cfg.Log = "here", "near", slog.New(slog.NewTextHandler(log, nil))
	return cfg, way, log
}

// nearServer listens at near, and at an address of the scheme.
func nearServer(t testing.TB, scheme string, h Handler) (*Node, string) {
	cfg, _, _ := nearConfig(1, h)
	server := open(t, cfg)
	require.NoError(t, server.ListenNear(nearAddress(t)))
	address, err := server.Listen(anyAddress(t, scheme))
	require.NoError(t, err)
	return server, address
}

func answered(t testing.TB, p *Peer, size int) {
	t.Helper()
	var reply Reply
	defer reply.Clear()
	value := bytes.Repeat([]byte("x"), size)
	require.NoError(t, p.Do(operationFrame(1, value), &reply, soon()))
	require.Nil(t, reply.Error)
	require.True(t, bytes.Equal(value, reply.Value.Bytes))
}

// breaks ends the sessions of a peer as a broken connection does, and waits for that.
func breaks(t testing.TB, p *Peer, h *handler) {
	t.Helper()
	for _, s := range p.node.all() {
		if s.peer == p {
			s.links[0].conn.Abort(status.Errorf(status.Unavailable, "the test cut it"))
		}
	}
	h.expect(t, "down 1")
}

// Nodes of one host that meet over a socket go on over the better way, both to call and to be
// called, and each is told once that the other is there. Nobody else hears of the address.
func TestReferral(t *testing.T) {
	for _, scheme := range []string{"tcp", "unix"} {
		t.Run(scheme, func(t *testing.T) {
			there, here := newHandler(echo), newHandler(echo)
			server, address := nearServer(t, scheme, there)
			require.Equal(t, []string{address}, server.Addresses())

			cfg, _, log := nearConfig(2, here)
			n := open(t, cfg)
			require.NoError(t, n.ListenNear(nearAddress(t)))
			_, err := n.Listen(anyAddress(t, "tcp"))
			require.NoError(t, err)
			p, err := n.Dial(address, soon())
			require.NoError(t, err)
			there.expect(t, "up 2")
			here.expect(t, "up 1")
			require.Equal(t, []string{"near"}, p.Schemes())
			require.Equal(t, []string{address}, p.known())
			require.Equal(t, []string{address}, p.Hello().Addresses)
			for _, size := range []int{0, 100, 1 << 20} {
				answered(t, p, size)
			}
			back := server.Peer(n.cfg.Identity, nil)
			require.Equal(t, []string{"near"}, back.Schemes())
			answered(t, back, 100) // dials, for this node has addresses
			require.Equal(t, []string{"near", "near"}, back.Schemes())
			require.Empty(t, log.about())
			select {
			case more := <-there.news:
				require.Fail(t, "more happened", more)
			case more := <-here.news:
				require.Fail(t, "more happened", more)
			default:
			}
		})
	}
}

// A way that is better still is left alone, and an address of the near way itself needs no referral.
func TestNoReferral(t *testing.T) {
	for _, scheme := range []string{"inproc", "near"} {
		server, _ := nearServer(t, "tcp", newHandler(echo))
		address := nearAddress(t)
		if scheme == "inproc" {
			address = anyAddress(t, scheme)
		}
		address, err := server.Listen(address)
		require.NoError(t, err)
		require.Contains(t, server.Addresses(), address) // it was asked for
		cfg, _, log := nearConfig(2, newHandler(nil))
		n := open(t, cfg)
		p, err := n.Dial(address, soon())
		require.NoError(t, err)
		require.Equal(t, []string{scheme}, p.Schemes())
		answered(t, p, 100)
		require.Empty(t, log.about())
	}
}

// Where the better way is none the session goes over the socket, and one line says why, however
// often it is opened again.
func TestFallBack(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(*Config) // of the dialer
		off     bool          // at the server
		failure error         // of dialling
		told    string        // in the line; empty: there is none
	}{
		{name: "off here", change: func(c *Config) { c.Near = "" }},
		{name: "off there", off: true, told: "the peer has it off"},
		{name: "another host", change: func(c *Config) { c.Host = "elsewhere" },
			told: "it is on another host"},
		{name: "no identity", change: func(c *Config) { c.Host = "" },
			told: "this host has no identity"},
		{name: "another user", failure: status.Errorf(status.Denied, "its process is of user 7"),
			told: "its process is of user 7"},
		{name: "no descriptors", failure: status.Errorf(status.Exhausted, "descriptors are out"),
			told: "descriptors are out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, _, _ := nearConfig(1, newHandler(echo))
			server := open(t, cfg)
			if !test.off {
				require.NoError(t, server.ListenNear(nearAddress(t)))
			}
			address, err := server.Listen(anyAddress(t, "tcp"))
			require.NoError(t, err)
			h := newHandler(nil)
			cfg, way, log := nearConfig(2, h)
			if test.change != nil {
				test.change(&cfg)
			}
			if test.failure != nil {
				way.failure.Store(status.From(test.failure))
			}
			p, err := open(t, cfg).Dial(address, soon())
			require.NoError(t, err)
			for range 3 {
				h.expect(t, "up 1")
				require.Equal(t, []string{"tcp"}, p.Schemes())
				answered(t, p, 100)
				breaks(t, p, h)
				answered(t, p, 100)
			}
			told := log.about()
			if test.told == "" {
				require.Empty(t, told)
				return
			}
			require.Len(t, told, 1)
			require.Contains(t, told[0], test.told)
			require.Contains(t, told[0], "node=1 instead="+address)
			level := "level=INFO" // as it is meant to be
			if test.failure != nil {
				level = "level=WARN"
			}
			require.Contains(t, told[0], level)
		})
	}
}

// A session over the better way that breaks is opened again there, without the socket, and over the
// socket where the better way is gone meanwhile. Each change is told once.
func TestReferredAgain(t *testing.T) {
	_, target := nearServer(t, "tcp", newHandler(echo))
	proxy, address := newProxy(t, target)
	h := newHandler(nil)
	cfg, way, log := nearConfig(2, h)
	p, err := open(t, cfg).Dial(address, soon())
	require.NoError(t, err)
	h.expect(t, "up 1")
	again := func(scheme string) {
		t.Helper()
		breaks(t, p, h)
		answered(t, p, 100)
		h.expect(t, "up 1")
		require.Equal(t, []string{scheme}, p.Schemes())
	}
	for range 3 {
		again("near")
	}
	connected := func() int {
		proxy.mu.Lock()
		defer proxy.mu.Unlock()
		return proxy.connected
	}
	require.Equal(t, 1, connected(), "only who is there was asked over the socket")
	for i := range 2 {
		way.failure.Store(status.Errorf(status.Exhausted, "descriptors are out"))
		again("tcp")
		again("tcp")
		require.Len(t, log.about(), i+1)
		way.failure.Store(nil)
		again("near")
	}
	require.Equal(t, 1+2*2*2, connected(), "two connections for each session")
}

// A host address at which somebody else answers is not believed.
func TestReferralToSomebodyElse(t *testing.T) {
	other, _, _ := nearConfig(3, newHandler(echo))
	stranger := open(t, other)
	taken := nearAddress(t)
	require.NoError(t, stranger.ListenNear(taken))
	server, address := nearServer(t, "tcp", newHandler(echo))
	server.mu.Lock()
	server.hostAddress = taken
	server.mu.Unlock()
	cfg, _, log := nearConfig(2, newHandler(nil))
	n := open(t, cfg)
	p, err := n.Dial(address, soon())
	require.NoError(t, err)
	require.Equal(t, wire.Identity{Node: 1, Incarnation: 1}, p.Identity())
	require.Equal(t, []string{"tcp"}, p.Schemes())
	answered(t, p, 100)
	require.Len(t, log.about(), 1)
	require.Contains(t, log.about()[0], "is node 3 in incarnation 1 now")
}
