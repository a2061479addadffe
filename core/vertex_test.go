package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// A handle means the vertex that it was opened on. Dropped and put again under its name, wherever, it
// is another one: each use of the old handle says so, and does nothing to the new vertex.
func TestHandlesMeanOneVertex(t *testing.T) {
	for _, scheme := range []string{"inproc", "shm", "tcp"} {
		for name, owner := range map[string]int{"at its owner": 0, "at another": 1, "here": 2} {
			t.Run(scheme+"/"+name, func(t *testing.T) {
				workers := members(t, 3, scheme, common)
				user := workers[2]
				first := put(t, workers[0], "it", 1)
				old, err := user.OpenName("it")
				require.NoError(t, err)
				defer old.Release()
				value := function(t, user, "value")
				require.NoError(t, call(t, user, Call{UDF: value, Targets: []*Vertex{old}}).Failure())

				require.NoError(t, first.Drop())
				again := put(t, workers[owner], "it", 2)
				fresh, err := user.OpenName("it")
				require.NoError(t, err)
				defer fresh.Release()

				gone := func(what string, err error) {
					require.Equal(t, status.NotFound, status.Of(err), "%s: %v", what, err)
				}
				require.NoError(t, queued(t, user, &Call{UDF: value, Targets: []*Vertex{fresh}}).Failure())
				gone("queue", queued(t, user, &Call{UDF: value, Targets: []*Vertex{old}}).Failure())
				for what, flags := range map[string]CallFlags{"call": 0, "owner": AtOwner, "here": Here} {
					c := call(t, user, Call{UDF: value, Targets: []*Vertex{old}, Flags: flags})
					gone(what, c.Failure())
					require.NoError(t, call(t, user, Call{UDF: value, Targets: []*Vertex{fresh}, Flags: flags}).Failure())
				}
				_, err = old.Info()
				gone("info", err)
				_, _, err = old.Export(0)
				gone("export", err)
				_, err = old.Children()
				gone("children", err)
				_, err = old.Set(0, nil)
				gone("set", err)
				gone("link", old.Link(vertex.NameID("child")))
				gone("drop", old.Drop())

				info, err := again.Info()
				require.NoError(t, err)
				require.Equal(t, int64(1), info.Rows, "the new vertex is as it was put")
				require.Zero(t, info.Children)
			})
		}
	}
}

// Failure is the call's error, as one.
func (c *Call) Failure() error {
	if c.Err == nil {
		return nil
	}
	return c.Err
}

// queued runs a call through a queue.
func queued(t *testing.T, w *Worker, c *Call) *Call {
	q, err := w.OpenQueue()
	require.NoError(t, err)
	defer func() { require.NoError(t, q.Close()) }()
	c.Arguments = udf.Value{}
	require.NoError(t, q.Submit([]*Call{c}))
	done := make([]*Call, 1)
	n, err := q.Poll(done, patience)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	t.Cleanup(done[0].Clear)
	return done[0]
}
