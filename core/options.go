package core

import (
	"log/slog"
	"time"

	"dcf/udf"
	"dcf/vertex"
)

// Options say how a worker is opened. The zero value is an embedded worker: alone, without ports.
type Options struct {
	// NodeID is the worker's id in its cluster, from 1 to vertex.MaxNodeID; 0: chosen at random.
	NodeID uint64
	// Listen are addresses to serve at: "tcp://127.0.0.1:7411" (port 0: any free one),
	// "unix:///run/dcf.sock", "shm:///run/dcf.shm" for processes of this host and user only. A worker
	// that listens is a member, one that does not is a guest.
	Listen []string
	// Advertise are the addresses that other workers are told to dial, where these are not those of
	// Listen: behind a proxy or in a container.
	Advertise []string
	// Join are addresses of workers of the cluster to join, tried in order; empty: the worker is
	// alone, or the first node of a new cluster.
	Join []string
	// Insecure allows to listen beyond loopback without TLS.
	Insecure bool
	// NoSharedMemory keeps the worker to its sockets. Without it workers of one host and user that
	// meet over a socket go on over shared memory, at whatever address they met.
	NoSharedMemory bool
	// SharedLimit bounds the bytes of vertex data that others of this host may map; 0:
	// arena.MaxSharedBytes. What goes beyond is copied to them. SharedWarm is how many of them get
	// their pages in the background, so that the first large values need not wait for the system. Both
	// are for the whole process: those of its first worker that listens or joins count.
	SharedLimit, SharedWarm int64
	// MemoryLimit bounds the bytes of vertex data; 0: half of the machine's memory.
	MemoryLimit int64
	// Timeout is the default for everything that waits; 0: DefaultTimeout.
	Timeout time.Duration
	// Spin is how long whoever waits for a frame polls before it sleeps, at most; 0: DefaultSpin,
	// negative: never. Where that does not help, as on one CPU, it is soon done rarely.
	Spin time.Duration
	// Load are vertices to make, Remote vertices whose owners are known beforehand, and UDFs
	// functions to register, all before the worker serves anybody.
	Load   []Load
	Remote []Remote
	UDFs   []udf.Definition
	// Log takes what happens; nil: nothing is logged.
	Log *slog.Logger
}

// Load is a vertex that a worker makes when it opens. The worker takes over the reference to Value
// (nil: no value).
type Load struct {
	Name     string
	Value    *vertex.Batch
	Children []vertex.ID
}

// Remote is a vertex that another worker owns.
type Remote struct {
	ID   vertex.ID
	Node uint64
}
