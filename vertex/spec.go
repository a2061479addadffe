package vertex

import (
	"encoding/binary"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
	"dcf/vertex/cdata"
)

const (
	flagDictionaryOrdered = cdata.FlagDictionaryOrdered
	flagNullable          = cdata.FlagNullable
	flagMapKeysSorted     = cdata.FlagMapKeysSorted
	knownFlags            = flagDictionaryOrdered | flagNullable | flagMapKeysSorted
)

// The keys of metadata that say which extension type a column has.
const (
	extensionName       = "ARROW:extension:name"
	extensionParameters = "ARROW:extension:metadata"
)

// spec is what a struct ArrowSchema says, in Go. It is the common ground of the three forms of a
// type: Arrow's, C's, and the key that makes equal types one.
type spec struct {
	format, name string
	metadata     metadata
	flags        int64
	children     []*spec
	dictionary   *spec
}

// metadata is a list of keys and values, in order, in turns.
type metadata []string

func (m metadata) arrow() *arrow.Metadata {
	if len(m) == 0 {
		return nil
	}
	var keys, values []string
	for pair := range slices.Chunk(m, 2) {
		keys, values = append(keys, pair[0]), append(values, pair[1])
	}
	made := arrow.NewMetadata(keys, values)
	return &made
}

func metadataOf(m arrow.Metadata) metadata {
	var out metadata
	for i, key := range m.Keys() {
		out = append(out, key, m.Values()[i])
	}
	return out
}

// set adds a pair unless the key is there.
func (m metadata) set(key, value string) metadata {
	for i := 0; i < len(m); i += 2 {
		if m[i] == key {
			return m
		}
	}
	return append(slices.Clip(m), key, value)
}

// encode appends the metadata as the C Data Interface has it; nothing if there is none.
func (m metadata) encode(to []byte) []byte {
	if len(m) == 0 {
		return to
	}
	to = binary.NativeEndian.AppendUint32(to, uint32(len(m)/2))
	for _, text := range m {
		to = binary.NativeEndian.AppendUint32(to, uint32(len(text)))
		to = append(to, text...)
	}
	return to
}

// specOf gives the spec of an Arrow schema, with extension types as their storage.
func specOf(s *arrow.Schema) (*spec, error) {
	if s.NumFields() > MaxColumns {
		return nil, errColumns(s.NumFields())
	}
	top := &spec{format: "+s", metadata: metadataOf(s.Metadata())}
	for _, field := range s.Fields() {
		child, err := specOfField(field, field.Name, 1)
		if err != nil {
			return nil, err
		}
		top.children = append(top.children, child)
	}
	return top, nil
}

func errColumns(n int) *status.Error {
	return status.Errorf(status.InvalidArgument,
		"a batch has at most %d columns (MaxColumns), this one has %d: split it", MaxColumns, n)
}

func errDepth(path string) *status.Error {
	return status.Errorf(status.InvalidArgument,
		"column %q: types are nested at most %d deep (MaxDepth): flatten it", path, MaxDepth)
}

func specOfField(f arrow.Field, path string, depth int) (*spec, error) {
	if depth > MaxDepth {
		return nil, errDepth(path)
	}
	s := &spec{name: f.Name, metadata: metadataOf(f.Metadata)}
	t := f.Type
	for {
		extension, ok := t.(arrow.ExtensionType)
		if !ok {
			break
		}
		s.metadata = s.metadata.set(extensionName, extension.ExtensionName())
		s.metadata = s.metadata.set(extensionParameters, extension.Serialize())
		t = extension.StorageType()
	}
	if f.Nullable {
		s.flags |= flagNullable
	}
	if s.format = formatOf(t); s.format == "" {
		return nil, unsupported(path, t.String())
	}
	var err error
	switch t := t.(type) {
	case *arrow.DictionaryType:
		if t.Ordered {
			s.flags |= flagDictionaryOrdered
		}
		values := arrow.Field{Type: t.ValueType, Nullable: true}
		s.dictionary, err = specOfField(values, path+".dictionary", depth+1)
		return s, err
	case *arrow.MapType:
		if t.KeysSorted {
			s.flags |= flagMapKeysSorted
		}
	}
	if nested, ok := t.(arrow.NestedType); ok {
		for _, field := range nested.Fields() {
			child, err := specOfField(field, path+"."+field.Name, depth+1)
			if err != nil {
				return nil, err
			}
			s.children = append(s.children, child)
		}
	}
	return s, nil
}

