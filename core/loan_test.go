package core

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// manifold gives rows of columns of many kinds, with nulls in all of them: large enough to be lent.
func manifold(rows int) arrow.Record {
	text, number := arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64
	var fields []arrow.Field
	for i, t := range []arrow.DataType{
		number, arrow.FixedWidthTypes.Boolean, text, arrow.BinaryTypes.LargeBinary, arrow.BinaryTypes.StringView,
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: text},
		arrow.ListOf(number), arrow.FixedSizeListOf(2, number),
		arrow.StructOf(arrow.Field{Name: "n", Type: number, Nullable: true},
			arrow.Field{Name: "texts", Type: arrow.ListOf(text), Nullable: true}),
	} {
		fields = append(fields, arrow.Field{Name: fmt.Sprint("c", i), Type: t, Nullable: true})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	for i := range rows {
		for k, column := range b.Fields() {
			if (i+k)%7 == 0 {
				column.AppendNull()
			} else {
				appendValue(column, i)
			}
		}
	}
	return b.NewRecord()
}

func appendValue(to array.Builder, i int) {
	switch to := to.(type) {
	case *array.Int64Builder:
		to.Append(int64(i))
	case *array.BooleanBuilder:
		to.Append(i%3 == 0)
	case *array.StringBuilder:
		to.Append(fmt.Sprint("text ", i))
	case *array.BinaryBuilder:
		to.Append(fmt.Append(nil, "bytes ", i))
	case *array.StringViewBuilder:
		to.Append(fmt.Sprint("a text that does not fit into a view ", i))
	case *array.BinaryDictionaryBuilder:
		_ = to.AppendString(fmt.Sprint("one of many that are there again and again ", i%5000))
	case *array.ListBuilder:
		to.Append(true)
		for k := range i % 4 {
			appendValue(to.ValueBuilder(), i+k)
		}
	case *array.FixedSizeListBuilder:
		to.Append(true)
		appendValue(to.ValueBuilder(), i)
		to.ValueBuilder().AppendNull()
	case *array.StructBuilder:
		to.Append(true)
		for k := range to.NumField() {
			appendValue(to.FieldBuilder(k), i)
		}
	default:
		panic(fmt.Sprintf("%T", to))
	}
}

// mappedToRead counts the segments that this process has mapped as one that borrows, its own too.
func mappedToRead() (n int) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, " r--s ") && strings.Contains(line, "/memfd:dcf") {
			n++
		}
	}
	return n
}

// Tables with columns of all kinds, whole and cut, are put and fetched over shared memory without a copy of
// the numbers, in whatever direction, and the memory comes back.
func TestTablesAreLent(t *testing.T) {
	const rows = 20_000
	record := manifold(rows)
	defer record.Release()
	owner := open(t, Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}})
	giver := open(t, Options{Join: owner.Addresses()})
	taker := open(t, Options{Join: owner.Addresses()})
	idle, _ := arena.Usage()
	for name, cut := range map[string][2]int64{"whole": {0, rows}, "within bytes": {12_345, 17_111},
		"at a byte": {8 * 1000, rows}, "one row": {777, 778}, "nothing": {5, 5}} {
		t.Run(name, func(t *testing.T) {
			want := record.NewSlice(cut[0], cut[1])
			defer want.Release()
			whole, err := vertex.FromRecord(record)
			require.NoError(t, err)
			for _, from := range []*Worker{owner, giver} {
				v, err := from.Put(PutOptions{Name: "table", Node: 1, Replace: true}, whole.Slice(cut[0], cut[1]))
				require.NoError(t, err)
				v.Release()
				for _, to := range []*Worker{owner, giver, taker} {
					v, err := to.OpenName("table")
					require.NoError(t, err)
					got, _, err := v.Export(0)
					require.NoError(t, err)
					require.True(t, array.RecordEqual(want, got.Record()))
					got.Release()
					v.Release()
				}
				if cut[1]-cut[0] > 1 {
					require.Positive(t, mappedToRead())
				}
			}
			whole.Release()
		})
	}
	v, err := owner.OpenName("table")
	require.NoError(t, err)
	require.NoError(t, v.Drop())
	v.Release()
	require.Eventually(t, func() bool {
		owner.Reclaim()
		for _, w := range []*Worker{giver, taker} { // take in what was given back
			_, err := w.OpenName("table")
			requireCode(t, status.NotFound, err)
		}
		now, _ := arena.Usage()
		return now <= idle+1<<20 // what stores keep for themselves
	}, patience, time.Millisecond)
}

// What is fetched stays as it is while it is replaced at its owner again and again, and also when that has
// gone.
func TestLentTablesStay(t *testing.T) {
	owner, err := Open(Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}})
	require.NoError(t, err)
	guest := open(t, Options{Join: owner.Addresses()})
	var held []*vertex.Batch
	for round := range int64(20) {
		v, err := owner.Put(PutOptions{Name: "table", Replace: true},
			vertex.Int64Batch("x", slices.Repeat([]int64{round}, tableRows)...))
		require.NoError(t, err)
		v.Release()
		v, err = guest.OpenName("table")
		require.NoError(t, err)
		batch, _, err := v.Export(0)
		require.NoError(t, err)
		held = append(held, batch)
		v.Release()
	}
	require.NoError(t, owner.Close(patience))
	for round, batch := range held {
		require.Equal(t, slices.Repeat([]int64{int64(round)}, tableRows), batch.Int64(0))
		batch.Release()
	}
}

