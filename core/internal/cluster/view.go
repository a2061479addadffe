package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// view is a list of live nodes, ordered by node id, with the number of the change that made it.
type view struct {
	number uint64
	nodes  []wire.NodeInfo
}

func (v *view) search(node uint64) (int, bool) {
	return slices.BinarySearchFunc(v.nodes, node, func(n wire.NodeInfo, node uint64) int {
		return cmp.Compare(n.Identity.Node, node)
	})
}

// node finds the live incarnation of a node id, or nil.
func (v *view) node(node uint64) *wire.NodeInfo {
	if at, ok := v.search(node); ok {
		return &v.nodes[at]
	}
	return nil
}

// find finds a node that lives in just this incarnation, or nil.
func (v *view) find(identity wire.Identity) *wire.NodeInfo {
	if n := v.node(identity.Node); n != nil && n.Identity == identity {
		return n
	}
	return nil
}

func (v *view) put(info wire.NodeInfo) {
	if at, ok := v.search(info.Identity.Node); ok {
		v.nodes[at] = info
	} else {
		v.nodes = slices.Insert(v.nodes, at, info)
	}
}

func (v *view) remove(identity wire.Identity) {
	if at, ok := v.search(identity.Node); ok && v.nodes[at].Identity == identity {
		v.nodes = slices.Delete(v.nodes, at, at+1)
	}
}

// birth finds the live node that made an unnamed id, or nil.
func (v *view) birth(id vertex.ID) *wire.NodeInfo {
	node, incarnation := id.Birth()
	if n := v.node(node); n != nil && n.Identity.Incarnation&^(1<<31) == incarnation {
		return n
	}
	return nil
}

// ownNode copies a node, so that nothing is kept of the memory that it was received in.
func ownNode(info wire.NodeInfo) wire.NodeInfo {
	addresses := make([]string, len(info.Addresses))
	for i, address := range info.Addresses {
		addresses[i] = strings.Clone(address)
	}
	info.Addresses = addresses
	return info
}

// ownError does the same for an error; nil stays nil.
func ownError(err *status.Error) *status.Error {
	if err == nil {
		return nil
	}
	own := *err
	own.Message, own.Detail = strings.Clone(err.Message), strings.Clone(err.Detail)
	return &own
}

func addressesOf(info *wire.NodeInfo) []string {
	if info == nil {
		return nil
	}
	return info.Addresses
}

// describe names a node for a message: "node 2 at tcp://127.0.0.1:7412".
func describe(info *wire.NodeInfo) string {
	if len(info.Addresses) == 0 {
		return fmt.Sprintf("node %d", info.Identity.Node)
	}
	return fmt.Sprintf("node %d at %s", info.Identity.Node, strings.Join(info.Addresses, ", "))
}

// title names a vertex for a message: by its name where that is known.
func title(id vertex.ID, name string) string {
	if name != "" {
		return fmt.Sprintf("vertex %q", name)
	}
	return "vertex " + id.String()
}
