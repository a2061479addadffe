package wire

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire/flatbuf"
	"dcf/wire/flatbuf/arrowfb"
)

// encoded gives the header of a frame.
func encoded(t testing.TB, kind Kind, message any) []byte {
	b, err := Append(nil, &Frame{SessionHeader{Kind: kind}, message})
	require.NoError(t, err)
	return b[PrefixBytes:]
}

func TestPrefixes(t *testing.T) {
	prefix := func(header uint32, body uint64) []byte {
		b := append([]byte("DCF1"), make([]byte, 12)...)
		binary.LittleEndian.PutUint32(b[4:], header)
		binary.LittleEndian.PutUint64(b[8:], body)
		return b
	}
	small := Limits{HeaderBytes: 1000, BodyBytes: 2000}
	for _, c := range []struct {
		name   string
		prefix []byte
		limits Limits
		code   status.Code
		text   string
	}{
		{"no body", prefix(32, 0), small, status.OK, ""},
		{"largest", prefix(MaxHeaderBytes, 0), Limits{}, status.OK, ""},
		{"largest body", prefix(48, MaxBodyBytes), Limits{}, status.OK, ""},
		{"http", []byte("GET / HTTP/1.1\r\n"), Limits{}, status.Corrupt, "not a dcf peer"},
		{"tls", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcde"), Limits{}, status.Corrupt,
			"not a dcf peer"},
		{"short header", prefix(31, 0), Limits{}, status.Corrupt, "31 bytes"},
		{"long header", prefix(MaxHeaderBytes+1, 0), Limits{}, status.Corrupt, "MaxHeaderBytes"},
		{"long body", prefix(48, MaxBodyBytes+1), Limits{}, status.Corrupt, "MaxBodyBytes"},
		{"huge", prefix(math.MaxUint32, math.MaxUint64), Limits{}, status.Corrupt, "MaxHeaderBytes"},
		{"body out of line", prefix(47, 1), Limits{}, status.Corrupt, "multiple of 64"},
		{"header over limit", prefix(1001, 0), small, status.Exhausted, "1001"},
		{"body over limit", prefix(48, 2001), small, status.Exhausted, "2001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := ParsePrefix(c.prefix, c.limits)
			require.Equal(t, c.code, status.Of(err), "%v", err)
			if err != nil {
				require.ErrorContains(t, err, c.text)
			}
		})
	}
}

// change gives a copy of b with a number of 2 or 4 bytes in another place.
func change[T uint16 | uint32](b []byte, at int, to T) []byte {
	b = append([]byte(nil), b...)
	if n, ok := any(to).(uint16); ok {
		binary.LittleEndian.PutUint16(b[at:], n)
		return b
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(to))
	return b
}

