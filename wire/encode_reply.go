package wire

import (
	"slices"

	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/wire/flatbuf"
)

func (e *Encoder) reply(m *Reply) (flatbuffers.UOffsetT, error) {
	b := e.builder
	steps, err := e.placeReply(m)
	if err != nil {
		return 0, err
	}
	value, parts := valueRef{}, e.values
	if m.HasValue {
		value = parts[len(parts)-1]
	}
	inline := e.inlineVector()
	failure := e.failure(m.Error)
	ids, err := e.ids(m.IDs)
	if err != nil {
		return 0, err
	}
	vertices, err := e.vertices(m.Vertices)
	if err != nil {
		return 0, err
	}
	nodes, err := e.nodes(m.Nodes)
	if err != nil {
		return 0, err
	}
	stats, err := e.stats(m.Stats)
	if err != nil {
		return 0, err
	}
	ran, err := e.ran(m.Ran)
	if err != nil {
		return 0, err
	}
	flatbuf.ReplyStartPathsVector(b, steps)
	for _, v := range slices.Backward(m.Parts) {
		e.steps(v.Path)
	}
	paths := b.EndVector(steps)
	flatbuf.ReplyStartPartsVector(b, len(m.Parts))
	for i, v := range slices.Backward(m.Parts) {
		v, path := parts[i], v.Path
		steps -= len(path)
		flatbuf.CreatePart(b, v.offset, v.length, v.place, 0, uint32(steps), uint32(len(path)))
	}
	partsVector := b.EndVector(len(m.Parts))
	flatbuf.ReplyStart(b)
	flatbuf.ReplyAddError(b, failure)
	flatbuf.ReplyAddEffects(b, m.Effects)
	flatbuf.ReplyAddParts(b, partsVector)
	flatbuf.ReplyAddPaths(b, paths)
	flatbuf.ReplyAddVersion(b, m.Version)
	flatbuf.ReplyAddSpawnsLeft(b, m.SpawnsLeft)
	flatbuf.ReplyAddServedNs(b, m.ServedNs)
	flatbuf.ReplyAddBytesMoved(b, m.BytesMoved)
	flatbuf.ReplyAddRan(b, ran)
	flatbuf.ReplyAddHasValue(b, m.HasValue)
	flatbuf.ReplyAddValue(b, e.value(value))
	flatbuf.ReplyAddIds(b, ids)
	flatbuf.ReplyAddVertices(b, vertices)
	flatbuf.ReplyAddNodes(b, nodes)
	flatbuf.ReplyAddStats(b, stats)
	flatbuf.ReplyAddIdentity(b, e.identity(m.Identity))
	flatbuf.ReplyAddView(b, m.View)
	flatbuf.ReplyAddMissing(b, m.Missing)
	flatbuf.ReplyAddGroup(b, m.Group)
	flatbuf.ReplyAddInline(b, inline)
	flatbuf.ReplyAddHow(b, m.How)
	return flatbuf.ReplyEnd(b), nil
}

// placeReply checks what a reply says and places its values: those of the parts, then the reply's
// own. It gives the number of steps of all paths.
func (e *Encoder) placeReply(m *Reply) (steps int, err error) {
	if err := checkCount("parts", "MaxParts", len(m.Parts), MaxParts); err != nil {
		return 0, err
	}
	for i := range m.Parts {
		if steps, err = addSteps(steps, m.Parts[i].Path); err != nil {
			return 0, err
		}
		if err := e.place(&m.Parts[i].Value); err != nil {
			return 0, err
		}
	}
	if m.HasValue {
		err = e.place(&m.Value)
	}
	return steps, err
}

func (e *Encoder) failure(err *status.Error) flatbuffers.UOffsetT {
	if err == nil {
		return 0
	}
	message, detail := e.text(cut(err.Message)), e.text(cut(err.Detail))
	flatbuf.ErrorStart(e.builder)
	flatbuf.ErrorAddCode(e.builder, int32(err.Code))
	flatbuf.ErrorAddOs(e.builder, err.OS)
	flatbuf.ErrorAddNode(e.builder, err.Node)
	flatbuf.ErrorAddVertex(e.builder, e.bytes16(err.Vertex))
	flatbuf.ErrorAddMessage(e.builder, message)
	flatbuf.ErrorAddDetail(e.builder, detail)
	return flatbuf.ErrorEnd(e.builder)
}

func (e *Encoder) vertices(infos []VertexInfo) (flatbuffers.UOffsetT, error) {
	if err := checkCount("vertices", "MaxInfos", len(infos), MaxInfos); err != nil {
		return 0, err
	}
	e.refs = e.refs[:0]
	for i := range infos {
		v := &infos[i]
		if err := checkName("a vertex's name", v.Name); err != nil {
			return 0, err
		}
		name := e.text(v.Name)
		flatbuf.VertexInfoStart(e.builder)
		flatbuf.VertexInfoAddId(e.builder, e.bytes16(v.ID))
		flatbuf.VertexInfoAddName(e.builder, name)
		flatbuf.VertexInfoAddOwner(e.builder, v.Owner)
		flatbuf.VertexInfoAddVersion(e.builder, v.Version)
		flatbuf.VertexInfoAddRows(e.builder, v.Rows)
		flatbuf.VertexInfoAddBytes(e.builder, v.Bytes)
		flatbuf.VertexInfoAddChildren(e.builder, v.Children)
		flatbuf.VertexInfoAddGroup(e.builder, v.Group)
		flatbuf.VertexInfoAddBirth(e.builder, v.Birth)
		e.refs = append(e.refs, flatbuf.VertexInfoEnd(e.builder))
	}
	return e.vector(e.refs), nil
}

func (e *Encoder) stats(stats []Stat) (flatbuffers.UOffsetT, error) {
	if err := checkCount("counters", "MaxStats", len(stats), MaxStats); err != nil {
		return 0, err
	}
	e.refs = e.refs[:0]
	for i := range stats {
		if err := checkName("a counter's name", stats[i].Name); err != nil {
			return 0, err
		}
		name := e.text(stats[i].Name)
		flatbuf.StatStart(e.builder)
		flatbuf.StatAddName(e.builder, name)
		flatbuf.StatAddPeer(e.builder, stats[i].Peer)
		flatbuf.StatAddValue(e.builder, stats[i].Value)
		e.refs = append(e.refs, flatbuf.StatEnd(e.builder))
	}
	return e.vector(e.refs), nil
}

func (e *Encoder) ran(runs []NodeRuns) (flatbuffers.UOffsetT, error) {
	if err := checkCount("counts of runs", "MaxNodes", len(runs), MaxNodes); err != nil {
		return 0, err
	}
	flatbuf.ReplyStartRanVector(e.builder, len(runs))
	for _, run := range slices.Backward(runs) {
		flatbuf.CreateNodeRuns(e.builder, run.Node, run.Runs)
	}
	return e.builder.EndVector(len(runs)), nil
}
