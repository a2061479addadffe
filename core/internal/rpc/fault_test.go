package rpc

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/wire"
)

var seed = flag.Uint64("seed", 0, "seed of randomised tests; 0: chosen at random")

func random(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// Whatever ends the connection, the requests under way end, and the handler on the other side is
// told to stop.
func TestPeerVanishes(t *testing.T) {
	for _, scheme := range []string{"tcp", "inproc"} {
		for _, how := range []string{"cut", "closed"} {
			if scheme == "inproc" && how == "cut" {
				continue // a process does not lose half of itself
			}
			t.Run(scheme+" "+how, func(t *testing.T) {
				h := newHeld()
				server, address := listening(t, scheme, h)
				cut := func() { require.NoError(t, server.Close(soon())) }
				if how == "cut" {
					var px *proxy
					px, address = newProxy(t, address)
					cut = px.cut
				}
				mine := newHandler(nil)
				_, p := dialled(t, address, func(c *Config) { c.Handler = mine })
				mine.expect(t, "up 1")
				h.expect(t, "up 2")
				ended := make(chan error)
				for range 8 {
					go func() {
						var reply Reply
						ended <- p.Do(operationFrame(1, nil), &reply, soon())
					}()
					require.NoError(t, start(p, operationFrame(1, nil), soon(),
						func(_ *Reply, err error) { ended <- err }))
				}
				p.Flush()
				cancelled := make(chan bool, 16)
				var held []*Request
				for range 16 {
					r := <-h.requests
					held = append(held, r)
					r.OnCancel(cancelFunc(func() { cancelled <- true }))
				}
				cut()
				for range 16 {
					err := <-ended
					requireCode(t, err, status.Unavailable)
					require.True(t, Sent(err))
					<-cancelled
				}
				for _, r := range held {
					r.Reply(&wire.Reply{})
				}
				mine.expect(t, "down 1")
				h.expect(t, "down 2")
			})
		}
	}
}

// Who reads a connection when its session ends may let go of it late: it is closed all the same.
func TestLateReader(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		_, address := listening(t, scheme, newHandler(nil))
		mine := newHandler(nil)
		n, p := dialled(t, address, func(c *Config) { c.Handler = mine })
		first := 0
		const rounds = 8
		for round := range rounds {
			mine.expect(t, "up 1")
			l := p.connected().call.Load()
			require.True(t, l.acquire(patience))
			l.session.fail(status.Errorf(status.Unavailable, "the test ends it"))
			require.Eventually(t, func() bool { // it was waited for, but not for long
				return l.control(wire.KindPing, 0) != nil
			}, patience, time.Millisecond)
			l.pass()
			mine.expect(t, "down 1")
			if round == 0 {
				first = descriptors()
			}
			if round+1 < rounds {
				var err error
				p, err = n.Dial(address, soon())
				require.NoError(t, err)
			}
		}
		require.Eventually(t, func() bool { return descriptors() < first+rounds-1 }, patience, tick)
	})
}

func TestReconnect(t *testing.T) {
	_, address := listening(t, "tcp", newHandler(echo))
	px, address := newProxy(t, address)
	_, p := dialled(t, address, nil)
	var reply Reply
	defer reply.Clear()
	for i := range uint64(5) {
		require.Eventually(t, func() bool {
			return p.Do(operationFrame(i, nil), &reply, soon()) == nil
		}, patience, tick)
		require.Equal(t, i, reply.Version)
		px.cut()
	}
	require.GreaterOrEqual(t, p.Counters().Requests, uint64(5))
}

// Who listens at the address of a node that is gone is another peer: no request for the one reaches the
// other, and whoever dials finds the new one.
func TestAnotherIncarnation(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		address := anyAddress(t, scheme)
		incarnation := func(number uint32) *Node {
			cfg := config(1, newHandler(func(r *Request) { r.Reply(&wire.Reply{Version: uint64(number)}) }))
			cfg.Identity.Incarnation = number
			server := open(t, cfg)
			var err error
			address, err = server.Listen(address)
			require.NoError(t, err)
			return server
		}
		first := incarnation(1)
		mine := newHandler(nil)
		n, old := dialled(t, address, func(c *Config) { c.Handler = mine })
		require.Same(t, old, n.Reached(address))
		mine.expect(t, "up 1")
		require.NoError(t, first.Close(soon()))
		mine.expect(t, "down 1")
		require.Nil(t, n.Reached(address))
		_, err := n.Dial(address, soon())
		requireCode(t, err, status.Unavailable)
		var reply Reply
		defer reply.Clear()
		requireCode(t, old.Do(operationFrame(1, nil), &reply, soon()), status.Unavailable)

		incarnation(2)
		var found *Peer
		require.Eventually(t, func() bool {
			found, err = n.Dial(address, soon())
			return err == nil
		}, patience, tick)
		require.Equal(t, uint32(2), found.Identity().Incarnation)
		require.Same(t, found, n.Reached(address))
		require.NoError(t, found.Do(operationFrame(1, nil), &reply, soon()))
		require.Equal(t, uint64(2), reply.Version)
		require.Eventually(t, func() bool { // once it is tried again
			err := old.Do(operationFrame(1, nil), &reply, soon())
			requireCode(t, err, status.Unavailable)
			return !Sent(err) && strings.Contains(err.Error(), "incarnation 2 now, not node 1 in incarnation 1")
		}, patience, tick)
	})
}

