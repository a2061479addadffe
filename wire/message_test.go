package wire

import (
	"bytes"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// sample is a frame without batches, every kind and form of message among them.
type sample struct {
	name  string
	fixed bool
	frame Frame
}

func bytesValue(text string) udf.Value { return udf.Value{Bytes: []byte(text)} }

func sixteen(first byte) (b [16]byte) {
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func hotCall() *Call {
	return &Call{
		Root:        Identity{Node: 7, Incarnation: 9},
		Sequence:    1000,
		Floor:       990,
		Flags:       CallTimed,
		SpawnBudget: 1 << 20,
		UDFs:        []UDFRef{{Name: "sum", Hash: sixteen(0x20)}},
		Targets:     []Target{{ID: sixteen(0x80)}},
		Arguments:   bytesValue("sixteen byte arg"),
	}
}

func hotReply() *Reply {
	return &Reply{
		Effects:    1,
		Parts:      []Part{{Value: bytesValue("12345678")}},
		Version:    3,
		SpawnsLeft: 1<<20 - 1,
		ServedNs:   250,
		BytesMoved: 17,
		Ran:        []NodeRuns{{Node: 7, Runs: 1}},
	}
}

func samples() []sample {
	header := func(kind Kind) SessionHeader {
		return SessionHeader{
			Version: Version, Kind: kind, CallID: 42, BudgetNs: 5e9, TraceID: 0x1122334455667788,
		}
	}
	frame := func(kind Kind, message any) Frame { return Frame{header(kind), message} }
	branch := hotCall()
	branch.Flags, branch.Depth = CallTree|CallRetry, 3
	branch.Targets = []Target{{
		ID: sixteen(0x90), Birth: 0xb17, Once: true, HasArguments: true, Arguments: bytesValue("own"),
		Path: []uint32{1, 2, 3},
	}}
	fan := hotCall()
	fan.UDFs = append(fan.UDFs, UDFRef{Name: "grün", Hash: sixteen(0x30)})
	fan.Targets = []Target{
		{ID: sixteen(1), Path: []uint32{0}},
		{ID: sixteen(2), Birth: 0xb18, UDF: 1, Once: true, HasArguments: true, Arguments: bytesValue("b")},
		{ID: sixteen(3), UDF: 1, HasArguments: true, Path: []uint32{7, 8}},
	}
	parts := hotReply()
	parts.Parts = []Part{
		{Path: []uint32{1}, Value: bytesValue("one")},
		{Path: []uint32{1, 2}},
		{Path: []uint32{2}, Value: bytesValue("three")},
	}
	failed := &Reply{
		Error: &status.Error{
			Code: status.UDFFailed, OS: 5, Node: 3, Vertex: sixteen(0x70),
			Message: "the function failed: überlauf", Detail: "line 1\nline 2",
		},
		Effects: 2,
		Ran:     []NodeRuns{{1, 2}, {3, 4}},
	}
	nodes := []NodeInfo{
		{Identity: Identity{1, 2}, Member: true, Alive: true, Directory: true,
			Addresses: []string{"127.0.0.1:7400", "unix:/run/dcf"}},
		{Identity: Identity{3, 4}},
	}
	answer := &Reply{
		HasValue: true, Value: bytesValue("value"), Version: 5,
		IDs: []vertex.ID{sixteen(1), sixteen(2)},
		Vertices: []VertexInfo{
			{ID: sixteen(1), Name: "flights", Owner: 1, Version: 2, Rows: -1, Children: 12, Group: true, Birth: 0xb19},
			{ID: sixteen(2), Owner: 1, Version: 2, Rows: 100, Bytes: 800},
		},
		Nodes:    nodes,
		Stats:    []Stat{{Name: "calls.local", Value: -1}, {Name: "bytes.sent", Peer: 3, Value: 9}},
		Identity: Identity{1, 2},
		View:     77,
		Missing:  2,
		Group:    true,
	}
	operation := &Operation{
		Op: OpCreate, ID: sixteen(5), Name: "flights", Expected: 4, Direction: 2, Replace: true,
		HasValue: true, Value: bytesValue("value"), IDs: []vertex.ID{sixteen(6)},
		Identity: Identity{8, 9}, Sequence: 10, Floor: 3, Nodes: nodes, View: 11, Group: true,
		Birth: 0xb20,
	}
	hello := &Hello{
		MinVersion: 0x0100, MaxVersion: 0x0102, Features: 5, Identity: Identity{7, 8},
		Cluster: sixteen(9), Host: "boot 1234", Purpose: PurposePeer, Session: 99, Member: true,
		Addresses: []string{"127.0.0.1:7400"},
	}
	near := &Hello{
		MinVersion: 0x0100, MaxVersion: 0x0100, Features: FeatureReferral, Identity: Identity{7, 8},
		Host: "boot 1234", Purpose: PurposeReferral, HostAddress: "shm://@dcf-1",
	}
	far := hotReply()
	far.How = 2
	fanned := &Reply{Parts: parts.Parts, How: 1}
	return []sample{
		{"hello", false, frame(KindHello, hello)},
		{"hello_empty", false, frame(KindHello, &Hello{})},
		{"hello_referral", false, frame(KindHello, near)},
		{"refuse", false, frame(KindRefuse,
			&Refuse{Code: status.Unsupported, Message: "another major version"})},
		{"ping", true, frame(KindPing, nil)},
		{"pong", true, frame(KindPong, nil)},
		{"cancel", true, frame(KindCancel, nil)},
		{"goodbye", true, frame(KindGoodbye, nil)},
		{"call_fixed", true, frame(KindCall, hotCall())},
		{"call_fixed_branch", true, frame(KindCall, branch)},
		{"call_table", false, frame(KindCall, fan)},
		{"call_empty", false, frame(KindCall, &Call{})},
		{"reply_fixed", true, frame(KindReply, hotReply())},
		{"reply_fixed_empty", true, frame(KindReply, &Reply{})},
		{"reply_fixed_how", true, frame(KindReply, far)},
		{"reply_parts_how", false, frame(KindReply, fanned)},
		{"reply_fixed_path", true, frame(KindReply,
			&Reply{Parts: []Part{{Path: []uint32{4, 5}}}, Ran: []NodeRuns{{1, 2}, {3, 4}}})},
		{"reply_parts", false, frame(KindReply, parts)},
		{"reply_failed", false, frame(KindReply, failed)},
		{"reply_answer", false, frame(KindReply, answer)},
		{"operation", false, frame(KindOperation, operation)},
		{"operation_empty", false, frame(KindOperation, &Operation{Op: OpStats})},
		{"notify", false, frame(KindNotify, &Operation{Op: OpView, Nodes: nodes, View: 3})},
	}
}

func TestFramesComeBack(t *testing.T) {
	var decoder Decoder // one for all: what one frame leaves must not show in the next
	var encoder Encoder
	for range 2 {
		for _, s := range samples() {
			t.Run(s.name, func(t *testing.T) {
				encoded, err := Append([]byte("before"), &s.frame)
				require.NoError(t, err)
				require.Equal(t, "before", string(encoded[:6]))
				encoded = encoded[6:]
				require.True(t, Small(&s.frame))

				header, body, bodyLen, err := encoder.Encode(&s.frame)
				require.NoError(t, err)
				require.Empty(t, body)
				require.Zero(t, bodyLen)
				require.Equal(t, encoded, header)

				received, none := split(t, encoded)
				require.Nil(t, none)
				var f Frame
				require.NoError(t, decoder.Decode(received, nil, &f))
				require.Equal(t, s.frame, f)
			})
		}
	}
}

func TestLargeValuesTravelInTheBody(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789"), MaxInlineBytes/10+1)
	call := hotCall()
	call.Arguments.Bytes = large
	call.Targets[0].HasArguments = true
	call.Targets[0].Arguments.Bytes = large[:len(large)-1]
	reply := hotReply()
	reply.Parts = append(reply.Parts, Part{Value: udf.Value{Bytes: large}}, Part{})
	reply.HasValue, reply.Value = true, udf.Value{Bytes: large}
	for _, frame := range []Frame{
		{SessionHeader{Kind: KindCall, Version: Version}, call},
		{SessionHeader{Kind: KindReply, Version: Version}, reply},
		{SessionHeader{Kind: KindOperation, Version: Version},
			&Operation{Op: OpSet, HasValue: true, Value: udf.Value{Bytes: large}}},
	} {
		require.False(t, Small(&frame))
		var encoder Encoder
		header, pieces, bodyLen, err := encoder.Encode(&frame)
		require.NoError(t, err)
		require.Zero(t, len(header)%Align)
		require.Zero(t, bodyLen%Align)
		require.Same(t, &large[0], &pieces[0][0], "the value is copied")

		whole, err := Append(nil, &frame)
		require.NoError(t, err)
		received, body := split(t, whole)
		var f Frame
		require.NoError(t, new(Decoder).Decode(received, body, &f))
		switch m := f.Message.(type) {
		case *Call:
			require.True(t, m.Arguments.OffHeap)
			require.Same(t, &body.Bytes()[0], &m.Arguments.Bytes[0], "the value is copied")
			m.Arguments.OffHeap, m.Targets[0].Arguments.OffHeap = false, false
		case *Reply:
			require.True(t, m.Value.OffHeap)
			m.Parts[1].Value.OffHeap, m.Value.OffHeap = false, false
		case *Operation:
			m.Value.OffHeap = false
		}
		require.Equal(t, frame, f)
		body.Release()
	}
}

func TestOffHeapHeadersGiveOffHeapValues(t *testing.T) {
	decoder := Decoder{OffHeap: true}
	for _, s := range samples() {
		encoded, err := Append(nil, &s.frame)
		require.NoError(t, err)
		header, _ := split(t, encoded)
		var f Frame
		require.NoError(t, decoder.Decode(header, nil, &f))
		if m, ok := f.Message.(*Call); ok && len(m.Arguments.Bytes) > 0 {
			require.True(t, m.Arguments.OffHeap, s.name)
		}
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	long := strings.Repeat("x", MaxNameBytes+1)
	named := func(name string) *Call {
		c := hotCall()
		c.UDFs[0].Name = name
		return c
	}
	wild := hotCall()
	wild.Targets[0].UDF = 1
	for _, c := range []struct {
		name    string
		kind    Kind
		message any
		code    status.Code
		text    string
	}{
		{"wrong kind", KindCall, &Reply{}, status.Internal, "kind 7"},
		{"no message", KindCall, nil, status.Internal, "kind 7"},
		{"a message too much", KindPing, &Reply{}, status.Internal, "kind 3"},
		{"unknown function", KindCall, wild, status.Internal, "function 1 of 1"},
		{"long name", KindCall, named(long), status.InvalidArgument, "256 bytes"},
		{"name not UTF-8", KindCall, named("\xff"), status.InvalidArgument, "UTF-8"},
		{"long vertex name", KindOperation, &Operation{Name: long}, status.InvalidArgument, "256"},
		{"host not UTF-8", KindHello, &Hello{Host: "\xff"}, status.InvalidArgument, "UTF-8"},
		{"long address", KindHello, &Hello{Addresses: []string{strings.Repeat("a", 2000)}},
			status.InvalidArgument, "2000"},
		{"long host address", KindHello, &Hello{HostAddress: strings.Repeat("a", 2001)},
			status.InvalidArgument, "2001"},
		{"many addresses", KindHello, &Hello{Addresses: make([]string, MaxAddresses+1)},
			status.Exhausted, "MaxAddresses"},
		{"many targets", KindCall, &Call{UDFs: named("f").UDFs, Targets: make([]Target, MaxTargets+1)},
			status.Exhausted, "MaxTargets"},
		{"many parts", KindReply, &Reply{Parts: make([]Part, MaxParts+1)},
			status.Exhausted, "MaxParts"},
		{"long path", KindReply, &Reply{Parts: []Part{{Path: make([]uint32, MaxPathSteps+1)}}},
			status.Exhausted, "MaxPathSteps"},
		{"many functions", KindCall, &Call{UDFs: make([]UDFRef, MaxUDFs+1)},
			status.Exhausted, "MaxUDFs"},
		{"many ids", KindOperation, &Operation{IDs: make([]vertex.ID, MaxIDs+1)},
			status.Exhausted, "MaxIDs"},
		{"many nodes", KindOperation, &Operation{Nodes: make([]NodeInfo, MaxNodes+1)},
			status.Exhausted, "MaxNodes"},
		{"many vertices", KindReply, &Reply{Vertices: make([]VertexInfo, MaxInfos+1)},
			status.Exhausted, "MaxInfos"},
		{"many counters", KindReply, &Reply{Stats: make([]Stat, MaxStats+1)},
			status.Exhausted, "MaxStats"},
	} {
		t.Run(c.name, func(t *testing.T) {
			frame := Frame{SessionHeader{Kind: c.kind}, c.message}
			out, err := Append([]byte("x"), &frame)
			require.ErrorIs(t, err, c.code)
			require.ErrorContains(t, err, c.text)
			require.Equal(t, "x", string(out))
			require.NotPanics(t, func() { frame.Release() })
		})
	}
}

func TestTextsAreCutToWhatReceiversTake(t *testing.T) {
	frame := Frame{SessionHeader{Kind: KindReply}, &Reply{Error: &status.Error{
		Code: status.Internal, Message: "bad \xff bytes",
		Detail: strings.Repeat("ä", MaxTextBytes),
	}}}
	encoded, err := Append(nil, &frame)
	require.NoError(t, err)
	header, _ := split(t, encoded)
	var f Frame
	require.NoError(t, new(Decoder).Decode(header, nil, &f))
	got := f.Message.(*Reply).Error
	require.Equal(t, "bad ? bytes", got.Message)
	require.Len(t, got.Detail, MaxTextBytes)
}

func TestNegotiate(t *testing.T) {
	for _, c := range []struct{ low, high, want uint16 }{
		{0x0100, 0x0100, 0x0100},
		{0x0001, 0x0109, 0x0100},
		{0x0100, 0x0305, 0x0100},
		{0x0200, 0x0300, 0},
		{0x0001, 0x00ff, 0},
		{0x0101, 0x0102, 0},
		{0x0102, 0x0100, 0},
	} {
		got, err := Negotiate(&Hello{MinVersion: c.low, MaxVersion: c.high})
		require.Equal(t, c.want, got, "%#x to %#x", c.low, c.high)
		if c.want == 0 {
			require.ErrorIs(t, err, status.Unsupported)
			require.ErrorContains(t, err, "1.0")
		}
	}
	require.True(t, SameMajor(0x0100, 0x01ff))
	require.False(t, SameMajor(0x0100, 0x0200))
}

func TestLargeFramesLeaveNoLargeMemoryBehind(t *testing.T) {
	call := hotCall()
	call.Targets = make([]Target, 100_000)
	call.Targets[7].Path = make([]uint32, MaxPathSteps)
	large := Frame{SessionHeader{Kind: KindCall}, call}
	small := Frame{SessionHeader{Kind: KindCall}, &Call{}}
	var encoder Encoder
	var decoder Decoder
	for _, frame := range []*Frame{&large, &small} {
		header, _, _, err := encoder.Encode(frame)
		require.NoError(t, err)
		var f Frame
		require.NoError(t, decoder.Decode(header[PrefixBytes:], nil, &f))
		require.Len(t, f.Message.(*Call).Targets, len(frame.Message.(*Call).Targets))
	}
	encoder.Release()
	require.Less(t, cap(encoder.header)+cap(encoder.values)*24, 2*maxKeptBytes)
	require.Less(t, cap(decoder.targets)*int(unsafe.Sizeof(Target{})), 2*maxKeptBytes)
}
