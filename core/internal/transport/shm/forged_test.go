package shm

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/wire"
)

// readOnly gives a descriptor of the same file as another one, to read it only.
func readOnly(t testing.TB, fd int) int {
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(again) })
	return again
}

// foreignSegment gives a descriptor as a peer introduces it, of a segment of that size.
func foreignSegment(t testing.TB, size int64) int { return readOnly(t, memfd(t, size, seals)) }

// introduction is the word that introduces a segment.
func introduction(number uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{segment}, number)
}

// forgery is a frame that lends, made by hand.
type forgery struct {
	loan    uint64
	buffers uint32 // how many it says it lends
	refs    []ref
	bodyLen uint64
}

const forgedHeader = 48

// lends is a frame that lends those buffers, and nothing else.
func lends(bodyLen uint64, refs ...ref) forgery {
	return forgery{loan: 1, buffers: uint32(len(refs)), refs: refs, bodyLen: bodyLen}
}

// bytes gives the message that starts the frame, and the bytes that belong to it.
func (f forgery) bytes() (message, area []byte) {
	area = make([]byte, forgedHeader)
	for _, r := range f.refs {
		for _, word := range [...]uint64{r.at, r.segment, r.offset, r.length} {
			area = binary.LittleEndian.AppendUint64(area, word)
		}
	}
	message = append(message, "DCF1"...)
	message = binary.LittleEndian.AppendUint32(message, forgedHeader)
	message = binary.LittleEndian.AppendUint64(message, f.bodyLen)
	message = binary.LittleEndian.AppendUint64(message, f.loan)
	message = binary.LittleEndian.AppendUint32(message, f.buffers)
	return binary.LittleEndian.AppendUint32(message, uint32(len(area))), area
}

// forge has the peer of a connection send it.
func (f forgery) forge(t testing.TB, from *conn) {
	message, area := f.bytes()
	from.outbox.ring.Write(area)
	from.outbox.ring.EndPiece()
	require.True(t, from.outbox.ring.Put(kindLent, message))
	require.NoError(t, from.Flush())
}

// mappedSegments is how many segments of others this process has mapped.
func mappedSegments() int {
	mapped.mu.Lock()
	defer mapped.mu.Unlock()
	return len(mapped.all)
}

// What a peer says it lends must lie in segments that it introduced, in order, and within the body. Else the
// connection ends with a message that says what is wrong, and nothing stays mapped.
func TestForgedLoans(t *testing.T) {
	const size = 1 << 20
	const half = size / 2
	good := ref{0, 1, 0, half}
	for _, test := range []struct {
		name, message string
		forgery
	}{
		{"of no segment", "segment 7, which it did not introduce", lends(size, ref{0, 7, 0, half})},
		{"behind the segment", "at 1048577 of segment 1, which has 1048576",
			lends(size, ref{0, 1, size + 1, 1})},
		{"over the segment's end", "at 524289 of segment 1, which has 1048576",
			lends(size, ref{0, 1, half + 1, half})},
		{"at an offset that wraps", "of segment 1, which has", lends(size, ref{0, 1, math.MaxUint64, 2})},
		{"of a length that wraps", "for 16 of a body of 1048576",
			lends(size, ref{16, 1, 8, math.MaxUint64 - 7})},
		{"more than the segment has", "lends 1048577 bytes", lends(2*size, ref{0, 1, 0, size + 1})},
		{"of nothing", "lends 0 bytes", lends(size, ref{0, 1, 0, 0})},
		{"twice for one place", "of which 524288 are there", lends(size, good, ref{half - 1, 1, 0, 16})},
		{"out of order", "of which 1048576 are there", lends(size, ref{half, 1, 0, half}, good)},
		{"behind the body", "for 1048577 of a body of 1048576", lends(size, ref{size + 1, 1, 0, 1})},
		{"over the body's end", "for 524289 of a body", lends(size, ref{half + 1, 1, 0, half})},
		{"without buffers", "lends 0 buffers", lends(size)},
		{"without a number", "as loan 0", forgery{0, 1, []ref{good}, size}},
		{"more than there may be", "maxLent", forgery{1, maxLent + 1, nil, size}},
		{"more than the body has", "lends 17 buffers", forgery{1, 17, nil, 16}},
		{"of a body beyond all", "MaxBodyBytes", lends(1<<60, good)},
	} {
		t.Run(test.name, func(t *testing.T) {
			used, _ := arena.Usage()
			near, far := connected(t, New())
			require.True(t, say(&near.sock, introduction(1), foreignSegment(t, size)))
			test.forge(t, near)
			require.True(t, far.Ready(), "there is something to tell of")
			_, err := far.Next(0)
			require.ErrorIs(t, err, status.Corrupt)
			require.ErrorContains(t, err, test.message)
			require.Zero(t, mappedSegments())
			now, _ := arena.Usage()
			require.Equal(t, used, now)
		})
	}
}

