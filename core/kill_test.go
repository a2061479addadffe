package core

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dcf/core/internal/failpoint"
	"dcf/core/status"
	"dcf/vertex/arena"
)

var kills = flag.Int("kills", 1000/slower, "how many clients TestKilledClients kills at random points, and as many at named ones")

const (
	killLanes   = 8 // clients that die at a time
	goodClients = 2
	// hitsBefore is how often a client passes its failpoint at most before it dies there.
	hitsBefore = 60
)

// callForever is a client that dies in the middle of its calls. It says 'S' before an update and 'D'
// when that is done.
func callForever(parent <-chan struct{}) int {
	if name := os.Getenv(pointVariable); name != "" {
		point, err := failpoint.Parse(name)
		hits, bad := strconv.Atoi(os.Getenv(hitsVariable))
		if err != nil || bad != nil {
			panic(fmt.Sprint(err, bad))
		}
		failpoint.Kill(point, hits)
	}
	w, err := Open(Options{Join: []string{os.Getenv(addressVariable)}, UDFs: shared(), Timeout: patience})
	var c *caller
	if err == nil {
		c, err = newCaller(w, os.Getenv(counterVariable))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c.before, c.behind = func() { say('S') }, func() { say('D') }
	ended := make(chan error)
	another := *c
	for _, calls := range [][]func() error{{c.ask, c.count}, {another.ask, another.send, another.fetch, another.build}} {
		go func() {
			for i := 0; ; i++ {
				if err := calls[i%len(calls)](); err != nil {
					ended <- err
				}
			}
		}()
	}
	select {
	case err := <-ended:
		fmt.Fprintln(os.Stderr, err)
		return 1
	case <-parent:
		return 1
	}
}

// killer kills one client after another, and keeps the account of their updates.
type killer struct {
	t             *testing.T
	random        *rand.Rand
	server        *Worker
	address       string
	number        int
	counter       *Vertex
	started, done int64
	took          time.Duration // from its start to its first update, of a client
}

func (l *killer) start(variables ...string) *child {
	variables = append(variables, addressVariable+"="+l.address, counterVariable+"="+l.name())
	return start(l.t, "client", variables...)
}

// atRandom kills a client anywhere: before it is up, or in the middle of calls.
func (l *killer) atRandom(int) {
	began := time.Now()
	c := l.start()
	said := []byte(nil)
	if l.took == 0 || l.random.IntN(4) > 0 {
		first := make([]byte, 1)
		if n, _ := c.out.Read(first); n > 0 {
			said = first[:n]
		}
		l.took = time.Since(began)
		time.Sleep(time.Duration(l.random.IntN(10_000)) * time.Microsecond)
	} else {
		time.Sleep(time.Duration(l.random.Int64N(int64(l.took))))
	}
	_ = c.Process.Kill()
	l.bury(c, said, "at random")
}

// atPoint has a client kill itself at a named point.
func (l *killer) atPoint(i int) {
	points := failpoint.All()
	point := points[(i*killLanes+l.number)%len(points)]
	hits := 1
	switch point {
	case failpoint.Connected, failpoint.Greeted, failpoint.Introduced: // once in its life
	case failpoint.Filled: // seldom
		hits += l.random.IntN(hitsBefore / 10)
	default:
		hits += l.random.IntN(hitsBefore)
	}
	c := l.start(pointVariable+"="+point.String(), fmt.Sprint(hitsVariable, "=", hits))
	late := time.AfterFunc(patience, func() { _ = c.Process.Signal(syscall.SIGABRT) })
	l.bury(c, nil, fmt.Sprintf("at %v, the %d. time", point, hits))
	late.Stop()
}

// bury takes what a dead client said into account.
func (l *killer) bury(c *child, said []byte, how string) {
	rest, err := io.ReadAll(c.out)
	c.reap()
	assert.NoError(l.t, err)
	assert.True(l.t, c.killed(), "a client to be killed %s: %v: %s", how, c.ProcessState, c.stderr)
	said = append(said, rest...)
	l.started += int64(bytes.Count(said, []byte("S")))
	l.done += int64(bytes.Count(said, []byte("D")))
	got := int64(0)
	calls := []Call{{UDF: function(l.t, l.server, "value"), Targets: []*Vertex{l.counter}, Buffer: make([]byte, 8)}}
	assert.NoError(l.t, l.server.Run(calls))
	got = get(calls[0].Result.Bytes)
	calls[0].Clear()
	assert.GreaterOrEqual(l.t, got, l.done, "killed %s: an update that was answered is lost", how)
	assert.LessOrEqual(l.t, got, l.started, "killed %s: an update was applied twice", how)
	if _, err = look(l.server, l.name()); status.Of(err) != status.NotFound {
		assert.NoError(l.t, err, "killed %s: a table was put in parts", how)
	}
}

func (l *killer) name() string { return fmt.Sprint("counter", l.number) }

// good calls until it is told to stop, and gives how many rounds it made.
type good struct {
	*caller
	counted int64
	rounds  atomic.Int64
}

func (g *good) run(t *testing.T, stop <-chan struct{}) {
	g.behind = func() { g.counted++ }
	for {
		select {
		case <-stop:
			return
		default:
		}
		if !assert.NoError(t, g.all(), "another client's call") {
			return
		}
		g.rounds.Add(1)
	}
}

// goods starts clients in this process that call through shared memory. stop ends them and looks whether
// their updates count.
func goods(t *testing.T, address string, counts []*Vertex) (all []*good, stop func()) {
	for i := range counts {
		w := open(t, Options{Join: []string{address}, UDFs: shared()})
		c, err := newCaller(w, fmt.Sprint("counter", killLanes+i))
		require.NoError(t, err)
		g := &good{caller: c}
		g.behind = func() { g.counted++ }
		require.NoError(t, c.all())
		all = append(all, g)
	}
	end := make(chan struct{})
	var work sync.WaitGroup
	for _, g := range all {
		work.Go(func() { g.run(t, end) })
	}
	return all, func() {
		close(end)
		work.Wait()
		for i, g := range all {
			require.Positive(t, g.rounds.Load())
			require.Equal(t, g.counted, number(t, counts[i].Worker(), "value", counts[i]))
		}
	}
}

// holdings is what a process holds for its peers.
type holdings struct {
	descriptors, goroutines, rings, segments, memory, guests int
	running, builders                                        int64
	pinned                                                   bool // something is read all the time
}

func held(w *Worker) (h holdings) {
	h.rings, h.segments = mappings()
	h.descriptors, h.goroutines = openDescriptors(), runtime.NumGoroutine()
	late := time.Now().Add(patience)
	h.pinned = !w.store.Quiesce(func() bool { return time.Now().After(late) })
	w.Reclaim()
	h.memory, _ = arena.Usage()
	for _, n := range w.nodes() {
		if n.Alive && n.Identity != w.self {
			h.guests++
		}
	}
	h.running, h.builders = stat(w, "calls.running"), stat(w, "builders")
	return h
}

// mappings counts the memory of connections and the segments of other processes that this one has mapped.
func mappings() (rings, segments int) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	own := map[string]bool{} // segments, by their inodes: those are mapped to be written
	var others []string
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(line, "/memfd:dcf-ring"):
			rings++
		case !strings.Contains(line, "/memfd:dcf"):
		case fields[1] == "rw-s":
			own[fields[4]] = true
		default:
			others = append(others, fields[4])
		}
	}
	for _, inode := range others {
		if !own[inode] { // clients of the same process map its segments, too
			segments++
		}
	}
	return rings, segments
}

