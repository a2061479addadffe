package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	flatbuffers "github.com/google/flatbuffers/go"
	"golang.org/x/sys/unix"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire/flatbuf/arrowfb"
)

// fileMagic stands at the start and at the end of an Arrow IPC file; at the start two zeros follow.
const fileMagic = "ARROW1"

// fileStart is where the messages of a file may start, fileEnd the length of what follows the
// footer: its length and the magic.
const (
	fileStart = 8
	fileEnd   = 4 + len(fileMagic)
)

// ReadFile reads a file of Arrow's IPC file format (also named Feather, version 2) or IPC stream
// format into memory of the arena. The caller owns the batches, which share that memory. Everything
// is verified first. Compressed data is status.Unsupported, what is no such file status.Corrupt or
// status.InvalidArgument, a file that is not there status.NotFound.
func ReadFile(path string) (*vertex.Schema, []*vertex.Batch, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, in(path, fileError(err))
	}
	defer file.Close() // only read: nothing can be lost
	info, err := file.Stat()
	if err != nil {
		return nil, nil, in(path, fileError(err))
	}
	if !info.Mode().IsRegular() || info.Size() > MaxBodyBytes {
		return nil, nil, in(path, status.Errorf(status.InvalidArgument,
			"a file of mode %s and %d bytes, only ordinary files of at most %d bytes can be read",
			info.Mode(), info.Size(), int64(MaxBodyBytes)))
	}
	schema, batches, err := readIPC(int(info.Size()), func(memory []byte) error {
		if _, err := io.ReadFull(file, memory); err != nil {
			return fileError(err) // it became shorter meanwhile, or the disk failed
		}
		return nil
	})
	if err != nil {
		return nil, nil, in(path, err)
	}
	return schema, batches, nil
}

// ReadIPC reads data in Arrow's IPC file or stream format like ReadFile. It copies data, once.
func ReadIPC(data []byte) (*vertex.Schema, []*vertex.Batch, error) {
	return readIPC(len(data), func(memory []byte) error {
		copy(memory, data)
		return nil
	})
}

// readIPC reads size bytes that fill puts into memory of the arena.
func readIPC(size int, fill func([]byte) error) (*vertex.Schema, []*vertex.Batch, error) {
	if size < fileStart {
		return nil, nil, errNoIPC(size, nil)
	}
	body, err := vertex.NewBody(size)
	if err != nil {
		return nil, nil, err
	}
	defer body.Release()
	if err := fill(body.Bytes()); err != nil {
		return nil, nil, err
	}
	r := ipcReader{body: body, all: body.Bytes()}
	defer r.decoder.reset(arrowSchema{})
	switch {
	case bytes.HasPrefix(r.all, []byte(fileMagic+"\x00\x00")):
		err = r.file()
	case binary.LittleEndian.Uint32(r.all) == messageMarker:
		err = r.stream()
	default:
		err = errNoIPC(size, r.all[:fileStart])
	}
	if err != nil {
		for _, b := range r.batches {
			b.Release()
		}
		return nil, nil, err
	}
	return r.decoder.schema, r.batches, nil
}

// ipcReader reads a whole file or stream that lies in memory.
type ipcReader struct {
	body    *vertex.Body
	all     []byte
	decoder arrowDecoder
	batches []*vertex.Batch // owned
}

// stream reads messages until they end.
func (r *ipcReader) stream() error {
	m, end, err := readMessage(r.all, 0, len(r.all))
	if err != nil {
		return err
	}
	t := m.schema(new(arrowfb.Schema))
	if end || t == nil {
		return errMessage(0, "it is not a schema, with which a stream has to start")
	}
	schema, err := readSchema(t, m.v4)
	if err != nil {
		return err
	}
	r.decoder.reset(schema)
	for {
		at := m.end
		if m, end, err = readMessage(r.all[at:], at, len(r.all)); err != nil || end {
			return err
		}
		if err := r.message(at, &m); err != nil {
			return err
		}
	}
}

// message reads a dictionary or a record.
func (r *ipcReader) message(at int, m *arrowMessage) error {
	if t := m.dictionary(new(arrowfb.DictionaryBatch)); t != nil {
		return r.decoder.dictionary(t, m, r.body)
	}
	t := m.record(new(arrowfb.RecordBatch))
	if t == nil {
		return errMessage(at, "it is neither a dictionary nor a record")
	}
	if len(r.batches) >= MaxFileBatches {
		return status.Errorf(status.Exhausted,
			"the file has more than %d batches (MaxFileBatches): write larger ones", MaxFileBatches)
	}
	b, err := r.decoder.record(t, m, r.body)
	if err != nil {
		return err
	}
	r.batches = append(r.batches, b)
	return nil
}

