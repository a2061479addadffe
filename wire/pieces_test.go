package wire

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/udf/native/nativetest"
	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// pieceEnd is where a piece of a body ends, and what it is.
type pieceEnd struct {
	end   int
	trust vertex.Trust
}

// pieced gives a body with the same bytes in pieces, and says how often it was released.
func pieced(t testing.TB, data []byte, cuts []pieceEnd) (*vertex.Body, *int) {
	memory := func(bytes []byte) *vertex.Body {
		body, err := vertex.NewBody(len(bytes))
		require.NoError(t, err)
		copy(body.Bytes(), bytes)
		return body
	}
	own := memory(data)
	pieces, foreign, start := []vertex.Piece{}, []*vertex.Body{}, 0
	for _, c := range cuts {
		bytes := own.Bytes()[start:c.end]
		if c.trust != vertex.TrustOwn && len(bytes) > 0 {
			lent := memory(bytes)
			foreign = append(foreign, lent)
			clear(bytes) // it is not to be read there
			bytes = lent.Bytes()
		}
		pieces, start = append(pieces, vertex.Piece{Bytes: bytes, Trust: c.trust}), c.end
	}
	released := new(int)
	body, err := vertex.NewBodyOf(own, pieces, func() {
		*released++
		for _, lent := range foreign {
			for i := range lent.Bytes() {
				lent.Bytes()[i] = 0xee // whoever still reads it, sees it
			}
			lent.Release()
		}
	})
	require.NoError(t, err)
	return body, released
}

// decoded gives what comes of a frame with that body, encoded again.
func decoded(t testing.TB, d *Decoder, header []byte, body *vertex.Body) ([]byte, error) {
	var f Frame
	if err := d.Decode(header, body, &f); err != nil {
		return nil, err
	}
	defer f.Release()
	again, err := Append(nil, &f)
	require.NoError(t, err)
	return again, nil
}

// randomTrust gives any trust.
func randomTrust(r *rand.Rand) vertex.Trust { return vertex.Trust(r.IntN(3)) }

// bodies gives frames of all types and what their encoder said of their bodies: where each piece
// ends, and whether it is a buffer of a batch.
func bodies(t testing.TB, f func(header, data []byte, ends []int, buffers []bool)) {
	var values []udf.Value
	for _, r := range slicedRecords(t) {
		b := batchOf(t, r)
		defer b.Release()
		values = append(values, udf.Value{Batch: b})
	}
	large := udf.Value{Bytes: slices.Repeat([]byte("value"), 20_000)}
	for _, v := range append(values, large) {
		frame := &Frame{SessionHeader{Kind: KindReply}, &Reply{HasValue: true, Value: v,
			Parts: []Part{{Value: values[0]}, {Value: large}, {Value: v}}}}
		var e Encoder
		header, body, _, err := e.Encode(frame)
		require.NoError(t, err)
		var data []byte
		var ends []int
		for _, piece := range body {
			data = append(data, piece...)
			ends = append(ends, len(data))
		}
		f(slices.Clone(header[PrefixBytes:]), data, ends, slices.Clone(e.buffers))
		e.Release()
	}
}

// What lies where the encoder says that it may comes out as from one block.
func TestBodiesInPieces(t *testing.T) {
	live(t)
	r := random(t)
	bodies(t, func(header, data []byte, ends []int, buffers []bool) {
		whole, err := vertex.NewBody(len(data))
		require.NoError(t, err)
		copy(whole.Bytes(), data)
		var d Decoder
		want, err := decoded(t, &d, header, whole)
		require.NoError(t, err)
		whole.Release()
		for range 8 {
			var cuts []pieceEnd
			for i, end := range ends {
				c := pieceEnd{end, vertex.TrustOwn}
				if buffers[i] {
					c.trust = randomTrust(r)
				}
				if n := len(cuts); n > 0 && c.trust == vertex.TrustOwn && cuts[n-1].trust == c.trust {
					cuts = cuts[:n-1] // in a row, as they come
				}
				cuts = append(cuts, c)
			}
			body, released := pieced(t, data, cuts)
			got, err := decoded(t, &d, header, body)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Zero(t, *released)
			body.Release()
			require.Equal(t, 1, *released)
		}
	})
}

// A body that is cut anywhere gives the same, or is refused.
func TestBodiesCutAnywhere(t *testing.T) {
	live(t)
	r := random(t)
	same, refused := 0, 0
	bodies(t, func(header, data []byte, ends []int, _ []bool) {
		whole, err := vertex.NewBody(len(data))
		require.NoError(t, err)
		copy(whole.Bytes(), data)
		var d Decoder
		want, err := decoded(t, &d, header, whole)
		require.NoError(t, err)
		whole.Release()
		for range 20 {
			var cuts []pieceEnd
			for at := 0; at < len(data); {
				if at++; r.IntN(2) == 0 { // where the encoder's pieces end, or anywhere
					i, _ := slices.BinarySearch(ends, at)
					at = ends[i+r.IntN(len(ends)-i)]
				} else {
					at = min(at+r.IntN(len(data)), len(data))
				}
				trust := vertex.TrustOwn
				if r.IntN(4) == 0 {
					trust = randomTrust(r)
				}
				cuts = append(cuts, pieceEnd{at, trust})
			}
			body, released := pieced(t, data, cuts)
			got, err := decoded(t, &d, header, body)
			if err == nil {
				require.Equal(t, want, got)
				same++
			} else {
				require.ErrorIs(t, err, status.Corrupt)
				refused++
			}
			body.Release()
			require.Equal(t, 1, *released)
		}
	})
	t.Logf("%d bodies gave the same, %d were refused", same, refused)
	require.Positive(t, same)
	require.Positive(t, refused)
}

