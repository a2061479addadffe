package transport

import (
	"bytes"
	"slices"

	"dcf/core/status"
	"dcf/udf"
	"dcf/wire"
)

// Copy gives a message that shares only batches with m, each with a reference of its own,
// and the size of its values.
func Copy(m any) (message any, size int64) {
	switch m := m.(type) {
	case *wire.Call:
		return copyCall(m)
	case *wire.Reply:
		return copyReply(m)
	case *wire.Operation:
		c := *m
		size = copyValue(&c.Value)
		c.IDs = slices.Clone(m.IDs)
		c.Nodes = copyNodes(m.Nodes)
		return &c, size
	case *wire.Hello:
		c := *m
		c.Addresses = slices.Clone(m.Addresses)
		return &c, 0
	case *wire.Refuse:
		c := *m
		return &c, 0
	default:
		return nil, 0
	}
}

func copyCall(m *wire.Call) (*wire.Call, int64) {
	c := *m
	size := copyValue(&c.Arguments)
	c.UDFs = slices.Clone(m.UDFs)
	c.Targets = slices.Clone(m.Targets)
	for i := range c.Targets {
		t := &c.Targets[i]
		size += copyValue(&t.Arguments)
		t.Path = slices.Clone(t.Path)
	}
	return &c, size
}

func copyReply(m *wire.Reply) (*wire.Reply, int64) {
	c := *m
	size := copyValue(&c.Value)
	c.Parts = slices.Clone(m.Parts)
	for i := range c.Parts {
		size += copyValue(&c.Parts[i].Value)
		c.Parts[i].Path = slices.Clone(c.Parts[i].Path)
	}
	c.Ran = slices.Clone(m.Ran)
	c.IDs = slices.Clone(m.IDs)
	c.Vertices = slices.Clone(m.Vertices)
	c.Nodes = copyNodes(m.Nodes)
	c.Stats = slices.Clone(m.Stats)
	if e := m.Error; e != nil {
		// Causes stay behind, as they do on a wire.
		c.Error = &status.Error{Code: e.Code, OS: e.OS, Node: e.Node, Vertex: e.Vertex,
			Message: e.Message, Detail: e.Detail}
	}
	return &c, size
}

func copyNodes(nodes []wire.NodeInfo) []wire.NodeInfo {
	nodes = slices.Clone(nodes)
	for i := range nodes {
		nodes[i].Addresses = slices.Clone(nodes[i].Addresses)
	}
	return nodes
}

// copyValue replaces what a value borrows and gives its size.
func copyValue(v *udf.Value) int64 {
	if v.Batch != nil {
		v.Batch.Retain()
		return v.Batch.Bytes()
	}
	v.Bytes = bytes.Clone(v.Bytes)
	v.OffHeap = false
	return int64(len(v.Bytes))
}