// What a peer introduces is memory that cannot become shorter, and that this process could not write to.
func TestForgedSegments(t *testing.T) {
	const size = 1 << 16
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	require.NoError(t, file.Truncate(size))
	pipe := make([]int, 2)
	require.NoError(t, unix.Pipe2(pipe, unix.O_CLOEXEC))
	defer func() { _, _ = unix.Close(pipe[0]), unix.Close(pipe[1]) }()
	truncated := memfd(t, size, 0)
	truncatedToo := readOnly(t, truncated)
	require.NoError(t, unix.Ftruncate(truncated, 0))
	good := foreignSegment(t, size)
	type word struct {
		bytes []byte
		fd    int
	}
	once := func(fd int) []word { return []word{{introduction(1), fd}} }
	for _, test := range []struct {
		name, message string
		words         []word
	}{
		{"writable", "allows to write", once(memfd(t, size, seals))},
		{"not sealed", "sealed", once(readOnly(t, memfd(t, size, 0)))},
		{"may shrink", "sealed", once(readOnly(t, memfd(t, size, unix.F_SEAL_GROW)))},
		{"truncated", "sealed", once(truncatedToo)},
		{"empty", "has 0 bytes", once(foreignSegment(t, 0))},
		{"half a page", "has 2048 bytes", once(foreignSegment(t, 2048))},
		{"too large", "has 274877911040 bytes", once(foreignSegment(t, arena.MaxSegmentBytes+4096))},
		{"a file", "sealed", once(readOnly(t, int(file.Fd())))},
		{"a pipe", "sealed", once(pipe[0])},
		{"twice", "introduces segment 1 again", append(once(good), once(good)...)},
		{"without a descriptor", "without its descriptor", once(-1)},
		{"more than may be", "more than 1024 segments", func() (all []word) {
			for i := range uint64(maxSegments + 1) {
				all = append(all, word{introduction(i + 1), good})
			}
			return all
		}()},
		{"a second lifeline", "second lifeline", []word{{[]byte{lifeline}, pipe[1]}, {[]byte{lifeline}, pipe[1]}}},
		{"a lifeline of nothing", "without its descriptor", []word{{[]byte{lifeline}, -1}}},
		{"a descriptor of nothing", "without a word", []word{{[]byte{wakeUp}, good}}},
		{"an unknown word", `the word '?'`, []word{{[]byte("?"), good}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := descriptors(t)
			near, far := connected(t, New())
			for _, w := range test.words {
				if w.fd < 0 {
					require.NoError(t, unix.Send(near.sock.FD, w.bytes, unix.MSG_DONTWAIT))
				} else if !say(&near.sock, w.bytes, w.fd) { // the socket is full
					require.NoError(t, far.hear())
					require.True(t, say(&near.sock, w.bytes, w.fd))
				}
			}
			if far.Descriptor() >= 0 { // where it listens
				far.Return()
			}
			_, err := far.Next(0)
			require.ErrorIs(t, err, status.Corrupt)
			require.ErrorContains(t, err, test.message)
			require.Zero(t, mappedSegments())
			end(near)
			require.LessOrEqual(t, descriptors(t), before+pollers)
		})
	}
}

// pollers is how many descriptors a transport has that watches connections.
const pollers = 2

func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries) - 1
}

// What a peer takes back it must have introduced.
func TestForgedForgetting(t *testing.T) {
	near, far := connected(t, New())
	require.True(t, say(&near.sock, introduction(1), foreignSegment(t, 4096)))
	require.NoError(t, far.hear())
	require.Equal(t, 1, mappedSegments())
	near.outbox.note(kindForget, 1)
	_, err := far.Next(0)
	require.ErrorIs(t, err, transport.ErrAgain)
	require.Zero(t, mappedSegments())
	near.outbox.note(kindForget, 1)
	_, err = await(far)
	require.ErrorIs(t, err, status.Corrupt)
	require.ErrorContains(t, err, "takes segment 1 back")
}

// Who cannot map what a peer introduces says why, and has those that it meets from then on copy.
func TestSegmentsThatCannotBeMapped(t *testing.T) {
	for message, prepare := range map[string]func() (restore func()){
		"maxMappedBytes": func() func() {
			add := func(bytes int64) {
				mapped.mu.Lock()
				mapped.bytes += bytes
				mapped.mu.Unlock()
			}
			add(maxMappedBytes - 4096)
			return func() { add(4096 - maxMappedBytes) }
		},
		"allow more (ulimit -n)": func() func() { return limitDescriptors(t, 0) },
	} {
		t.Run(message, func(t *testing.T) {
			tr := New()
			near, far := connected(t, tr)
			require.True(t, say(&near.sock, introduction(1), foreignSegment(t, 8192)))
			restore := prepare()
			err := far.hear()
			restore()
			require.ErrorIs(t, err, status.Exhausted)
			require.ErrorContains(t, err, message)
			require.Zero(t, mappedSegments())

			short, well := tr, New()
			batch, numbers := numbered(1 << 16)
			defer batch.Release()
			for _, dialer := range []*Transport{short, well} { // who is short may be at either end
				listener := map[*Transport]*Transport{short: well, well: short}[dialer]
				l := listening(t, listener)
				dialled, err := dialer.Dial(l.Address(), soon())
				require.NoError(t, err)
				accepted, err := l.Accept()
				require.NoError(t, err)
				from, to := accepted.(*conn), dialled.(*conn)
				if listener == short {
					from, to = to, from
				}
				require.False(t, lendOne(t, from, batch))
				takeOne(t, to, numbers).Release()
				require.True(t, lendOne(t, to, batch), "the other way it is well")
				takeOne(t, from, numbers).Release()
				end(dialled)
				end(accepted)
			}
		})
	}
}