// Metadata in memory of another process could change while it is read.
func TestMetadataIsOnlyReadFromOwnMemory(t *testing.T) {
	live(t)
	bodies(t, func(header, data []byte, _ []int, _ []bool) {
		for _, trust := range []vertex.Trust{vertex.TrustPublished, vertex.TrustNone} {
			body, _ := pieced(t, data, []pieceEnd{{len(data), trust}})
			_, err := decoded(t, new(Decoder), header, body)
			body.Release()
			require.ErrorIs(t, err, status.Corrupt)
			require.ErrorContains(t, err, "it lies in memory of another process")
		}
	})
}

// Bytes that another process may change are copied, others are not.
func TestValuesInPieces(t *testing.T) {
	live(t)
	frame := &Frame{SessionHeader{Kind: KindReply},
		&Reply{HasValue: true, Value: udf.Value{Bytes: make([]byte, MaxInlineBytes+1)}}}
	whole, err := Append(nil, frame)
	require.NoError(t, err)
	header, plain := split(t, whole)
	data := slices.Clone(plain.Bytes())
	plain.Release()
	for _, trust := range []vertex.Trust{vertex.TrustOwn, vertex.TrustPublished, vertex.TrustNone} {
		var d Decoder
		var f Frame
		body, _ := pieced(t, data, []pieceEnd{{len(data), trust}})
		require.NoError(t, d.Decode(header, body, &f))
		piece, err := body.Value(0, int64(len(data)))
		require.NoError(t, err)
		value := f.Message.(*Reply).Value
		require.True(t, value.OffHeap)
		require.Equal(t, trust != vertex.TrustNone, &value.Bytes[0] == &piece[0])
		f.Release()
		body.Release()
	}
}

// The owner of pieces hears of their end at once, also from a thread that Go does not know.
func TestReleasesReachTheOwner(t *testing.T) {
	live(t)
	batch := vertex.Int64Batch("x", make([]int64, 1000)...)
	defer batch.Release()
	var e Encoder
	header, encoded, _, err := e.Encode(&Frame{SessionHeader{Kind: KindReply},
		&Reply{HasValue: true, Value: udf.Value{Batch: batch}}})
	require.NoError(t, err)
	var data []byte
	var ends []pieceEnd
	for i, piece := range encoded {
		data = append(data, piece...)
		ends = append(ends, pieceEnd{len(data), vertex.TrustOwn})
		if e.Lendable(i) {
			ends[i].trust = vertex.TrustNone
		}
	}
	for _, release := range []func(unsafe.Pointer){cdata.ReleaseArray, nativetest.ReleaseOnThread} {
		body, released := pieced(t, data, ends)
		var f Frame
		require.NoError(t, new(Decoder).Decode(header[PrefixBytes:], body, &f))
		body.Release()
		array := arena.Alloc(int(unsafe.Sizeof(cdata.Array{})))
		require.NoError(t, f.Message.(*Reply).Value.Batch.Export(nil, unsafe.Pointer(&array[0])))
		f.Release()
		require.Zero(t, *released)
		release(unsafe.Pointer(&array[0]))
		require.Equal(t, 1, *released)
		arena.Free(array)
	}
}

// What Hold gives keeps lent buffers, though the frame and its batches are gone.
func TestHeldBuffersStay(t *testing.T) {
	live(t)
	require.NoError(t, arena.Share(arena.Options{}))
	values := make([]int64, 100_000)
	for i := range values {
		values[i] = int64(i)
	}
	used, _ := arena.Usage()
	nulls := batchOf(t, record(column(t, arrow.PrimitiveTypes.Int32, `[1, null, 3, 4, null]`)))
	whole := vertex.Int64Batch("x", values...)
	for _, batch := range []*vertex.Batch{whole.Slice(10, 90_000), nulls.Slice(1, 5)} {
		e := Encoder{Share: true}
		_, body, _, err := e.Encode(&Frame{SessionHeader{Kind: KindReply},
			&Reply{HasValue: true, Value: udf.Value{Batch: batch}}})
		require.NoError(t, err)
		var lent [][]byte
		var want []string
		large := 0
		for i, piece := range body {
			if e.Lendable(i) {
				lent, want = append(lent, piece), append(want, string(piece))
				if _, _, ok := arena.Locate(piece); ok {
					large++
				}
			}
		}
		require.NotEmpty(t, lent)
		require.Equal(t, batch.Rows() > 1000, large == 1)
		held := e.Hold()
		batch.Release()
		e.Release()
		for i, piece := range lent {
			require.Equal(t, want[i], string(piece))
		}
		for i := range held {
			held[i].Release()
		}
	}
	whole.Release()
	nulls.Release()
	now, _ := arena.Usage()
	require.Equal(t, used, now)
}
