package wire

import (
	flatbuffers "github.com/google/flatbuffers/go"

	"dcf/core/status"
	"dcf/wire/flatbuf"
)

func (d *Decoder) decodeReply(table []byte, root flatbuffers.UOffsetT) (err error) {
	var t flatbuf.Reply
	t.Init(table, root)
	d.readPaths(t.PathsLength(), t.Paths)
	d.replyFixed = false
	d.reply = Reply{
		Effects:    t.Effects(),
		Version:    t.Version(),
		SpawnsLeft: t.SpawnsLeft(),
		ServedNs:   t.ServedNs(),
		BytesMoved: t.BytesMoved(),
		How:        t.How(),
		Ran:        d.readRan(&t),
		HasValue:   t.HasValue(),
		IDs:        d.readIDs(t.IdsLength(), t.Ids),
		Vertices:   d.readVertices(&t),
		Nodes:      d.readNodes(t.NodesLength(), t.Nodes),
		Stats:      d.readStats(&t),
		Identity:   readIdentity(t.Identity(new(flatbuf.Identity))),
		View:       t.View(),
		Missing:    t.Missing(),
		Group:      t.Group(),
	}
	if d.reply.Error, err = readError(t.Error(new(flatbuf.Error))); err != nil {
		return err
	}
	inline := t.InlineBytes()
	if d.reply.Parts, err = d.readParts(&t, inline); err != nil {
		return err
	}
	if t.HasValue() {
		d.reply.Value, err = d.locate(readValue(t.Value(new(flatbuf.Value))), inline)
	}
	return err
}

func readError(t *flatbuf.Error) (*status.Error, error) {
	if t == nil {
		return nil, nil
	}
	code := status.Code(t.Code())
	if code <= status.OK || code >= status.Count {
		return nil, status.Errorf(status.Corrupt, "Reply.error: the status %d is none of a failure",
			t.Code())
	}
	return &status.Error{
		Code:    code,
		OS:      t.Os(),
		Node:    t.Node(),
		Vertex:  readBytes16(t.Vertex(new(flatbuf.Bytes16))),
		Message: string(t.Message()),
		Detail:  string(t.Detail()),
	}, nil
}

func (d *Decoder) readParts(t *flatbuf.Reply, inline []byte) ([]Part, error) {
	var entry flatbuf.Part
	var value flatbuf.Value
	d.parts = reuse(d.parts, t.PartsLength())
	for i := range t.PartsLength() {
		t.Parts(&entry, i)
		path, err := d.path(entry.PathStart(), entry.PathLength())
		if err != nil {
			return nil, err
		}
		v, err := d.locate(readValue(entry.Value(&value)), inline)
		if err != nil {
			return nil, err
		}
		d.parts = append(d.parts, Part{Path: path, Value: v})
	}
	return orNil(d.parts), nil
}

func (d *Decoder) readRan(t *flatbuf.Reply) []NodeRuns {
	var entry flatbuf.NodeRuns
	d.ran = reuse(d.ran, t.RanLength())
	for i := range t.RanLength() {
		t.Ran(&entry, i)
		d.ran = append(d.ran, NodeRuns{Node: entry.Node(), Runs: entry.Runs()})
	}
	return orNil(d.ran)
}

func (d *Decoder) readVertices(t *flatbuf.Reply) []VertexInfo {
	var entry flatbuf.VertexInfo
	var id flatbuf.Bytes16
	d.vertices = reuse(d.vertices, t.VerticesLength())
	for i := range t.VerticesLength() {
		t.Vertices(&entry, i)
		d.vertices = append(d.vertices, VertexInfo{
			ID:       readBytes16(entry.Id(&id)),
			Birth:    entry.Birth(),
			Name:     string(entry.Name()),
			Owner:    entry.Owner(),
			Version:  entry.Version(),
			Rows:     entry.Rows(),
			Bytes:    entry.Bytes(),
			Children: entry.Children(),
			Group:    entry.Group(),
		})
	}
	return orNil(d.vertices)
}

func (d *Decoder) readStats(t *flatbuf.Reply) []Stat {
	var entry flatbuf.Stat
	d.stats = reuse(d.stats, t.StatsLength())
	for i := range t.StatsLength() {
		t.Stats(&entry, i)
		d.stats = append(d.stats, Stat{
			Name: string(entry.Name()), Peer: entry.Peer(), Value: entry.Value(),
		})
	}
	return orNil(d.stats)
}
