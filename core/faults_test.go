package core

import (
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/exec"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// proxy passes bytes between a port of its own and a server, and cuts connections.
type proxy struct {
	listener net.Listener
	server   string
	mu       sync.Mutex
	conns    map[net.Conn]bool // under mu
	cutAfter func() int        // bytes of answers until the next cut; nil: never
	hear     func(*wire.Call)  // every call that passes; nil: nobody listens
	work     sync.WaitGroup
}

// newProxy listens; serve tells where the server is.
func newProxy(t *testing.T, cutAfter func() int) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return &proxy{listener: l, conns: map[net.Conn]bool{}, cutAfter: cutAfter}
}

func (p *proxy) serve(t *testing.T, server string) {
	p.server = server
	p.work.Go(p.accept)
	t.Cleanup(p.close)
}

func (p *proxy) address() string { return "tcp://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.keep(client, true)
		p.keep(server, true)
		p.work.Go(func() { p.pass(server, client, nil, &ear{hear: p.hear}) })
		p.work.Go(func() { p.pass(client, server, p.cutAfter, &ear{}) })
	}
}

func (p *proxy) keep(c net.Conn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.conns[c] = true
	} else {
		delete(p.conns, c)
	}
}

// ear finds the calls in a stream of frames.
type ear struct {
	hear    func(*wire.Call)
	stream  []byte
	decoder wire.Decoder
}

func (e *ear) Write(b []byte) (int, error) {
	if e.hear == nil {
		return len(b), nil
	}
	e.stream = append(e.stream, b...)
	for len(e.stream) >= wire.PrefixBytes {
		header, body, err := wire.ParsePrefix(e.stream, wire.Limits{})
		end := wire.PrefixBytes + header + int(body)
		if err != nil || len(e.stream) < end {
			return len(b), err
		}
		var f wire.Frame
		if body == 0 && e.decoder.Decode(e.stream[wire.PrefixBytes:end], nil, &f) == nil {
			if c, is := f.Message.(*wire.Call); is {
				e.hear(c)
			}
		}
		e.stream = e.stream[end:]
	}
	return len(b), nil
}

// pass copies from one to the other, and cuts both after so many bytes.
func (p *proxy) pass(to, from net.Conn, cutAfter func() int, ear *ear) {
	defer func() {
		_, _ = to.Close(), from.Close()
		p.keep(to, false)
		p.keep(from, false)
	}()
	left := int64(math.MaxInt64)
	if cutAfter != nil {
		left = int64(cutAfter())
	}
	// A plain loop: between sockets io.Copy would splice, through pipes that it keeps.
	_, _ = io.Copy(struct{ io.Writer }{to}, io.TeeReader(io.LimitReader(from, left), ear))
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cut()
	p.work.Wait()
}

// behind opens an owner that others reach through the proxy.
func behind(t *testing.T, p *proxy, defs func() []udf.Definition) *Worker {
	owner := open(t, Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}, UDFs: defs(),
		Advertise: []string{p.address()}, NoSharedMemory: true})
	p.serve(t, owner.Addresses()[0][len("tcp://"):])
	return owner
}

// Connections break in the middle of replies, over and over. Every update is applied exactly once,
// or reported as unknown and then applied at most once.
func TestCutRepliesApplyUpdatesOnce(t *testing.T) {
	random := seeded(t)
	var mu sync.Mutex
	var armed atomic.Bool
	cut := func() int { // the Hello takes some two hundred bytes, a reply about a hundred
		if !armed.Load() {
			return math.MaxInt
		}
		mu.Lock()
		defer mu.Unlock()
		return 200 + random.IntN(300)
	}
	p := newProxy(t, cut)
	owner := behind(t, p, common)
	v := put(t, owner, "counter", 0)
	client := open(t, Options{Join: []string{p.address()}, UDFs: common()})
	remote, err := client.Open(v.ID()) // from here on its owner is known
	require.NoError(t, err)
	defer remote.Release()
	armed.Store(true)
	p.cut()
	u := function(t, client, "increment")
	applied, unknown := int64(0), int64(0)
	const updates = 300
	for range updates {
		calls := []Call{{UDF: u, TargetIDs: []vertex.ID{v.ID()}, Buffer: make([]byte, 8), Timeout: patience}}
		require.NoError(t, client.Run(calls))
		c := &calls[0]
		switch {
		case c.Err == nil:
			applied++
		case c.Effects == EffectsUnknown:
			unknown++
		default:
			require.Equal(t, EffectsNone, c.Effects)
			requireCode(t, status.Unavailable, c.Err)
		}
		c.Clear()
	}
	got := number(t, owner, "value", v)
	resent := stat(client, "calls.resent")
	t.Logf("%d applied, %d unknown, %d requests sent again, counter %d", applied, unknown, resent, got)
	require.GreaterOrEqual(t, got, applied, "an update that was answered is lost")
	require.LessOrEqual(t, got, applied+unknown, "an update was applied twice")
	require.Greater(t, resent, int64(10), "the proxy cut too little to show anything")
	require.Greater(t, applied, int64(updates/2))
}

