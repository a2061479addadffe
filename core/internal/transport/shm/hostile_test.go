package shm

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
	"dcf/udf"
	"dcf/wire"
)

// listening gives a listener of a transport, and has both closed.
func listening(t *testing.T, tr *Transport) transport.Listener {
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	l, err := tr.Listen(abstract(), false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// rawDial connects a socket that the test speaks on itself.
func rawDial(t *testing.T, l transport.Listener) *net.UnixConn {
	name := strings.TrimPrefix(l.Address(), "shm://")
	raw, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name})
	require.NoError(t, err)
	t.Cleanup(func() { _ = raw.Close() })
	require.NoError(t, raw.SetDeadline(time.Now().Add(patience)))
	return raw
}

// refusedWith sends a greeting with descriptors and gives what the dialer and Accept are told.
func refusedWith(t *testing.T, l transport.Listener, greeting []byte, descriptors ...int) (string, error) {
	raw := rawDial(t, l)
	var control []byte
	if len(descriptors) > 0 {
		control = unix.UnixRights(descriptors...)
	}
	_, _, err := raw.WriteMsgUnix(greeting, control, nil)
	require.NoError(t, err)
	_, err = l.Accept()
	require.Error(t, err)
	told := make([]byte, 1000)
	n, _ := raw.Read(told)
	return string(told[:n]), err
}

// memfd gives a descriptor of memory of that size, with those seals.
func memfd(t testing.TB, size int64, with int) int {
	fd, err := unix.MemfdCreate("dcf-test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	require.NoError(t, unix.Ftruncate(fd, size))
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, with)
	require.NoError(t, err)
	return fd
}

// Whatever a dialer hands over instead of sealed memory of the right size, it is told what is wrong, and
// so is who accepts.
func TestForeignMemory(t *testing.T) {
	l := listening(t, New())
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	require.NoError(t, file.Truncate(memoryBytes))
	good := memfd(t, memoryBytes, seals)
	older := append([]byte(magic), 9, 0, 0, 0, 0, 0, 0, 0)
	for _, test := range []struct {
		name, message string
		code          status.Code
		greeting      []byte
		descriptors   []int
	}{
		{"unsealed", "sealed", status.Corrupt, greeting(), []int{memfd(t, memoryBytes, 0)}},
		{"may shrink", "sealed", status.Corrupt, greeting(),
			[]int{memfd(t, memoryBytes, unix.F_SEAL_GROW|unix.F_SEAL_SEAL)}},
		{"may be sealed further", "sealed", status.Corrupt, greeting(),
			[]int{memfd(t, memoryBytes, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK)}},
		{"truncated", "0 bytes", status.Corrupt, greeting(), []int{memfd(t, 0, seals)}},
		{"too small", "4096 bytes", status.Corrupt, greeting(), []int{memfd(t, 4096, seals)}},
		{"too large", "versions", status.Corrupt, greeting(), []int{memfd(t, memoryBytes+4096, seals)}},
		{"read only", "mmap", status.Internal, greeting(),
			[]int{memfd(t, memoryBytes, seals|unix.F_SEAL_WRITE)}},
		{"a file", "sealed", status.Corrupt, greeting(), []int{int(file.Fd())}},
		{"a directory", "sealed", status.Corrupt, greeting(), []int{unix.AT_FDCWD}},
		{"none", "0 descriptors", status.Corrupt, greeting(), nil},
		{"two", "2 descriptors", status.Corrupt, greeting(), []int{good, good}},
		{"many", "descriptors", status.Corrupt, greeting(), []int{good, good, good, good, good}},
		{"another protocol", "not a dcf peer", status.Corrupt, []byte("GET / HTTP/1.1\r\n\r\n"), nil},
		{"half a greeting", "not a dcf peer", status.Corrupt, greeting()[:8], []int{good}},
		{"another layout", "layout 9", status.Unsupported, older, []int{good}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "a directory" {
				directory, err := os.Open(t.TempDir())
				require.NoError(t, err)
				defer func() { _ = directory.Close() }()
				test.descriptors = []int{int(directory.Fd())}
			}
			told, err := refusedWith(t, l, test.greeting, test.descriptors...)
			require.Equal(t, test.code, status.Of(err), "%v", err)
			require.ErrorContains(t, err, test.message)
			require.Contains(t, told, test.message, "the dialer is told too")
		})
	}
	// Others get in all the same.
	tr := New()
	near, err := tr.Dial(l.Address(), soon())
	require.NoError(t, err)
	far, err := l.Accept()
	require.NoError(t, err)
	end(near)
	end(far)
	require.NoError(t, tr.Close())
}

