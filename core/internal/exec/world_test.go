package exec

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/internal/store"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
)

func TestMain(m *testing.M) {
	before, _ := arena.Usage()
	code := m.Run()
	if after, _ := arena.Usage(); after != before && code == 0 {
		fmt.Fprintf(os.Stderr, "%d bytes outside the Go heap are left\n", after-before)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is an engine over a store of its own, and a network of which the test writes the answers.
type world struct {
	*testing.T
	*Engine
	names     map[vertex.ID]string
	functions map[string]*Function
	answers   map[string]func(*Task, Item) Answer // of targets that are elsewhere, by name
	ready     bool                                // whether answers are there at once
	refuse    map[string]error                    // names that cannot be claimed
	awayError error
	log       []string // what the network was asked, in order
	sequences uint64
}

func newWorld(t *testing.T) *world { return newWorldOf(t, 1<<20) }

func newWorldOf(t *testing.T, limit int64) *world {
	w := &world{T: t, names: map[vertex.ID]string{}, functions: map[string]*Function{},
		answers: map[string]func(*Task, Item) Answer{}, refuse: map[string]error{}, ready: true}
	s := store.Open(limit)
	w.Engine = NewEngine(s, w, vertex.NewSource(1, 1), nil)
	t.Cleanup(func() {
		w.Engine.Close()
		s.Close()
	})
	return w
}

// vertex makes one; its children are given by their names and need not be there.
func (w *world) vertex(name string, value int64, children ...string) vertex.ID {
	return w.create(store.Vertex{ID: w.id(name), Name: name, Value: vertex.Int64Batch("x", value),
		Children: w.ids(children)})
}

func (w *world) group(name string, children ...string) {
	w.create(store.Vertex{ID: w.id(name), Name: name, Group: true, Children: w.ids(children)})
}

func (w *world) create(v store.Vertex) vertex.ID {
	r, err := w.Store.Create(v)
	require.NoError(w, err)
	w.Store.Release(r)
	return v.ID
}

func (w *world) id(name string) vertex.ID {
	id := vertex.NameID(name)
	w.names[id] = name
	return id
}

func (w *world) ids(names []string) []vertex.ID {
	var ids []vertex.ID
	for _, name := range names {
		ids = append(ids, w.id(name))
	}
	return ids
}

// state gives a vertex's value, version and the names of its children; -1 where it is gone.
func (w *world) state(id vertex.ID) (value int64, version uint64, children []string) {
	pin, err := w.Store.Pin()
	require.NoError(w, err)
	defer w.Store.Unpin(pin)
	r := w.Store.Find(id)
	if r == nil || r.Current() == nil {
		return -1, 0, nil
	}
	v := r.Current()
	for _, child := range v.Children() {
		children = append(children, w.names[child])
	}
	return v.Batch().Int64(0)[0], v.Number(), children
}

func (w *world) value(id vertex.ID) int64 {
	value, _, _ := w.state(id)
	return value
}

// add makes a function that spawns and tasks find by its name.
func (w *world) add(name string, flags udf.Flags, code udf.Func) *Function {
	program, err := udf.GoKind{}.Load(&udf.Definition{Kind: udf.KindGo, Name: name, Code: code})
	require.NoError(w, err)
	f := &Function{Program: program, Name: name, Hash: Hash([]byte(fmt.Sprintf("%-16s", name))), Flags: flags,
		Merging: program.HasMerge(), Finishing: program.HasFinish()}
	w.functions[name] = f
	return f
}

// walk answers with the name of its vertex and goes on to the children.
func (w *world) walk(in *udf.Input, out *udf.Output) error {
	out.Bytes([]byte(w.names[in.Vertex] + " "))
	for _, child := range in.Children {
		if err := out.Spawn(udf.Spawn{Target: child}); err != nil {
			return err
		}
	}
	return nil
}

// join puts parts together in the order in which they are given.
func join(in *udf.MergeInput, out *udf.Output) error {
	var all []byte
	for _, part := range in.Parts {
		all = append(all, part.Bytes...)
	}
	out.Bytes(all)
	return nil
}

// task makes one of a function on targets; it is closed when the test ends.
func (w *world) task(f *Function, targets ...vertex.ID) *Task {
	t := NewTask(w.Engine)
	t.Called, t.Origin = f, Origin{Node: 1, Incarnation: 1}
	t.Deadline = 0
	for i := range targets { // the last that was added runs first
		at := len(targets) - 1 - i
		t.Add(Item{Function: f, Target: targets[at], Index: uint32(at)})
	}
	w.Cleanup(t.Close)
	return t
}

// run makes a task and runs it to its end.
func (w *world) run(f *Function, targets ...vertex.ID) *Task {
	t := w.task(f, targets...)
	t.Finish()
	return t
}

// said gives the bytes of a task's parts.
func said(t *Task) []string {
	var parts []string
	for _, part := range t.Parts {
		parts = append(parts, strings.TrimSpace(string(part.Value.Bytes)))
	}
	return parts
}

// ---- The network

var _ Network = (*world)(nil)

func (w *world) note(format string, arguments ...any) {
	w.log = append(w.log, fmt.Sprintf(format, arguments...))
}

func (w *world) Function(name string) *Function { return w.functions[name] }

func (w *world) Away(_ *Task, items []Item, pending []Pending) ([]Pending, error) {
	for i := range items {
		name := w.names[items[i].Target]
		w.note("away %s", name)
		if w.awayError != nil {
			items[i].Release()
			continue
		}
		pending = append(pending, &request{world: w, item: items[i], name: name})
	}
	return pending, w.awayError
}

func (w *world) Number(t *Task) {
	if t.Origin.Sequence == 0 {
		w.sequences++
		t.Origin.Sequence = w.sequences
	}
}

func (w *world) Claim(_ *Task, id vertex.ID, name string) error {
	w.names[id] = name
	w.note("claim %s", name)
	return w.refuse[name]
}

func (w *world) Withdraw(id vertex.ID) { w.note("withdraw %s", w.names[id]) }
func (w *world) Dropped(id vertex.ID)  { w.note("dropped %s", w.names[id]) }

func (w *world) Linked(parent vertex.ID, children []vertex.ID, present bool) {
	for _, child := range children {
		w.note("linked %s %s %v", w.names[parent], w.names[child], present)
	}
}

// request is one item under way.
type request struct {
	world *world
	item  Item
	name  string
}

func (r *request) Wait(t *Task) Answer {
	r.world.note("wait %s", r.name)
	answer := r.world.answers[r.name](t, r.item)
	r.item.Release()
	return answer
}

func (r *request) Ready() bool        { return r.world.ready }
func (r *request) Poll(time.Duration) { r.world.note("poll %s", r.name) }
func (r *request) Flush()             { r.world.note("flush %s", r.name) }
func (r *request) Drop() {
	r.world.note("drop %s", r.name)
	r.item.Release()
}

// logged gives what was noted with one of these words, and forgets all.
func (w *world) logged(words ...string) (found []string) {
	for _, line := range w.log {
		for _, word := range words {
			if strings.HasPrefix(line, word) {
				found = append(found, line)
			}
		}
	}
	w.log = nil
	return found
}
