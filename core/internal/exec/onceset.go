package exec

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"sync/atomic"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// onceSets remembers which ONCE spawns of a call ran at this worker, until the call is finished.
type onceSets struct {
	some atomic.Int64 // how many sets there are
	mu   sync.Mutex
	sets map[onceCall]map[[sha256.Size]byte][sha256.Size]byte // under mu: what ran, and at which path
}

// onceCall names a call in the whole cluster.
type onceCall struct {
	caller   wire.Identity
	sequence uint64
}

// first says whether the item is the first of its call with this function, target and arguments, or
// that very one, sent again.
func (t *Task) first(it *Item) bool {
	digest := sha256.New()
	digest.Write(it.Function.Hash[:])
	digest.Write(it.Target[:])
	value := t.arguments(it)
	if value.Batch != nil {
		if err := digestBatch(digest, value.Batch); err != nil {
			t.fail(status.From(err))
			return false
		}
	} else {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(value.Bytes)))
		digest.Write(size[:])
		digest.Write(value.Bytes)
	}
	key := [sha256.Size]byte(digest.Sum(nil))
	path := digestPath(it.Indexes())
	t.Engine.Network.Number(t)
	call := onceCall{wire.Identity{Node: t.Origin.Node, Incarnation: t.Origin.Incarnation}, t.Origin.Sequence}
	o := &t.Engine.once
	o.mu.Lock()
	defer o.mu.Unlock()
	set := o.sets[call]
	if set == nil {
		if len(o.sets) >= MaxOnceSets {
			t.fail(status.Errorf(status.Exhausted,
				"%d calls with ONCE spawns are under way here (MaxOnceSets)", MaxOnceSets))
			return false
		}
		if o.sets == nil {
			o.sets = map[onceCall]map[[sha256.Size]byte][sha256.Size]byte{}
		}
		set = map[[sha256.Size]byte][sha256.Size]byte{}
		o.sets[call] = set
		o.some.Add(1)
	}
	if at, seen := set[key]; seen {
		return at == path
	}
	if len(set) >= DefaultSpawnBudget {
		t.fail(status.Errorf(status.Exhausted,
			"the call has more than %d ONCE spawns here (DefaultSpawnBudget)", DefaultSpawnBudget))
		return false
	}
	set[key] = path
	return true
}

// finished forgets the calls of a caller below a sequence.
func (o *onceSets) finished(caller wire.Identity, below uint64) {
	if o.some.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for call := range o.sets {
		if call.caller == caller && call.sequence < below {
			delete(o.sets, call)
			o.some.Add(-1)
		}
	}
}

// Forget drops what is remembered of one call.
func (e *Engine) Forget(caller wire.Identity, sequence uint64) {
	o := &e.once
	if o.some.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	call := onceCall{caller, sequence}
	if _, there := o.sets[call]; there {
		delete(o.sets, call)
		o.some.Add(-1)
	}
}

func digestPath(path []uint32) [sha256.Size]byte {
	bytes := make([]byte, 0, 64)
	for _, index := range path {
		bytes = binary.LittleEndian.AppendUint32(bytes, index)
	}
	return sha256.Sum256(bytes)
}

// digestBatch writes what makes two batches equal: their schema, and their values without offsets.
func digestBatch(to hash.Hash, b *vertex.Batch) error {
	var flat vertex.Flat
	if err := b.Flatten(&flat); err != nil {
		return err
	}
	defer flat.Free()
	to.Write([]byte(b.Schema().Arrow().String()))
	digestFlat(to, &flat)
	return nil
}

func digestFlat(to hash.Hash, flat *vertex.Flat) {
	var word [8]byte
	number := func(n int64) {
		binary.LittleEndian.PutUint64(word[:], uint64(n))
		to.Write(word[:])
	}
	number(flat.Rows)
	for _, node := range flat.Nodes {
		number(node.Length)
		number(node.NullCount)
	}
	for _, buffer := range flat.Buffers {
		number(int64(len(buffer)))
		to.Write(buffer)
	}
	for _, inner := range flat.Dictionaries {
		digestFlat(to, inner)
	}
}
