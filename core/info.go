package core

import (
	"time"

	"dcf/vertex"
)

// VertexKind says what a vertex is to this worker.
type VertexKind uint32

// The kinds of vertices.
const (
	LocalVertex  VertexKind = 0 // owned here
	RemoteVertex VertexKind = 1 // only its owner is known here
)

// VertexInfo describes a vertex at one moment.
type VertexInfo struct {
	ID       vertex.ID
	Name     string
	Kind     VertexKind
	Owner    uint64
	Version  uint64
	Rows     int64 // of the value; -1: no value
	Bytes    int64
	Children int
	Group    bool // a call on it runs on its children
}

// NodeInfo describes a worker of the cluster.
type NodeInfo struct {
	Node        uint64
	Incarnation uint32
	Member      bool
	Directory   bool
	Self        bool
	Alive       bool
	Addresses   []string
	RoundTrip   time.Duration // 0: not measured
}

// Stat is one counter of this worker.
type Stat struct {
	Name  string // "calls.local", "bytes.sent", ...
	Peer  uint64 // the peer that it concerns; 0: none
	Value int64
}

// PutOptions say where and how a value becomes a vertex.
type PutOptions struct {
	Name       string
	Node       uint64 // 0: here, and shards round robin over members
	ShardBy    string // a column: one shard a distinct value; the result is a group
	ShardCount int    // over 1: that many shards of about equal size
	Replace    bool   // replace the value of an existing vertex
	Timeout    time.Duration
}

// Reader gives the batches of a table; io.EOF ends it. The receiver of a batch owns it.
type Reader interface {
	Schema() *vertex.Schema
	Next() (*vertex.Batch, error)
	Close()
}
