package wire

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"

	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire/flatbuf"
)

// message encodes the message as a size-prefixed table, left in the builder, and its large values
// as pieces of the body.
func (e *Encoder) message(f *Frame) error {
	if e.builder == nil {
		e.builder = flatbuffers.NewBuilder(1024)
	}
	e.builder.Reset()
	e.inline, e.values = e.inline[:0], e.values[:0]
	var root flatbuffers.UOffsetT
	var err error
	switch m := f.Message.(type) {
	case *Call:
		root, err = e.call(m)
	case *Reply:
		root, err = e.reply(m)
	case *Operation:
		root, err = e.operation(m)
	case *Hello:
		root, err = e.hello(m)
	case *Refuse:
		root = e.refuse(m)
	}
	if err != nil {
		return err
	}
	e.builder.FinishSizePrefixed(root)
	return nil
}

func (e *Encoder) hello(m *Hello) (flatbuffers.UOffsetT, error) {
	b := e.builder
	if err := checkName("a host's identity", m.Host); err != nil {
		return 0, err
	}
	addresses, err := e.addresses(m.Addresses)
	if err != nil {
		return 0, err
	}
	if err := checkAddress(m.HostAddress); err != nil {
		return 0, err
	}
	host, hostAddress := e.text(m.Host), e.text(m.HostAddress)
	flatbuf.HelloStart(b)
	flatbuf.HelloAddMinVersion(b, m.MinVersion)
	flatbuf.HelloAddMaxVersion(b, m.MaxVersion)
	flatbuf.HelloAddFeatures(b, m.Features)
	flatbuf.HelloAddIdentity(b, e.identity(m.Identity))
	flatbuf.HelloAddCluster(b, e.bytes16(m.Cluster))
	flatbuf.HelloAddHost(b, host)
	flatbuf.HelloAddPurpose(b, byte(m.Purpose))
	flatbuf.HelloAddSession(b, m.Session)
	flatbuf.HelloAddMember(b, m.Member)
	flatbuf.HelloAddAddresses(b, addresses)
	flatbuf.HelloAddHostAddress(b, hostAddress)
	return flatbuf.HelloEnd(b), nil
}

func (e *Encoder) refuse(m *Refuse) flatbuffers.UOffsetT {
	message := e.text(cut(m.Message))
	flatbuf.RefuseStart(e.builder)
	flatbuf.RefuseAddCode(e.builder, int32(m.Code))
	flatbuf.RefuseAddMessage(e.builder, message)
	return flatbuf.RefuseEnd(e.builder)
}

func (e *Encoder) call(m *Call) (flatbuffers.UOffsetT, error) {
	b := e.builder
	steps, err := e.placeCall(m)
	if err != nil {
		return 0, err
	}
	arguments, own := e.values[0], e.values[1:]
	inline := e.inlineVector()
	udfs, err := e.udfs(m.UDFs)
	if err != nil {
		return 0, err
	}
	// Vectors are built from their end to their start.
	flatbuf.CallStartPathsVector(b, steps)
	for _, v := range slices.Backward(m.Targets) {
		e.steps(v.Path)
	}
	paths := b.EndVector(steps)
	flatbuf.CallStartTargetsVector(b, len(m.Targets))
	for i := len(m.Targets) - 1; i >= 0; i-- {
		t, v := &m.Targets[i], valueRef{}
		if t.HasArguments {
			v, own = own[len(own)-1], own[:len(own)-1]
		}
		steps -= len(t.Path)
		flatbuf.CreateTarget(b, low(t.ID), high(t.ID), v.offset, v.length, v.place, 0,
			t.UDF, targetFlags(t), uint32(steps), uint32(len(t.Path)), t.Birth)
	}
	targets := b.EndVector(len(m.Targets))
	flatbuf.CallStart(b)
	flatbuf.CallAddRoot(b, e.identity(m.Root))
	flatbuf.CallAddSequence(b, m.Sequence)
	flatbuf.CallAddFloor(b, m.Floor)
	flatbuf.CallAddFlags(b, uint32(m.Flags))
	flatbuf.CallAddDepth(b, m.Depth)
	flatbuf.CallAddSpawnBudget(b, m.SpawnBudget)
	flatbuf.CallAddUdfs(b, udfs)
	flatbuf.CallAddTargets(b, targets)
	flatbuf.CallAddPaths(b, paths)
	flatbuf.CallAddArguments(b, e.value(arguments))
	flatbuf.CallAddInline(b, inline)
	return flatbuf.CallEnd(b), nil
}

