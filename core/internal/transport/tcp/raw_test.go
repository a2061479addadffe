package tcp

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

const patience = 30 * time.Second

func soon() int64 { return clock.After(patience) }

// accepted gives a connection whose other end the test writes byte by byte.
func accepted(t *testing.T, tr *Transport) (transport.Conn, net.Conn) {
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	l, err := tr.Listen("tcp://127.0.0.1:0", false)
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	raw, err := net.Dial("tcp", strings.TrimPrefix(l.Address(), "tcp://"))
	require.NoError(t, err)
	c, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = raw.Close()
		c.Abort(status.Errorf(status.Unavailable, "the test is over"))
		for {
			if _, err := c.Next(0); err != nil {
				return
			}
			c.Skip()
		}
	})
	return c, raw
}

func await(c transport.Conn) (wire.SessionHeader, error) {
	for until := soon(); ; {
		h, err := c.Next(time.Second)
		if err != transport.ErrAgain || clock.Until(until) <= 0 {
			return h, err
		}
	}
}

func bytesOf(t *testing.T, f *wire.Frame) []byte {
	b, err := wire.Append(nil, f)
	require.NoError(t, err)
	return b
}

func setFrame(value udf.Value) *wire.Frame {
	h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindOperation, CallID: 1}
	op := &wire.Operation{Op: wire.OpSet, HasValue: true, Value: value}
	return &wire.Frame{Header: h, Message: op}
}

// What is no frame ends the connection with a message that says what came.
func TestForeignInput(t *testing.T) {
	good := bytesOf(t, setFrame(udf.Value{Bytes: []byte("value")}))
	garbled := append([]byte(nil), good...)
	for i := 64; i < len(garbled); i++ {
		garbled[i] ^= 0xff
	}
	prefix := func(header uint32, body uint64) []byte {
		b := append([]byte("DCF1"), byte(header), byte(header>>8), byte(header>>16), byte(header>>24))
		for range 8 {
			b = append(b, byte(body))
			body >>= 8
		}
		return b
	}
	for _, test := range []struct {
		name, input, message string
		limits               wire.Limits
		code                 status.Code
	}{
		{name: "HTTP", input: "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			message: "not a dcf peer", code: status.Corrupt},
		{name: "TLS", input: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on",
			message: "not a dcf peer", code: status.Corrupt},
		{name: "a huge header", input: string(prefix(1<<31, 0)),
			message: "MaxHeaderBytes", code: status.Corrupt},
		{name: "a huge body", input: string(prefix(48, 1<<60)),
			message: "MaxBodyBytes", code: status.Corrupt},
		{name: "no header", input: string(prefix(0, 0)),
			message: "at least", code: status.Corrupt},
		{name: "over the receiver's limit", input: string(prefix(48, 2<<20)),
			limits: wire.Limits{BodyBytes: 1 << 20}, message: "1048576", code: status.Exhausted},
		{name: "garbled", input: string(garbled), message: "", code: status.Corrupt},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, raw := accepted(t, New())
			c.SetLimits(test.limits)
			_, err := raw.Write([]byte(test.input))
			require.NoError(t, err)
			_, err = await(c)
			if err == nil {
				var in transport.Inbound
				err = c.Take(&in)
				require.Nil(t, in.Frame.Message)
			}
			require.Equal(t, test.code, status.Of(err), "%v", err)
			require.ErrorContains(t, err, test.message)
			_, again := await(c)
			require.ErrorIs(t, again, test.code, "it stays ended")
			_, err = raw.Read(make([]byte, 1))
			require.Error(t, err, "the other end learns of it")
		})
	}
}

// A frame that is cut anywhere is none; a promise of much costs nothing before it is kept.
func TestTruncated(t *testing.T) {
	batch := vertex.Int64Batch("n", make([]int64, 20000)...)
	defer batch.Release()
	whole := bytesOf(t, setFrame(udf.Value{Batch: batch}))
	for _, cut := range []int{1, 15, 16, 17, 47, 48, 100, 5000, 40000, len(whole) - 1} {
		c, raw := accepted(t, New())
		_, err := raw.Write(whole[:cut])
		require.NoError(t, err)
		require.NoError(t, raw.Close())
		_, err = await(c)
		require.ErrorIs(t, err, status.Unavailable, "cut at %d", cut)
	}
}

