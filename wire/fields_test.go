package wire

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
)

// randomize fills v with values that can be sent; a field that is never zero is one that has to
// travel.
func randomize(r *rand.Rand, v reflect.Value) {
	switch v.Interface().(type) {
	case udf.Value:
		b := make([]byte, 1+r.IntN(20))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		v.Set(reflect.ValueOf(udf.Value{Bytes: b}))
		return
	case status.Code:
		v.SetInt(1 + r.Int64N(int64(status.Count)-1))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		randomize(r, v.Elem())
	case reflect.Struct:
		for i, field := range reflect.VisibleFields(v.Type()) {
			if field.IsExported() {
				randomize(r, v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 3))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			randomize(r, v.Index(i))
		}
	case reflect.String:
		v.SetString("text " + string(rune('a'+r.IntN(26))))
	case reflect.Bool:
		v.SetBool(true)
	default:
		bits := r.Uint64() | 1
		if v.CanInt() {
			v.Set(reflect.ValueOf(int64(bits)).Convert(v.Type()))
		} else {
			v.Set(reflect.ValueOf(bits).Convert(v.Type()))
		}
	}
}

// A field that somebody adds to a message and forgets to encode is found here.
func TestEveryFieldTravels(t *testing.T) {
	r := random(t)
	var decoder Decoder
	for kind, make1 := range map[Kind]func() any{
		KindHello:     func() any { return new(Hello) },
		KindRefuse:    func() any { return new(Refuse) },
		KindCall:      func() any { return new(Call) },
		KindReply:     func() any { return new(Reply) },
		KindOperation: func() any { return new(Operation) },
		KindNotify:    func() any { return new(Operation) },
	} {
		for range 100 {
			frame := Frame{SessionHeader{Kind: kind}, make1()}
			randomize(r, reflect.ValueOf(&frame.Header).Elem())
			randomize(r, reflect.ValueOf(frame.Message).Elem())
			frame.Header.Kind, frame.Header.Flags = kind, 0
			frame.Header.Version = Version | uint16(r.IntN(256))
			if call, ok := frame.Message.(*Call); ok {
				for i := range call.Targets {
					call.Targets[i].UDF = uint32(r.IntN(len(call.UDFs)))
				}
			}
			requireTravels(t, &decoder, &frame)
			// The same with only the first of each list, which may make the message a fixed one.
			switch m := frame.Message.(type) {
			case *Call:
				m.UDFs, m.Targets = m.UDFs[:1], m.Targets[:1]
				m.Targets[0].UDF = 0
				require.True(t, fixedCall(m))
			case *Reply:
				*m = Reply{
					Effects: m.Effects, Parts: m.Parts[:1], Version: m.Version, Ran: m.Ran,
					SpawnsLeft: m.SpawnsLeft, ServedNs: m.ServedNs, BytesMoved: m.BytesMoved,
				}
				require.True(t, fixedReply(m))
			}
			requireTravels(t, &decoder, &frame)
		}
	}
}

// Whatever single field of a Reply is set, it travels: the fixed form leaves out most.
func TestEveryFieldOfAReplyTravelsAlone(t *testing.T) {
	r := random(t)
	var decoder Decoder
	for i, field := range reflect.VisibleFields(reflect.TypeFor[Reply]()) {
		m := new(Reply)
		randomize(r, reflect.ValueOf(m).Elem().Field(i))
		if field.Name == "Value" {
			m.HasValue = true
		}
		requireTravels(t, &decoder, &Frame{SessionHeader{Version: Version, Kind: KindReply}, m})
	}
}

func requireTravels(t *testing.T, decoder *Decoder, frame *Frame) {
	encoded, err := Append(nil, frame)
	require.NoError(t, err)
	header, _ := split(t, encoded)
	var f Frame
	require.NoError(t, decoder.Decode(header, nil, &f))
	require.Equal(t, *frame, f)
}
