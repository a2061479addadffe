package wire

import (
	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire/flatbuf"
)

// The functions here read tables that verify has passed, by the generated accessors.

func (d *Decoder) decodeHello(table []byte, root flatbuffers.UOffsetT) {
	var t flatbuf.Hello
	t.Init(table, root)
	d.hello = Hello{
		MinVersion: t.MinVersion(),
		MaxVersion: t.MaxVersion(),
		Features:   t.Features(),
		Identity:   readIdentity(t.Identity(new(flatbuf.Identity))),
		Cluster:    readBytes16(t.Cluster(new(flatbuf.Bytes16))),
		Host:       string(t.Host()),
		Purpose:    Purpose(t.Purpose()),
		Session:    t.Session(),
		Member:     t.Member(),
		Addresses:  readTexts(t.AddressesLength(), t.Addresses),

		HostAddress: string(t.HostAddress()),
	}
}

func (d *Decoder) decodeRefuse(table []byte, root flatbuffers.UOffsetT) {
	var t flatbuf.Refuse
	t.Init(table, root)
	d.refuse = Refuse{Code: status.Code(t.Code()), Message: string(t.Message())}
}

func (d *Decoder) decodeCall(table []byte, root flatbuffers.UOffsetT) error {
	var t flatbuf.Call
	t.Init(table, root)
	d.readPaths(t.PathsLength(), t.Paths)
	inline := t.InlineBytes()
	arguments, err := d.locate(readValue(t.Arguments(new(flatbuf.Value))), inline)
	if err != nil {
		return err
	}
	d.call = Call{
		Root:        readIdentity(t.Root(new(flatbuf.Identity))),
		Sequence:    t.Sequence(),
		Floor:       t.Floor(),
		Flags:       CallFlags(t.Flags()),
		Depth:       t.Depth(),
		SpawnBudget: t.SpawnBudget(),
		Arguments:   arguments,
	}
	if d.call.UDFs, err = d.readUDFs(&t); err != nil {
		return err
	}
	d.call.Targets, err = d.readTargets(&t, inline)
	return err
}

func (d *Decoder) readUDFs(t *flatbuf.Call) ([]UDFRef, error) {
	var entry flatbuf.UDFRef
	var hash flatbuf.Bytes16
	d.udfs = reuse(d.udfs, t.UdfsLength())
	for i := range t.UdfsLength() {
		t.Udfs(&entry, i)
		name, err := d.name(entry.Name())
		if err != nil {
			return nil, err
		}
		d.udfs = append(d.udfs, UDFRef{Name: name, Hash: readBytes16(entry.Hash(&hash))})
	}
	return orNil(d.udfs), nil
}

func (d *Decoder) readTargets(t *flatbuf.Call, inline []byte) ([]Target, error) {
	var entry flatbuf.Target
	var id flatbuf.Bytes16
	var value flatbuf.Value
	d.targets = reuse(d.targets, t.TargetsLength())
	for i := range t.TargetsLength() {
		t.Targets(&entry, i)
		flags := entry.Flags()
		if entry.Udf() >= uint32(len(d.udfs)) || flags&^(targetOnce|targetHasArguments) != 0 {
			return nil, status.Errorf(status.Corrupt,
				"Call.targets: number %d has function %d of %d and flags %#x",
				i, entry.Udf(), len(d.udfs), flags)
		}
		target := Target{
			ID:           readBytes16(entry.Id(&id)),
			Birth:        entry.Birth(),
			UDF:          entry.Udf(),
			Once:         flags&targetOnce != 0,
			HasArguments: flags&targetHasArguments != 0,
		}
		var err error
		if target.Path, err = d.path(entry.PathStart(), entry.PathLength()); err != nil {
			return nil, err
		}
		if target.HasArguments {
			target.Arguments, err = d.locate(readValue(entry.Arguments(&value)), inline)
			if err != nil {
				return nil, err
			}
		}
		d.targets = append(d.targets, target)
	}
	return orNil(d.targets), nil
}

