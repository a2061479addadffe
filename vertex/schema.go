package vertex

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"

	"dcf/vertex/cdata"
)

// Schema is the type of a Batch. Equal schemas are one *Schema in the process while batches of
// them exist, so that pointers may be compared. It is immutable, and the collector frees it.
//
// Extension types appear as their storage type, with the extension's name and parameters in the
// field's metadata under ARROW:extension:name and ARROW:extension:metadata.
type Schema struct {
	c            *cdata.Schema // a reference, dropped when the Schema is unreachable
	arrow        *arrow.Schema
	key          string
	layouts      []layout // of all nodes in pre-order
	dictionaries []*Schema
	forgotten    atomic.Bool // not in the table: the next batch of it puts it back
	keys         []string    // under schemas.lock: where the table has it
}

// SchemaOf gives the Schema of an Arrow schema. It fails with status.Unsupported for a type that
// cannot be a vertex, and status.InvalidArgument beyond MaxColumns or MaxDepth.
func SchemaOf(s *arrow.Schema) (*Schema, error) {
	spec, err := specOf(s)
	if err != nil {
		return nil, err
	}
	return intern(spec)
}

// Arrow gives the schema in Arrow's terms, shared and not to be changed.
func (s *Schema) Arrow() *arrow.Schema { return s.arrow }

// Columns gives the number of columns.
func (s *Schema) Columns() int { return len(s.layouts[0].children) }

// Export writes a struct ArrowSchema, which the caller owns. It fails with status.Exhausted if
// memory is out.
func (s *Schema) Export(out unsafe.Pointer) error {
	if !s.c.Export(out) {
		return errMemory("the export of a schema")
	}
	return nil
}

// Dictionaries gives the types of the dictionaries that a batch of s has, each as a schema of one
// column: in pre-order of the fields, where the dictionaries within a dictionary's values follow
// it. So if Dictionaries()[i] has k dictionaries itself, they are those from i+1 to i+k.
func (s *Schema) Dictionaries() []*Schema { return s.dictionaries }

// hold gives s, or what took its place in the table, with a reference for the caller.
func (s *Schema) hold() *Schema {
	s.c.Retain()
	if s.forgotten.Load() {
		return schemas.restore(s)
	}
	return s
}

// schemaTable has the process's types by key and by slot; a batch has its schema's slot.
type schemaTable struct {
	slots slotTable[Schema]
	lock  sync.Mutex
	byKey map[string]*Schema // under lock
	count int                // under lock: of schemas in slots
	limit int                // under lock: the count at which unused ones are forgotten
}

var schemas = &schemaTable{byKey: map[string]*Schema{}, limit: MaxSchemas}

func (t *schemaTable) find(key []byte) *Schema {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.byKey[string(key)]
}

// intern gives the schema that spec describes.
func intern(spec *spec) (*Schema, error) {
	key := spec.appendKey(nil)
	if s := schemas.find(key); s != nil {
		return s, nil
	}
	fields, err := spec.fields()
	if err != nil {
		return nil, err
	}
	// Arrow's types say less than a struct ArrowSchema may, for instance they have no name for the
	// entries of a map. Specs that differ in such things only are one schema with several keys.
	plain := arrow.NewSchema(fields, spec.metadata.arrow())
	canonical, err := specOf(plain)
	if err != nil {
		return nil, err
	}
	made, err := newSchema(plain, canonical)
	if err != nil {
		return nil, err
	}
	return schemas.enter(made, string(key)), nil
}

// newSchema makes a schema that is not in the table yet.
func newSchema(plain *arrow.Schema, spec *spec) (*Schema, error) {
	s := &Schema{arrow: plain, key: string(spec.appendKey(nil))}
	s.layouts = layOut(plain)
	if s.c = spec.build(); s.c == nil {
		return nil, errMemory("a schema")
	}
	runtime.AddCleanup(s, (*cdata.Schema).Release, s.c)
	for i := range s.layouts {
		if s.layouts[i].kind != kindDictionary {
			continue
		}
		column := arrow.Field{Type: s.layouts[i].arrow.(*arrow.DictionaryType).ValueType, Nullable: true}
		values, err := SchemaOf(arrow.NewSchema([]arrow.Field{column}, nil))
		if err != nil {
			return nil, err
		}
		s.dictionaries = append(s.dictionaries, values)
	}
	return s, nil
}

// enter puts a new schema into the table, or gives the one that is there already.
func (t *schemaTable) enter(made *Schema, key string) *Schema {
	t.lock.Lock()
	defer t.lock.Unlock()
	s := t.byKey[made.key]
	if s == nil {
		s = made
		t.seat(s)
	}
	if _, known := t.byKey[key]; !known {
		t.byKey[key] = s
		s.keys = append(s.keys, key)
	}
	return s
}

// seat gives a schema a slot and its key; the caller has the lock.
func (t *schemaTable) seat(s *Schema) {
	if t.count >= t.limit {
		t.forget()
	}
	s.c.Slot = t.slots.put(s)
	t.count++
	t.byKey[s.key] = s
	s.keys = append(s.keys[:0], s.key)
	s.forgotten.Store(false)
}

// forget drops the schemas that no batch refers to. A batch may be made of one at the same moment:
// it retains the C schema before it looks at forgotten, and forget looks at the references after it
// set forgotten, so one of the two sees the other.
func (t *schemaTable) forget() {
	slots := t.slots.all()
	for i := range slots {
		s := slots[i].Load()
		if s == nil {
			continue
		}
		s.forgotten.Store(true)
		if s.c.Shared() {
			s.forgotten.Store(false)
			continue
		}
		for _, key := range s.keys {
			delete(t.byKey, key)
		}
		t.slots.remove(uint64(i))
		t.count--
	}
	t.limit = t.count + MaxSchemas
}

// restore seats a schema again that was forgotten and is held by the caller, or gives the one that
// took its place, held instead.
func (t *schemaTable) restore(s *Schema) *Schema {
	t.lock.Lock()
	defer t.lock.Unlock()
	if !s.forgotten.Load() {
		return s
	}
	if now := t.byKey[s.key]; now != nil {
		now.c.Retain()
		s.c.Release()
		return now
	}
	s.keys = slices.Delete(s.keys, 0, len(s.keys))
	t.seat(s)
	return s
}
