package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/stretchr/testify/require"

	"dcf/udf"
)

const vectorsDir = "../schemas/vectors"

// golden is a file of schemas/vectors: a frame, and what it means.
type golden struct {
	Meaning any      `json:"meaning"` // the Frame; zero fields are left out
	Frame   []string `json:"frame"`   // 32 bytes a line, in hexadecimal digits
}

// vectorTypes are the types of columns in vectors.
var vectorTypes = map[string]arrow.DataType{
	"int64":   arrow.PrimitiveTypes.Int64,
	"float64": arrow.PrimitiveTypes.Float64,
	"utf8":    arrow.BinaryTypes.String,
	"dictionary<int8, utf8>": &arrow.DictionaryType{
		IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String,
	},
	"list<dictionary<int8, utf8>>": arrow.ListOf(&arrow.DictionaryType{
		IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String,
	}),
	"utf8_view": arrow.BinaryTypes.StringView,
}

// batchSamples are frames with batches.
func batchSamples(t testing.TB) []sample {
	make1 := func(columns ...string) udf.Value {
		var fields []arrow.Field
		var arrays []arrow.Array
		for i := 0; i < len(columns); i += 3 {
			a := column(t, vectorTypes[columns[i+1]], columns[i+2])
			fields = append(fields, arrow.Field{Name: columns[i], Type: a.DataType(), Nullable: true})
			arrays = append(arrays, a)
		}
		r := array.NewRecord(arrow.NewSchema(fields, nil), arrays, -1)
		return udf.Value{Batch: batchOf(t, r)}
	}
	call := hotCall()
	call.Arguments = make1("column", "utf8", `["dep_delay"]`, "by", "utf8", `["carrier"]`)
	call.Targets = []Target{
		{ID: sixteen(1)},
		{ID: sixteen(2), HasArguments: true, Arguments: make1("d", "int64", `[3]`)},
	}
	reply := hotReply()
	reply.Parts = []Part{
		{Value: make1("carrier", "dictionary<int8, utf8>", `["UA", null, "AA"]`,
			"mean", "float64", `[1.5, 2.5, null]`)},
		{Path: []uint32{1}, Value: make1("words", "list<dictionary<int8, utf8>>", `[["a"], null]`)},
	}
	set := &Operation{Op: OpSet, ID: sixteen(3), HasValue: true,
		Value: make1("view", "utf8_view", `["short", "longer than twelve bytes"]`)}
	header := SessionHeader{Version: Version, CallID: 42, BudgetNs: 5e9}
	frame := func(kind Kind, message any) Frame {
		h := header
		h.Kind = kind
		return Frame{h, message}
	}
	return []sample{
		{"call_batches", false, frame(KindCall, call)},
		{"reply_batches", false, frame(KindReply, reply)},
		{"operation_batch", false, frame(KindOperation, set)},
	}
}

func TestVectors(t *testing.T) {
	live(t)
	all := append(samples(), batchSamples(t)...)
	var names []string
	for _, s := range all {
		names = append(names, s.name+".json")
		t.Run(s.name, func(t *testing.T) {
			defer s.frame.Release()
			path := filepath.Join(vectorsDir, s.name+".json")
			if *rewrite {
				writeVector(t, path, &s.frame)
			}
			content, err := os.ReadFile(path)
			require.NoError(t, err, "run the test with -rewrite to make it")
			var v golden
			decoder := json.NewDecoder(bytes.NewReader(content))
			decoder.UseNumber()
			require.NoError(t, decoder.Decode(&v))
			want, err := hex.DecodeString(strings.Join(v.Frame, ""))
			require.NoError(t, err)

			meant := meaningToFrame(t, v.Meaning)
			encoded, err := Append(nil, &meant)
			require.NoError(t, err)
			require.Equal(t, hexLines(want), hexLines(encoded), "this is a change of the protocol")
			meant.Release()

			header, body := split(t, want)
			var f Frame
			require.NoError(t, new(Decoder).Decode(header, body, &f))
			require.JSONEq(t, toJSON(t, v.Meaning), toJSON(t, frameToMeaning(&f)))
			f.Release()
			if body != nil {
				body.Release()
			}
			require.Equal(t, s.fixed, want[PrefixBytes+4] == byte(flagFixed) ||
				len(header) == sessionBytes)
		})
	}
	files, err := os.ReadDir(vectorsDir)
	require.NoError(t, err)
	for _, file := range files {
		require.Contains(t, names, file.Name(), "a vector without a sample")
	}
}

func writeVector(t testing.TB, path string, f *Frame) {
	encoded, err := Append(nil, f)
	require.NoError(t, err)
	content := toJSON(t, golden{frameToMeaning(f), hexLines(encoded)})
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func hexLines(b []byte) (lines []string) {
	for line := range slices.Chunk(b, 32) {
		lines = append(lines, hex.EncodeToString(line))
	}
	return lines
}

func toJSON(t testing.TB, v any) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(v))
	return out.String()
}

// vectorFrames gives the frames of all vectors.
func vectorFrames(t testing.TB) map[string][]byte {
	frames := map[string][]byte{}
	files, err := filepath.Glob(filepath.Join(vectorsDir, "*.json"))
	require.NoError(t, err)
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var v golden
		require.NoError(t, json.Unmarshal(content, &v))
		frames[filepath.Base(path)], err = hex.DecodeString(strings.Join(v.Frame, ""))
		require.NoError(t, err)
	}
	require.NotEmpty(t, frames)
	return frames
}
