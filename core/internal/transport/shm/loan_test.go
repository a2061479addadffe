package shm

import (
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/wire"
)

func loansOf(c *conn) (loans int, lent int64) {
	c.lender.mu.Lock()
	defer c.lender.mu.Unlock()
	return len(c.lender.loans), c.lender.bytes
}

// isMapped says whether bytes lie in a segment that is mapped to be read.
func isMapped(b []byte) bool {
	mapped.mu.Lock()
	defer mapped.mu.Unlock()
	at := uintptr(unsafe.Pointer(&b[0]))
	for _, f := range mapped.all {
		all := f.mapping.Bytes()
		start := uintptr(unsafe.Pointer(&all[0]))
		if at >= start && at < start+uintptr(len(all)) {
			return true
		}
	}
	return false
}

// offsetIn gives where bytes lie in memory, or something beyond its end.
func offsetIn(memory, bytes []byte) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(bytes))) - uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
}

func numbered(n int) (*vertex.Batch, []int64) {
	numbers := make([]int64, n)
	for i := range numbers {
		numbers[i] = int64(i) * 3
	}
	return vertex.Int64Batch("n", numbers...), numbers
}

// pass sends a table and gives what arrives.
func pass(t testing.TB, from, to *conn, batch *vertex.Batch) *vertex.Batch {
	_, _, err := from.Send(setFrame(udf.Value{Batch: batch}))
	require.NoError(t, err)
	require.NoError(t, from.Flush())
	_, err = await(to)
	require.NoError(t, err)
	var in transport.Inbound
	require.NoError(t, to.Take(&in))
	value := &in.Frame.Message.(*wire.Operation).Value
	got := value.Batch
	value.Batch = nil
	in.Clear()
	return got
}

// A table of 64 MiB is read where it lies, in both directions, and comes back when it is released.
func TestLargeTablesAreLent(t *testing.T) {
	near, far := connected(t, New())
	batch, numbers := numbered(8 << 20)
	defer batch.Release()
	for _, ends := range [][2]*conn{{near, far}, {far, near}} {
		from, to := ends[0], ends[1]
		got := pass(t, from, to, batch)
		require.True(t, slices.Equal(numbers, got.Int64(0)))
		column := got.Int64(0)
		require.True(t, isMapped(unsafe.Slice((*byte)(unsafe.Pointer(&column[0])), 8)))
		loans, lent := loansOf(from)
		require.Equal(t, 1, loans)
		require.GreaterOrEqual(t, lent, int64(64<<20))
		require.Equal(t, from.Counters().BytesSent, to.Counters().BytesReceived)
		require.GreaterOrEqual(t, from.Counters().BytesSent, uint64(64<<20))
		got.Release()
		_, err := from.Next(0)
		require.ErrorIs(t, err, transport.ErrAgain)
		loans, lent = loansOf(from)
		require.Zero(t, loans)
		require.Zero(t, lent)
	}
}

// What outlives its connection stays as it is, and comes back when it is released.
func TestLoanOutlivesItsConnection(t *testing.T) {
	near, far := connected(t, New())
	before, _ := arena.Usage()
	batch, numbers := numbered(1 << 20)
	got := pass(t, near, far, batch)
	batch.Release()
	end(near)
	end(far)
	used, _ := arena.Usage()
	require.GreaterOrEqual(t, used-before, 8<<20, "it is still lent")
	others := make([]*vertex.Batch, 4)
	for i := range others { // would take the place of what is free
		others[i] = vertex.Int64Batch("n", make([]int64, 1<<20)...)
	}
	require.True(t, slices.Equal(numbers, got.Int64(0)))
	for _, b := range others {
		b.Release()
	}
	got.Release()
	require.Eventually(t, func() bool { now, _ := arena.Usage(); return now == before }, patience, time.Millisecond)
}

// The death of a process frees what it was lent.
func TestDeathReturnsLoans(t *testing.T) {
	before, _ := arena.Usage()
	c, child := dialProcess(t, New(), "silent")
	batch, _ := numbered(1 << 20)
	_, _, err := c.Send(setFrame(udf.Value{Batch: batch}))
	require.NoError(t, err)
	require.NoError(t, c.Flush())
	batch.Release()
	loans, _ := loansOf(c)
	require.Equal(t, 1, loans)
	require.NoError(t, child.Signal(syscall.SIGKILL))
	require.Eventually(t, func() bool { now, _ := arena.Usage(); return now == before }, patience, time.Millisecond)
}

// A peer that returns what it was not lent, or twice, is cut, and nothing else is lost.
func TestForeignReturns(t *testing.T) {
	for name, returns := range map[string][]uint64{"foreign": {77}, "none": {0}, "twice": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			near, far := connected(t, New())
			batch, numbers := numbered(1 << 17)
			defer batch.Release()
			got := pass(t, near, far, batch)
			for _, number := range returns {
				far.outbox.note(kindReturn, number)
			}
			_, err := await(near)
			require.ErrorIs(t, err, status.Corrupt)
			require.ErrorContains(t, err, "returns loan")
			require.True(t, slices.Equal(numbers, batch.Int64(0)))
			got.Release()
		})
	}
}