// placeCall checks what a call says and places its values: the call's arguments, then those of the
// targets that have any. It gives the number of steps of all paths.
func (e *Encoder) placeCall(m *Call) (steps int, err error) {
	if err := checkCount("targets", "MaxTargets", len(m.Targets), MaxTargets); err != nil {
		return 0, err
	}
	if err := e.place(&m.Arguments); err != nil {
		return 0, err
	}
	for i := range m.Targets {
		t := &m.Targets[i]
		if t.UDF >= uint32(len(m.UDFs)) {
			return 0, status.Errorf(status.Internal,
				"wire: target %d has function %d of %d", i, t.UDF, len(m.UDFs))
		}
		if steps, err = addSteps(steps, t.Path); err != nil {
			return 0, err
		}
		if t.HasArguments {
			if err := e.place(&t.Arguments); err != nil {
				return 0, err
			}
		}
	}
	return steps, nil
}

func (e *Encoder) udfs(udfs []UDFRef) (flatbuffers.UOffsetT, error) {
	if err := checkCount("functions", "MaxUDFs", len(udfs), MaxUDFs); err != nil {
		return 0, err
	}
	e.refs = e.refs[:0]
	for i := range udfs {
		if err := checkName("a function's name", udfs[i].Name); err != nil {
			return 0, err
		}
		name := e.text(udfs[i].Name)
		flatbuf.UDFRefStart(e.builder)
		flatbuf.UDFRefAddName(e.builder, name)
		flatbuf.UDFRefAddHash(e.builder, e.bytes16(udfs[i].Hash))
		e.refs = append(e.refs, flatbuf.UDFRefEnd(e.builder))
	}
	return e.vector(e.refs), nil
}

func (e *Encoder) operation(m *Operation) (flatbuffers.UOffsetT, error) {
	b := e.builder
	if err := checkName("a vertex's name", m.Name); err != nil {
		return 0, err
	}
	value := valueRef{}
	if m.HasValue {
		if err := e.place(&m.Value); err != nil {
			return 0, err
		}
		value = e.values[0]
	}
	inline := e.inlineVector()
	name := e.text(m.Name)
	ids, err := e.ids(m.IDs)
	if err != nil {
		return 0, err
	}
	nodes, err := e.nodes(m.Nodes)
	if err != nil {
		return 0, err
	}
	flatbuf.OperationStart(b)
	flatbuf.OperationAddOp(b, uint16(m.Op))
	flatbuf.OperationAddId(b, e.bytes16(m.ID))
	flatbuf.OperationAddName(b, name)
	flatbuf.OperationAddExpected(b, m.Expected)
	flatbuf.OperationAddDirection(b, m.Direction)
	flatbuf.OperationAddReplace(b, m.Replace)
	flatbuf.OperationAddHasValue(b, m.HasValue)
	flatbuf.OperationAddValue(b, e.value(value))
	flatbuf.OperationAddIds(b, ids)
	flatbuf.OperationAddIdentity(b, e.identity(m.Identity))
	flatbuf.OperationAddSequence(b, m.Sequence)
	flatbuf.OperationAddFloor(b, m.Floor)
	flatbuf.OperationAddNodes(b, nodes)
	flatbuf.OperationAddView(b, m.View)
	flatbuf.OperationAddGroup(b, m.Group)
	flatbuf.OperationAddBirth(b, m.Birth)
	flatbuf.OperationAddInline(b, inline)
	return flatbuf.OperationEnd(b), nil
}

