package core

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dcf/core/internal/clock"
	"dcf/core/internal/rpc"
	"dcf/core/internal/store"
	"dcf/vertex/arena"
	"dcf/wire"
)

// counts are what a worker counts itself.
type counts struct {
	tasks      atomic.Int64 // calls of this worker that were more than a look at a local vertex
	served     atomic.Int64 // call frames of other workers
	small      atomic.Int64 // calls of other workers that ran when they came over lanes
	calculates atomic.Int64 // that ran in tasks here, for this worker and others
	resends    atomic.Int64 // requests sent again
}

// Stats gives the worker's counters, those of each peer after its own.
func (w *Worker) Stats() []Stat {
	vertices, bytes, limit := w.store.Usage()
	used, kept := arena.Usage()
	local, small := w.store.Calls(), w.counts.small.Load()
	tasks := w.counts.tasks.Load()
	if w.clustered() {
		tasks += int64(w.rpc.Calls())
	}
	stats := []Stat{
		{Name: "calls.local", Value: local},
		{Name: "calls.tasks", Value: tasks},
		{Name: "calls.served", Value: w.counts.served.Load() + small},
		{Name: "calls.running", Value: w.running.Load()},
		{Name: "calls.overdue", Value: w.overdue.Load()},
		{Name: "calls.resent", Value: w.counts.resends.Load()},
		{Name: "calculates", Value: w.counts.calculates.Load() + local + small},
		{Name: "functions", Value: int64(len(w.functions.Load().byName))},
		{Name: "vertices", Value: vertices},
		{Name: "vertices.bytes", Value: bytes},
		{Name: "vertices.bytes.limit", Value: limit},
		{Name: "builders", Value: w.builders.Load()},
		{Name: "builders.bytes", Value: w.builderMemory.Load()},
		{Name: "memory.used", Value: int64(used)},
		{Name: "memory.kept", Value: int64(kept)},
		{Name: "memory.shared", Value: arena.Shared().Bytes},
	}
	if !w.clustered() {
		return stats
	}
	for _, n := range w.nodes() {
		if n.Identity == w.self {
			continue
		}
		peer := w.rpc.Peer(n.Identity, n.Addresses)
		c := peer.Counters()
		for _, s := range append(sessions(peer), []Stat{
			{Name: "frames.sent", Value: int64(c.FramesSent)},
			{Name: "frames.received", Value: int64(c.FramesReceived)},
			{Name: "bytes.sent", Value: int64(c.BytesSent)},
			{Name: "bytes.received", Value: int64(c.BytesReceived)},
			{Name: "requests.sent", Value: int64(c.Requests)},
			{Name: "waits.spun", Value: int64(c.Spun)},
			{Name: "waits.slept", Value: int64(c.Slept)},
			{Name: "roundtrip.ns", Value: c.RoundTripNs},
		}...) {
			s.Peer = n.Identity.Node
			stats = append(stats, s)
		}
	}
	return stats
}

// sessions counts the sessions with a peer that are up, by the way that they go.
func sessions(peer *rpc.Peer) (stats []Stat) {
	for _, way := range ways {
		stats = append(stats, Stat{Name: "sessions." + way})
	}
	for _, scheme := range peer.Schemes() {
		stats[slices.Index(ways, scheme)].Value++
	}
	return stats
}

// PeerStats asks another member for its counters.
func (w *Worker) PeerStats(node uint64, timeout time.Duration) ([]Stat, error) {
	if w.closing.Load() {
		return nil, errClosed()
	}
	if node == w.self.Node {
		return w.Stats(), nil
	}
	deadline := clock.After(w.timeout(timeout))
	peer, err := w.nodeByID(node, deadline)
	if err != nil {
		return nil, err
	}
	reply, err := w.operate(peer, &wire.Operation{Op: wire.OpStats}, deadline)
	if err != nil {
		return nil, err
	}
	defer releaseReply(reply)
	stats := make([]Stat, 0, len(reply.Stats))
	for _, s := range reply.Stats {
		stats = append(stats, Stat{Name: strings.Clone(s.Name), Peer: s.Peer, Value: s.Value})
	}
	return stats, nil
}

func statsOnWire(stats []Stat) []wire.Stat {
	out := make([]wire.Stat, 0, len(stats))
	for _, s := range stats {
		out = append(out, wire.Stat(s))
	}
	return out
}

// ownVertices describes this worker's vertices whose names start with prefix.
func (w *Worker) ownVertices(prefix string) (infos []wire.VertexInfo, err error) {
	err = w.store.Each(func(r *store.Record, version *store.Version) bool {
		if name := r.Name(); strings.HasPrefix(name, prefix) {
			infos = append(infos, w.describe(r, version))
		}
		return len(infos) < wire.MaxInfos
	})
	return infos, err
}

// floors remembers how far each caller is, so that the floor of most requests is seen to be known
// without more than a look.
type floors struct {
	mu   sync.Mutex
	seen map[wire.Identity]uint64 // under mu
}

// raise takes in a floor, and says whether it is news: what was known is below news.
func (f *floors) raise(caller wire.Identity, floor, news uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[caller] >= news {
		return false
	}
	if f.seen == nil {
		f.seen = map[wire.Identity]uint64{}
	}
	f.seen[caller] = floor
	return true
}

// forget drops what is known of an incarnation that is gone.
func (f *floors) forget(caller wire.Identity) {
	f.mu.Lock()
	delete(f.seen, caller)
	f.mu.Unlock()
}
