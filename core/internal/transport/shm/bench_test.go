package shm

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// callFrame is the usual call: one function, one target, and 16 bytes of arguments.
func callFrame() *wire.Frame {
	h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindCall, CallID: 1}
	return &wire.Frame{Header: h, Message: &wire.Call{
		UDFs:      []wire.UDFRef{{Name: "sum"}},
		Targets:   []wire.Target{{ID: vertex.NameID("a")}},
		Arguments: udf.Value{Bytes: make([]byte, 16)},
	}}
}

// replyFrame is the usual reply, of 8 bytes.
func replyFrame() *wire.Frame {
	h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindReply, CallID: 1}
	reply := &wire.Reply{Parts: []wire.Part{{Value: udf.Value{Bytes: make([]byte, 8)}}}}
	return &wire.Frame{Header: h, Message: reply}
}

// BenchmarkSend is Send alone, without a Flush of its own.
func BenchmarkSend(b *testing.B) {
	near, far := connected(b, New())
	frame := callFrame()
	n := 0
	for b.Loop() {
		if _, _, err := near.Send(frame); err != nil {
			b.Fatal(err)
		}
		if n++; n == 128 {
			b.StopTimer()
			n = 0
			require.NoError(b, near.Flush())
			for far.Ready() {
				_, _ = far.Next(0)
				far.Skip()
			}
			b.StartTimer()
		}
	}
}

// BenchmarkPass is all that one frame costs both ends, on one processor.
func BenchmarkPass(b *testing.B) {
	near, far := connected(b, New())
	frame := callFrame()
	var in transport.Inbound
	defer in.Clear()
	for b.Loop() {
		if _, _, err := near.Send(frame); err != nil {
			b.Fatal(err)
		}
		if err := near.Flush(); err != nil {
			b.Fatal(err)
		}
		if _, err := far.Next(0); err != nil {
			b.Fatal(err)
		}
		if err := far.Take(&in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCodec is what encoding and decoding cost of BenchmarkPass.
func BenchmarkCodec(b *testing.B) {
	frame := callFrame()
	var in transport.Inbound
	defer in.Clear()
	var buffer []byte
	for b.Loop() {
		buffer, _ = wire.Append(buffer[:0], frame)
		if err := in.Decode(buffer[wire.PrefixBytes:], nil, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(buffer)), "frame-bytes")
}

// BenchmarkRoundTrip is a call and its reply, without a function behind it: between two goroutines, and
// between two processes. The floor is the same through the bare rings.
func BenchmarkRoundTrip(b *testing.B) {
	b.Run("goroutines", func(b *testing.B) {
		near, far := connected(b, New())
		far.SetSpin(time.Second)
		var echoing sync.WaitGroup
		echoing.Go(func() { echo(far) })
		roundTrips(b, near)
		far.Abort(status.Errorf(status.Unavailable, "the benchmark is over"))
		echoing.Wait()
	})
	b.Run("processes", func(b *testing.B) { roundTrips(b, dialChild(b, "echo")) })
	b.Run("floor-goroutines", func(b *testing.B) {
		memory := make([]uint64, memoryBytes/8+8)
		m := aligned(memory)
		go echoRing(ring.NewConsumer(m[:ring.Bytes]), ring.NewProducer(m[ring.Bytes:]))
		roundTripsOfRing(b, ring.NewProducer(m[:ring.Bytes]), ring.NewConsumer(m[ring.Bytes:]))
	})
	b.Run("floor-processes", func(b *testing.B) {
		c := dialChild(b, "echoring")
		roundTripsOfRing(b, c.outbox.ring, c.inbox.ring)
	})
	b.Run("asleep", func(b *testing.B) {
		c := dialChild(b, "echoasleep")
		c.SetSpin(0)
		roundTripsAsTheyAre(b, c)
	})
}

func roundTrips(b *testing.B, c transport.Conn) {
	c.SetSpin(time.Second)
	roundTripsAsTheyAre(b, c)
}

func roundTripsAsTheyAre(b *testing.B, c transport.Conn) {
	frame := callFrame()
	var in transport.Inbound
	defer in.Clear()
	for b.Loop() {
		if _, _, err := c.Send(frame); err != nil {
			b.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			b.Fatal(err)
		}
		if _, err := await(c); err != nil {
			b.Fatal(err)
		}
		if err := c.Take(&in); err != nil {
			b.Fatal(err)
		}
	}
}

// echo answers whatever comes until the connection ends.
func echo(c transport.Conn) {
	frame := replyFrame()
	var in transport.Inbound
	defer in.Clear()
	for {
		_, err := c.Next(time.Second)
		if err == transport.ErrAgain {
			continue
		}
		if err != nil || c.Take(&in) != nil {
			return
		}
		if _, _, err := c.Send(frame); err == nil {
			_ = c.Flush()
		}
	}
}

var last = []byte{1}

// echoRing answers messages, 160 bytes to 88, until one is short.
func echoRing(c ring.Consumer, p ring.Producer) {
	var buffer [ring.MaxMessage]byte
	for {
		if !c.Spin(1 << 20) {
			continue
		}
		_, message, _, _ := c.Take(&buffer)
		if len(message) == len(last) {
			return
		}
		p.Put(1, message[:88])
		p.Publish()
	}
}

func roundTripsOfRing(b *testing.B, p ring.Producer, c ring.Consumer) {
	var buffer [ring.MaxMessage]byte
	message := make([]byte, 160)
	for b.Loop() {
		p.Put(1, message)
		p.Publish()
		for !c.Spin(1 << 20) {
		}
		if _, _, found, _ := c.Take(&buffer); !found {
			b.Fatal("nothing came")
		}
	}
	p.Put(1, last)
	p.Publish()
}

// BenchmarkLarge is a table of 16 MiB one way, between two processes.
func BenchmarkLarge(b *testing.B) {
	c := dialChild(b, "echo")
	c.SetSpin(50 * time.Microsecond)
	batch := vertex.Int64Batch("n", make([]int64, 2<<20)...)
	defer batch.Release()
	h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindOperation}
	op := &wire.Operation{Op: wire.OpSet, HasValue: true, Value: udf.Value{Batch: batch}}
	b.SetBytes(16 << 20)
	var in transport.Inbound
	defer in.Clear()
	for b.Loop() {
		if _, _, err := c.Send(&wire.Frame{Header: h, Message: op}); err != nil {
			b.Fatal(err)
		}
		require.NoError(b, c.Flush())
		_, err := await(c)
		require.NoError(b, err)
		require.NoError(b, c.Take(&in))
	}
}
