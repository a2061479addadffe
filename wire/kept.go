package wire

import (
	"maps"
	"sync"
	"sync/atomic"
)

// kept is a small table of things that are costly to make again, read without a lock. When it is
// full it is emptied. The zero kept is ready; it is safe for concurrent use.
type kept[K comparable, V any] struct {
	lock sync.Mutex // of writers
	now  atomic.Pointer[map[K]V]
}

func (k *kept[K, V]) table() map[K]V {
	if now := k.now.Load(); now != nil {
		return *now
	}
	return nil
}

// put adds an entry, of at most limit.
func (k *kept[K, V]) put(key K, value V, limit int) {
	k.lock.Lock()
	defer k.lock.Unlock()
	next := maps.Clone(k.table())
	if next == nil || len(next) >= limit {
		next = make(map[K]V)
	}
	next[key] = value
	k.now.Store(&next)
}
