package wire

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/wire/flatbuf/arrowfb"
)

// schemaFile is what the test understands of *.fbs.
type schemaFile struct {
	tables map[string][]fieldLine
	sizes  map[string]int // of scalars, enums and structs
	unions map[string]bool
}

type fieldLine struct{ name, kind string }

var (
	commentLine = regexp.MustCompile(`//[^\n]*`)
	declaration = regexp.MustCompile(`(?s)(table|struct|enum|union) (\w+)(?::(\w+))? *\{(.*?)\}`)
	fieldText   = regexp.MustCompile(`(\w+):([\[\]\w]+)`)
)

func readSchemas(t *testing.T, pattern string) schemaFile {
	s := schemaFile{map[string][]fieldLine{}, map[string]int{
		"bool": 1, "byte": 1, "ubyte": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4,
		"long": 8, "ulong": 8,
	}, map[string]bool{}}
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	text := ""
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		text += commentLine.ReplaceAllString(string(content), "")
	}
	declarations := declaration.FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, declarations)
	for _, d := range declarations {
		switch kind, name := d[1], d[2]; kind {
		case "table":
			s.tables[name] = []fieldLine{}
			for _, f := range fieldText.FindAllStringSubmatch(d[4], -1) {
				s.tables[name] = append(s.tables[name], fieldLine{f[1], f[2]})
			}
		case "enum":
			s.sizes[name] = s.sizes[d[3]]
		case "union":
			s.unions[name] = true
		}
	}
	for range 3 { // structs may have structs that are declared later
		for _, d := range declarations {
			size := 0
			for _, f := range fieldText.FindAllStringSubmatch(d[4], -1) {
				n := s.sizes[f[2]]
				if align := min(n, 8); align > 0 {
					size = (size + align - 1) / align * align
				}
				size += n
			}
			if d[1] == "struct" {
				s.sizes[d[2]] = (size + 7) / 8 * 8 // all have a field of 8 bytes
			}
		}
	}
	return s
}

// compare checks a shape against the table of that name.
func (s *schemaFile) compare(t *testing.T, name string, got *shape) {
	fields, ok := s.tables[name]
	require.True(t, ok, "%s is no table", name)
	slots := 0
	for _, f := range fields {
		if s.unions[f.kind] {
			require.Equal(t, 1, got.slots[slots].size, "%s.%s", name, f.name)
			require.Equal(t, tagged, got.slots[slots+1].kind, "%s.%s", name, f.name)
			slots += 2
			continue
		}
		require.Less(t, slots, len(got.slots), "%s.%s is missing", name, f.name)
		slot := &got.slots[slots]
		slots++
		if got != &unitShape && got != &widthShape {
			require.Equal(t, f.name, slot.name, name)
		}
		element, isVector := strings.CutPrefix(strings.TrimSuffix(f.kind, "]"), "[")
		size, isFixed := s.sizes[element]
		want := table
		switch {
		case isFixed && isVector:
			want = vector
		case isFixed:
			want = scalar
		case isVector && element == "string":
			want = texts
		case isVector:
			want = tables
		case element == "string":
			want = text
		}
		require.Equal(t, want, slot.kind, "%s.%s", name, f.name)
		if isFixed {
			require.Equal(t, size, slot.size, "%s.%s", name, f.name)
			align := slot.align
			if align == 0 {
				align = slot.size
			}
			require.Equal(t, min(size, 8), align, "%s.%s", name, f.name)
		}
		if want != scalar {
			require.True(t, slot.limit > 0 || want == table, "%s.%s has no limit", name, f.name)
		}
	}
	require.Len(t, got.slots, slots, name)
}

func TestShapesAreThoseOfTheSchemas(t *testing.T) {
	s := readSchemas(t, "../schemas/*.fbs")
	for _, shape := range []*shape{&nodeShape, &helloShape, &refuseShape, &udfShape, &callShape,
		&errorShape, &vertexShape, &statShape, &replyShape, &operationShape} {
		s.compare(t, shape.name, shape)
		delete(s.tables, shape.name)
	}
	require.Empty(t, s.tables, "tables without a shape")
	for name, size := range map[string]int{"SessionHeader": sessionBytes, "FixedCall": fixedCallBytes,
		"FixedReply": fixedReplyBytes, "Identity": identityBytes, "Bytes16": idBytes,
		"Value": valueBytes, "Target": targetBytes, "Part": partBytes, "NodeRuns": runsBytes} {
		require.Equal(t, size, s.sizes[name], name)
	}
}

func TestArrowShapesAreThoseOfTheSchemas(t *testing.T) {
	s := readSchemas(t, "../schemas/arrow/*.fbs")
	for _, shape := range []*shape{&pairShape, &dictionaryShape, &fieldShape, &schemaShape,
		&recordShape, &messageShape, &footerShape, recordShape.slots[3].of[0],
		messageShape.slots[2].of[arrowfb.MessageHeaderDictionaryBatch]} {
		s.compare(t, shape.name, shape)
		delete(s.tables, shape.name)
	}
	for number, name := range arrowfb.EnumNamesType {
		if number == arrowfb.TypeNONE {
			continue
		}
		s.compare(t, name, typeShapes[number])
		delete(s.tables, name)
	}
	delete(s.tables, "Message")
	require.Empty(t, s.tables, "tables without a shape")
	require.Equal(t, blockBytes, s.sizes["Block"])
	require.Equal(t, 16, s.sizes["FieldNode"])
	require.Equal(t, 16, s.sizes["Buffer"])
}
