package core

import (
	"sync"

	"dcf/core/internal/transport"
	"dcf/udf"
	"dcf/vertex"
	"dcf/wire"
)

// warm does for the first time what a process's first get does, and would wait for: code and tables that nobody has
// used yet take ten times as long. A failure has no consequence but that.
var warm = sync.OnceFunc(func() { _ = passTable() })

// passTable writes a table of no rows as a reply has it, and reads it.
func passTable() error {
	table := vertex.Float64Batch("", 0)
	defer table.Release()
	var encoder wire.Encoder
	defer encoder.Release()
	header, pieces, size, err := encoder.Encode(&wire.Frame{Header: wire.SessionHeader{Kind: wire.KindReply},
		Message: &wire.Reply{HasValue: true, Value: udf.Value{Batch: table}}})
	if err != nil {
		return err
	}
	body, err := vertex.NewBody(int(size))
	if err != nil {
		return err
	}
	rest := body.Bytes()
	for _, piece := range pieces {
		rest = rest[copy(rest, piece):]
	}
	var in transport.Inbound
	defer in.Clear()
	return in.Decode(header[wire.PrefixBytes:], body, size)
}