// within says whether there is no more than before, but for goroutines that a pool keeps and for old versions of
// counters that wait for their readers: neither grows with the number of clients that died.
func (h holdings) within(before holdings) bool {
	const pooled, versions = 16, 64 << 10
	return h.descriptors <= before.descriptors && h.goroutines <= before.goroutines+pooled &&
		h.rings <= before.rings && h.segments <= before.segments && h.memory <= before.memory+versions &&
		h.guests <= before.guests && h.running <= before.running && h.builders <= before.builders && !h.pinned
}

// settle waits until a server holds no more than before, and lets the clients go.
func settle(t *testing.T, server *Worker, clients []*good, before holdings) {
	var after holdings
	assert.Eventually(t, func() bool {
		for _, g := range clients {
			assert.NoError(t, g.ask()) // takes in what the server has given back
		}
		after = held(server)
		return after.within(before)
	}, patience, time.Millisecond)
	require.True(t, after.within(before), "before %+v, after %+v", before, after)
	for _, g := range clients {
		g.release()
	}
}

// discard drops what clients built.
func discard(t *testing.T, w *Worker, counters []*Vertex) {
	for _, c := range counters {
		counter, err := c.Name()
		require.NoError(t, err)
		v, err := w.OpenName(builtBy(counter))
		if status.Of(err) == status.NotFound {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, v.Drop())
		v.Release()
	}
}

// Clients are killed at any instruction. Calls of others stay right, each update that was answered is
// there and none twice, and of the dead nothing is left.
func TestKilledClients(t *testing.T) {
	for _, way := range []struct {
		name string
		kill func(l *killer, i int)
	}{
		{"random", (*killer).atRandom}, {"named", (*killer).atPoint},
	} {
		t.Run(way.name, func(t *testing.T) {
			if way.name == "named" && !failpoint.Enabled {
				t.Skip("it needs -tags failpoint")
			}
			random := seeded(t)
			server, address, counts := sharing(t, killLanes+goodClients)
			clients, stop := goods(t, address, counts[killLanes:])
			before := held(server)
			var dead atomic.Int64
			var work sync.WaitGroup
			began := time.Now()
			for n := range killLanes {
				l := &killer{t: t, random: rand.New(rand.NewPCG(random.Uint64(), 0)), server: server,
					address: address, number: n, counter: counts[n]}
				work.Go(func() {
					for i := 0; dead.Add(1) <= int64(*kills) && !t.Failed(); i++ {
						way.kill(l, i)
						if n := dead.Load(); n%500 == 0 {
							fmt.Printf("%d of %d clients killed, %s, in %v\n", n, *kills, way.name, time.Since(began))
						}
					}
				})
			}
			work.Wait()
			took := time.Since(began)
			stop()
			discard(t, server, counts[:killLanes])
			settle(t, server, clients, before)
			t.Logf("%d killed in %v; others made %d and %d rounds", *kills, took,
				clients[0].rounds.Load(), clients[1].rounds.Load())
		})
	}
}

// A client that is stopped in the middle of its calls delays nobody, and goes on when it may.
func TestStoppedClient(t *testing.T) {
	_, address, counts := sharing(t, killLanes+goodClients)
	clients, stop := goods(t, address, counts[killLanes:])
	l := &killer{t: t, address: address}
	c := l.start()
	defer c.kill()
	for range 3 {
		c.expect(t, 'S')
		c.expect(t, 'D')
		require.NoError(t, c.Process.Signal(syscall.SIGSTOP))
		from := clients[0].rounds.Load()
		for clients[0].rounds.Load() < from+10 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, c.Process.Signal(syscall.SIGCONT))
	}
	stop()
	for _, g := range clients {
		g.release()
	}
}