// A peer that is there but says nothing is noticed, on both sides.
func TestSilentPeer(t *testing.T) {
	h := newHeld()
	_, address := listening(t, "tcp", h)
	px, address := newProxy(t, address)
	mine := newHandler(nil)
	_, p := dialled(t, address, func(c *Config) { c.Handler = mine })
	mine.expect(t, "up 1")
	h.expect(t, "up 2")
	px.set(func(p *proxy) { p.swallow = true })
	var reply Reply
	requireCode(t, p.Do(operationFrame(1, nil), &reply, soon()), status.Unavailable)
	mine.expect(t, "down 1")
	h.expect(t, "down 2")
	require.Contains(t, mine.lastReason(), "was silent for")
	require.Contains(t, h.lastReason(), "was silent for")
	// A new session needs the peer too, and does not hang.
	err := p.Do(operationFrame(1, nil), &reply, clock.After(3*tick))
	require.Error(t, err)
	require.False(t, Sent(err))
}

// A node closes with requests under way also where the peer does not take leave.
func TestCloseBesideSilence(t *testing.T) {
	for _, how := range []string{"waited for", "read by another", "parked"} {
		t.Run(how, func(t *testing.T) {
			h := newHeld()
			_, address := listening(t, "tcp", h)
			px, address := newProxy(t, address)
			n, p := dialled(t, address, func(c *Config) {
				if how == "parked" {
					c.Timing.IdleAfter = transport.Slice
				}
			})
			ended := make(chan error, 1)
			if how == "waited for" {
				go func() {
					var reply Reply
					ended <- p.Do(operationFrame(1, nil), &reply, soon())
				}()
			} else {
				require.NoError(t, start(p, operationFrame(1, nil), soon(), func(_ *Reply, err error) { ended <- err }))
				p.Flush()
			}
			request := <-h.requests
			px.set(func(p *proxy) { p.swallow = true })
			require.NoError(t, n.Close(soon()))
			err := <-ended
			requireCode(t, err, status.Unavailable)
			require.True(t, Sent(err))
			request.Reply(&wire.Reply{})
		})
	}
}

// An idle session lives on heartbeats alone.
func TestIdleSessionLives(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		quick := Timing{PingEvery: 2 * tick, RestEvery: 2 * tick, SilentAfter: 40 * tick,
			IdleAfter: transport.Slice}
		h := newHandler(echo)
		cfg := config(1, h)
		cfg.Timing = quick
		server := open(t, cfg)
		address, err := server.Listen(anyAddress(t, scheme))
		require.NoError(t, err)
		_, p := dialled(t, address, func(c *Config) { c.Timing = quick })
		require.Eventually(t, func() bool {
			c := p.Counters()
			return c.FramesReceived > 10 && c.RoundTripNs > 0
		}, patience, tick)
		require.True(t, p.Up())
		var reply Reply
		defer reply.Clear()
		require.NoError(t, p.Do(operationFrame(1, nil), &reply, soon()))
	})
}

