// Package wire turns messages into frames and back. A frame is a 16-byte prefix, a FlatBuffers
// header, padding to 64 bytes, and a body of Arrow IPC messages. Everything that comes from outside
// is verified before it is read. The package knows no connection and no worker.
package wire

import (
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// Kind is the kind of a frame.
type Kind uint16

// The kinds of frames. A reply has the call id of its request.
const (
	KindHello     Kind = 1 // first in both directions; Message is *Hello
	KindRefuse    Kind = 2 // instead of a Hello: Message is *Refuse, then the connection closes
	KindPing      Kind = 3 // answered by Pong; no message
	KindPong      Kind = 4
	KindCancel    Kind = 5  // the call id is the call to cancel; no message, no answer
	KindGoodbye   Kind = 6  // the sender closes in order; no message
	KindCall      Kind = 7  // Message is *Call; answered by Reply
	KindReply     Kind = 8  // Message is *Reply
	KindOperation Kind = 9  // Message is *Operation; answered by Reply
	KindNotify    Kind = 10 // Message is *Operation; no answer
)

// SessionHeader starts the FlatBuffers header of every frame (a struct, written raw).
type SessionHeader struct {
	Version  uint16 // of the protocol, major in the high byte
	Kind     Kind
	Flags    uint32
	CallID   uint64 // chosen by the requester, unique on its connection
	BudgetNs int64  // time left until the deadline when the frame was sent; 0: none
	TraceID  uint64
}

// Frame is one frame, encoded or not: transports within one process hand Message over as it is.
// Batches inside Message are references that the frame owns.
type Frame struct {
	Header  SessionHeader
	Message any // *Hello, *Refuse, *Call, *Reply, *Operation, or nil
}

// Identity is one incarnation of one node.
type Identity struct {
	Node        uint64
	Incarnation uint32
}

// Purpose says what a connection is for.
type Purpose uint8

// The purposes of connections.
const (
	PurposeCall Purpose = 1 // requests of the dialer, and their replies
	PurposePeer Purpose = 2 // requests of the accepter, heartbeats, notices
	PurposeBulk Purpose = 3 // large bodies, both ways
	// PurposeReferral, in an answer: the dialer is to come again at the HostAddress; this connection
	// is for nothing else.
	PurposeReferral Purpose = 4
)

// FeatureReferral is that a dialer goes on at a HostAddress where it is referred to one.
const FeatureReferral uint64 = 1

// Hello introduces a node. The dialer speaks first.
type Hello struct {
	MinVersion, MaxVersion uint16 // protocol versions spoken
	Features               uint64 // unknown ones are ignored
	Identity               Identity
	Cluster                [16]byte // id of the cluster's incarnation; zero: none yet
	Host                   string   // identity of the host; empty: not known
	Purpose                Purpose
	Session                uint64 // joins the connections of one session
	Member                 bool
	Addresses              []string // where the node listens
	HostAddress            string   // where peers of the same Host reach it better; empty: nowhere
}

// Refuse says why a connection is refused.
type Refuse struct {
	Code    status.Code
	Message string
}

// UDFRef names a function: its name, and the hash of its identity.
type UDFRef struct {
	Name string
	Hash [16]byte
}

// Target is one calculate that a Call asks for.
type Target struct {
	ID           vertex.ID
	Birth        uint64 // which vertex of that id is meant; 0: whichever there is
	UDF          uint32 // index into Call.UDFs
	Once         bool
	HasArguments bool
	Arguments    udf.Value // where HasArguments; else those of the call
	Path         []uint32  // where in the tree of spawns it hangs, from the root call
}

// CallFlags of a Call frame.
type CallFlags uint32

// The flags of a Call frame.
const (
	CallTimed CallFlags = 1 // measure how long it is served
	CallTree  CallFlags = 2 // part of a larger tree: its parts are wanted, not a finished result
	CallRetry CallFlags = 4 // may have been sent before
	// CallReadOnly says that the call's function does not update: nothing in its tree may.
	CallReadOnly CallFlags = 8
)

// Call asks the receiver to run functions on vertices that it owns and to reply with the folded
// part.
type Call struct {
	Root        Identity // who started the whole tree
	Sequence    uint64   // of the root call at its worker; with Root it names the tree
	Floor       uint64   // all sequences of Root below it are finished
	Flags       CallFlags
	Depth       uint32   // frames between the root and this one
	SpawnBudget uint64   // how many calculates this frame and all below it may spawn
	UDFs        []UDFRef // the first is the one that was called, whose merge folds
	Targets     []Target
	Arguments   udf.Value // of the root call
}

// Part is what one calculate, or a fold of several, came to.
type Part struct {
	Path  []uint32 // empty where parts are folded in any order
	Value udf.Value
}

// NodeRuns counts the calculates that ran on one node.
type NodeRuns struct {
	Node, Runs uint64
}

// Reply answers a Call or an Operation. A failed one has Error set and may have any other field.
type Reply struct {
	Error      *status.Error // nil: OK
	Effects    uint16        // as core.Effects
	Parts      []Part
	Version    uint64 // of the vertex that was read or made, where there is one
	SpawnsLeft uint64 // what is left of the frame's budget
	ServedNs   int64  // with CallTimed
	BytesMoved uint64 // by frames below this one, both ways
	How        uint16 // as core.ServedHow, of the frame below this one that went furthest
	Ran        []NodeRuns
	Missing    uint32    // CALL: 1 + the index of a function that is not here; nothing ran
	Group      bool      // FETCH: the vertex is a group
	Value      udf.Value // FETCH: the batch
	HasValue   bool
	IDs        []vertex.ID // EDGES, FETCH
	Vertices   []VertexInfo
	Nodes      []NodeInfo
	Stats      []Stat
	Identity   Identity // LOOKUP: the owner; CLAIM: who owns it now
	View       uint64   // the directory's view that the answer belongs to
}

// Op is what an Operation asks for.
type Op uint16

// The operations. The fields of Operation that each uses stand beside it.
const (
	// OpFetch: ID, Expected (0: any; else "not modified" where equal) -> Value, Version, IDs
	// (children)
	OpFetch  Op = 1
	OpSet    Op = 2 // ID, Expected, Value|none, Sequence, Floor -> Version
	OpLink   Op = 3 // ID, IDs[0] -> Version
	OpUnlink Op = 4 // ID, IDs[0] -> Version
	OpEdges  Op = 5 // ID, Direction -> IDs
	OpInfo   Op = 6 // ID -> Vertices[0]
	OpDrop   Op = 7 // ID
	// OpCreate makes a vertex at the receiver: Name or ID, Value, IDs (children), Replace ->
	// Vertices[0]
	OpCreate Op = 8
	OpList   Op = 9  // Name (prefix): the receiver's own vertices -> Vertices
	OpStats  Op = 10 // -> Stats
	OpLookup Op = 20 // directory: ID -> Identity
	// OpClaim asks the directory: ID, Name, Identity (the owner to be), Replace -> Identity (the
	// owner that is)
	OpClaim  Op = 21
	OpForget Op = 22 // directory: ID, Identity (only if that is the owner)
	OpJoin   Op = 23 // directory: Nodes[0] -> Nodes, View
	OpLeave  Op = 24 // directory: Identity
	OpView   Op = 25 // directory to members, a notice: Nodes, View
	// OpParents goes to the owner of ID, a notice: IDs are new parents (Direction 1) or no longer
	// (2)
	OpParents Op = 26
)

// Operation is a request other than a call.
type Operation struct {
	Op        Op
	ID        vertex.ID
	Birth     uint64 // which vertex of that id is meant; 0: whichever there is
	Name      string
	Expected  uint64
	Direction uint32 // 1 children, 2 parents
	Replace   bool
	Group     bool // CREATE: a call on the vertex runs on its children
	HasValue  bool
	Value     udf.Value
	IDs       []vertex.ID
	Identity  Identity
	Sequence  uint64 // updating ones: of the requester; 0: none
	Floor     uint64
	Nodes     []NodeInfo
	View      uint64
}

// VertexInfo describes a vertex.
type VertexInfo struct {
	ID       vertex.ID
	Birth    uint64 // a number that no other vertex of that id has
	Name     string
	Owner    uint64
	Version  uint64
	Rows     int64 // -1: no value
	Bytes    int64
	Children uint64
	Group    bool // a call on it runs on its children
}

// NodeInfo describes a node of the cluster.
type NodeInfo struct {
	Identity  Identity
	Member    bool
	Alive     bool
	Directory bool
	Addresses []string
}

// Stat is one counter.
type Stat struct {
	Name  string
	Peer  uint64
	Value int64
}