func TestPromisedHeaderIsNotAllocated(t *testing.T) {
	c, raw := accepted(t, New())
	_, err := raw.Write([]byte("DCF1\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00more"))
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 3 {
		_, err = c.Next(time.Millisecond)
		require.ErrorIs(t, err, transport.ErrAgain)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

// Frames that come byte by byte are the same frames, and Next stays in its time.
func TestDrip(t *testing.T) {
	c, raw := accepted(t, New())
	batch := vertex.Int64Batch("n", 1, 2, 3)
	defer batch.Release()
	frames := bytesOf(t, setFrame(udf.Value{Batch: batch}))
	frames = append(frames, bytesOf(t, setFrame(udf.Value{Bytes: []byte("value")}))...)
	written := make(chan error, 1)
	go func() {
		for i := range frames {
			if _, err := raw.Write(frames[i : i+1]); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	var in transport.Inbound
	defer in.Clear()
	_, err := await(c)
	require.NoError(t, err)
	require.NoError(t, c.Take(&in))
	require.Equal(t, []int64{1, 2, 3}, in.Frame.Message.(*wire.Operation).Value.Batch.Int64(0))
	_, err = await(c)
	require.NoError(t, err)
	require.NoError(t, c.Take(&in))
	require.Equal(t, "value", string(in.Frame.Message.(*wire.Operation).Value.Bytes))
	require.NoError(t, <-written)
}

// A peer that takes nothing for long is cut; one that takes a little is not.
func TestStalledPeerIsCut(t *testing.T) {
	tr := New()
	tr.StallAfter = 100 * time.Millisecond
	c, raw := accepted(t, tr)
	value := udf.Value{Bytes: make([]byte, 64<<20)}
	_, _, err := c.Send(setFrame(value))
	require.NoError(t, err)
	_, err = await(c)
	require.ErrorIs(t, err, status.Unavailable)
	require.ErrorContains(t, err, "took nothing")
	require.Zero(t, c.Queued())
	_ = raw.Close()
}

func TestSpin(t *testing.T) {
	c, raw := accepted(t, New())
	c.SetSpin(patience)
	frame := bytesOf(t, setFrame(udf.Value{Bytes: []byte("value")}))
	go func() { _, _ = raw.Write(frame) }()
	_, err := await(c)
	require.NoError(t, err)
	c.Skip()
	require.Equal(t, uint64(1), c.Counters().Spun)
	// Attempts that fail become rare.
	c.SetSpin(time.Microsecond)
	for range 100 {
		_, err = c.Next(time.Microsecond)
		require.ErrorIs(t, err, transport.ErrAgain)
	}
	require.Equal(t, uint64(1), c.Counters().Spun)
	require.Equal(t, uint64(100), c.Counters().Slept)
}

func TestListenBeyondLoopback(t *testing.T) {
	tr := New()
	for _, address := range []string{"tcp://0.0.0.0:0", "tcp://[::]:0"} {
		_, err := tr.Listen(address, false)
		require.ErrorIs(t, err, status.Denied)
		require.ErrorContains(t, err, "refusing to listen on "+address+": traffic is not encrypted; "+
			"listen on loopback or pass --insecure")
		l, err := tr.Listen(address, true)
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
	require.NoError(t, tr.Close())
}

func TestSocketFile(t *testing.T) {
	tr := New()
	path := filepath.Join(t.TempDir(), "dcf.sock")
	l, err := tr.Listen("unix://"+path, false)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, l.Close())
	require.NoFileExists(t, path)

	// A file that a dead process left is replaced.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	require.FileExists(t, path)
	l, err = tr.Listen("unix://"+path, false)
	require.NoError(t, err)
	_, err = tr.Listen("unix://"+path, false)
	require.ErrorIs(t, err, status.AlreadyExists)

	// What is no socket is left alone, and so is what took our place.
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = tr.Listen("unix://"+path, false)
	require.ErrorIs(t, err, status.AlreadyExists)
	require.ErrorContains(t, err, "not a socket")
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	require.NoError(t, tr.Close())
}

// Frames of a connection in use cost no allocation.
func TestSmallFramesDoNotAllocate(t *testing.T) {
	c, raw := accepted(t, New())
	h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindReply, CallID: 1}
	reply := &wire.Reply{Parts: []wire.Part{{Value: udf.Value{Bytes: make([]byte, 8)}}}}
	frame := &wire.Frame{Header: h, Message: reply}
	echo := make([]byte, len(bytesOf(t, frame)))
	var in transport.Inbound
	defer in.Clear()
	round := func() {
		if _, _, err := c.Send(frame); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(raw, echo); err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Write(echo); err != nil {
			t.Fatal(err)
		}
		if _, err := await(c); err != nil {
			t.Fatal(err)
		}
		if err := c.Take(&in); err != nil {
			t.Fatal(err)
		}
	}
	require.Zero(t, testing.AllocsPerRun(200, round))
}