func TestGarbledHeaders(t *testing.T) {
	call := encoded(t, KindCall, hotCall())
	reply := encoded(t, KindReply, hotReply())
	ping := encoded(t, KindPing, nil)
	hello := encoded(t, KindHello, &Hello{Host: "h", Addresses: []string{"a"}})
	const message = sessionBytes
	// A table starts after the size and the reference to it.
	root := message + 4 + int(binary.LittleEndian.Uint32(hello[message+4:]))
	vtable := root - int(int32(binary.LittleEndian.Uint32(hello[root:])))
	entry := func(slot int) int { return vtable + 4 + 2*slot }
	field := func(slot int) int {
		return root + int(binary.LittleEndian.Uint16(hello[entry(slot):]))
	}
	for _, c := range []struct {
		name   string
		header []byte
		code   status.Code
		text   string
	}{
		{"short", call[:31], status.Corrupt, "SessionHeader"},
		{"other major version", change(call, 0, uint16(0x0200)), status.Unsupported, "protocol 2.0"},
		{"unknown kind", change(call, 2, uint16(99)), status.Corrupt, "flags 0x1"},
		{"unknown kind without flags", change(ping, 2, uint16(99)), status.Corrupt, "99 is unknown"},
		{"unknown flags", change(call, 4, uint32(2)), status.Corrupt, "flags 0x2"},
		{"fixed hello", change(hello, 4, uint32(1)), status.Corrupt, "flags 0x1"},
		{"ping with a message", append(ping[:32:32], 1), status.Corrupt, "should have none"},
		{"cut call", call[:len(call)-1], status.Corrupt, "FixedCall"},
		{"very short call", call[:message+10], status.Corrupt, "FixedCall"},
		{"call with more", append(slices.Clip(call), 0), status.Corrupt, "FixedCall"},
		{"long arguments", change(call, message+44, uint32(math.MaxUint32)), status.Corrupt, "FixedCall"},
		{"long path", change(call, message+52, uint16(math.MaxUint16)), status.Corrupt, "FixedCall"},
		{"target flags", change(call, message+54, uint16(4<<8|3)), status.Corrupt, "flags 0x4"},
		{"cut reply", reply[:len(reply)-1], status.Corrupt, "FixedReply"},
		{"very short reply", reply[:message+10], status.Corrupt, "FixedReply"},
		{"two parts", change(reply, message+42, uint16(2)), status.Corrupt, "2 parts"},
		{"part of nothing", change(reply, message+42, uint16(0)), status.Corrupt, "0 parts"},
		{"many runs", change(reply, message+40, uint16(math.MaxUint16)), status.Corrupt, "FixedReply"},
		{"no table", hello[:message+3], status.Corrupt, "Hello"},
		{"larger table", change(hello, message, uint32(math.MaxUint32)), status.Corrupt, "Hello"},
		{"smaller table", change(hello, message, uint32(8)), status.Corrupt, "Hello"},
		{"root outside", change(hello, message+4, uint32(math.MaxUint32)), status.Corrupt, "Hello.root"},
		{"root on itself", change(hello, message+4, uint32(0)), status.Corrupt, "Hello.root"},
		{"root misaligned", change(hello, message+4, uint32(root-message-4+1)), status.Corrupt, "Hello"},
		{"vtable outside", change(hello, root, uint32(math.MaxInt32)), status.Corrupt, "vtable"},
		{"vtable too large", change(hello, vtable, uint16(0xfffe)), status.Corrupt, "vtable"},
		{"vtable odd", change(hello, vtable, uint16(7)), status.Corrupt, "vtable"},
		{"table too large", change(hello, vtable+2, uint16(0xfffe)), status.Corrupt, "65534 bytes"},
		{"field outside", change(hello, entry(2), uint16(0xfff0)), status.Corrupt, "Hello.features"},
		{"field misaligned", change(hello, entry(3), uint16(5)), status.Corrupt, "Hello.identity"},
		{"string outside", change(hello, field(5), uint32(0xfffff0)), status.Corrupt, "Hello.host"},
		{"long vector", change(hello,
			field(9)+int(binary.LittleEndian.Uint32(hello[field(9):])), uint32(math.MaxUint32)),
			status.Corrupt, "at most 64 are allowed"},
		{"long string", change(hello,
			field(5)+int(binary.LittleEndian.Uint32(hello[field(5):])), uint32(math.MaxUint32)),
			status.Corrupt, "at most 255 are allowed"},
		{"string without end", change(hello,
			field(5)+int(binary.LittleEndian.Uint32(hello[field(5):])), uint32(0)),
			status.Corrupt, "Hello.host"},
		{"string not UTF-8", change(hello,
			field(5)+int(binary.LittleEndian.Uint32(hello[field(5):]))+4, uint16(0x00ff)),
			status.Corrupt, "not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Frame{Message: 1}
			err := new(Decoder).Decode(c.header, nil, &f)
			require.ErrorIs(t, err, c.code)
			require.ErrorContains(t, err, c.text)
			require.Nil(t, f.Message)
		})
	}
	// A peer of another major version still gets to say hello, so that it can be refused.
	var f Frame
	require.NoError(t, new(Decoder).Decode(change(hello, 0, uint16(0x0200)), nil, &f))
	require.Equal(t, "h", f.Message.(*Hello).Host)
}

func TestNamesOfFixedCallsAreUTF8(t *testing.T) {
	call := encoded(t, KindCall, hotCall())
	call[sessionBytes+fixedCallBytes] = 0xff
	err := new(Decoder).Decode(call, nil, new(Frame))
	require.ErrorIs(t, err, status.Corrupt)
	require.ErrorContains(t, err, "UTF-8")
}

