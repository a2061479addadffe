package transport

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
	"dcf/wire"
)

// fill makes every field of a message something, also those that were added since this was written.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case *status.Error:
		v.Set(reflect.ValueOf(&status.Error{Code: status.Aborted, Message: "m", Detail: "d"}))
		return
	case udf.Value:
		v.Set(reflect.ValueOf(udf.Value{Bytes: []byte("bytes")}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	default:
		panic(fmt.Sprintf("a message has a %v: teach Copy and this test", v.Type()))
	}
}

// shared lists where two messages share memory.
func shared(path string, a, b reflect.Value) (places []string) {
	switch a.Kind() {
	case reflect.Pointer:
		if a.Pointer() == b.Pointer() {
			places = append(places, path)
		}
	case reflect.Struct:
		for i := range a.NumField() {
			places = append(places, shared(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))...)
		}
	case reflect.Slice:
		if a.UnsafePointer() == b.UnsafePointer() {
			places = append(places, path)
		}
		for i := range a.Len() {
			places = append(places, shared(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))...)
		}
	}
	return places
}

func TestCopySharesNothing(t *testing.T) {
	for _, message := range []any{
		new(wire.Hello), new(wire.Refuse), new(wire.Call), new(wire.Reply), new(wire.Operation),
	} {
		fill(reflect.ValueOf(message).Elem())
		c, _ := Copy(message)
		require.Equal(t, message, c)
		require.Empty(t, withoutNil(shared(fmt.Sprintf("%T", message), reflect.ValueOf(message).Elem(),
			reflect.ValueOf(c).Elem())))
	}
}

// withoutNil leaves out the batches of values in bytes, which are nil in both.
func withoutNil(places []string) (rest []string) {
	for _, place := range places {
		if len(place) < 6 || place[len(place)-6:] != ".Batch" {
			rest = append(rest, place)
		}
	}
	return rest
}

func TestBatchesOfMessages(t *testing.T) {
	before, _ := arena.Usage()
	batch := vertex.Int64Batch("n", make([]int64, 1<<14)...)
	value := func() udf.Value { return udf.Value{Batch: batch.Retain()} }
	large := udf.Value{Bytes: make([]byte, wire.MaxInlineBytes+1)}
	small := udf.Value{Bytes: make([]byte, wire.MaxInlineBytes)}
	for _, test := range []struct {
		message any
		batches int
		bulk    int64
	}{
		{&wire.Call{Arguments: value(), Targets: []wire.Target{{Arguments: value()}, {Arguments: small}}},
			2, 2 * batch.Bytes()},
		{&wire.Reply{Value: value(), Parts: []wire.Part{{Value: large}, {Value: value()}}},
			2, 2*batch.Bytes() + int64(len(large.Bytes))},
		{&wire.Operation{Value: large}, 0, int64(len(large.Bytes))},
		{&wire.Hello{}, 0, 0},
		{nil, 0, 0},
	} {
		require.Equal(t, test.bulk, BulkBytes(test.message))
		kept := RetainBatches(test.message)
		require.Len(t, kept, test.batches)
		for _, b := range kept {
			b.Release()
		}
		ReleaseBatches(test.message)
		ReleaseBatches(test.message) // there is nothing left to release
	}
	batch.Release()
	after, _ := arena.Usage()
	require.Equal(t, before, after)
}

func TestBorrows(t *testing.T) {
	mine, other := make([]byte, 100), make([]byte, 100)
	reply := &wire.Reply{Parts: []wire.Part{{Value: udf.Value{Bytes: mine}}}}
	require.True(t, Borrows(reply, mine))
	require.True(t, Borrows(reply, mine[99:]))
	require.False(t, Borrows(reply, other))
	require.False(t, Borrows(&wire.Reply{}, other))
	require.False(t, Borrows(nil, other))
}
