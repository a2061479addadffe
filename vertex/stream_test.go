package vertex

import (
	"errors"
	"io"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// newStream gives room for a stream in memory of C, freed at the end of the test.
func newStream(t *testing.T) unsafe.Pointer {
	block := arena.Alloc(int(unsafe.Sizeof(cdata.ArrayStream{})))
	clear(block)
	t.Cleanup(func() { arena.Free(block) })
	return unsafe.Pointer(&block[0])
}

func TestStreamsCarryBatches(t *testing.T) {
	out := newStream(t)
	var batches []*Batch
	for i := range int64(5) {
		batches = append(batches, Int64Batch("n", i, i+1))
	}
	schema := batches[0].Schema()
	require.NoError(t, ExportBatches(out, schema, batches))
	s, err := ImportStream(out)
	require.NoError(t, err)
	require.Nil(t, (*cdata.ArrayStream)(out).Release, "a stream is moved")
	require.Same(t, schema, s.Schema())
	for i := range int64(3) {
		b, err := s.Next()
		require.NoError(t, err)
		require.Equal(t, []int64{i, i + 1}, b.Int64(0))
		b.Release()
	}
	s.Close()
	s.Close()
	_, err = s.Next()
	require.ErrorIs(t, err, status.BadHandle)

	require.NoError(t, ExportBatches(out, schema, nil))
	s, err = ImportStream(out)
	require.NoError(t, err)
	for range 2 {
		_, err = s.Next()
		require.ErrorIs(t, err, io.EOF)
	}
	s.Close()
}

func TestFailuresOfStreamsAreTold(t *testing.T) {
	out := newStream(t)
	_, err := ImportStream(nil)
	require.ErrorIs(t, err, status.InvalidArgument)
	_, err = ImportStream(out)
	require.ErrorIs(t, err, status.InvalidArgument)

	for _, c := range []struct {
		err   error
		errno int32
	}{{errors.New("the disk is gone"), 5}, {status.Errorf(status.Timeout, "the disk is gone"), 110}} {
		closed := 0
		one := Int64Batch("n", 1)
		next := func() (*Batch, error) { return nil, c.err }
		require.NoError(t, ExportStream(out, one.Schema(), next, func() { closed++ }))
		s, err := ImportStream(out)
		require.NoError(t, err)
		for range 2 {
			_, err = s.Next()
			require.ErrorContains(t, err, "the disk is gone")
			require.Equal(t, c.errno, status.From(err).OS)
		}
		s.Close()
		require.Equal(t, 1, closed)
		one.Release()
	}

	// A batch of another type than the stream's is refused and released.
	text := sample(t)
	schema := text.Schema()
	require.NoError(t, ExportBatches(out, schema, []*Batch{Int64Batch("n", 1)}))
	s, err := ImportStream(out)
	require.NoError(t, err)
	_, err = s.Next()
	require.ErrorIs(t, err, status.InvalidArgument)
	s.Close()
	text.Release()
}