// Tables that say what no sender says, though every offset is right.
func TestMessagesThatMakeNoSense(t *testing.T) {
	identity := func(b *flatbuffers.Builder) flatbuffers.UOffsetT {
		return flatbuf.CreateIdentity(b, 1, 1, 0)
	}
	call := func(udf, flags, start, length uint32, v valueRef) []byte {
		b := flatbuffers.NewBuilder(0)
		flatbuf.UDFRefStart(b)
		e := Encoder{builder: b}
		udfs := e.vector([]flatbuffers.UOffsetT{flatbuf.UDFRefEnd(b)})
		flatbuf.CallStartTargetsVector(b, 1)
		flatbuf.CreateTarget(b, 1, 2, v.offset, v.length, v.place, 0, udf, flags, start, length, 0)
		targets := b.EndVector(1)
		flatbuf.CallStart(b)
		flatbuf.CallAddRoot(b, identity(b))
		flatbuf.CallAddUdfs(b, udfs)
		flatbuf.CallAddTargets(b, targets)
		b.FinishSizePrefixed(flatbuf.CallEnd(b))
		header := make([]byte, sessionBytes)
		putSession(header, &SessionHeader{Kind: KindCall}, 0)
		return append(header, b.FinishedBytes()...)
	}
	reply := func(code int32) []byte {
		b := flatbuffers.NewBuilder(0)
		flatbuf.ErrorStart(b)
		flatbuf.ErrorAddCode(b, code)
		failure := flatbuf.ErrorEnd(b)
		flatbuf.ReplyStart(b)
		flatbuf.ReplyAddError(b, failure)
		b.FinishSizePrefixed(flatbuf.ReplyEnd(b))
		header := make([]byte, sessionBytes)
		putSession(header, &SessionHeader{Kind: KindReply}, 0)
		return append(header, b.FinishedBytes()...)
	}
	require.NoError(t, new(Decoder).Decode(call(0, 0, 0, 0, valueRef{}), nil, new(Frame)))
	for _, c := range []struct {
		name   string
		header []byte
		text   string
	}{
		{"unknown function", call(1, 0, 0, 0, valueRef{}), "function 1 of 1"},
		{"unknown flags", call(0, 4, 0, 0, valueRef{}), "flags 0x4"},
		{"path outside", call(0, 0, 0, 1, valueRef{}), "1 steps at 0 of 0"},
		{"path overflows", call(0, 0, math.MaxUint32, math.MaxUint32, valueRef{}), "steps"},
		{"inline outside", call(0, 2, 0, 0, valueRef{0, 1, 0}), "1 bytes at 0 of 0 inline"},
		{"inline overflows", call(0, 2, 0, 0, valueRef{math.MaxUint64, 2, 0}), "inline bytes"},
		{"no body", call(0, 2, 0, 0, valueRef{0, 64, placeBytes}), "0 of 0 bytes"},
		{"no batch", call(0, 2, 0, 0, valueRef{0, 64, placeBatch}), "0 of 0 bytes"},
		{"status OK", reply(0), "status 0"},
		{"unknown status", reply(99), "status 99"},
		{"negative status", reply(-1), "status -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(Decoder).Decode(c.header, nil, new(Frame))
			require.ErrorIs(t, err, status.Corrupt)
			require.ErrorContains(t, err, c.text)
		})
	}
}

func TestBodiesThatDoNotFit(t *testing.T) {
	live(t)
	b := vertex.Int64Batch("x", 1, 2, 3)
	defer b.Release()
	operation := &Operation{Op: OpSet, HasValue: true, Value: udf.Value{Batch: b}}
	whole, err := Append(nil, &Frame{SessionHeader{Kind: KindOperation}, operation})
	require.NoError(t, err)
	header, received := split(t, whole)
	received.Release()
	good := whole[PrefixBytes+len(header):]
	for name, c := range map[string]struct {
		body []byte
		text string
	}{
		"longer":  {append(slices.Clip(good), make([]byte, 64)...), "the values end at"},
		"shorter": {good[:len(good)-64], "of 320 bytes"},
		"zeros":   {make([]byte, len(good)), "it starts with"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := vertex.NewBody(len(c.body))
			require.NoError(t, err)
			defer body.Release()
			copy(body.Bytes(), c.body)
			err = new(Decoder).Decode(header, body, new(Frame))
			require.ErrorIs(t, err, status.Corrupt)
			require.ErrorContains(t, err, c.text)
		})
	}
	body, err := vertex.NewBody(64)
	require.NoError(t, err)
	defer body.Release()
	for _, kind := range []Kind{KindPing, KindCall, KindReply} {
		message := map[Kind]any{KindCall: hotCall(), KindReply: hotReply()}[kind]
		err := new(Decoder).Decode(encoded(t, kind, message), body, new(Frame))
		require.ErrorIs(t, err, status.Corrupt, "kind %d with a body", kind)
	}
}

