package rpc

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/lane"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/inproc"
	"dcf/core/internal/transport/shm"
	"dcf/core/internal/transport/tcp"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// schemes are the ways that each test of requests goes.
var schemes = []string{"inproc", "tcp", "unix", "shm"}

func eachScheme(t *testing.T, test func(t *testing.T, scheme string)) {
	for _, scheme := range schemes {
		t.Run(scheme, func(t *testing.T) { test(t, scheme) })
	}
}

var names atomic.Uint64

func anyAddress(t testing.TB, scheme string) string {
	switch scheme {
	case "tcp":
		return "tcp://127.0.0.1:0"
	case "unix":
		return "unix://" + filepath.Join(t.TempDir(), "dcf.sock")
	case "shm":
		return fmt.Sprintf("shm://@dcf-test-%d-%d", os.Getpid(), names.Add(1))
	default:
		return fmt.Sprintf("inproc://test-%d", names.Add(1))
	}
}

// handler is a Handler made of functions.
type handler struct {
	serve  func(*Request)
	notify func(wire.Identity, *wire.Operation)

	mu   sync.Mutex
	seen []string
	news chan string
}

func newHandler(serve func(*Request)) *handler {
	return &handler{serve: serve, news: make(chan string, 1024)}
}

func (h *handler) Serve(requests []*Request) {
	for _, r := range requests {
		h.serve(r)
	}
}

func (h *handler) Together(_, _ *Request) bool { return false }

func (h *handler) Answer(calls []lane.Call, answers []lane.Answer) {
	for i := range calls {
		answers[i].Give(7, calls[i].Arguments, true)
	}
}

func (h *handler) Notify(from wire.Identity, op *wire.Operation) {
	if h.notify != nil {
		h.notify(from, op)
	}
}

func (h *handler) PeerUp(hello *wire.Hello) {
	h.news <- fmt.Sprintf("up %d", hello.Identity.Node)
}

func (h *handler) PeerDown(id wire.Identity, err error) {
	h.mu.Lock()
	h.seen = append(h.seen, err.Error())
	h.mu.Unlock()
	h.news <- fmt.Sprintf("down %d", id.Node)
}

func (h *handler) lastReason() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen[len(h.seen)-1]
}

// patience is for what has to happen; no test passes because of it.
const patience = 30 * time.Second

func soon() int64 { return clock.After(patience) }

func (h *handler) expect(t testing.TB, news string) {
	t.Helper()
	select {
	case got := <-h.news:
		require.Equal(t, news, got)
	case <-time.After(patience):
		require.FailNow(t, "nothing happened", "waiting for %q", news)
	}
}

func config(node uint64, h Handler) Config {
	return Config{
		Identity: wire.Identity{Node: node, Incarnation: 1}, Member: true, Handler: h,
		Timeout: patience, Transports: []transport.Transport{tcp.New(), inproc.New(), shm.New()},
	}
}

func open(t testing.TB, cfg Config) *Node {
	n := Open(cfg)
	t.Cleanup(func() { require.NoError(t, n.Close(soon())) })
	return n
}

// listening gives a node that serves at an address of the scheme.
func listening(t testing.TB, scheme string, h Handler) (*Node, string) {
	n := open(t, config(1, h))
	address, err := n.Listen(anyAddress(t, scheme))
	require.NoError(t, err)
	return n, address
}

// dialled gives a peer that a second node, a guest, has connected to.
func dialled(t testing.TB, address string, change func(*Config)) (*Node, *Peer) {
	cfg := config(2, newHandler(nil))
	cfg.Member = false
	if change != nil {
		change(&cfg)
	}
	n := open(t, cfg)
	p, err := n.Dial(address, soon())
	require.NoError(t, err)
	return n, p
}

// echo answers a call with its arguments, and an operation with its value.
func echo(r *Request) {
	var reply wire.Reply
	if r.Call != nil {
		reply.Parts = []wire.Part{{Value: take(&r.Call.Arguments)}}
	} else {
		reply.HasValue, reply.Value = r.Operation.HasValue, take(&r.Operation.Value)
		reply.Version = r.Operation.Expected
	}
	r.Reply(&reply)
}

func take(v *udf.Value) udf.Value {
	value := *v
	v.Batch = nil
	return value
}

func callFrame(arguments []byte) *wire.Frame {
	return &wire.Frame{Message: &wire.Call{
		UDFs:      []wire.UDFRef{{Name: "echo"}},
		Targets:   []wire.Target{{ID: vertex.NameID("v")}},
		Arguments: udf.Value{Bytes: arguments},
	}}
}

func operationFrame(number uint64, value []byte) *wire.Frame {
	return &wire.Frame{Message: &wire.Operation{
		Op: wire.OpSet, ID: vertex.NameID("v"), Expected: number,
		HasValue: value != nil, Value: udf.Value{Bytes: value},
	}}
}

func requireCode(t testing.TB, err error, code status.Code) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, status.Of(err), "%v", err)
}

// cancelFunc is a Canceller made of a function.
type cancelFunc func()

func (f cancelFunc) Cancel() { f() }

// callback is an asynchronous request that ends in a function.
type callback struct {
	Pending
	done func(*Reply, error)
}

func (c *callback) Completed(p *Pending) {
	var reply Reply
	err := p.Collect(&reply)
	c.done(&reply, err)
	reply.Clear()
}

// start sends a request that ends in a function, which a goroutine of rpc calls.
func start(p *Peer, req *wire.Frame, deadline int64, done func(*Reply, error)) error {
	var r Reader
	r.Eager.Store(true)
	c := &callback{done: done}
	all := [1]Start{{Request: req, Pending: &c.Pending, Deadline: deadline, Done: c}}
	if r.Start(p, all[:]); all[0].Err != nil {
		return all[0].Err
	}
	c.sentOn.arm()
	return nil
}