// A dialer that says nothing is given up, and keeps nobody else waiting.
func TestSilentDialer(t *testing.T) {
	tr := New()
	tr.greetTimeout = 200 * time.Millisecond
	l := listening(t, tr)
	raw := rawDial(t, l)
	near, err := tr.Dial(l.Address(), soon())
	require.NoError(t, err)
	far, err := l.Accept()
	require.NoError(t, err, "the one that comes later gets in before")
	end(near)
	end(far)
	_, err = l.Accept()
	require.ErrorIs(t, err, status.Timeout)
	require.ErrorContains(t, err, "handed no memory over")
	told := make([]byte, 1000)
	n, err := raw.Read(told)
	require.NoError(t, err)
	require.Contains(t, string(told[:n]), "handed no memory over")

	// One that hangs up is gone.
	require.NoError(t, rawDial(t, l).Close())
	_, err = l.Accept()
	require.ErrorIs(t, err, status.Aborted)
	require.ErrorContains(t, err, "gone")
}

// A listener closes while dialers say nothing.
func TestCloseWhileGreeting(t *testing.T) {
	l := listening(t, New())
	for range 2 * maxGreetings {
		rawDial(t, l)
	}
	require.NoError(t, l.Close())
}

// Only processes of one user share memory; each side looks.
func TestWrongUser(t *testing.T) {
	stranger := func(int) (*unix.Ucred, error) {
		return &unix.Ucred{Pid: 77, Uid: uint32(os.Geteuid()) + 1}, nil
	}
	tr := New()
	l := listening(t, tr)
	suspicious := New()
	suspicious.credentials = stranger
	_, err := suspicious.Dial(l.Address(), soon())
	require.ErrorIs(t, err, status.Denied)
	require.ErrorContains(t, err, "process 77 of user")
	require.NoError(t, suspicious.Close())
	_, err = l.Accept()
	require.ErrorIs(t, err, status.Aborted, "the dialer went")

	tr = New()
	tr.credentials = stranger
	l = listening(t, tr)
	open := New()
	c, err := open.Dial(l.Address(), soon())
	_, denied := l.Accept()
	require.ErrorIs(t, denied, status.Denied)
	if err == nil { // it was not refused before Dial was through
		_, err = await(c)
	}
	require.ErrorIs(t, err, status.Unavailable)
	require.ErrorContains(t, err, "refused")
	require.ErrorContains(t, err, "process 77 of user")
	require.NoError(t, open.Close())
}

// limitDescriptors allows so many more descriptors until the function that it gives is called.
func limitDescriptors(t *testing.T, more int) (restore func()) {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	highest := 0
	for _, entry := range entries {
		n, err := strconv.Atoi(entry.Name())
		require.NoError(t, err)
		highest = max(highest, n)
	}
	// The numbers below the highest one that are free count, too.
	free := highest + 1 - (len(entries) - 1)
	var fill []*os.File
	for range free {
		file, err := os.Open("/dev/null")
		require.NoError(t, err)
		fill = append(fill, file)
	}
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	now := unix.Rlimit{Cur: uint64(highest + 1 + more), Max: before.Max}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &now))
	return func() {
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
		for _, file := range fill {
			_ = file.Close()
		}
	}
}

