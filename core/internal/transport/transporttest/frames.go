package transporttest

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// Frames of all sizes arrive in order, in both directions at once.
func testOrder(t *testing.T, s Subject) {
	near, far := connect(t, s)
	r := random(t)
	const frames = 3000
	sizes := make([]int, frames)
	for i := range sizes {
		sizes[i] = r.IntN(1 << r.IntN(18))
	}
	var ends sync.WaitGroup
	for _, c := range []transport.Conn{near, far} {
		ends.Go(func() {
			for i, size := range sizes {
				value := bytes.Repeat([]byte{byte(i)}, size)
				_, _, err := c.Send(frame(uint64(i), wire.Operation{HasValue: true,
					Value: udf.Value{Bytes: value}}))
				if err == nil && (i%7 == 0 || i == frames-1) {
					err = c.Flush()
				}
				clear(value) // it is only borrowed
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		ends.Go(func() {
			var in transport.Inbound
			defer in.Clear()
			for i, size := range sizes {
				h, err := await(c)
				if err == nil {
					err = c.Take(&in)
				}
				if err != nil {
					t.Error(err)
					return
				}
				got := in.Frame.Message.(*wire.Operation).Value.Bytes
				want := bytes.Repeat([]byte{byte(i)}, size)
				if h.CallID != uint64(i) || !bytes.Equal(got, want) {
					t.Errorf("frame %d came as %d with %d bytes, not %d", i, h.CallID, len(got), size)
					return
				}
			}
		})
	}
	ends.Wait()
}

// Each sender's frames stay in order, and none is torn by another's.
func testConcurrentSenders(t *testing.T, s Subject) {
	near, far := connect(t, s)
	const senders, frames = 8, 300
	var all sync.WaitGroup
	for k := range senders {
		all.Go(func() {
			value := bytes.Repeat([]byte{byte(k)}, 1<<(2*k)) // the largest have bodies
			for i := range frames {
				_, _, err := near.Send(frame(uint64(i), wire.Operation{Name: string(rune('a' + k)),
					HasValue: true, Value: udf.Value{Bytes: value}}))
				if err == nil {
					err = near.Flush()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var in transport.Inbound
	defer in.Clear()
	due := map[string]uint64{}
	for range senders * frames {
		next(t, far)
		require.NoError(t, far.Take(&in))
		op := in.Frame.Message.(*wire.Operation)
		require.Equal(t, due[op.Name], op.Expected, "of sender %s", op.Name)
		due[op.Name]++
		k := op.Name[0] - 'a'
		require.True(t, bytes.Equal(bytes.Repeat([]byte{k}, 1<<(2*k)), op.Value.Bytes))
	}
	all.Wait()
}

// A message arrives as it was, whatever the sender does to its memory afterwards.
func testValues(t *testing.T, s Subject) {
	near, far := connect(t, s)
	batch := vertex.Int64Batch("n", 1, 2, 3)
	call := &wire.Call{
		Root: wire.Identity{Node: 7, Incarnation: 8}, Sequence: 9, SpawnBudget: 10,
		UDFs: []wire.UDFRef{{Name: "first"}, {Name: "second", Hash: [16]byte{1}}},
		Targets: []wire.Target{
			{ID: vertex.NameID("a"), Path: []uint32{1, 2}},
			{ID: vertex.NameID("b"), UDF: 1, HasArguments: true, Arguments: udf.Value{Batch: batch}},
		},
		Arguments: udf.Value{Bytes: []byte("arguments")},
	}
	h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindCall,
		CallID: 5, BudgetNs: 6, TraceID: 7}
	send(t, near, &wire.Frame{Header: h, Message: call})
	failure := status.Errorf(status.UDFFailed, "it failed").WithDetail("in line 1")
	h.Kind = wire.KindReply
	reply := &wire.Reply{Error: failure, Ran: []wire.NodeRuns{{Node: 1, Runs: 2}},
		Nodes: []wire.NodeInfo{{Addresses: []string{"tcp://a:1"}}}}
	send(t, near, &wire.Frame{Header: h, Message: reply})
	require.NoError(t, near.Flush())
	batch.Release()
	call.UDFs[1].Name, call.Targets[0].Path[1] = "changed", 9
	copy(call.Arguments.Bytes, "CHANGED")
	reply.Ran[0].Runs, reply.Nodes[0].Addresses[0], failure.Message = 9, "changed", "changed"

	var in transport.Inbound
	defer in.Clear()
	next(t, far)
	require.NoError(t, far.Take(&in))
	got := in.Frame.Message.(*wire.Call)
	require.Equal(t, int64(6), in.Frame.Header.BudgetNs)
	require.Equal(t, uint64(7), got.Root.Node)
	require.Equal(t, "second", got.UDFs[1].Name)
	require.Equal(t, []uint32{1, 2}, got.Targets[0].Path)
	require.Equal(t, "arguments", string(got.Arguments.Bytes))
	require.Equal(t, []int64{1, 2, 3}, got.Targets[1].Arguments.Batch.Int64(0))
	next(t, far)
	require.NoError(t, far.Take(&in)) // releases the batch
	answer := in.Frame.Message.(*wire.Reply)
	require.Equal(t, status.UDFFailed, answer.Error.Code)
	require.Equal(t, "it failed", answer.Error.Message)
	require.Equal(t, uint64(2), answer.Ran[0].Runs)
	require.Equal(t, "tcp://a:1", answer.Nodes[0].Addresses[0])
}

// Tables larger than all buffers arrive whole, and may outlive their frame.
func testLargeValues(t *testing.T, s Subject) {
	near, far := connect(t, s)
	numbers := make([]int64, 4<<20)
	for i := range numbers {
		numbers[i] = int64(i)
	}
	batch := vertex.Int64Batch("n", numbers...)
	for i := range uint64(3) {
		send(t, near, frame(i, wire.Operation{HasValue: true, Value: udf.Value{Batch: batch}}))
	}
	text := bytes.Repeat([]byte("text"), 5<<20)
	send(t, near, frame(3, wire.Operation{HasValue: true, Value: udf.Value{Bytes: text}}))
	send(t, near, frame(4, wire.Operation{}))
	require.NoError(t, near.Flush())
	batch.Release()
	clear(text)
	var in transport.Inbound
	defer in.Clear()
	for i := range uint64(3) {
		op := receive(t, far, &in, i)
		got := op.Value.Batch
		op.Value.Batch = nil
		in.Clear()
		require.True(t, slices.Equal(numbers, got.Int64(0)))
		got.Release()
	}
	op := receive(t, far, &in, 3)
	require.True(t, bytes.Equal(bytes.Repeat([]byte("text"), 5<<20), op.Value.Bytes))
	receive(t, far, &in, 4)
}

// Skipped frames leave no trace, whatever they carry.
func testSkip(t *testing.T, s Subject) {
	near, far := connect(t, s)
	batch := vertex.Int64Batch("n", make([]int64, 1<<18)...)
	defer batch.Release()
	var in transport.Inbound
	defer in.Clear()
	for i := range uint64(10) {
		send(t, near, frame(2*i, wire.Operation{HasValue: true, Value: udf.Value{Batch: batch}}))
		send(t, near, frame(2*i+1, wire.Operation{Name: "kept"}))
		require.NoError(t, near.Flush())
		require.Equal(t, 2*i, next(t, far).CallID)
		far.Skip()
		require.Equal(t, "kept", receive(t, far, &in, 2*i+1).Name)
	}
}