func (d *Decoder) decodeOperation(table []byte, root flatbuffers.UOffsetT) (err error) {
	var t flatbuf.Operation
	t.Init(table, root)
	d.operation = Operation{
		Op:        Op(t.Op()),
		Birth:     t.Birth(),
		ID:        readBytes16(t.Id(new(flatbuf.Bytes16))),
		Name:      string(t.Name()),
		Expected:  t.Expected(),
		Direction: t.Direction(),
		Replace:   t.Replace(),
		HasValue:  t.HasValue(),
		IDs:       d.readIDs(t.IdsLength(), t.Ids),
		Identity:  readIdentity(t.Identity(new(flatbuf.Identity))),
		Sequence:  t.Sequence(),
		Floor:     t.Floor(),
		Nodes:     d.readNodes(t.NodesLength(), t.Nodes),
		View:      t.View(),
		Group:     t.Group(),
	}
	if t.HasValue() {
		value := readValue(t.Value(new(flatbuf.Value)))
		d.operation.Value, err = d.locate(value, t.InlineBytes())
	}
	return err
}

func (d *Decoder) readNodes(n int, get func(*flatbuf.NodeInfo, int) bool) []NodeInfo {
	var identity flatbuf.Identity
	entry := &d.node
	d.nodes = reuse(d.nodes, n)
	for i := range n {
		get(entry, i)
		d.nodes = append(d.nodes, NodeInfo{
			Identity:  readIdentity(entry.Identity(&identity)),
			Member:    entry.Member(),
			Alive:     entry.Alive(),
			Directory: entry.Directory(),
			Addresses: readTexts(entry.AddressesLength(), entry.Addresses),
		})
	}
	return orNil(d.nodes)
}

func (d *Decoder) readIDs(n int, get func(*flatbuf.Bytes16, int) bool) []vertex.ID {
	d.ids = reuse(d.ids, n)
	for i := range n {
		get(&d.id, i)
		d.ids = append(d.ids, readBytes16(&d.id))
	}
	return orNil(d.ids)
}

// readPaths reads the steps of all paths of a message into the decoder's memory.
func (d *Decoder) readPaths(n int, get func(int) uint32) {
	d.paths = reuse(d.paths, n)
	for i := range n {
		d.paths = append(d.paths, get(i))
	}
}

// path gives one of the paths that readPaths read.
func (d *Decoder) path(start, length uint32) ([]uint32, error) {
	end := uint64(start) + uint64(length)
	if length > MaxPathSteps || end > uint64(len(d.paths)) {
		return nil, status.Errorf(status.Corrupt,
			"a path has %d steps at %d of %d, at most %d are allowed (MaxPathSteps)",
			length, start, len(d.paths), MaxPathSteps)
	}
	if length == 0 {
		return nil, nil
	}
	return d.paths[start:end:end], nil
}

// The fields that are structs are absent where a sender of another minor version left them out.

func readIdentity(t *flatbuf.Identity) Identity {
	if t == nil {
		return Identity{}
	}
	return Identity{Node: t.Node(), Incarnation: t.Incarnation()}
}

func readBytes16(t *flatbuf.Bytes16) (b [16]byte) {
	if t != nil {
		flatbuffers.WriteUint64(b[:8], t.First())
		flatbuffers.WriteUint64(b[8:], t.Second())
	}
	return b
}

func readValue(t *flatbuf.Value) valueRef {
	if t == nil {
		return valueRef{}
	}
	return valueRef{t.Offset(), t.Length(), t.Place()}
}

func readTexts(n int, get func(int) []byte) []string {
	if n == 0 {
		return nil
	}
	texts := make([]string, n)
	for i := range texts {
		texts[i] = string(get(i))
	}
	return texts
}

// orNil gives nil for an empty slice, so that a decoded message equals the one that was encoded.
func orNil[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}
