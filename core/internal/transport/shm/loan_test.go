package shm

import (
	"errors"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
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

// lendOne sends a table, and says whether it was lent.
func lendOne(t *testing.T, from *conn, batch *vertex.Batch) bool {
	before, _ := loansOf(from)
	_, _, err := from.Send(setFrame(udf.Value{Batch: batch}))
	require.NoError(t, err)
	require.NoError(t, from.Flush())
	after, _ := loansOf(from)
	return after > before
}

// takeOne receives a table that is as it was sent.
func takeOne(t *testing.T, to *conn, numbers []int64) (value *vertex.Batch) {
	_, err := await(to)
	require.NoError(t, err)
	var in transport.Inbound
	require.NoError(t, to.Take(&in))
	op := &in.Frame.Message.(*wire.Operation).Value
	value, op.Batch = op.Batch, nil
	in.Clear()
	require.True(t, slices.Equal(numbers, value.Int64(0)))
	return value
}

// listen takes what the peer has returned.
func listen(t *testing.T, c *conn) {
	_, err := c.Next(0)
	require.ErrorIs(t, err, transport.ErrAgain)
}

// At a limit of loans the next table is copied, and below it lent again.
func TestLimitsOfLoans(t *testing.T) {
	batch, numbers := numbered(1 << 16)
	defer batch.Release()
	t.Run("maxLoans", func(t *testing.T) {
		tr := New()
		tr.maxLoans = 2
		near, far := connected(t, tr)
		var held []*vertex.Batch
		for i := range 4 {
			require.Equal(t, i < 2, lendOne(t, near, batch))
			held = append(held, takeOne(t, far, numbers))
		}
		for _, b := range held {
			b.Release()
		}
		listen(t, near)
		require.True(t, lendOne(t, near, batch))
		takeOne(t, far, numbers).Release()
	})
	t.Run("maxLentBytes", func(t *testing.T) {
		near, far := connected(t, New())
		add := func(bytes int64) { // as if they were lent
			near.lender.mu.Lock()
			near.lender.bytes += bytes
			near.lender.mu.Unlock()
		}
		size := batch.Bytes()
		require.True(t, lendOne(t, near, batch))
		add(maxLentBytes - 2*size + 1)
		require.False(t, lendOne(t, near, batch))
		add(-maxLentBytes + 2*size - 1)
		require.True(t, lendOne(t, near, batch))
		for range 3 {
			takeOne(t, far, numbers).Release()
		}
	})
	t.Run("maxFlightBytes", func(t *testing.T) {
		near, far := connected(t, New())
		big, numbers := numbered(maxFlightBytes / 8 / 2)
		defer big.Release()
		require.True(t, lendOne(t, near, big))
		require.True(t, lendOne(t, near, batch))
		require.False(t, lendOne(t, near, big), "it would be the second half and more")
		for _, n := range [][]int64{numbers, numbers[:1<<16], numbers} {
			takeOne(t, far, n).Release()
		}
		listen(t, near)
		require.True(t, lendOne(t, near, big))
		takeOne(t, far, numbers).Release()
	})
	t.Run("minLentBytes", func(t *testing.T) {
		near, far := connected(t, New())
		const columns = 8 // which lie in one block
		for rows, lent := range map[int]int64{minLentBytes/8 - 1: 0, minLentBytes / 8: columns * minLentBytes} {
			wide := wideBatch(t, columns, rows)
			require.Equal(t, lent > 0, lendOne(t, near, wide))
			_, bytes := loansOf(near)
			require.Equal(t, lent, bytes)
			takeOne(t, far, wide.Int64(0)).Release()
			listen(t, near)
			wide.Release()
		}
	})
	t.Run("maxLent", func(t *testing.T) {
		near, far := connected(t, New())
		const columns, rows, targets = vertex.MaxColumns, minLentBytes / 8, 5
		wide := wideBatch(t, columns, rows)
		defer wide.Release()
		call := &wire.Call{UDFs: []wire.UDFRef{{Name: "f"}}}
		for range targets {
			call.Targets = append(call.Targets, wire.Target{HasArguments: true, Arguments: udf.Value{Batch: wide}})
		}
		h := wire.SessionHeader{Version: wire.Version, Kind: wire.KindCall, CallID: 1}
		sent := make(chan error, 1)
		go func() {
			_, _, err := near.Send(&wire.Frame{Header: h, Message: call})
			if err == nil {
				err = near.Flush()
			}
			sent <- err
		}()
		_, err := await(far)
		require.NoError(t, err)
		require.NoError(t, <-sent)
		_, lent := loansOf(near)
		require.EqualValues(t, maxLent*minLentBytes, lent, "%d buffers are lent", maxLent)
		var in transport.Inbound
		require.NoError(t, far.Take(&in))
		for _, target := range in.Frame.Message.(*wire.Call).Targets {
			for column := range columns {
				require.Equal(t, []int64{int64(column), rows - 1}, []int64{target.Arguments.Batch.Int64(column)[0],
					target.Arguments.Batch.Int64(column)[rows-1]})
			}
		}
		in.Clear()
	})
}

// wideBatch gives columns of 1, 2, 3, ..., but for the first row, which has the column's number.
func wideBatch(t *testing.T, columns, rows int) *vertex.Batch {
	fields, arrays := make([]arrow.Field, columns), make([]arrow.Array, columns)
	for i := range columns {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		b.Append(int64(i))
		for row := 1; row < rows; row++ {
			b.Append(int64(row))
		}
		fields[i] = arrow.Field{Name: strconv.Itoa(i), Type: arrow.PrimitiveTypes.Int64}
		arrays[i] = b.NewArray()
	}
	batch, err := vertex.FromRecord(array.NewRecord(arrow.NewSchema(fields, nil), arrays, int64(rows)))
	require.NoError(t, err)
	return batch
}

// knownTo gives how many segments a connection knows of its peer, after it listened.
func knownTo(t *testing.T, c *conn) int {
	require.NoError(t, c.hear())
	c.borrower.mu.Lock()
	defer c.borrower.mu.Unlock()
	return len(c.borrower.segments)
}

// What was lent to one peer the next one knows from the start, if it wants loans.
func TestSegmentsAreAnnounced(t *testing.T) {
	_, kept := arena.Usage()
	arena.Keep(0) // what is given back is gone
	defer arena.Keep(max(kept, 512<<20))
	owner := New()
	l := listening(t, owner)
	meet := func(guest *Transport) (there, here *conn) {
		dialled, err := guest.Dial(l.Address(), soon())
		require.NoError(t, err)
		accepted, err := l.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { end(dialled); end(accepted) })
		return dialled.(*conn), accepted.(*conn)
	}
	guest, short := New(), New()
	t.Cleanup(func() { require.NoError(t, errors.Join(guest.Close(), short.Close())) })
	short.short.Store(clock.After(patience))

	there, here := meet(guest)
	require.Zero(t, knownTo(t, there), "nothing was lent yet")
	big, numbers := numbered(4 << 20) // has a segment of its own
	require.True(t, lendOne(t, here, big))
	takeOne(t, there, numbers).Release()
	end(there)
	end(here)

	there, here = meet(guest)
	require.Equal(t, 1, knownTo(t, there))
	require.True(t, lendOne(t, here, big))
	takeOne(t, there, numbers).Release()
	require.Equal(t, 1, knownTo(t, there), "it is not introduced again")
	listen(t, here)

	more, numbers := numbered(4 << 20)
	require.True(t, lendOne(t, here, more))
	takeOne(t, there, numbers).Release()
	listen(t, here)
	last := owner.popular.all()
	require.Len(t, last, 2)
	there, here = meet(guest)
	require.Equal(t, 2, knownTo(t, there))
	require.Equal(t, last, owner.popular.all(), "who is told of them did not ask")
	listen(t, here)
	more.Release()

	poor, rich := meet(short)
	require.Zero(t, knownTo(t, poor))
	require.False(t, lendOne(t, rich, big))
	takeOne(t, poor, numbers).Release()

	big.Release()
	there, _ = meet(guest)
	require.Zero(t, knownTo(t, there), "it is gone")
}

// The segments that are announced are the last ones.
func TestMaxAnnounced(t *testing.T) {
	var p popular
	for number := range uint64(2 * maxAnnounced) {
		p.add(number)
		p.add(1)
	}
	require.Len(t, p.numbers, maxAnnounced)
	require.Equal(t, []uint64{1, 2*maxAnnounced - 1, 2*maxAnnounced - 2}, p.numbers[:3])
}

// A segment that is no more is forgotten by both, and one that takes its place is another one.
func TestSegmentsAreForgotten(t *testing.T) {
	_, kept := arena.Usage()
	arena.Keep(0)
	defer arena.Keep(max(kept, 512<<20))
	near, far := connected(t, New())
	last := 0
	for i := range 5 {
		batch, numbers := numbered(4<<20 + i) // has a segment of its own
		require.True(t, lendOne(t, near, batch))
		takeOne(t, far, numbers).Release()
		listen(t, near)
		batch.Release()
		far.borrower.mu.Lock()
		last = len(far.borrower.segments)
		far.borrower.mu.Unlock()
		require.LessOrEqual(t, last, 2, "the one before may be there still")
	}
	require.Positive(t, last)
}
