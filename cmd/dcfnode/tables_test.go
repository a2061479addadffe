package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core"
)

func TestTables(t *testing.T) {
	r := &report{
		Nodes: []nodeReport{
			{Node: 1, Role: "directory", Alive: true, Addresses: []string{"tcp://127.0.0.1:7411"},
				RoundTripNs: 71234, Counters: counters{"vertices": 2, "vertices.bytes": 67108864,
					"vertices.bytes.limit": 4 << 30, "calls.served": 12, "calls.running": 1}},
			{Node: 2, Role: "member", Addresses: []string{"tcp://a:1", "unix:///b"}},
			{Node: 77, Role: "guest", Alive: true},
		},
		Vertices: []vertexReport{
			{ID: "00000000000000000000000000000001", Owner: 1, Version: 1, Rows: -1, Children: 12,
				Group: true},
			{Name: "pri\nces", Owner: 1, Version: 3, Rows: 336776, Bytes: 1500},
		},
	}
	r.Nodes[0].take([]core.Stat{{Name: "requests.sent", Peer: 77, Value: 9},
		{Name: "bytes.sent", Peer: 2, Value: 1 << 20}, {Name: "roundtrip.ns", Peer: 2, Value: 123456},
		{Name: "sessions.inproc", Peer: 2, Value: 0}, {Name: "sessions.tcp", Peer: 2, Value: 1},
		{Name: "sessions.shm", Peer: 2, Value: 2}, {Name: "waits.spun", Peer: 2, Value: 40},
		{Name: "waits.slept", Peer: 2, Value: 3}, {Name: "sessions.tcp", Peer: 77, Value: 0},
		{Name: "calls.served", Value: 13}})
	var b strings.Builder
	require.NoError(t, r.print(&b))
	golden(t, "tables.txt", b.String())

	b.Reset()
	require.NoError(t, (&report{}).print(&b))
	require.Contains(t, b.String(), "no vertices")

	for i := range MaxVertexLines + 5 {
		r.Vertices = append(r.Vertices, vertexReport{Name: fmt.Sprint(i)})
	}
	b.Reset()
	require.NoError(t, r.print(&b))
	require.Contains(t, b.String(), "and 7 more: --json shows all")
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB",
		64 << 20: "64 MiB", 3 << 30: "3 GiB", 5 << 40: "5 TiB", 1<<63 - 1: "8.389e+06 TiB"} {
		require.Equal(t, want, size(bytes))
	}
}