// A few bytes that refer to the same tables again and again are not a huge tree.
func TestSharedTablesAreBounded(t *testing.T) {
	b := flatbuffers.NewBuilder(0)
	arrowfb.BoolStart(b)
	boolean := arrowfb.BoolEnd(b)
	arrowfb.FieldStart(b)
	arrowfb.FieldAddTypeType(b, arrowfb.TypeBool)
	arrowfb.FieldAddType(b, boolean)
	field := arrowfb.FieldEnd(b)
	for range 20 { // each level refers 10 times to the one below
		arrowfb.FieldStartChildrenVector(b, 10)
		for range 10 {
			b.PrependUOffsetT(field)
		}
		children := b.EndVector(10)
		arrowfb.Struct_Start(b)
		structure := arrowfb.Struct_End(b)
		arrowfb.FieldStart(b)
		arrowfb.FieldAddTypeType(b, arrowfb.TypeStruct_)
		arrowfb.FieldAddType(b, structure)
		arrowfb.FieldAddChildren(b, children)
		field = arrowfb.FieldEnd(b)
	}
	arrowfb.SchemaStartFieldsVector(b, 1)
	b.PrependUOffsetT(field)
	fields := b.EndVector(1)
	arrowfb.SchemaStart(b)
	arrowfb.SchemaAddFields(b, fields)
	finishMessage(b, arrowfb.MessageHeaderSchema, arrowfb.SchemaEnd(b), 0)
	_, _, err := ReadIPC(appendMessage(nil, b.FinishedBytes()))
	require.ErrorIs(t, err, status.Corrupt)
	require.ErrorContains(t, err, "again and again")
}

func TestDeepTablesAreBounded(t *testing.T) {
	b := flatbuffers.NewBuilder(0)
	field := flatbuffers.UOffsetT(0)
	for range 200 {
		arrowfb.ListStart(b)
		list := arrowfb.ListEnd(b)
		children := flatbuffers.UOffsetT(0)
		if field != 0 {
			children = b.CreateVectorOfTables([]flatbuffers.UOffsetT{field})
		}
		arrowfb.FieldStart(b)
		arrowfb.FieldAddTypeType(b, arrowfb.TypeList)
		arrowfb.FieldAddType(b, list)
		arrowfb.FieldAddChildren(b, children)
		field = arrowfb.FieldEnd(b)
	}
	fields := b.CreateVectorOfTables([]flatbuffers.UOffsetT{field})
	arrowfb.SchemaStart(b)
	arrowfb.SchemaAddFields(b, fields)
	finishMessage(b, arrowfb.MessageHeaderSchema, arrowfb.SchemaEnd(b), 0)
	_, _, err := ReadIPC(appendMessage(nil, b.FinishedBytes()))
	require.ErrorIs(t, err, status.Corrupt)
	require.ErrorContains(t, err, "nested more than 80 deep")
}

// Buffers lie in the body of their own message, and together are no more than it.
func TestBuffersOfRecordsAreBounded(t *testing.T) {
	const size = 128
	for _, c := range []struct {
		name    string
		buffers [][2]int64
		code    status.Code
	}{
		{"apart", [][2]int64{{0, 64}, {64, 64}}, status.OK},
		{"overlapping", [][2]int64{{0, 128}, {0, 1}}, status.Corrupt},
		{"again and again", [][2]int64{{0, 64}, {0, 64}, {0, 64}}, status.Corrupt},
		{"behind the end", [][2]int64{{0, 64}, {65, 64}}, status.Corrupt},
		{"negative offset", [][2]int64{{-64, 64}}, status.Corrupt},
		{"negative length", [][2]int64{{0, -1}}, status.Corrupt},
		{"overflow", [][2]int64{{math.MaxInt64, math.MaxInt64}}, status.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := flatbuffers.NewBuilder(0)
			arrowfb.RecordBatchStartBuffersVector(b, len(c.buffers))
			for _, v := range slices.Backward(c.buffers) {
				arrowfb.CreateBuffer(b, v[0], v[1])
			}
			buffers := b.EndVector(len(c.buffers))
			arrowfb.RecordBatchStart(b)
			arrowfb.RecordBatchAddBuffers(b, buffers)
			finishMessage(b, arrowfb.MessageHeaderRecordBatch, arrowfb.RecordBatchEnd(b), size)
			start := appendMessage(nil, b.FinishedBytes())
			start = append(start, make([]byte, 2*size)...)
			m, end, err := readMessage(start, 0, len(start))
			require.NoError(t, err)
			require.False(t, end)
			var d arrowDecoder
			err = d.lay(m.record(new(arrowfb.RecordBatch)), &m)
			require.Equal(t, c.code, status.Of(err), "%v", err)
		})
	}
}