// A table that is over the owner's memory limit is refused, whoever has its memory, and given back.
func TestLentTablesCount(t *testing.T) {
	owner := open(t, Options{NodeID: 1, Listen: []string{"tcp://127.0.0.1:0"}, MemoryLimit: 1 << 20, UDFs: common()})
	small := put(t, owner, "small", 1)
	guest := open(t, Options{Join: owner.Addresses(), UDFs: common()})
	big := vertex.Int64Batch("x", numbers(1<<18)...)
	for range 20 {
		_, err := guest.Put(PutOptions{Name: "big", Node: 1}, big)
		requireCode(t, status.Exhausted, err, "memory limit of 1048576")
	}
	there, err := guest.OpenName("small")
	require.NoError(t, err)
	defer there.Release()
	require.Equal(t, int64(1), number(t, guest, "value", there))
	require.EqualValues(t, 8, stat(owner, "vertices.bytes"))
	require.Equal(t, int64(1), number(t, owner, "value", small))
	big.Release()
	require.Eventually(t, func() bool {
		require.Equal(t, int64(1), number(t, guest, "value", there))
		used, _ := arena.Usage()
		return used < 1<<21
	}, patience, time.Millisecond)
}

// callShort is a client that runs out of descriptors and makes its calls all the same.
func callShort() error {
	c, err := openCaller(Options{})
	if err == nil {
		err = c.ask()
	}
	if err != nil {
		return err
	}
	restore, err := exhaust()
	if err != nil {
		return err
	}
	until := time.Now().Add(patience)
	for err = c.fetch(); err != nil; err = c.fetch() {
		fmt.Fprintln(os.Stderr, err)
		if status.Of(err) != status.Exhausted && status.Of(err) != status.Unavailable || time.Now().After(until) {
			return err
		}
	}
	if err := errors.Join(c.all(), restore()); err != nil {
		return err
	}
	if n := mappedToRead(); n > 0 {
		return fmt.Errorf("%d segments are mapped", n)
	}
	return nil
}

// callPoor is a client that has no memory which it could lend.
func callPoor() error {
	c, err := openCaller(Options{SharedLimit: 1})
	for i := 0; i < 10 && err == nil; i++ {
		err = c.all()
	}
	if u := arena.Shared(); err == nil && (u.Segments > 0 || u.Refused == 0) {
		err = fmt.Errorf("%d segments are there, and %d blocks are elsewhere", u.Segments, u.Refused)
	}
	return err
}

// openCaller opens a client and what it calls.
func openCaller(o Options) (*caller, error) {
	o.Join, o.UDFs, o.Timeout = []string{os.Getenv(addressVariable)}, shared(), patience
	w, err := Open(o)
	if err != nil {
		return nil, err
	}
	return newCaller(w, os.Getenv(counterVariable))
}

// exhaust leaves this process one descriptor until restore is called.
func exhaust() (restore func() error, err error) {
	var before unix.Rlimit
	if err = unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		return nil, err
	}
	if err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: before.Max}); err != nil {
		return nil, err
	}
	for last := 0; ; {
		fd, full := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if full != nil {
			return func() error { return unix.Setrlimit(unix.RLIMIT_NOFILE, &before) }, unix.Close(last)
		}
		last = fd
	}
}

// Clients that have no descriptors to map what they are lent, or no memory to lend, call all the same.
func TestClientsThatCannotShare(t *testing.T) {
	_, address, _ := sharing(t, 1)
	for _, role := range []string{"short", "poor"} {
		t.Run(role, func(t *testing.T) {
			c := start(t, role, addressVariable+"="+address, counterVariable+"=counter0")
			_, err := io.ReadAll(c.out)
			require.NoError(t, err)
			c.reap()
			require.True(t, c.ProcessState.Success(), "%v: %s", c.ProcessState, c.stderr)
		})
	}
}

// A process of another user gets nothing of this one's.
func TestClientOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it needs to become another user")
	}
	const nobody = 65534
	server, address, counts := sharing(t, 1)
	open(t, Options{Join: []string{address}}) // what a first client brings with it stays
	before := held(server)
	c := startAs(t, &syscall.Credential{Uid: nobody, Gid: nobody}, "client", addressVariable+"="+address,
		counterVariable+"=counter0")
	said, err := io.ReadAll(c.out)
	require.NoError(t, err)
	c.reap()
	require.Empty(t, said)
	require.Contains(t, c.stderr.String(), "only processes of user 65534 may share memory with this one")
	require.Zero(t, number(t, server, "value", counts[0]))
	settle(t, server, nil, before)
}