// A peer of this host is asked rarely whether it lives while nobody uses the session, which a request ends.
func TestRest(t *testing.T) {
	for _, scheme := range []string{"inproc", "unix", "shm"} {
		t.Run(scheme, func(t *testing.T) {
			quick := Timing{PingEvery: tick, SilentAfter: 4 * tick, RestEvery: time.Hour}
			h := newHeld()
			cfg := config(1, h)
			cfg.Timing = quick
			server := open(t, cfg)
			address, err := server.Listen(anyAddress(t, scheme))
			require.NoError(t, err)
			n, p := dialled(t, address, func(c *Config) { c.Timing = quick })
			rest := func() {
				require.Eventually(t, n.keeper.dozes.Load, patience, tick)
				require.Eventually(t, server.keeper.dozes.Load, patience, tick)
			}
			rest()
			silent := clock.After(quick.SilentAfter) // and no reason to end
			require.Eventually(t, func() bool { return clock.Until(silent) < 0 }, patience, tick)
			frames := p.Counters().FramesReceived
			var pending Pending
			require.NoError(t, p.Send(operationFrame(1, nil), &pending, soon()))
			p.Flush()
			request := <-h.requests
			require.Eventually(t, func() bool { // pings are answered again
				return p.Counters().FramesReceived > frames+2
			}, patience, tick)
			request.Reply(&wire.Reply{})
			var reply Reply
			require.NoError(t, pending.Wait(&reply))
			reply.Clear()
			rest()
			require.True(t, p.Up())
		})
	}
}

// Connections that break at any byte lose no request silently: each is answered right, or its error
// says whether it may have been served.
func TestCutAtAnyByte(t *testing.T) {
	r := random(t)
	var served atomic.Uint64
	_, address := listening(t, "tcp", newHandler(func(req *Request) {
		served.Add(1)
		echo(req)
	}))
	px, address := newProxy(t, address)
	_, p := dialled(t, address, nil)
	large := bytes.Repeat([]byte("x"), 2*BulkBytes)
	var reply Reply
	defer reply.Clear()
	answered, unknown := uint64(0), uint64(0)
	try := func(i uint64, value []byte) error {
		err := p.Do(operationFrame(i, value), &reply, soon())
		switch {
		case err == nil:
			answered++
			require.Equal(t, i, reply.Version)
			require.True(t, bytes.Equal(value, reply.Value.Bytes))
		case Sent(err):
			unknown++
			fallthrough
		default:
			requireCode(t, err, status.Unavailable)
		}
		return err
	}
	for range 60 {
		// Where dialling failed it is not tried again for a while, and all requests of it fail unsent.
		for until := soon(); try(0, nil) != nil; {
			require.Positive(t, clock.Until(until), "it does not connect again")
			time.Sleep(time.Millisecond)
		}
		px.set(func(p *proxy) { p.budget = r.IntN(4*BulkBytes) >> r.IntN(16) })
		for i := range uint64(20) {
			var value []byte
			if r.IntN(4) == 0 {
				value = large
			}
			_ = try(i, value)
		}
		px.cut()
	}
	n := served.Load()
	require.LessOrEqual(t, answered, n)
	require.LessOrEqual(t, n, answered+unknown, "%d served, %d answered, %d unknown",
		n, answered, unknown)
	require.Positive(t, answered)
	require.Positive(t, unknown)
}

func TestDrip(t *testing.T) {
	_, address := listening(t, "tcp", newHandler(echo))
	px, address := newProxy(t, address)
	px.set(func(p *proxy) { p.drip = true })
	_, p := dialled(t, address, nil)
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			var reply Reply
			defer reply.Clear()
			for i := range uint64(5) {
				if check(t, p.Do(operationFrame(i, []byte("value")), &reply, soon())) &&
					(reply.Version != i || string(reply.Value.Bytes) != "value") {
					t.Error("another reply")
				}
			}
		})
	}
	callers.Wait()
}

// Close while everything is going on ends everything.
func TestCloseDuringRequests(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		for _, which := range []string{"server", "client"} {
			server, address := listening(t, scheme, newHandler(echo))
			client, p := dialled(t, address, nil)
			var callers sync.WaitGroup
			var begun atomic.Int64
			value := bytes.Repeat([]byte("x"), 2*BulkBytes)
			for k := range 8 {
				callers.Go(func() {
					var reply Reply
					defer reply.Clear()
					for {
						var err error
						if k%2 == 0 {
							err = p.Do(operationFrame(1, nil), &reply, soon())
						} else {
							err = p.Do(operationFrame(1, value), &reply, soon())
						}
						begun.Add(1)
						if err != nil {
							if !errors.Is(err, status.Unavailable) {
								t.Error(err)
							}
							return
						}
					}
				})
			}
			require.Eventually(t, func() bool { return begun.Load() > 100 }, patience, time.Millisecond)
			if which == "server" {
				require.NoError(t, server.Close(soon()))
			} else {
				require.NoError(t, client.Close(soon()))
			}
			callers.Wait()
		}
	})
}