// A dialer that has no descriptor left for its socket, or for the memory, says so.
func TestDialWithoutDescriptors(t *testing.T) {
	address := abstract()
	nobody, err := net.ListenUnix("unix", &net.UnixAddr{Name: strings.TrimPrefix(address, "shm://")})
	require.NoError(t, err)
	defer func() { require.NoError(t, nobody.Close()) }()
	tr := New()
	defer func() { require.NoError(t, tr.Close()) }()
	first, err := tr.Dial(address, soon()) // makes the poller
	require.NoError(t, err)
	end(first)
	for more, what := range []string{"socket", "memfd_create", ""} {
		restore := limitDescriptors(t, more)
		c, err := tr.Dial(address, soon())
		restore()
		if what == "" {
			require.NoError(t, err)
			end(c)
			continue
		}
		require.ErrorIs(t, err, status.Exhausted)
		require.ErrorContains(t, err, what)
	}
}

// A listener that has no descriptor left says so, and takes the connection once it has.
func TestAcceptWithoutDescriptors(t *testing.T) {
	tr := New()
	l := listening(t, tr)
	near, err := tr.Dial(l.Address(), soon())
	require.NoError(t, err)
	far, err := l.Accept()
	require.NoError(t, err)
	end(near)
	end(far)
	fd, err := socket.Open(unix.AF_UNIX)
	require.NoError(t, err)
	defer func() { _ = unix.Close(fd) }()
	at, err := parse(l.Address())
	require.NoError(t, err)
	restore := limitDescriptors(t, 0)
	connected := unix.Connect(fd, at)
	_, err = l.Accept()
	restore()
	require.NoError(t, connected)
	require.ErrorIs(t, err, status.Exhausted)
	require.ErrorContains(t, err, "accept at "+l.Address())
	require.NoError(t, greet(fd, memfd(t, memoryBytes, seals), true))
	for far = nil; far == nil; {
		if far, err = l.Accept(); err != nil {
			require.ErrorIs(t, err, status.Exhausted)
		}
	}
	end(far)
}

// A greeting that comes where no descriptor is left loses its own, and says so.
func TestNoDescriptorForTheMemory(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	require.NoError(t, greet(pair[0], memfd(t, 0, 0), true))
	restore := limitDescriptors(t, 0)
	_, err = greeted(pair[1])
	restore()
	require.ErrorIs(t, err, status.Exhausted)
	require.ErrorContains(t, err, "ulimit")
}

func setFrame(value udf.Value) *wire.Frame {
	h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindOperation, CallID: 1}
	op := &wire.Operation{Op: wire.OpSet, HasValue: true, Value: value}
	return &wire.Frame{Header: h, Message: op}
}

