package rpc

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a dialer and a node, and harms what passes.
type proxy struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu        sync.Mutex
	changed   *sync.Cond
	swallow   bool // nothing passes, and nobody is told
	drip      bool // bytes pass one by one
	budget    int  // bytes that pass before all is cut; negative: no end
	conns     []net.Conn
	connected int
}

func newProxy(t testing.TB, target string) (*proxy, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, target: strings.TrimPrefix(target, "tcp://"), budget: -1}
	p.changed = sync.NewCond(&p.mu)
	p.work.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.work.Wait()
	})
	return p, "tcp://" + l.Addr().String()
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, near, far)
		p.connected++
		p.mu.Unlock()
		p.work.Go(func() { p.pump(near, far) })
		p.work.Go(func() { p.pump(far, near) })
	}
}

func (p *proxy) pump(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			p.allow(0) // an end passes no sooner than bytes
			return
		}
		for b := buffer[:n]; len(b) > 0; {
			k := p.allow(len(b))
			if k == 0 {
				p.cut()
				return
			}
			if _, err := to.Write(b[:k]); err != nil {
				return
			}
			b = b[k:]
		}
	}
}

// allow says how many of n bytes may pass now. It waits while the proxy swallows.
func (p *proxy) allow(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.swallow {
		p.changed.Wait()
	}
	if p.drip {
		n = 1
	}
	if p.budget >= 0 {
		n = min(n, p.budget)
		p.budget -= n
	}
	return n
}

func (p *proxy) set(change func(p *proxy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
	p.changed.Broadcast()
}

// cut breaks all connections; later ones pass.
func (p *proxy) cut() {
	p.set(func(p *proxy) {
		p.swallow, p.budget = false, -1
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.conns = nil
	})
}
