package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core"
	"dcf/core/status"
	"dcf/vertex"
)

// patience is how long a process may take for a step before a test gives up on it.
const patience = time.Minute

// process is a dcfnode under test: this test binary in another process.
type process struct {
	t       *testing.T
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   chan string
	stderr  *journal
	address string
	id      uint64
	exited  chan struct{}
}

// journal is standard error, read by tests while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

var ready = regexp.MustCompile(`^listening on (\S+) node (\d+)$`)

// startNode starts a node on a free port and waits until it serves.
func startNode(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, lines: make(chan string, 16), stderr: &journal{}, exited: make(chan struct{})}
	p.command = exec.Command(os.Args[0], append([]string{"--listen", "tcp://127.0.0.1:0"}, args...)...)
	p.command.Env = append(os.Environ(), asNode)
	p.command.Stderr = p.stderr
	var err error
	p.stdin, err = p.command.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.command.Start())
	go func() {
		defer close(p.exited)
		defer close(p.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
		_ = p.command.Wait() // ProcessState says how it ended
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.exited
	})
	match := ready.FindStringSubmatch(p.line())
	require.Len(t, match, 3, p.stderr)
	p.address = match[1]
	p.id, err = strconv.ParseUint(match[2], 10, 64)
	require.NoError(t, err)
	return p
}

// line waits for the next line of standard output.
func (p *process) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		require.True(p.t, ok, "it ended: %s", p.stderr)
		return line
	case <-time.After(patience):
		require.Fail(p.t, "it says nothing", p.stderr)
	}
	return ""
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.command.Process.Signal(s))
}

func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		require.Fail(p.t, "it does not end", p.stderr)
	}
	return p.command.ProcessState.ExitCode()
}

// guest opens a worker in this process that joins the node.
func (p *process) guest() *core.Worker {
	p.t.Helper()
	worker, err := core.Open(core.Options{Join: []string{p.address}})
	require.NoError(p.t, err)
	p.t.Cleanup(func() { require.NoError(p.t, worker.Close(patience)) })
	return worker
}

func statusOf(t *testing.T, address string) (r report) {
	t.Helper()
	exit, stdout, stderr := dcfnode(nil, "status", address, "--json")
	require.Zero(t, exit, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	return r
}

func TestServeAndStatus(t *testing.T) {
	first := startNode(t, "--node-id", "1", "--load", "testdata/numbers.arrow", "--memory-limit",
		"64MiB")
	require.Equal(t, uint64(1), first.id)
	second := startNode(t, "--node-id", "2", "--join", first.address, "--load",
		"own=testdata/numbers.arrow", "--log-format", "json")

	for _, asked := range []*process{first, second} { // any member will do
		r := statusOf(t, asked.address)
		require.Empty(t, r.Errors)
		require.Len(t, r.Nodes, 2)
		require.Equal(t, "directory", r.Nodes[0].Role)
		require.Equal(t, []string{first.address}, r.Nodes[0].Addresses)
		require.Equal(t, int64(64<<20), r.Nodes[0].Counters["vertices.bytes.limit"])
		require.Equal(t, int64(1), r.Nodes[0].Counters["vertices"])
		require.Equal(t, "member", r.Nodes[1].Role)
		require.Equal(t, []string{second.address}, r.Nodes[1].Addresses)
		require.Equal(t, uint64(1), r.Nodes[1].Peers[0].Node)
		require.Positive(t, r.Nodes[1].Peers[0].Counters["bytes.sent"])
		require.Len(t, r.Vertices, 2)
		require.Equal(t, vertexReport{ID: vertex.NameID("numbers").String(), Name: "numbers",
			Owner: 1, Version: r.Vertices[0].Version, Rows: 10, Bytes: r.Vertices[0].Bytes},
			r.Vertices[0])
		require.Equal(t, "own", r.Vertices[1].Name)
		require.Equal(t, uint64(2), r.Vertices[1].Owner)
	}
	exit, stdout, stderr := dcfnode(nil, "status", first.address)
	require.Zero(t, exit, stderr)
	require.Regexp(t, `(?m)^1 +directory +yes `, stdout)
	require.Regexp(t, `(?m)^"numbers" +1 +\d+ +10 `, stdout)
	require.Contains(t, stdout, "node 2 and its peers")

	second.signal(syscall.SIGINT)
	require.Equal(t, exitOK, second.exit(), second.stderr)
	for line := range strings.Lines(second.stderr.String()) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		require.Contains(t, record, "msg")
	}
	require.Len(t, statusOf(t, first.address).Nodes, 1, "it left")
	first.signal(syscall.SIGTERM)
	require.Equal(t, exitOK, first.exit(), first.stderr)
	require.Contains(t, first.stderr.String(), "msg=stopped")
}

