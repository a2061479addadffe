package ring

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
)

const patience = 30 * time.Second

// memoryOf gives the memory of a new ring.
func memoryOf() []byte {
	words := make([]uint64, Bytes/8+8)
	at := 0
	for uintptr(unsafe.Pointer(&words[at]))%slotBytes != 0 {
		at++
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[at])), Bytes)
}

func ends() (*Producer, *Consumer) {
	b := memoryOf()
	p, c := NewProducer(b), NewConsumer(b)
	return &p, &c
}

func fillWith(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i)
	}
	return b
}

// Messages of every size come as they were, over many laps, and nothing is seen before Publish.
func TestOrder(t *testing.T) {
	p, c := ends()
	var buffer [MaxMessage]byte
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		sizes := make([]int, 1+r.IntN(8))
		for i := range sizes {
			sizes[i] = r.IntN(MaxMessage + 1)
			require.True(t, p.Put(uint8(i), fillWith(sizes[i], byte(i))))
			require.False(t, c.Ready())
		}
		require.Positive(t, p.Unpublished())
		p.Publish()
		require.Zero(t, p.Unpublished())
		for i, size := range sizes {
			require.True(t, c.Ready())
			kind, message, found, err := c.Take(&buffer)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, uint8(i), kind)
			require.True(t, bytes.Equal(fillWith(size, byte(i)), message))
		}
		require.False(t, c.Ready())
	}
}

// A full ring takes nothing, and loses nothing.
func TestFull(t *testing.T) {
	p, c := ends()
	var buffer [MaxMessage]byte
	sent := uint64(0)
	for received := range uint64(10 * Slots) {
		for p.Put(1, binary.LittleEndian.AppendUint64(nil, sent)) {
			sent++
		}
		require.Zero(t, p.Room(1))
		p.Publish()
		_, message, found, err := c.Take(&buffer)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, received, binary.LittleEndian.Uint64(message))
		require.LessOrEqual(t, sent-received, uint64(Slots))
	}
	require.NoError(t, p.Err())
}

// Pieces of any size pass through the queue of bytes, in parts.
func TestPieces(t *testing.T) {
	p, c := ends()
	var buffer [MaxMessage]byte
	r := rand.New(rand.NewPCG(3, 4))
	var queue [][]byte
	for round := range 3000 {
		for {
			piece := fillWith(1+r.IntN(AreaBytes/5), byte(round))
			if p.Room(len(piece)) < len(piece) {
				break
			}
			cut := r.IntN(len(piece))
			p.Write(piece[:cut])
			p.Write(piece[cut:])
			p.EndPiece()
			require.True(t, p.Put(1, nil))
			queue = append(queue, piece)
		}
		p.Publish()
		_, _, found, err := c.Take(&buffer)
		require.NoError(t, err)
		require.True(t, found)
		got := make([]byte, len(queue[0]))
		cut := r.IntN(len(got))
		c.Read(got[:cut])
		c.Read(got[cut:])
		c.EndPiece()
		require.True(t, bytes.Equal(queue[0], got))
		queue = queue[1:]
	}
	require.NoError(t, p.Err())
}

// Both sides sleep whenever there is nothing to do for them, and neither misses anything.
func TestSleepers(t *testing.T) {
	p, c := ends()
	const messages = 20000
	var both sync.WaitGroup
	both.Go(func() {
		for i := uint64(0); i < messages; {
			if p.Put(1, binary.LittleEndian.AppendUint64(nil, i)) {
				p.Publish()
				p.Wake()
				i++
				continue
			}
			p.Arm()
			if p.Room(1) == 0 {
				p.Sleep(patience)
			}
			p.Disarm()
		}
	})
	both.Go(func() {
		var buffer [MaxMessage]byte
		for i := uint64(0); i < messages; {
			_, message, found, err := c.Take(&buffer)
			switch {
			case err != nil:
				t.Error(err)
				return
			case found && binary.LittleEndian.Uint64(message) != i:
				t.Errorf("message %d came as %d", i, binary.LittleEndian.Uint64(message))
				return
			case found:
				i++
				continue
			}
			c.Arm()
			if !c.Ready() {
				c.Sleep(patience)
			}
			c.Disarm()
		}
	})
	both.Wait()
}