// A request that is sent again says so: its owner may have to know that it is the second.
func TestResendSaysSo(t *testing.T) {
	p := newProxy(t, func() int { return math.MaxInt })
	var cuts atomic.Int32
	defs := func() []udf.Definition {
		return append(common(), goFunction("cutting", udf.Updates, udf.Func{
			Calculate: func(_ *udf.Input, out *udf.Output) error {
				cuts.Add(1)
				p.cut() // the reply has no way back
				reply(out, 7)
				return nil
			}}))
	}
	type heard struct {
		sequence uint64
		again    bool
	}
	calls := make(chan heard, 100)
	p.hear = func(c *wire.Call) {
		if c.Flags&wire.CallReadOnly == 0 {
			calls <- heard{c.Sequence, c.Flags&wire.CallRetry != 0}
		}
	}
	put(t, behind(t, p, defs), "there", 1)
	client := open(t, Options{Join: []string{p.address()}, UDFs: defs()})
	there, err := client.OpenName("there")
	require.NoError(t, err)
	defer there.Release()
	u := function(t, client, "cutting")
	for name, run := range map[string]func() *Call{
		"run": func() *Call { return call(t, client, Call{UDF: u, Targets: []*Vertex{there}}) },
		"queue": func() *Call {
			require.Equal(t, int64(1), number(t, client, "value", there)) // it is connected from here on
			q := queue(t, client)
			require.NoError(t, q.Submit(submitted(u, 1, there)))
			return drain(t, q, 1)[0]
		},
	} {
		cuts.Store(0)
		c := run()
		require.Nil(t, c.Err, name)
		require.Equal(t, int64(7), get(c.Result.Bytes), name)
		c.Clear()
		require.Equal(t, int32(1), cuts.Load(), "%s: the second time it is answered from memory", name)
		first := <-calls
		require.False(t, first.again, name)
		for n := len(calls); n > 0; n-- {
			require.Equal(t, heard{first.sequence, true}, <-calls, name)
		}
		require.Positive(t, stat(client, "calls.resent"), name)
	}
}

// A worker that goes away in the middle of a fan-out ends the calls that need it, and no others.
func TestWorkerGoneInTheMiddleOfAFanOut(t *testing.T) {
	s := newStuck(t)
	defs := func() []udf.Definition {
		return append(common(), goFunction("stuck", udf.Commutative, udf.Func{Calculate: s.calculate, Merge: addUp}))
	}
	workers := members(t, 2, "tcp", defs)
	dying, err := Open(Options{NodeID: 3, Listen: []string{"tcp://127.0.0.1:0"}, Join: workers[0].Addresses(),
		UDFs: defs()})
	require.NoError(t, err)
	put(t, workers[1], "safe", 1)
	lost, err := dying.Put(PutOptions{Name: "lost"}, vertex.Int64Batch("x", 2))
	require.NoError(t, err)
	lost.Release()
	ids := []vertex.ID{vertex.NameID("safe"), vertex.NameID("lost")}
	calls := []Call{{UDF: function(t, workers[0], "stuck"), TargetIDs: ids, Buffer: make([]byte, 8), Timeout: patience}}
	var group sync.WaitGroup
	group.Go(func() { assert.NoError(t, workers[0].Run(calls)) })
	<-s.entered
	<-s.entered
	dying.kill()
	group.Go(func() { _ = dying.Close(patience) })
	s.let()
	group.Wait()
	requireCode(t, status.Unavailable, calls[0].Err)
	require.Equal(t, uint64(0), calls[0].Ticket)
	safe, err := workers[0].OpenName("safe")
	require.NoError(t, err)
	defer safe.Release()
	require.Equal(t, int64(1), number(t, workers[0], "value", safe))
	c := call(t, workers[0], Call{UDF: function(t, workers[0], "value"), TargetIDs: ids[1:], Timeout: patience})
	requireCode(t, status.Unavailable, c.Err)
	require.Eventually(t, func() bool { // in the end it is declared dead, and what it sent is forgotten
		late := exec.Origin{Node: 3, Incarnation: dying.self.Incarnation, Sequence: 1 << 40, Floor: 1}
		_, err := workers[0].engine.Exactly(late, ids[0], func() (any, error) { return nil, nil })
		return status.Of(err) == status.Aborted
	}, patience, 10*time.Millisecond)
}

// kill breaks all of a worker's connections without a word.
func (w *Worker) kill() { _ = w.rpc.Close(clock.Now()) }

func TestCloseDuringCalls(t *testing.T) {
	s := newStuck(t)
	defs := append(common(), goFunction("stuck", udf.Commutative, udf.Func{Calculate: s.calculate}))
	w, err := Open(Options{UDFs: defs})
	require.NoError(t, err)
	v := put(t, w, "v", 1)
	calls := []Call{{UDF: function(t, w, "stuck"), Targets: []*Vertex{v}, Buffer: make([]byte, 8)}}
	var group sync.WaitGroup
	group.Go(func() { _ = w.Run(calls) })
	<-s.entered
	closed := make(chan error)
	go func() { closed <- w.Close(patience) }()
	require.Eventually(t, w.closing.Load, patience, time.Millisecond)
	requireCode(t, status.BadHandle, w.Run(make([]Call, 1)), "closed")
	v.Release()
	s.let()
	group.Wait()
	require.Nil(t, calls[0].Err, "a call that was under way ends in order")
	require.NoError(t, <-closed)
	require.NoError(t, w.Close(patience), "twice is fine")
}