// way gives how a node's sessions with a peer go, as the table shows it.
func (r *report) way(t *testing.T, node, peer uint64) string {
	t.Helper()
	for _, n := range r.Nodes {
		for i := range n.Peers {
			if n.Node == node && n.Peers[i].Node == peer {
				return n.Peers[i].ways()
			}
		}
	}
	return ""
}

// Nodes of one host find shared memory by themselves, and each other's kind of address, too; a node
// that is killed leaves nothing that keeps its successor from the same.
func TestSharedMemory(t *testing.T) {
	path := t.TempDir() + "/dcf.shm"
	first := startNode(t, "--node-id", "1", "--listen", "shm://"+path, "--load",
		"testdata/numbers.arrow")
	tcp, shm, two := strings.Cut(first.address, ",")
	require.True(t, two, first.address)
	for _, join := range []string{tcp, tcp, shm} {
		second := startNode(t, "--node-id", "2", "--join", join) // its elder's id, once that is dead
		r := statusOf(t, join)
		require.Equal(t, "shm", r.way(t, 2, 1))
		require.Equal(t, "shm", r.way(t, 1, 2))
		second.signal(syscall.SIGKILL)
		<-second.exited
		require.NotContains(t, second.stderr.String(), "not reached")
	}
	worker, err := core.Open(core.Options{Join: []string{tcp}})
	require.NoError(t, err)
	ended := first.latched(worker)
	require.NoError(t, first.stdin.Close())
	call := <-ended
	require.Nil(t, call.Err)
	require.Equal(t, core.SharedMem, call.ServedHow)
	call.Clear()
	require.NoError(t, worker.Close(patience))
	require.NotContains(t, first.stderr.String(), "not reached")
	first.signal(syscall.SIGTERM)
	require.Equal(t, exitOK, first.exit(), first.stderr)
	require.NoFileExists(t, path)
}

// A node that is killed leaves its socket file, which its successor at the same path replaces; a living node's
// is left alone.
func TestPathOfAKilledNode(t *testing.T) {
	for _, scheme := range []string{"unix", "shm"} {
		t.Run(scheme, func(t *testing.T) {
			path := t.TempDir() + "/dcf.socket"
			address := scheme + "://" + path
			start := func() *process {
				return startNode(t, "--node-id", "1", "--listen", address, "--load", "testdata/numbers.arrow")
			}
			first := start()
			first.signal(syscall.SIGKILL)
			<-first.exited
			require.FileExists(t, path)
			second := start()
			require.Len(t, statusOf(t, address).Nodes, 1)

			exit, _, stderr := dcfnode(nil, "--listen", address)
			require.Equal(t, exitNoAccess, exit, stderr)
			require.Contains(t, stderr, "in use")
			require.Len(t, statusOf(t, address).Nodes, 1, "it lives on")
			second.signal(syscall.SIGTERM)
			require.Equal(t, exitOK, second.exit(), second.stderr)
			require.NoFileExists(t, path)
		})
	}
}

// A node that has shared memory off is reached over its socket, and whoever dials it says why.
func TestSharedMemoryOff(t *testing.T) {
	first := startNode(t, "--node-id", "1", "--shared-memory", "off")
	second := startNode(t, "--node-id", "2", "--join", first.address)
	second.await(`msg="a peer is not reached over shm" node=1 instead=` + first.address +
		` reason="the peer has it off"`)
	r := statusOf(t, second.address)
	require.Equal(t, "tcp", r.way(t, 2, 1))
	first.await(`msg="shared memory is off"`)
}

