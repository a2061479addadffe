package vertex

import (
	"errors"
	"io"
	"syscall"
	"unsafe"

	"dcf/core/status"
	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

// Stream gives the batches of a struct ArrowArrayStream. One goroutine uses it at a time, and
// closes it.
type Stream struct {
	in     cdata.InStream
	schema *Schema
	block  []byte // room for one struct, which C writes to
	err    error  // what Next gives from now on
}

// ImportStream takes over a struct ArrowArrayStream and reads its schema. The stream is consumed
// even where it fails: its release is NULL then.
func ImportStream(stream unsafe.Pointer) (*Stream, error) {
	if stream == nil || (*cdata.ArrayStream)(stream).Release == nil {
		return nil, status.Errorf(status.InvalidArgument,
			"the ArrowArrayStream is NULL or released already: pass one that was not used")
	}
	in, ok := cdata.TakeStream(stream)
	if !ok {
		return nil, errMemory("a stream")
	}
	s := &Stream{in: in, block: arena.Alloc(int(unsafe.Sizeof(cdata.Array{})))}
	if s.block == nil {
		in.Free()
		return nil, errMemory("a stream")
	}
	if err := s.readSchema(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stream) readSchema() error {
	node := (*cdata.SchemaNode)(unsafe.Pointer(&s.block[0]))
	if code, text := s.in.Schema(node); code != 0 {
		return streamError(code, text)
	}
	defer cdata.ReleaseSchema(unsafe.Pointer(node))
	var err error
	s.schema, err = ImportSchema(unsafe.Pointer(node))
	return err
}

func streamError(code syscall.Errno, text string) error {
	if text == "" {
		text = code.Error()
	}
	e := status.Errorf(status.InvalidArgument,
		"the ArrowArrayStream failed: %s: see its producer", text)
	e.OS = int32(code)
	return e
}

// Schema gives the type of all batches.
func (s *Stream) Schema() *Schema { return s.schema }

// Next gives the next batch, which the caller releases, and io.EOF after the last. After an error
// it gives the same one again.
func (s *Stream) Next() (*Batch, error) {
	if s.err != nil {
		return nil, s.err
	}
	var b *Batch
	b, s.err = s.read()
	return b, s.err
}

func (s *Stream) read() (*Batch, error) {
	array := (*cdata.Array)(unsafe.Pointer(&s.block[0]))
	if code, text := s.in.Next(array); code != 0 {
		return nil, streamError(code, text)
	}
	if array.Release == nil {
		return nil, io.EOF
	}
	b, err := importArray(s.schema, array)
	if err != nil {
		cdata.ReleaseArray(unsafe.Pointer(array))
	}
	return b, err
}

// Close releases the producer. Batches that were read stay valid. Closing twice is fine.
func (s *Stream) Close() {
	if s.block == nil {
		return
	}
	s.in.Free()
	arena.Free(s.block)
	s.block = nil
	s.err = status.Errorf(status.BadHandle, "the stream is closed")
}

// ExportStream writes a struct ArrowArrayStream that calls next for each batch, whose reference it
// takes over, until io.EOF, and done once when it is released. done may be nil. Both are called on
// the consumer's threads, one at a time. An error of next reaches the consumer as an errno and a
// text. It fails with status.Exhausted if memory is out; done is called then, too.
func ExportStream(
	out unsafe.Pointer, schema *Schema, next func() (*Batch, error), done func(),
) error {
	p := &producer{schema, next, done}
	if !cdata.ExportStream(out, p) {
		p.Close()
		return errMemory("a stream")
	}
	return nil
}

// ExportBatches writes a struct ArrowArrayStream of those batches, which have that schema. It takes
// over the references, even if it fails with status.Exhausted.
func ExportBatches(out unsafe.Pointer, schema *Schema, batches []*Batch) error {
	rest := append([]*Batch(nil), batches...)
	next := func() (*Batch, error) {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		b := rest[0]
		rest = rest[1:]
		return b, nil
	}
	return ExportStream(out, schema, next, func() {
		for _, b := range rest {
			b.Release()
		}
	})
}

// producer makes the batches of an exported stream.
type producer struct {
	schema *Schema
	next   func() (*Batch, error)
	done   func()
}

var _ cdata.Producer = (*producer)(nil)

// Schema writes the schema.
func (p *producer) Schema(out unsafe.Pointer) error { return p.schema.Export(out) }

// Next writes the next batch.
func (p *producer) Next(out unsafe.Pointer) error {
	b, err := p.next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	defer b.Release()
	return b.Export(nil, out)
}

// Close tells whoever made the stream.
func (p *producer) Close() {
	if p.done != nil {
		p.done()
	}
}

// Errno gives the number that is nearest to a status.
func (p *producer) Errno(err error) syscall.Errno {
	switch status.Of(err) {
	case status.InvalidArgument, status.BadHandle:
		return syscall.EINVAL
	case status.Exhausted:
		return syscall.ENOMEM
	case status.Timeout:
		return syscall.ETIMEDOUT
	case status.Cancelled, status.Interrupted:
		return syscall.ECANCELED
	case status.NotFound:
		return syscall.ENOENT
	case status.Unsupported:
		return syscall.ENOTSUP
	}
	return syscall.EIO
}