// lentTo gives a borrower that knows one segment, of that size.
func lentTo(t testing.TB, size int64) *borrowed {
	_, far := connected(t, New())
	require.NoError(t, far.borrower.introduce(1, foreignSegment(t, size)))
	b := &borrowed{c: far, number: 1}
	t.Cleanup(func() {
		for _, f := range b.segments {
			f.release()
		}
	})
	return b
}

// Whatever the references are, what is made of them lies in the segment, and covers the body once.
func FuzzLoan(f *testing.F) {
	const size = 1 << 16
	for _, refs := range [][]ref{{{0, 1, 0, size}}, {{64, 1, 128, 256}, {1000, 1, 0, 17}}, {{0, 2, 0, 1}},
		{{0, 1, math.MaxUint64, 2}}} {
		_, area := lends(0, refs...).bytes()
		f.Add(uint64(size), area[forgedHeader:])
	}
	b := lentTo(f, size)
	f.Fuzz(func(t *testing.T, bodyLen uint64, refs []byte) {
		bodyLen %= wire.MaxBodyBytes + 1
		refs = refs[:min(len(refs)/refBytes, 64)*refBytes]
		l, err := b.lay(refs, bodyLen, vertex.TrustNone)
		if err != nil {
			require.ErrorIs(t, err, status.Corrupt)
			return
		}
		segment := b.segments[0].mapping.Bytes()
		total, own := uint64(0), 0
		for _, g := range l.gaps {
			require.GreaterOrEqual(t, g.place, own)
			require.Nil(t, l.pieces[g.piece].Bytes)
			own, total = g.place+g.size, total+uint64(g.size)
		}
		require.LessOrEqual(t, own, l.own)
		for _, p := range l.pieces {
			if len(p.Bytes) > 0 {
				at := offsetIn(segment, p.Bytes)
				require.LessOrEqual(t, at+uintptr(len(p.Bytes)), uintptr(size))
				require.Equal(t, len(p.Bytes), cap(p.Bytes))
				total += uint64(len(p.Bytes))
			}
		}
		require.Equal(t, bodyLen, total)
	})
}

// Whatever is said on the socket, without descriptors, is refused or means nothing.
func FuzzWords(f *testing.F) {
	f.Add([]byte("..."))
	f.Add(introduction(1))
	f.Add([]byte("!no\x80"))
	_, far := connected(f, New())
	f.Fuzz(func(t *testing.T, said []byte) {
		far.ears.begun = nil
		for half := range slices.Chunk(said, max(len(said)/2, 1)) {
			if far.words(half) != nil {
				break
			}
		}
		require.Zero(t, mappedSegments())
	})
}

// Whatever messages and bytes are in the ring, the receiver says what is wrong, or waits for more.
func FuzzInbox(f *testing.F) {
	message, area := lends(1<<16, ref{0, 1, 0, 1 << 15}).bytes()
	f.Add(append([]byte{kindLent, byte(len(message))}, message...), area)
	f.Add([]byte{kindStart, 20, 'D', 'C', 'F', '1', 48, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 112, 0, 0, 0},
		make([]byte, 112))
	f.Add([]byte{kindReturn, 8, 1, 0, 0, 0, 0, 0, 0, 0, kindForget, 0}, []byte(nil))
	f.Fuzz(func(t *testing.T, messages, area []byte) {
		near, far := connected(t, New())
		require.NoError(t, far.borrower.introduce(1, foreignSegment(t, 1<<16)))
		near.outbox.ring.Write(area[:min(len(area), ring.AreaBytes)])
		near.outbox.ring.EndPiece()
		for len(messages) >= 2 {
			kind, size := messages[0]%8, min(int(messages[1]), len(messages)-2, ring.MaxMessage)
			near.outbox.ring.Put(kind, messages[2:2+size])
			messages = messages[2+size:]
		}
		require.NoError(t, near.Flush())
		var in transport.Inbound
		defer in.Clear()
		for {
			if _, err := far.Next(0); err != nil {
				return
			}
			if far.Take(&in) != nil {
				return
			}
		}
	})
}
