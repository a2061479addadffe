package wire

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
)

// Memory that reading n bytes may take: allowedBase + allowedFactor*n, in the Go heap and in the
// arena each. The base pays for error texts and the tables of types of vertex.
const (
	allowedBase   = 2 << 20
	allowedFactor = 256
)

// allocated gives the bytes that were allocated in the Go heap so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// bounded runs read, which is given n bytes, and checks its error and what it took while what it
// made is still alive: release frees that.
func bounded(t testing.TB, n int, read func() (release func(), err error)) error {
	used, _ := arena.Usage()
	before := allocated()
	release, err := read()
	after := allocated()
	now, _ := arena.Usage()
	if release != nil {
		release()
	}
	switch status.Of(err) {
	case status.OK, status.Corrupt, status.Unsupported, status.Exhausted, status.InvalidArgument:
	default:
		t.Fatalf("unexpected %v", err)
	}
	if limit := uint64(allowedBase + allowedFactor*n); after-before > limit {
		t.Fatalf("%d bytes in, %d allocated in the heap: %v", n, after-before, err)
	}
	if limit := allowedBase + allowedFactor*n; now-used > limit {
		t.Fatalf("%d bytes in, %d allocated in the arena: %v", n, now-used, err)
	}
	return err
}

// readFrame decodes a frame that may be anything, and encodes what came of it again: so all of it
// is read.
func readFrame(t testing.TB, d *Decoder, frame []byte) error {
	if len(frame) < PrefixBytes {
		return nil
	}
	headerLen, bodyLen, err := ParsePrefix(frame, Limits{})
	if err != nil || PrefixBytes+headerLen+int(bodyLen) != len(frame) {
		return err
	}
	var body *vertex.Body
	if bodyLen > 0 {
		body, err = vertex.NewBody(int(bodyLen))
		require.NoError(t, err)
		defer body.Release()
		copy(body.Bytes(), frame[PrefixBytes+headerLen:])
	}
	return bounded(t, len(frame), func() (func(), error) {
		var f Frame
		if err := d.Decode(frame[PrefixBytes:PrefixBytes+headerLen], body, &f); err != nil {
			return nil, err
		}
		_, err := Append(nil, &f)
		return f.Release, err
	})
}

// readArrow reads a file or stream that may be anything, and all that is in it.
func readArrow(t testing.TB, data []byte) error {
	return bounded(t, len(data), func() (func(), error) {
		_, batches, err := ReadIPC(data)
		for _, b := range batches {
			touch(t, b)
		}
		return func() {
			for _, b := range batches {
				b.Release()
			}
		}, err
	})
}

// touch reads all of a batch, as a sender does.
func touch(t testing.TB, b *vertex.Batch) {
	_, err := Append(nil, &Frame{SessionHeader{Kind: KindReply},
		&Reply{HasValue: true, Value: udf.Value{Batch: b}}})
	if err != nil { // a name or metadata that cannot be sent, not a crash
		require.Contains(t, []status.Code{status.InvalidArgument, status.Exhausted,
			status.Unsupported}, status.Of(err), "%v", err)
	}
}

// mutate changes one to four bytes: anywhere, or a whole number to an extreme.
func mutate(r *rand.Rand, b []byte, from int) {
	switch r.IntN(4) {
	case 0:
		at := from + r.IntN(max(len(b)-from-4, 1))&^3
		values := []uint32{0, 1, 0x7fffffff, 0x80000000, 0xffffffff, uint32(len(b)), r.Uint32()}
		if at+4 <= len(b) {
			binary.LittleEndian.PutUint32(b[at:], values[r.IntN(len(values))])
		}
	default:
		for range 1 + r.IntN(4) {
			b[from+r.IntN(len(b)-from)] = byte(r.Uint32())
		}
	}
}

// mutations is how many garbled inputs a test reads.
const mutations = 100_000

func TestGarbledFramesHarmNobody(t *testing.T) {
	live(t)
	r := random(t)
	frames := typedFrames(t)
	var decoder Decoder
	var outcomes [status.Count]int
	for range mutations {
		frame := bytes.Clone(frames[r.IntN(len(frames))])
		mutate(r, frame, PrefixBytes)
		outcomes[status.Of(readFrame(t, &decoder, frame))]++
	}
	require.Greater(t, outcomes[status.OK], mutations/10, "of %v", outcomes)
	require.Greater(t, outcomes[status.Corrupt], mutations/10, "of %v", outcomes)
}

func TestGarbledArrowDataHarmsNobody(t *testing.T) {
	live(t)
	r := random(t)
	inputs := arrowInputs(t)
	var outcomes [status.Count]int
	for range mutations {
		data := bytes.Clone(inputs[r.IntN(len(inputs))])
		mutate(r, data, 0)
		outcomes[status.Of(readArrow(t, data))]++
	}
	require.Greater(t, outcomes[status.OK], mutations/10, "of %v", outcomes)
	require.Greater(t, outcomes[status.Corrupt], mutations/10, "of %v", outcomes)
}

// typedFrames gives the golden frames, and one with a batch of each type.
func typedFrames(t testing.TB) [][]byte {
	golden := vectorFrames(t)
	var frames [][]byte
	for _, name := range slices.Sorted(maps.Keys(golden)) {
		frames = append(frames, golden[name])
	}
	records := slicedRecords(t)
	for _, name := range slices.Sorted(maps.Keys(records)) {
		b := batchOf(t, records[name])
		frame, err := Append(nil, &Frame{SessionHeader{Kind: KindOperation},
			&Operation{Op: OpSet, HasValue: true, Value: udf.Value{Batch: b}}})
		b.Release()
		require.NoError(t, err)
		frames = append(frames, frame)
	}
	return frames
}

// arrowInputs gives files and streams of all types.
func arrowInputs(t testing.TB) (inputs [][]byte) {
	records := typedRecords(t)
	for _, name := range slices.Sorted(maps.Keys(records)) {
		r := records[name]
		inputs = append(inputs, arrowFile(t, r.Schema(), nil, r, r), arrowStream(t, r.Schema(), nil, r))
	}
	return inputs
}
