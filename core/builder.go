package core

import (
	"sync"
	"unsafe"

	"dcf/core/internal/failpoint"
	"dcf/core/status"
	"dcf/vertex"
)

// Builder is a vertex's value in the making, filled in where it will lie: see vertex.Builder for the
// types, the numbers of columns, and what the memory is like. It counts against the worker's memory
// limit from the start. All methods are safe for concurrent use; Commit or Abort ends it.
//
// A builder whose worker was closed keeps its memory until Abort, and all else fails.
type Builder struct {
	worker *Worker

	mu       sync.Mutex
	building *vertex.Builder // nil: ended; under mu
	reserved int64           // bytes; under mu
	putting  bool            // Commit is on its way, and the store counts the value; under mu
}

// Build begins a value of so many rows. It fails with status.Unsupported where the schema has a type
// that cannot be built, and with status.Exhausted at MaxBuilders or the memory limit.
func (w *Worker) Build(schema *vertex.Schema, rows int64) (*Builder, error) {
	if w.closing.Load() {
		return nil, errClosed()
	}
	if w.builders.Add(1) > MaxBuilders {
		w.builders.Add(-1)
		return nil, status.Errorf(status.Exhausted,
			"%d builders are open (MaxBuilders): commit or abort some", MaxBuilders)
	}
	b := &Builder{worker: w}
	building, err := vertex.NewBuilder(schema, rows, b.account)
	if err != nil {
		w.builders.Add(-1)
		return nil, err
	}
	b.building = building
	return b, nil
}

// account takes bytes from the worker's memory limit; the caller has mu, or is the only one.
func (b *Builder) account(bytes int64) error {
	if !b.putting {
		if err := b.worker.store.Reserve(bytes); err != nil {
			return err
		}
	}
	b.worker.builderMemory.Add(bytes)
	b.reserved += bytes
	return nil
}

// use runs f on what is being built, unless that has ended.
func (b *Builder) use(f func(*vertex.Builder) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(); err != nil {
		return err
	}
	return f(b.building)
}

// usable says why nothing can be done with the builder now; the caller has mu.
func (b *Builder) usable() error {
	switch {
	case b.worker.closing.Load():
		return errClosed()
	case b.building == nil:
		return status.Errorf(status.BadHandle, "the builder was committed or aborted")
	case b.putting:
		return status.Errorf(status.Aborted, "a commit of the builder is under way: wait for its end")
	}
	return nil
}

// Column gives what is to be filled in of a column, after Reserve unless capacity is 0.
func (b *Builder) Column(column int, capacity int64) (c vertex.BuilderColumn, err error) {
	err = b.use(func(building *vertex.Builder) error {
		if capacity != 0 {
			if err := building.Reserve(column, capacity); err != nil {
				return err
			}
		}
		c, err = building.Column(column)
		return err
	})
	return c, err
}

// SetDictionary gives a column of indices its values; see vertex.Builder.
func (b *Builder) SetDictionary(column int, values *vertex.Batch) error {
	return b.use(func(building *vertex.Builder) error { return building.SetDictionary(column, values) })
}

// ImportDictionary is SetDictionary with a struct ArrowArray, which moves on success.
func (b *Builder) ImportDictionary(column int, array unsafe.Pointer) error {
	return b.use(func(building *vertex.Builder) error { return building.ImportDictionary(column, array) })
}

// Commit checks what was filled in and makes a vertex of it, as Put does, without a copy. It gives the
// value, too, a reference that the caller releases. The memory belongs to that from then on, and must
// not be written to. On failure nothing was published, and the builder is as it was.
func (b *Builder) Commit(o PutOptions) (*Vertex, *vertex.Batch, error) {
	value, err := b.begin()
	if err != nil {
		return nil, nil, err
	}
	failpoint.Hit(failpoint.Filled)
	v, err := b.worker.Put(o, value.Retain())
	b.end(err == nil)
	if err != nil {
		value.Release()
		value.Release()
		return nil, nil, err
	}
	return v, value, nil
}

// begin makes the value, and leaves it to Put to count it.
func (b *Builder) begin() (*vertex.Batch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(); err != nil {
		return nil, err
	}
	value, err := b.building.Batch()
	if err == nil {
		b.putting = true
		b.worker.store.Unreserve(b.reserved)
	}
	return value, err
}

// end ends a commit, and with success or an abort meanwhile the builder.
func (b *Builder) end(done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.building == nil:
	case done:
		b.release()
	default:
		b.worker.store.Unreserve(-b.reserved)
	}
	b.putting = false
}

// Abort gives the memory back, but for what was committed. Nobody may write to it afterwards. Twice
// is fine.
func (b *Builder) Abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.building != nil {
		b.release()
	}
}

// release ends the builder; the caller has mu.
func (b *Builder) release() {
	b.building.Release()
	b.building = nil
	b.worker.builders.Add(-1)
}