// What a peer puts into the ring that is no frame ends the connection with a message that says what came.
func TestForeignInput(t *testing.T) {
	prefix := func(magic string, header uint32, body uint64, size uint32) []byte {
		b := append([]byte(magic), byte(header), byte(header>>8), byte(header>>16), byte(header>>24))
		for range 8 {
			b = append(b, byte(body))
			body >>= 8
		}
		return append(b, byte(size), byte(size>>8), byte(size>>16), byte(size>>24))
	}
	type message struct {
		kind  uint8
		bytes []byte
	}
	start := func(header uint32, body uint64, size uint32) message {
		return message{kindStart, prefix("DCF1", header, body, size)}
	}
	for _, test := range []struct {
		name, message string
		limits        wire.Limits
		code          status.Code
		input         []message
	}{
		{name: "no header", message: "at least", code: status.Corrupt,
			input: []message{{kindFrame, make([]byte, 31)}}},
		{name: "empty", message: "at least", code: status.Corrupt, input: []message{{kindFrame, nil}}},
		{name: "garbled", message: "", code: status.Corrupt,
			input: []message{{kindFrame, []byte(strings.Repeat("\xff\x01", 60))}}},
		{name: "a header over the receiver's limit", message: "takes 64", code: status.Exhausted,
			limits: wire.Limits{HeaderBytes: 64}, input: []message{{kindFrame, make([]byte, 65)}}},
		{name: "an unknown kind", message: "kind 9", code: status.Corrupt,
			input: []message{{9, make([]byte, 40)}}},
		{name: "another magic", message: "not a dcf peer", code: status.Corrupt,
			input: []message{{kindStart, prefix("HTTP", 48, 64, 112)}}},
		{name: "a short start", message: "kind 2 with 19 bytes", code: status.Corrupt,
			input: []message{{kindStart, prefix("DCF1", 48, 64, 112)[:19]}}},
		{name: "a huge header", message: "MaxHeaderBytes", code: status.Corrupt,
			input: []message{start(1<<31, 0, 1)}},
		{name: "a huge body", message: "MaxBodyBytes", code: status.Corrupt,
			input: []message{start(48, 1<<60, 1)}},
		{name: "a body over the receiver's limit", message: "1048576", code: status.Exhausted,
			limits: wire.Limits{BodyBytes: 1 << 20}, input: []message{start(48, 2<<20, 1)}},
		{name: "nothing of a frame", message: "piece of 0", code: status.Corrupt,
			input: []message{start(48, 64, 0)}},
		{name: "more than a frame", message: "piece of 113", code: status.Corrupt,
			input: []message{start(48, 64, 113)}},
		{name: "more than a piece", message: "piece of 65537", code: status.Corrupt,
			input: []message{start(48, 1<<20, 65537)}},
		{name: "a piece of nothing", message: "kind 3", code: status.Corrupt,
			input: []message{{kindPiece, make([]byte, 4)}}},
		{name: "a frame in a frame", message: "kind 1", code: status.Corrupt,
			input: []message{start(48, 64, 10), {kindFrame, make([]byte, 40)}}},
		{name: "a start in a frame", message: "kind 2", code: status.Corrupt,
			input: []message{start(48, 64, 10), start(48, 64, 10)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			near, far := connected(t, New())
			far.SetLimits(test.limits)
			for _, m := range test.input {
				require.True(t, near.outbox.ring.Put(m.kind, m.bytes))
			}
			require.NoError(t, near.Flush())
			_, err := await(far)
			if err == nil {
				var in transport.Inbound
				err = far.Take(&in)
				require.Nil(t, in.Frame.Message)
			}
			require.Equal(t, test.code, status.Of(err), "%v", err)
			require.ErrorContains(t, err, test.message)
			_, again := await(far)
			require.ErrorIs(t, again, test.code, "it stays ended")
			_, err = await(near)
			require.ErrorIs(t, err, status.Unavailable, "the other end learns of it")
		})
	}
}

// A consumer that claims to have taken what it cannot have ends the connection, but nothing else.
func TestImpossibleCursors(t *testing.T) {
	for name, at := range map[string]int{"slots": 0, "bytes": 8} {
		t.Run(name, func(t *testing.T) {
			near, _ := connected(t, copying())
			hostile := memoryOf(near)[:ring.Bytes]
			copy(hostile[at:], "\xff\xff\xff\xff\xff\xff\xff")
			value := udf.Value{Bytes: make([]byte, 1<<20)}
			for {
				_, _, err := near.Send(setFrame(value))
				if err != nil {
					require.ErrorIs(t, err, status.Corrupt)
					require.ErrorContains(t, err, "claims")
					break
				}
			}
			require.ErrorIs(t, near.WaitRoom(soon()), status.Corrupt)
		})
	}
}

// What lies beside a connection's memory can be touched by nobody.
func TestGuards(t *testing.T) {
	near, far := connected(t, New())
	for _, c := range []*conn{near, far} {
		from := uintptr(unsafe.Pointer(unsafe.SliceData(c.memory)))
		to := from + memoryBytes
		maps, err := os.ReadFile("/proc/self/maps")
		require.NoError(t, err)
		guards := 0
		for line := range strings.Lines(string(maps)) {
			var start, end uintptr
			var access string
			_, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &access)
			require.NoError(t, err)
			if start < from && end >= from || start <= to && end > to { // the system may join neighbours
				require.Equal(t, "---p", access, line)
				guards++
			}
		}
		require.Equal(t, 2, guards)
	}
}
