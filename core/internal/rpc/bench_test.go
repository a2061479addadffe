package rpc

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// bareConnection gives the two ends of a blocking TCP connection.
func bareConnection(b *testing.B) (near, far int) {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(b, err)
	require.NoError(b, unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(b, unix.Listen(listener, 1))
	at, err := unix.Getsockname(listener)
	require.NoError(b, err)
	near, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(b, err)
	require.NoError(b, unix.Connect(near, at))
	far, _, err = unix.Accept(listener)
	require.NoError(b, err)
	for _, fd := range []int{near, far} {
		require.NoError(b, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	}
	require.NoError(b, unix.Close(listener))
	return near, far
}

// answering answers each burst of requests on a bare connection until that is closed.
func answering(fd, burst int) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, burst*requestBytes)
		for {
			if !receiveAll(fd, buffer) {
				return
			}
			if err := unix.Sendto(fd, buffer[:burst*replyBytes], 0, nil); err != nil {
				return
			}
		}
	}()
	return done
}

func receiveAll(fd int, buffer []byte) bool {
	for got := 0; got < len(buffer); {
		n, _, err := unix.Recvfrom(fd, buffer[got:], 0)
		if n <= 0 || err != nil {
			return false
		}
		got += n
	}
	return true
}

// bareRounds are what rpc is compared with: bursts of frames written and read at once.
func bareRounds(b *testing.B, near, burst int, more func() bool) {
	request, reply := make([]byte, burst*requestBytes), make([]byte, burst*replyBytes)
	for more() {
		if err := unix.Sendto(near, request, 0, nil); err != nil {
			b.Error(err)
			return
		}
		if !receiveAll(near, reply) {
			b.Error("the connection broke")
			return
		}
	}
}

// BenchmarkFloor is a blocking ping-pong of frames as large as those of BenchmarkDo, and
// BenchmarkFloor64 of 64 at once.
func BenchmarkFloor(b *testing.B)   { benchmarkFloor(b, 1) }
func BenchmarkFloor64(b *testing.B) { benchmarkFloor(b, 64) }

func benchmarkFloor(b *testing.B, burst int) {
	near, far := bareConnection(b)
	done := answering(far, burst)
	bareRounds(b, near, burst, b.Loop)
	require.NoError(b, unix.Close(near))
	<-done
	require.NoError(b, unix.Close(far))
}

// BenchmarkFloorCallers has 64 ping-pongs at once, each on a connection of its own.
func BenchmarkFloorCallers(b *testing.B) {
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		near, far := bareConnection(b)
		done := answering(far, 1)
		bareRounds(b, near, 1, pb.Next)
		_ = unix.Close(near)
		<-done
		_ = unix.Close(far)
	})
}

// BenchmarkFloorBulk moves 64 MiB into warm memory and waits for a byte back.
func BenchmarkFloorBulk(b *testing.B) {
	near, far := bareConnection(b)
	const size = 64 << 20
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, size)
		for {
			for got := 0; got < size; {
				n, _, err := unix.Recvfrom(far, buffer[got:], 0)
				if n <= 0 || err != nil {
					return
				}
				got += n
			}
			if err := unix.Sendto(far, buffer[:1], 0, nil); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, size)
	b.SetBytes(size)
	for b.Loop() {
		for rest := buffer; len(rest) > 0; {
			n, err := unix.Write(near, rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
		if _, _, err := unix.Recvfrom(near, buffer[:1], 0); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, unix.Close(near))
	<-done
	require.NoError(b, unix.Close(far))
}

// The sizes of the frames of BenchmarkDo.
const (
	requestBytes = 156
	replyBytes   = 104
)

var eight = &wire.Reply{Parts: []wire.Part{{Value: udf.Value{Bytes: make([]byte, 8)}}}}

// answerEight answers with 8 bytes and allocates nothing.
func answerEight(r *Request) { r.Reply(eight) }

func BenchmarkDo(b *testing.B) {
	for _, scheme := range schemes {
		b.Run(scheme, func(b *testing.B) {
			_, address := listening(b, scheme, newHandler(answerEight))
			_, p := dialled(b, address, nil)
			request := callFrame(make([]byte, 16))
			var reply Reply
			deadline := soon()
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Do(request, &reply, deadline); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(reply.Sent), "request-bytes")
			b.ReportMetric(float64(reply.Received), "reply-bytes")
			reply.Clear()
		})
	}
}

func BenchmarkSend64(b *testing.B) {
	_, address := listening(b, "tcp", newHandler(answerEight))
	_, p := dialled(b, address, nil)
	request := callFrame(make([]byte, 16))
	var pending [64]Pending
	var reply Reply
	deadline := soon()
	b.ReportAllocs()
	for b.Loop() {
		for i := range pending {
			if err := p.Send(request, &pending[i], deadline); err != nil {
				b.Fatal(err)
			}
		}
		p.Flush()
		for i := range pending {
			if err := pending[i].Wait(&reply); err != nil {
				b.Fatal(err)
			}
		}
	}
	reply.Clear()
}

func BenchmarkCallers(b *testing.B) {
	_, address := listening(b, "tcp", newHandler(answerEight))
	_, p := dialled(b, address, nil)
	deadline := soon()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		request := callFrame(make([]byte, 16))
		var reply Reply
		for pb.Next() {
			if err := p.Do(request, &reply, deadline); err != nil {
				b.Error(err)
				return
			}
		}
		reply.Clear()
	})
}

func BenchmarkPut(b *testing.B) {
	h := newHandler(func(r *Request) {
		r.Reply(&wire.Reply{})
	})
	_, address := listening(b, "tcp", h)
	_, p := dialled(b, address, nil)
	value := vertex.Int64Batch("n", make([]int64, 8<<20)...)
	defer value.Release()
	request := operationFrame(0, nil)
	op := request.Message.(*wire.Operation)
	op.HasValue, op.Value = true, udf.Value{Batch: value}
	var reply Reply
	b.SetBytes(64 << 20)
	for b.Loop() {
		if err := p.Do(request, &reply, soon()); err != nil {
			b.Fatal(err)
		}
	}
	reply.Clear()
}

func BenchmarkFetch(b *testing.B) {
	value := vertex.Int64Batch("n", make([]int64, 8<<20)...)
	defer value.Release()
	h := newHandler(func(r *Request) {
		r.Reply(&wire.Reply{HasValue: true, Value: udf.Value{Batch: value.Retain()}})
	})
	_, address := listening(b, "tcp", h)
	_, p := dialled(b, address, nil)
	request := operationFrame(0, nil)
	var reply Reply
	b.SetBytes(64 << 20)
	for b.Loop() {
		if err := p.Do(request, &reply, soon()); err != nil {
			b.Fatal(err)
		}
	}
	reply.Clear()
}
