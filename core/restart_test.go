package core

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// staying are the functions of a server that is killed: stay never returns.
func staying() []udf.Definition {
	return append(shared(), goFunction("stay", 0, udf.Func{
		Calculate: func(*udf.Input, *udf.Output) error {
			say('S')
			select {}
		}}))
}

// serveForever is a server that is killed in the middle of its calls. It says 'R' when it can be called,
// and 'S' when "stay" was called.
func serveForever(parent <-chan struct{}) int {
	w, err := Open(Options{NodeID: 1, Listen: []string{os.Getenv(addressVariable)}, UDFs: staying(),
		NoSharedMemory: os.Getenv(plainVariable) != ""})
	if err == nil {
		err = furnish(w)
	}
	for name, value := range map[string]int64{"counter": 0, "there": 7} {
		if err == nil {
			_, err = w.Put(PutOptions{Name: name}, vertex.Int64Batch("x", value))
		}
	}
	if err == nil {
		_, err = w.Put(PutOptions{Name: "group", ShardCount: 2}, vertex.Int64Batch("x", 1, 2, 3))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	say('R')
	<-parent
	return 0
}

// eventually waits until f gives no error.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	require.NoError(t, err)
}

// restartable is a server of another process, and where it listens.
type restartable struct {
	*child
	t         *testing.T
	variables []string
}

func (r *restartable) start() {
	r.child = start(r.t, "server", r.variables...)
	r.t.Cleanup(r.child.kill)
	r.expect(r.t, 'R')
}

// underWay makes calls that do not return until the server is gone.
func (r *restartable) underWay(w *Worker, target *Vertex, n int) (ended func()) {
	var work sync.WaitGroup
	stay := function(r.t, w, "stay")
	for range n {
		work.Go(func() {
			calls := []Call{{UDF: stay, Targets: []*Vertex{target}, Flags: AtOwner}}
			assert.NoError(r.t, w.Run(calls))
			assert.Equal(r.t, status.Unavailable, status.Of(calls[0].Err), "%v", calls[0].Err)
			calls[0].Clear()
		})
	}
	for range n {
		r.expect(r.t, 'S')
	}
	return work.Wait
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return "tcp://" + l.Addr().String()
}

// A server that is killed and started again at its address is found again by workers that stayed, and what
// they held of the old one is not taken for what the new one has.
func TestServerRestarted(t *testing.T) {
	folder := t.TempDir()
	for _, way := range []struct {
		name, address string
		plain         bool // without shared memory
		how           ServedHow
	}{
		{"tcp", freePort(t), true, Network},
		{"unix", "unix://" + filepath.Join(folder, "unix"), true, Network},
		{"shm", "shm://" + filepath.Join(folder, "shm"), false, SharedMem},
		{"referred", freePort(t), false, SharedMem},
	} {
		for _, member := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/member=%v", way.name, member), func(t *testing.T) {
				r := &restartable{t: t, variables: []string{addressVariable + "=" + way.address}}
				options := Options{Join: []string{way.address}, UDFs: staying(), NoSharedMemory: way.plain}
				if way.plain {
					r.variables = append(r.variables, plainVariable+"=1")
				}
				if member {
					options.NodeID, options.Listen = 2, []string{"tcp://127.0.0.1:0"}
				}
				r.start()
				w := open(t, options)
				if member {
					put(t, w, "own", 7)
				}
				var old *caller
				for round := range 2 {
					c, err := newCaller(w, "counter")
					require.NoError(t, err)
					require.NoError(t, c.all())
					if old != nil {
						requireStale(t, old)
						old.release()
					}
					group, err := w.OpenName("group")
					require.NoError(t, err)
					shards, err := group.Children()
					require.NoError(t, err)
					group.Release()
					require.Equal(t, way.how, valueOver(t, w))

					ended := r.underWay(w, c.answer, 4)
					r.kill()
					ended()
					for _, one := range []func() error{c.ask, c.send, c.count, c.fetch} {
						requireCode(t, status.Unavailable, one())
					}
					_, err = w.OpenName("answer")
					requireCode(t, status.Unavailable, err)
					r.start()
					eventually(t, func() error {
						v, err := w.OpenName("answer")
						if err == nil {
							v.Release()
						}
						return err
					})
					for _, id := range shards {
						_, err := w.Open(id)
						requireCode(t, status.NotFound, err, "restarted")
					}
					old = c
					if member {
						requireOwn(t, way.address, way.plain, round)
					}
				}
				requireStale(t, old)
				old.release()
			})
		}
	}
}

// requireStale looks whether handles of an earlier incarnation's vertices are known to be that.
func requireStale(t *testing.T, old *caller) {
	for _, one := range []func() error{old.ask, old.send, old.count, old.fetch} {
		requireCode(t, status.NotFound, one())
	}
	_, err := old.answer.Set(0, nil)
	requireCode(t, status.NotFound, err)
	requireCode(t, status.NotFound, old.table.Drop())
}

// requireOwn looks whether the vertex of a member that went along is known in the new cluster.
func requireOwn(t *testing.T, address string, plain bool, round int) {
	w := open(t, Options{Join: []string{address}, UDFs: staying(), NoSharedMemory: plain})
	eventually(t, func() error {
		v, err := w.OpenName("own")
		if err == nil {
			require.Equal(t, int64(7+round), number(t, w, "value", v))
			_, err = v.Set(0, vertex.Int64Batch("x", int64(8+round)))
			v.Release()
		}
		return err
	})
}
