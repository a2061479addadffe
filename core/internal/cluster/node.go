package cluster

import (
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// Node is one worker's whole part in a cluster: a Client, and on the first node the Directory,
// which that Client asks without sending anything. It is not safe for concurrent use.
type Node struct {
	*Client
	directory *Directory // nil on all nodes but the first
	queue     []Event
	scratch   []Action
}

// NewNode makes a worker's node. Its first event is Found or Join.
func NewNode(self wire.NodeInfo, limits Limits) *Node {
	return &Node{Client: NewClient(self, limits)}
}

// Step takes one event and appends what is to be done.
func (n *Node) Step(now int64, event Event, actions []Action) []Action {
	n.queue = append(n.queue[:0], event)
	for at := 0; at < len(n.queue); at++ {
		n.scratch = n.dispatch(now, n.queue[at], n.scratch[:0])
		for _, action := range n.scratch {
			switch a := action.(type) {
			case Ask:
				if n.directory == nil || a.To != n.self.Identity {
					actions = append(actions, a)
					continue
				}
				actions = n.askSelf(now, a, actions)
			case Notify:
				if a.To != n.self.Identity {
					actions = append(actions, a)
					continue
				}
				n.queue = append(n.queue, Notice{From: a.To, Operation: a.Operation})
			default:
				actions = append(actions, a)
			}
		}
	}
	clear(n.queue)
	clear(n.scratch)
	return actions
}

// askSelf lets the directory answer its own node, and queues the answer.
func (n *Node) askSelf(now int64, ask Ask, actions []Action) []Action {
	asked := n.directory.Step(now, Request{From: n.self.Identity, Operation: ask.Operation}, nil)
	for _, action := range asked {
		switch a := action.(type) {
		case Answer:
			n.queue = append(n.queue, Answered{Ask: ask, Reply: a.Reply})
		case Notify:
			if a.To == n.self.Identity {
				n.queue = append(n.queue, Notice{From: a.To, Operation: a.Operation})
				continue
			}
			actions = append(actions, a)
		default:
			actions = append(actions, a)
		}
	}
	return actions
}

func (n *Node) dispatch(now int64, event Event, actions []Action) []Action {
	switch e := event.(type) {
	case Found:
		return n.foundCluster(now, e, actions)
	case Request:
		if n.directory == nil {
			return append(actions, Answer{Reply: n.sendOn()})
		}
		return n.directory.Step(now, e, actions)
	case PeerUp, PeerDown, Tick:
		if n.directory != nil {
			actions = n.directory.Step(now, e, actions)
		}
	}
	return n.Client.Step(now, event, actions)
}

// Wake is when the next Tick is due, or 0.
func (n *Node) Wake() int64 {
	wake := n.Client.Wake()
	if n.directory != nil {
		wake = sooner(wake, n.directory.Wake())
	}
	return wake
}

// foundCluster makes this worker the directory of a new cluster and lets its client join.
func (n *Node) foundCluster(now int64, e Found, actions []Action) []Action {
	if n.joined || n.joining.active || n.directory != nil {
		return append(actions, Done{Err: status.Errorf(status.InvalidArgument,
			"this worker joined a cluster already")})
	}
	n.directory = NewDirectory(n.self, e.Cluster, n.limits)
	n.joining.active = true
	reply := n.directory.nodes(0)
	return n.adopt(now, Answered{Reply: reply}, actions)
}

// sendOn answers what only the directory can: by where that is.
func (n *Node) sendOn() *wire.Reply {
	if err := n.outside(); err != nil {
		err.Node = n.self.Identity.Node
		return &wire.Reply{Error: err}
	}
	directory := n.view.find(n.Client.directory)
	if directory == nil {
		return &wire.Reply{Error: status.Errorf(status.Unavailable,
			"the directory of this cluster is gone: nothing joins it or changes owner")}
	}
	err := status.Errorf(status.Unsupported, "%s is not the directory of its cluster: ask %s",
		describe(&n.self), describe(directory))
	err.Node = n.self.Identity.Node
	return &wire.Reply{Error: err, Identity: directory.Identity, View: n.view.number,
		Nodes: []wire.NodeInfo{*directory}, IDs: []vertex.ID{n.cluster}}
}
