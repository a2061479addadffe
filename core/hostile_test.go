package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/status"
)

var hostile = flag.Duration("hostile", 6*time.Second, "how long TestHostileClients has clients spoil their memory")

const hostileClients = 2

// sharedWords is the memory that this process shares with others, at addresses that stay when its connections end.
type sharedWords struct {
	rings    [][]uint32 // each has one for each direction
	segments [][]uint32
}

func mapShared() (all sharedWords) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if !strings.Contains(line, " rw-s ") || !strings.Contains(line, "/memfd:dcf") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
			panic(err)
		}
		// Of shared memory that does not go: an old size of 0 makes a second mapping.
		at, err := unix.MremapPtr(*(*unsafe.Pointer)(unsafe.Pointer(&from)), 0, nil, to-from, unix.MREMAP_MAYMOVE)
		if err != nil {
			panic(err)
		}
		words := unsafe.Slice((*uint32)(at), (to-from)/4)
		if strings.Contains(line, "dcf-ring") {
			all.rings = append(all.rings, words)
		} else {
			all.segments = append(all.segments, words)
		}
	}
	return all
}

func (s sharedWords) unmap() {
	for _, words := range append(s.rings, s.segments...) {
		_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(words)), uintptr(len(words))*4)
	}
}

// spoil changes one word.
func (s sharedWords) spoil() {
	if n := len(s.segments); n > 0 && rand.IntN(3) == 0 {
		const used = 1 << 19 // words, from the start
		words := s.segments[rand.IntN(n)]
		change(words, rand.IntN(min(used, len(words))))
	} else if n := len(s.rings); n > 0 {
		spoilRing(s.rings[rand.IntN(n)])
	}
}

// spoilRing changes one word: of a ring's header, of its slots, or of its bytes. Each ring takes half of the
// memory; its header is a page, and its slots are 64 KiB.
func spoilRing(words []uint32) {
	const header, slots, slot = 1024, 16384, 16
	at := rand.IntN(2) * len(words) / 2
	if rand.IntN(4) == 0 {
		forge(words[at+header:at+header+slots], slot)
		return
	}
	switch rand.IntN(8) {
	case 0, 1: // a word of the header that is in use lies at the start of a line
		at += rand.IntN(20) * slot
	case 2:
		at += rand.IntN(header)
	case 3: // a slot's own word
		at += header + rand.IntN(slots/slot)*slot + rand.IntN(2)
	case 4, 5: // what was sent first
		at += header + rand.IntN(64*slot)
	case 6:
		at += header + rand.IntN(slots)
	default:
		at += header + slots + rand.IntN(len(words)/2-header-slots)
	}
	change(words, at)
}

// forge adds a message of any kind and length behind the last one in slots of so many words.
func forge(slots []uint32, slot int) {
	const data = 56 // bytes in a slot
	last := uint64(0)
	for i := 0; i < len(slots); i += slot {
		last = max(last, *(*uint64)(unsafe.Pointer(&slots[i])))
	}
	number := last>>16 + max((last&0xff+data-1)/data, 1) // counts from one
	word := number<<16 | rand.Uint64N(10)<<8 | rand.Uint64N(256)
	at := int(number-1) * slot % len(slots)
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&slots[at])), word)
}

func change(words []uint32, at int) {
	switch word := &words[at]; rand.IntN(4) {
	case 0:
		*word ^= 1 << rand.IntN(32)
	case 1:
		*word = rand.Uint32()
	case 2:
		*word += uint32(rand.IntN(9)) - 4
	default:
		*word = words[rand.IntN(len(words))]
	}
}

// spoil is a client that changes words of the memory of its connection while it calls. It says 'C' for each
// connection that it spoilt, and must survive what it does to itself.
func spoil(parent <-chan struct{}) int {
	for {
		select {
		case <-parent:
			return 0
		default:
		}
		w, err := Open(Options{Join: []string{os.Getenv(addressVariable)}, UDFs: shared(),
			Timeout: 200 * time.Millisecond})
		if err != nil {
			continue
		}
		if c, err := newCaller(w, "counter0"); err == nil {
			spoilOne(c)
			c.release()
			say('C')
		}
		_ = w.Close(time.Second)
	}
}

func spoilOne(c *caller) {
	all := mapShared()
	defer all.unmap()
	over := make(chan struct{})
	var callers sync.WaitGroup
	builder := *c
	for _, calls := range [][]func() error{{c.ask}, {c.send, c.fetch}, {builder.build, builder.reread}} {
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
					_ = calls[i%len(calls)]()
				}
			}
		})
	}
	pause := time.Duration(rand.IntN(300)) * time.Microsecond
	for range 1 + rand.IntN(400) {
		all.spoil()
		time.Sleep(pause)
	}
	close(over)
	callers.Wait()
}

// Clients that write what they like into the memory that they share harm nobody else: the server lives, others'
// calls stay right and go on, and nothing of them is left.
func TestHostileClients(t *testing.T) {
	server, address, counts := sharing(t, killLanes+goodClients)
	clients, stop := goods(t, address, counts[killLanes:])
	before := held(server)
	var children []*child
	for range hostileClients {
		c := start(t, "hostile", addressVariable+"="+address)
		defer c.kill()
		children = append(children, c)
	}
	spoilt := make([]int, len(children))
	var readers sync.WaitGroup
	for i, c := range children {
		readers.Go(func() {
			for b := make([]byte, 64); ; {
				n, err := c.out.Read(b)
				if spoilt[i] += n; err != nil {
					return
				}
			}
		})
	}
	whole, mixed := 0, 0 // looks at tables of theirs
	for until := time.Now().Add(*hostile); time.Now().Before(until) && !t.Failed(); time.Sleep(time.Millisecond) {
		switch _, err := look(server, "counter0"); {
		case err == nil:
			whole++
		case status.Of(err) == status.Corrupt:
			mixed++
		}
	}
	for _, c := range children {
		_ = c.in.Close()
	}
	readers.Wait()
	for i, c := range children {
		c.reap()
		require.True(t, c.ProcessState.Success(), "%v: %s", c.ProcessState, c.stderr)
		require.Positive(t, spoilt[i])
	}
	stop()
	discard(t, server, counts[:1])
	settle(t, server, clients, before)
	t.Logf("%v connections spoilt, %d tables seen whole and %d spoilt, others made %d and %d rounds", spoilt,
		whole, mixed, clients[0].rounds.Load(), clients[1].rounds.Load())
}