// latched starts a call that does not end before the test lets go of it.
func (p *process) latched(worker *core.Worker) (ended chan *core.Call) {
	p.t.Helper()
	function, err := worker.Register(latch(func() {}))
	require.NoError(p.t, err)
	target, err := worker.OpenName("numbers")
	require.NoError(p.t, err)
	ended = make(chan *core.Call, 1)
	go func() {
		calls := []core.Call{{UDF: function, Targets: []*core.Vertex{target}, Flags: core.AtOwner,
			Timeout: patience}}
		if err := worker.Run(calls); err != nil {
			calls[0].Err = status.From(err)
		}
		target.Release()
		function.Release()
		ended <- &calls[0]
	}()
	require.Equal(p.t, "latched", p.line())
	return ended
}

func TestStopDrainsCalls(t *testing.T) {
	node := startNode(t, "--load", "testdata/numbers.arrow", "--shutdown-timeout", "1m")
	worker := node.guest()
	ended := node.latched(worker)
	node.signal(syscall.SIGTERM)
	node.await("msg=stopping")
	select {
	case call := <-ended:
		require.Fail(t, "the call was cut off", "%v", call.Err)
	default:
	}
	require.NoError(t, node.stdin.Close()) // let go
	call := <-ended
	require.Nil(t, call.Err)
	require.Equal(t, "done", string(call.Result.Bytes))
	call.Clear()
	require.Equal(t, exitOK, node.exit(), node.stderr)
}

func TestCallsThatDoNotEnd(t *testing.T) {
	node := startNode(t, "--load", "testdata/numbers.arrow", "--shutdown-timeout", "50ms")
	ended := node.latched(node.guest())
	node.signal(syscall.SIGTERM)
	require.Equal(t, exitFailure, node.exit(), node.stderr)
	require.Contains(t, node.stderr.String(), "dcfnode: ")
	require.NotNil(t, (<-ended).Err)
}

func TestSecondSignal(t *testing.T) {
	node := startNode(t, "--load", "testdata/numbers.arrow", "--shutdown-timeout", "1m")
	ended := node.latched(node.guest())
	node.signal(syscall.SIGTERM)
	node.await("msg=stopping")
	node.signal(syscall.SIGINT)
	require.Equal(t, exitFailure, node.exit(), node.stderr)
	require.Contains(t, node.stderr.String(), "dcfnode: stopped at once by a second signal")
	call := <-ended
	require.NotNil(t, call.Err)
	require.ErrorIs(t, call.Err, status.Unavailable)
}

func TestKilledNode(t *testing.T) {
	first := startNode(t, "--node-id", "1")
	second := startNode(t, "--node-id", "2", "--join", first.address, "--load",
		"testdata/numbers.arrow")
	worker := first.guest()
	ended := second.latched(worker)
	second.signal(syscall.SIGKILL)
	call := <-ended
	require.NotNil(t, call.Err)
	require.ErrorIs(t, call.Err, status.Unavailable)

	// The others go on, and in time the cluster knows.
	_, err := worker.PeerStats(1, patience)
	require.NoError(t, err)
	third := startNode(t, "--node-id", "2", "--join", first.address) // waits for its elder's death
	require.Equal(t, uint64(2), third.id)
	require.Eventually(t, func() bool {
		v, err := worker.OpenName("numbers")
		if err == nil {
			v.Release()
			return false
		}
		require.ErrorIs(t, err, status.Unavailable)
		return strings.Contains(err.Error(), "its data is lost")
	}, patience, 10*time.Millisecond)
}

// await waits until standard error has a text.
func (p *process) await(text string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Contains(p.stderr.String(), text) },
		patience, time.Millisecond, text)
}

// A node that hangs does not keep the others' report from being told, and the exit code says so.
func TestStatusOfAHangingNode(t *testing.T) {
	first := startNode(t, "--node-id", "1", "--load", "testdata/numbers.arrow")
	second := startNode(t, "--node-id", "2", "--join", first.address)
	second.signal(syscall.SIGSTOP)
	defer second.signal(syscall.SIGCONT)
	exit, stdout, stderr := dcfnode(nil, "status", first.address, "--timeout", "300ms", "--json")
	require.Equal(t, exitFailure, exit, stderr)
	require.Contains(t, stderr, "dcfnode: the report is not whole: node 2: ")
	var r report
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Len(t, r.Nodes, 2)
	require.Positive(t, r.Nodes[0].Counters["functions"])
	require.False(t, r.Nodes[1].Alive)
}
