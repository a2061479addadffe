package core

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// logged is a log that tests read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// sessionsOver gives how many sessions a worker has with a node over which way.
func sessionsOver(w *Worker, node uint64) map[string]int64 {
	over := map[string]int64{}
	for _, s := range w.Stats() {
		if way, ok := strings.CutPrefix(s.Name, "sessions."); ok && s.Peer == node && s.Value > 0 {
			over[way] = s.Value
		}
	}
	return over
}

func valueOver(t *testing.T, w *Worker) ServedHow {
	t.Helper()
	c := call(t, w, Call{UDF: function(t, w, "value"), TargetIDs: []vertex.ID{vertex.NameID("there")},
		Buffer: make([]byte, 8), Timeout: patience})
	require.Nil(t, c.Err)
	require.Equal(t, int64(7), get(c.Result.Bytes))
	return c.ServedHow
}

// Workers of one host are told the addresses that others dial, too, and only those.
func TestSharedMemoryByItself(t *testing.T) {
	for _, listen := range []string{"tcp://127.0.0.1:0", "unix://" + filepath.Join(t.TempDir(), "dcf.sock")} {
		log := new(logged)
		owner := open(t, Options{NodeID: 1, Listen: []string{listen}, UDFs: common(), Log: log.logger()})
		put(t, owner, "there", 7)
		guest := open(t, Options{NodeID: 2, Join: owner.Addresses(), UDFs: common(), Log: log.logger()})
		require.Equal(t, SharedMem, valueOver(t, guest))
		require.Equal(t, map[string]int64{"shm": 1}, sessionsOver(guest, 1))
		require.Equal(t, map[string]int64{"shm": 1}, sessionsOver(owner, 2))
		require.Len(t, owner.Addresses(), 1)
		nodes, err := guest.Nodes()
		require.NoError(t, err)
		for _, n := range nodes {
			for _, address := range n.Addresses {
				require.NotContains(t, address, "shm://")
			}
		}
		require.NotContains(t, log.String(), "not reached")
	}
}

// A worker may listen nowhere but in shared memory.
func TestSharedMemoryByAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dcf.shm")
	owner, err := Open(Options{NodeID: 1, Listen: []string{"shm://" + path}, UDFs: common()})
	require.NoError(t, err)
	there, err := owner.Put(PutOptions{Name: "there"}, vertex.Int64Batch("x", 7))
	require.NoError(t, err)
	there.Release()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, []string{"shm://" + path}, owner.Addresses())
	guest := open(t, Options{NodeID: 2, Join: owner.Addresses(), UDFs: common()})
	require.Equal(t, SharedMem, valueOver(t, guest))
	require.NoError(t, owner.Close(patience))
	require.NoFileExists(t, path)

	for _, o := range []Options{{Listen: []string{"shm://" + path}}, {Join: []string{"shm://" + path}}} {
		o.NoSharedMemory = true
		_, err := Open(o)
		requireCode(t, status.InvalidArgument, err, "shared memory is off")
	}
}

// Where one of two has it off they use the socket, and the other one says why.
func TestSharedMemoryOff(t *testing.T) {
	for _, off := range []string{"owner", "guest"} {
		log := new(logged)
		owner := open(t, Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}, UDFs: common(),
			NoSharedMemory: off == "owner"})
		put(t, owner, "there", 7)
		guest := open(t, Options{NodeID: 2, Join: owner.Addresses(), UDFs: common(), Log: log.logger(),
			NoSharedMemory: off == "guest"})
		require.Equal(t, Network, valueOver(t, guest))
		require.Equal(t, map[string]int64{"tcp": 1}, sessionsOver(guest, 1))
		want := map[string]string{"owner": "the peer has it off", "guest": "shared memory is off"}[off]
		require.Equal(t, 1, strings.Count(log.String(), want), log)
	}
}

// A tree that crosses a socket somewhere was served by the network, wherever it began.
func TestServedHowOfATree(t *testing.T) {
	defs := func() []udf.Definition {
		return append(common(), goFunction("down", udf.Commutative, udf.Func{Merge: addUp,
			Calculate: func(in *udf.Input, out *udf.Output) error {
				reply(out, valueOf(in))
				return spawn(out, in.Children, udf.Spawn{UDF: "down"})
			}}))
	}
	for name, test := range map[string]struct {
		off  bool // on the lowest node
		want ServedHow
	}{"shared": {false, SharedMem}, "network below": {true, Network}} {
		t.Run(name, func(t *testing.T) {
			top := open(t, Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}, UDFs: defs()})
			low := open(t, Options{NodeID: 2, Listen: []string{"tcp://127.0.0.1:0"}, UDFs: defs(),
				Join: top.Addresses(), NoSharedMemory: test.off})
			root, leaf := put(t, top, "root", 1), put(t, low, "leaf", 2)
			require.NoError(t, root.Link(leaf.ID()))
			guest := open(t, Options{NodeID: 3, Join: top.Addresses(), UDFs: defs()})
			for _, many := range []int{1, 2} { // as one request, and as a task
				c := call(t, guest, Call{UDF: function(t, guest, "down"), Timeout: patience,
					TargetIDs: slices.Repeat([]vertex.ID{root.ID()}, many), Buffer: make([]byte, 8)})
				require.Nil(t, c.Err)
				require.Equal(t, int64(3*many), get(c.Result.Bytes))
				require.Equal(t, test.want, c.ServedHow)
			}
			require.Equal(t, map[string]int64{"shm": 1}, sessionsOver(guest, 1))
		})
	}
}

// The counters of sessions are those of all ways that there are.
func TestWays(t *testing.T) {
	var schemes []string
	for _, way := range transports(&Options{}) {
		schemes = append(schemes, way.Schemes()...)
		require.NoError(t, way.Close())
	}
	require.ElementsMatch(t, ways, schemes)
}

// A host's identity is the same for all its processes of one network namespace.
func TestHostID(t *testing.T) {
	id := hostID()
	require.Regexp(t, `^[0-9a-f-]{36} net:\[\d+\]$`, id)
	require.Equal(t, id, hostID())
}

// Whoever is gone is gone over shared memory, too.
func TestOwnerOfSharedMemoryIsGone(t *testing.T) {
	owner, err := Open(Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}, UDFs: common()})
	require.NoError(t, err)
	there, err := owner.Put(PutOptions{Name: "there"}, vertex.Int64Batch("x", 7))
	require.NoError(t, err)
	there.Release()
	guest := open(t, Options{NodeID: 2, Join: owner.Addresses(), UDFs: common()})
	require.Equal(t, SharedMem, valueOver(t, guest))
	require.NoError(t, owner.Close(patience))
	c := call(t, guest, Call{UDF: function(t, guest, "value"), Timeout: time.Second,
		TargetIDs: []vertex.ID{vertex.NameID("there")}})
	requireCode(t, status.Unavailable, c.Err)
	require.Empty(t, sessionsOver(guest, 1))
}
