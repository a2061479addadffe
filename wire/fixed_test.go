package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/wire/flatbuf"
)

// The loads and stores at fixed places mean the same as the generated accessors.

func TestFixedCallIsWhatTheSchemaSays(t *testing.T) {
	m := hotCall()
	m.Flags, m.Depth = CallTimed|CallTree, 5
	m.Targets[0] = Target{ID: sixteen(0x40), Once: true, HasArguments: true,
		Arguments: bytesValue("own"), Path: []uint32{6, 7}}
	frame := Frame{SessionHeader{0x0107, KindCall, 0, 11, -12, 13}, m}
	b, err := Append(nil, &frame)
	require.NoError(t, err)

	var h flatbuf.SessionHeader
	h.Init(b, PrefixBytes)
	require.Equal(t, frame.Header,
		SessionHeader{h.Version(), Kind(h.Kind()), 0, h.CallId(), h.BudgetNs(), h.TraceId()})
	require.Equal(t, flagFixed, h.Flags())

	var c flatbuf.FixedCall
	c.Init(b, PrefixBytes+sessionBytes)
	require.Equal(t, m.Root, Identity{c.RootNode(), c.RootIncarnation()})
	require.Equal(t, []uint64{m.Sequence, m.Floor, m.SpawnBudget},
		[]uint64{c.Sequence(), c.Floor(), c.SpawnBudget()})
	require.Equal(t, []uint32{uint32(m.Flags), m.Depth}, []uint32{c.Flags(), c.Depth()})
	require.EqualValues(t, len(m.Arguments.Bytes), c.ArgumentsLength())
	require.EqualValues(t, 3, c.TargetArgumentsLength())
	require.EqualValues(t, 2, c.PathLength())
	require.EqualValues(t, len("sum"), c.NameLength())
	require.EqualValues(t, targetOnce|targetHasArguments, c.TargetFlags())
	require.EqualValues(t, m.Targets[0].ID, readBytes16(c.Target(new(flatbuf.Bytes16))))
	require.Equal(t, m.UDFs[0].Hash, readBytes16(c.UdfHash(new(flatbuf.Bytes16))))
	tail := b[PrefixBytes+sessionBytes+fixedCallBytes:]
	require.Equal(t, "\x06\x00\x00\x00\x07\x00\x00\x00sumsixteen byte argown", string(tail))
}

func TestFixedReplyIsWhatTheSchemaSays(t *testing.T) {
	m := hotReply()
	m.Parts[0].Path, m.How = []uint32{9}, 2
	b, err := Append(nil, &Frame{SessionHeader{Kind: KindReply}, m})
	require.NoError(t, err)
	var r flatbuf.FixedReply
	r.Init(b, PrefixBytes+sessionBytes)
	require.Equal(t, []uint64{m.Version, m.SpawnsLeft, uint64(m.ServedNs), m.BytesMoved},
		[]uint64{r.Version(), r.SpawnsLeft(), uint64(r.ServedNs()), r.BytesMoved()})
	require.EqualValues(t, 8, r.PartLength())
	require.EqualValues(t, []uint16{m.Effects, m.How, 0}, []uint16{r.Effects(), r.How(), r.Reserved()})
	require.EqualValues(t, 1, r.PathLength())
	require.EqualValues(t, 1, r.RanLength())
	require.EqualValues(t, 1, r.Parts())
	var run flatbuf.NodeRuns
	run.Init(b, PrefixBytes+sessionBytes+fixedReplyBytes)
	require.Equal(t, m.Ran[0], NodeRuns{run.Node(), run.Runs()})
	tail := b[PrefixBytes+sessionBytes+fixedReplyBytes+runsBytes:]
	require.Equal(t, "\x09\x00\x00\x0012345678", string(tail))
}