// fields gives the children in Arrow's terms.
func (s *spec) fields() ([]arrow.Field, error) {
	if len(s.children) > MaxColumns {
		return nil, errColumns(len(s.children))
	}
	fields := make([]arrow.Field, len(s.children))
	for i, child := range s.children {
		var err error
		if fields[i], err = child.field(child.name, 1); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func (s *spec) field(path string, depth int) (arrow.Field, error) {
	f := arrow.Field{Name: s.name, Nullable: s.flags&flagNullable != 0}
	if depth > MaxDepth {
		return f, errDepth(path)
	}
	if m := s.metadata.arrow(); m != nil {
		f.Metadata = *m
	}
	children := make([]arrow.Field, len(s.children))
	for i, child := range s.children {
		var err error
		if children[i], err = child.field(path+"."+child.name, depth+1); err != nil {
			return f, err
		}
	}
	var err error
	if f.Type, err = typeOf(s, path, children); err != nil || s.dictionary == nil {
		return f, err
	}
	if !arrow.IsInteger(f.Type.ID()) {
		return f, badSchema(path, "the indices of a dictionary are integers, not %s", f.Type)
	}
	values, err := s.dictionary.field(path+".dictionary", depth+1)
	f.Type = &arrow.DictionaryType{IndexType: f.Type, ValueType: values.Type,
		Ordered: s.flags&flagDictionaryOrdered != 0}
	return f, err
}

// appendKey appends the key of the spec: equal specs have equal keys, others have others.
func (s *spec) appendKey(key []byte) []byte {
	key = appendText(key, s.format)
	key = appendText(key, s.name)
	key = append(key, byte(s.flags))
	key = binary.AppendUvarint(key, uint64(len(s.metadata)))
	for _, text := range s.metadata {
		key = appendText(key, text)
	}
	key = binary.AppendUvarint(key, uint64(len(s.children)))
	for _, child := range s.children {
		key = child.appendKey(key)
	}
	if s.dictionary == nil {
		return append(key, 0)
	}
	return s.dictionary.appendKey(append(key, 1))
}

func appendText[T string | []byte](key []byte, text T) []byte {
	return append(binary.AppendUvarint(key, uint64(len(text))), text...)
}

// build makes the C schema; nil if memory is out.
func (s *spec) build() *cdata.Schema {
	nodes, links, extra := s.measure()
	c, children, text := cdata.NewSchema(nodes, links, extra)
	if c != nil {
		b := schemaBuilder{c.All(), children, text}
		b.fill(s)
	}
	return c
}

// measure gives the number of structs, child pointers and bytes of text.
func (s *spec) measure() (nodes, links, text int) {
	nodes, links = 1, len(s.children)
	text = len(s.format) + len(s.name) + 2 + len(s.metadata.encode(nil))
	below := s.children
	if s.dictionary != nil {
		below = append(slices.Clip(below), s.dictionary)
	}
	for _, child := range below {
		n, l, t := child.measure()
		nodes, links, text = nodes+n, links+l, text+t
	}
	return nodes, links, text
}

// schemaBuilder hands out the parts of a C schema in pre-order.
type schemaBuilder struct {
	nodes []cdata.SchemaNode
	links []*cdata.SchemaNode
	text  []byte
}

func (b *schemaBuilder) take(n int) []byte {
	part := b.text[:n:n]
	b.text = b.text[n:]
	return part
}

func (b *schemaBuilder) put(text []byte) *byte {
	if len(text) == 0 {
		return nil
	}
	part := b.take(len(text))
	copy(part, text)
	return &part[0]
}

func (b *schemaBuilder) fill(s *spec) *cdata.SchemaNode {
	n := &b.nodes[0]
	b.nodes = b.nodes[1:]
	n.Format = b.put(append([]byte(s.format), 0))
	n.Name = b.put(append([]byte(s.name), 0))
	n.Metadata = b.put(s.metadata.encode(nil))
	n.Flags = s.flags
	n.NumChildren = int64(len(s.children))
	links := b.links[:len(s.children)]
	b.links = b.links[len(s.children):]
	for i, child := range s.children {
		links[i] = b.fill(child)
	}
	if len(links) > 0 {
		n.Children = &links[0]
	}
	if s.dictionary != nil {
		n.Dictionary = b.fill(s.dictionary)
	}
	return n
}