func TestWakeElsewhere(t *testing.T) {
	p, c := ends()
	require.False(t, p.Wake())
	c.ArmElsewhere()
	require.True(t, p.Wake())
	require.False(t, p.Wake(), "once")
	c.Arm()
	done := make(chan struct{})
	go func() { c.Sleep(patience); close(done) }()
	require.False(t, p.Wake())
	<-done
	c.Arm()
	c.Interrupt()
	c.Sleep(patience) // does not sleep
	c.ArmElsewhere()
	c.Interrupt()
	require.True(t, p.Wake(), "an interrupt is not for who is elsewhere")
}

// What the consumer claims to have taken is believed only as far as it can be true.
func TestClaims(t *testing.T) {
	for _, claim := range []uint64{3, 1 << 20, 1 << 63, ^uint64(0)} {
		p, _ := ends()
		require.True(t, p.Put(1, make([]byte, 60))) // two slots
		p.memory.taken = claim
		p.look()
		require.ErrorIs(t, p.Err(), status.Corrupt, "%d", claim)
		require.Zero(t, p.taken)

		p, _ = ends()
		p.Write(make([]byte, 2))
		p.memory.read = claim
		p.look()
		require.ErrorIs(t, p.Err(), status.Corrupt, "%d", claim)
		require.Equal(t, AreaBytes-64, p.Room(AreaBytes))
	}
}

// FuzzConsumer receives from memory that somebody else filled at will: what comes is within bounds, and
// no message is taken twice.
func FuzzConsumer(f *testing.F) {
	f.Add([]byte{}, uint64(0))
	f.Add(binary.LittleEndian.AppendUint64(nil, 1<<numberShift|1<<kindShift|8), uint64(0))
	f.Add(binary.LittleEndian.AppendUint64(nil, 6<<numberShift|255), uint64(5))
	f.Add(bytes.Repeat([]byte{0xff}, slotBytes), ^uint64(0)-3)
	f.Fuzz(func(t *testing.T, input []byte, next uint64) {
		b := memoryOf()
		c := NewConsumer(b)
		c.next, c.told = next, next
		// The input lies from the consumer's slot on, so that it is looked at.
		at := headerBytes + next%Slots*slotBytes
		copy(b[at:headerBytes+Slots*slotBytes], input)
		var buffer [MaxMessage]byte
		area := make([]byte, 100)
		for taken := 0; ; taken++ {
			require.LessOrEqual(t, taken, Slots)
			before := c.next
			ready := c.Ready()
			_, message, found, err := c.Take(&buffer)
			require.Equal(t, ready, found || err != nil)
			if !found {
				require.Equal(t, before, c.next)
				break
			}
			require.LessOrEqual(t, len(message), MaxMessage)
			require.LessOrEqual(t, c.next-before, uint64(maxSlots))
			c.Read(area[:len(message)%len(area)])
			c.EndPiece()
			require.Zero(t, c.read%areaAlign)
		}
	})
}

// FuzzClaims has the consumer's words be anything: the producer stays within the ring.
func FuzzClaims(f *testing.F) {
	f.Add(uint64(0), uint64(0), uint32(0), uint16(3))
	f.Add(^uint64(0), uint64(1)<<63, uint32(7), uint16(500))
	f.Fuzz(func(t *testing.T, taken, read uint64, asleep uint32, messages uint16) {
		b := memoryOf()
		p := NewProducer(b)
		for range messages {
			if n := p.Room(1000); n >= 1000 {
				p.Write(make([]byte, 1000))
				p.EndPiece()
			}
			p.Put(1, make([]byte, 100))
			p.memory.taken, p.memory.read, p.memory.asleep = taken, read, asleep
			p.Publish()
			require.Equal(t, asleep > inFutex, p.Wake())
			require.LessOrEqual(t, p.next-p.taken, uint64(Slots))
			require.LessOrEqual(t, p.wrote-p.read, uint64(AreaBytes))
		}
	})
}
