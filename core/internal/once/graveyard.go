package once

import "dcf/wire"

// graveyard remembers the last incarnations that died, so that a request of theirs that comes late
// finds no fresh window to run in.
type graveyard struct {
	ring []wire.Identity
	next int
	set  map[wire.Identity]struct{}
}

func newGraveyard(limit int) graveyard {
	return graveyard{ring: make([]wire.Identity, 0, min(limit, 16)),
		set: map[wire.Identity]struct{}{}, next: -limit}
}

func (g *graveyard) has(identity wire.Identity) bool {
	_, ok := g.set[identity]
	return ok
}

// add remembers one more. next counts up to 0 while there is room and is then the oldest's index.
func (g *graveyard) add(identity wire.Identity) {
	if g.has(identity) {
		return
	}
	g.set[identity] = struct{}{}
	if g.next < 0 {
		g.ring = append(g.ring, identity)
		g.next++
		return
	}
	delete(g.set, g.ring[g.next])
	g.ring[g.next] = identity
	g.next = (g.next + 1) % len(g.ring)
}