// file reads what the footer lists.
func (r *ipcReader) file() error {
	footer, end, err := r.footer()
	if err != nil {
		return err
	}
	t := footer.Schema(new(arrowfb.Schema))
	if t == nil {
		return status.Errorf(status.Corrupt, "the footer of the Arrow file has no schema")
	}
	schema, err := readSchema(t, footer.Version() == arrowfb.MetadataVersionV4)
	if err != nil {
		return err
	}
	r.decoder.reset(schema)
	// Blocks that overlap would make a small file a large table.
	left := int64(end)
	var block arrowfb.Block
	for i := range footer.DictionariesLength() {
		footer.Dictionaries(&block, i)
		if err := r.block(&block, arrowfb.MessageHeaderDictionaryBatch, end, &left); err != nil {
			return err
		}
	}
	for i := range footer.RecordBatchesLength() {
		footer.RecordBatches(&block, i)
		if err := r.block(&block, arrowfb.MessageHeaderRecordBatch, end, &left); err != nil {
			return err
		}
	}
	return nil
}

// footer verifies the footer and gives it, and where it starts.
func (r *ipcReader) footer() (*arrowfb.Footer, int, error) {
	tail := len(r.all) - fileEnd
	if tail < fileStart || string(r.all[tail+4:]) != fileMagic {
		return nil, 0, status.Errorf(status.Corrupt,
			"the Arrow file does not end with %s: it was cut off", fileMagic)
	}
	size := int(binary.LittleEndian.Uint32(r.all[tail:]))
	if size > MaxFooterBytes || size > tail-fileStart {
		return nil, 0, status.Errorf(status.Corrupt,
			"the footer of the Arrow file has %d bytes, there are %d and at most %d are allowed "+
				"(MaxFooterBytes)", size, tail-fileStart, MaxFooterBytes)
	}
	raw := r.all[tail-size : tail]
	if err := verify(raw, &footerShape, 0); err != nil {
		return nil, 0, err
	}
	footer := new(arrowfb.Footer)
	footer.Init(raw, flatbuffers.GetUOffsetT(raw))
	return footer, tail - size, nil
}

// block reads the message that a block of the footer refers to, in front of end.
func (r *ipcReader) block(b *arrowfb.Block, kind arrowfb.MessageHeader, end int,
	left *int64) error {
	at, metadata, body := b.Offset(), int64(b.MetadataLength()), b.BodyLength()
	if at < fileStart || at%8 != 0 || metadata < messageStart || body < 0 ||
		metadata > *left || body > *left-metadata || at > int64(end)-metadata-body {
		return status.Errorf(status.Corrupt, "the footer of the Arrow file refers to %d and %d bytes "+
			"at %d of %d, or twice to the same", metadata, body, at, end)
	}
	*left -= metadata + body
	m, none, err := readMessage(r.all[at:], int(at), int(at+metadata+body))
	if err != nil {
		return err
	}
	if none || m.kind != kind || int64(m.body) != at+metadata || int64(m.end-m.body) != body {
		return errMessage(int(at), "it is not what the file's footer says")
	}
	return r.message(int(at), &m)
}

// errNoIPC says what the data is that was given instead of Arrow's.
func errNoIPC(size int, start []byte) error {
	switch {
	case bytes.HasPrefix(start, []byte("PAR1")):
		return status.Errorf(status.InvalidArgument,
			"this is a Parquet file: read it in Python or Rust, or write it as an Arrow IPC file")
	case bytes.HasPrefix(start, []byte("FEA1")):
		return status.Errorf(status.InvalidArgument,
			"this is a Feather file of version 1: write it as version 2, an Arrow IPC file")
	}
	return status.Errorf(status.InvalidArgument,
		"these %d bytes, which start with %q, are neither an Arrow IPC file nor an Arrow IPC stream",
		size, start)
}

// fileError gives an error of the system its code.
func fileError(err error) *status.Error {
	code := status.Internal
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code = status.NotFound
	case errors.Is(err, fs.ErrPermission):
		code = status.Denied
	case errors.Is(err, io.ErrUnexpectedEOF):
		code = status.Corrupt
	}
	e := status.Errorf(code, "the file cannot be read: %w", err)
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		e.OS = int32(errno)
	}
	return e
}

// in says in which file an error was found.
func in(path string, err error) error {
	e := *status.From(err)
	e.Message = path + ": " + e.Message
	return &e
}
