package wire

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/stretchr/testify/require"

	"dcf/vertex"
)

// The meaning of a frame as JSON: structs are objects without their zero fields, bytes and ids are
// hexadecimal digits, messages are objects with one key that names their type, and batches are
// lists of columns.

var messageTypes = map[string]reflect.Type{
	"Hello":     reflect.TypeFor[Hello](),
	"Refuse":    reflect.TypeFor[Refuse](),
	"Call":      reflect.TypeFor[Call](),
	"Reply":     reflect.TypeFor[Reply](),
	"Operation": reflect.TypeFor[Operation](),
}

func frameToMeaning(f *Frame) any { return meaning(reflect.ValueOf(f).Elem()) }

func meaning(v reflect.Value) any {
	if b, ok := reflect.TypeAssert[*vertex.Batch](v); ok {
		return columnsOf(b)
	}
	switch v.Kind() {
	case reflect.Interface: // a message
		return map[string]any{v.Elem().Type().Elem().Name(): meaning(v.Elem())}
	case reflect.Pointer:
		return meaning(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i, field := range reflect.VisibleFields(v.Type()) {
			// OffHeap says where bytes lie in memory, not what they are.
			if field.IsExported() && !v.Field(i).IsZero() && field.Name != "OffHeap" {
				out[field.Name] = meaning(v.Field(i))
			}
		}
		return out
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			raw := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(raw), v)
			return hex.EncodeToString(raw)
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, meaning(v.Index(i)))
		}
		return out
	}
	return v.Interface()
}

func columnsOf(b *vertex.Batch) any {
	var out []any
	r := b.Record()
	for i, f := range r.Schema().Fields() {
		values, err := json.Marshal(r.Column(i))
		if err != nil {
			panic(err)
		}
		for name, dt := range vectorTypes {
			if arrow.TypeEqual(dt, f.Type) {
				out = append(out,
					map[string]any{"name": f.Name, "type": name, "values": json.RawMessage(values)})
			}
		}
	}
	return out
}

func meaningToFrame(t testing.TB, from any) (f Frame) {
	fill(t, reflect.ValueOf(&f).Elem(), from)
	return f
}

// fill is the reverse of meaning.
func fill(t testing.TB, v reflect.Value, from any) {
	switch v.Kind() {
	case reflect.Interface:
		for name, message := range from.(map[string]any) {
			made := reflect.New(messageTypes[name])
			fill(t, made.Elem(), message)
			v.Set(made)
		}
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*vertex.Batch]() {
			v.Set(reflect.ValueOf(batchFrom(t, from.([]any))))
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), from)
	case reflect.Struct:
		for name, value := range from.(map[string]any) {
			fill(t, v.FieldByName(name), value)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			raw, err := hex.DecodeString(from.(string))
			require.NoError(t, err)
			if v.Kind() == reflect.Slice {
				v.Set(reflect.MakeSlice(v.Type(), len(raw), len(raw)))
			}
			reflect.Copy(v, reflect.ValueOf(raw))
			return
		}
		list := from.([]any)
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		for i := range list {
			fill(t, v.Index(i), list[i])
		}
	case reflect.String:
		v.SetString(from.(string))
	case reflect.Bool:
		v.SetBool(from.(bool))
	default:
		text := fmt.Sprint(from)
		if v.CanInt() {
			n, err := strconv.ParseInt(text, 10, 64)
			require.NoError(t, err)
			v.SetInt(n)
			return
		}
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		v.SetUint(n)
	}
}

func batchFrom(t testing.TB, columns []any) *vertex.Batch {
	var fields []arrow.Field
	var arrays []arrow.Array
	for _, c := range columns {
		description := c.(map[string]any)
		values, err := json.Marshal(description["values"])
		require.NoError(t, err)
		dt := vectorTypes[description["type"].(string)]
		a, _, err := array.FromJSON(memory.DefaultAllocator, dt, strings.NewReader(string(values)))
		require.NoError(t, err)
		fields = append(fields,
			arrow.Field{Name: description["name"].(string), Type: dt, Nullable: true})
		arrays = append(arrays, a)
	}
	return batchOf(t, array.NewRecord(arrow.NewSchema(fields, nil), arrays, -1))
}