func (e *Encoder) nodes(nodes []NodeInfo) (flatbuffers.UOffsetT, error) {
	if err := checkCount("nodes", "MaxNodes", len(nodes), MaxNodes); err != nil {
		return 0, err
	}
	e.refs = e.refs[:0]
	for i := range nodes {
		n := &nodes[i]
		addresses, err := e.addresses(n.Addresses)
		if err != nil {
			return 0, err
		}
		flatbuf.NodeInfoStart(e.builder)
		flatbuf.NodeInfoAddIdentity(e.builder, e.identity(n.Identity))
		flatbuf.NodeInfoAddMember(e.builder, n.Member)
		flatbuf.NodeInfoAddAlive(e.builder, n.Alive)
		flatbuf.NodeInfoAddDirectory(e.builder, n.Directory)
		flatbuf.NodeInfoAddAddresses(e.builder, addresses)
		e.refs = append(e.refs, flatbuf.NodeInfoEnd(e.builder))
	}
	return e.vector(e.refs), nil
}

func (e *Encoder) addresses(addresses []string) (flatbuffers.UOffsetT, error) {
	err := checkCount("addresses a node", "MaxAddresses", len(addresses), MaxAddresses)
	if err != nil {
		return 0, err
	}
	e.texts = e.texts[:0]
	for _, a := range addresses {
		if err := checkAddress(a); err != nil {
			return 0, err
		}
		e.texts = append(e.texts, e.builder.CreateString(a))
	}
	return e.vector(e.texts), nil
}

func checkAddress(a string) error {
	if len(a) > MaxAddressBytes || !utf8.ValidString(a) {
		return status.Errorf(status.InvalidArgument,
			"an address has %d bytes, at most %d of UTF-8 are allowed (MaxAddressBytes)",
			len(a), MaxAddressBytes)
	}
	return nil
}

func (e *Encoder) ids(ids []vertex.ID) (flatbuffers.UOffsetT, error) {
	if err := checkCount("vertex ids", "MaxIDs", len(ids), MaxIDs); err != nil || len(ids) == 0 {
		return 0, err
	}
	e.builder.StartVector(idBytes, len(ids), 8)
	for _, id := range slices.Backward(ids) {
		e.bytes16(id)
	}
	return e.builder.EndVector(len(ids)), nil
}

// vector makes a vector of references; none is an absent vector.
func (e *Encoder) vector(refs []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	if len(refs) == 0 {
		return 0
	}
	e.builder.StartVector(flatbuffers.SizeUOffsetT, len(refs), flatbuffers.SizeUOffsetT)
	for _, ref := range slices.Backward(refs) {
		e.builder.PrependUOffsetT(ref)
	}
	return e.builder.EndVector(len(refs))
}

// text makes a string; an empty one is absent.
func (e *Encoder) text(s string) flatbuffers.UOffsetT {
	if s == "" {
		return 0
	}
	return e.builder.CreateString(s)
}

func (e *Encoder) inlineVector() flatbuffers.UOffsetT {
	if len(e.inline) == 0 {
		return 0
	}
	return e.builder.CreateByteVector(e.inline)
}

// steps writes a path into the vector that is being built.
func (e *Encoder) steps(path []uint32) {
	for _, p := range slices.Backward(path) {
		e.builder.PrependUint32(p)
	}
}

func addSteps(steps int, path []uint32) (int, error) {
	if err := checkCount("steps a path", "MaxPathSteps", len(path), MaxPathSteps); err != nil {
		return 0, err
	}
	steps += len(path)
	return steps, checkCount("steps in paths", "MaxPathsSteps", steps, MaxPathsSteps)
}

func (e *Encoder) identity(i Identity) flatbuffers.UOffsetT {
	return flatbuf.CreateIdentity(e.builder, i.Node, i.Incarnation, 0)
}

func (e *Encoder) bytes16(b [16]byte) flatbuffers.UOffsetT {
	return flatbuf.CreateBytes16(e.builder, low(b), high(b))
}

func (e *Encoder) value(v valueRef) flatbuffers.UOffsetT {
	return flatbuf.CreateValue(e.builder, v.offset, v.length, v.place, 0)
}

func low(b [16]byte) uint64  { return binary.LittleEndian.Uint64(b[:8]) }
func high(b [16]byte) uint64 { return binary.LittleEndian.Uint64(b[8:]) }

// cut makes a text what a receiver takes: UTF-8, and not too long.
func cut(text string) string {
	if len(text) > MaxTextBytes {
		text = text[:MaxTextBytes]
	}
	return strings.ToValidUTF8(text, "?")
}
