package wire

// The shapes of the messages, as schemas/*.fbs have them. A test compares the numbers of fields
// and their sizes with what the generated code writes.

const (
	identityBytes = 16
	idBytes       = 16
	valueBytes    = 24
	targetBytes   = 64
	partBytes     = 32
	runsBytes     = 16
)

var (
	identitySlot = slot{name: "identity", size: identityBytes, align: 8}
	valueSlot    = slot{name: "value", size: valueBytes, align: 8}
	idSlot       = slot{name: "id", size: idBytes, align: 8}
	idsSlot      = slot{name: "ids", kind: vector, size: idBytes, align: 8, limit: MaxIDs}
	pathsSlot    = slot{name: "paths", kind: vector, size: 4, limit: MaxPathsSteps}
	inlineSlot   = slot{name: "inline", kind: vector, size: 1, limit: MaxInlineTotal}
	nameSlot     = slot{name: "name", kind: text, limit: MaxNameBytes}
	addressSlot  = slot{name: "addresses", kind: texts, size: MaxAddressBytes, limit: MaxAddresses}
	nodesSlot    = slot{name: "nodes", kind: tables, limit: MaxNodes, of: []*shape{&nodeShape}}
)

var nodeShape = shape{"NodeInfo", []slot{
	identitySlot,
	{name: "member", size: 1},
	{name: "alive", size: 1},
	{name: "directory", size: 1},
	addressSlot,
}}

var helloShape = shape{"Hello", []slot{
	{name: "min_version", size: 2},
	{name: "max_version", size: 2},
	{name: "features", size: 8},
	identitySlot,
	{name: "cluster", size: 16, align: 8},
	{name: "host", kind: text, limit: MaxNameBytes},
	{name: "purpose", size: 1},
	{name: "session", size: 8},
	{name: "member", size: 1},
	addressSlot,
	{name: "host_address", kind: text, limit: MaxAddressBytes},
}}

var refuseShape = shape{"Refuse", []slot{
	{name: "code", size: 4},
	{name: "message", kind: text, limit: MaxTextBytes},
}}

var udfShape = shape{"UDFRef", []slot{
	nameSlot,
	{name: "hash", size: 16, align: 8},
}}

var callShape = shape{"Call", []slot{
	{name: "root", size: identityBytes, align: 8},
	{name: "sequence", size: 8},
	{name: "floor", size: 8},
	{name: "flags", size: 4},
	{name: "depth", size: 4},
	{name: "spawn_budget", size: 8},
	{name: "udfs", kind: tables, limit: MaxUDFs, of: []*shape{&udfShape}},
	{name: "targets", kind: vector, size: targetBytes, align: 8, limit: MaxTargets},
	pathsSlot,
	{name: "arguments", size: valueBytes, align: 8},
	inlineSlot,
}}

var errorShape = shape{"Error", []slot{
	{name: "code", size: 4},
	{name: "os", size: 4},
	{name: "node", size: 8},
	{name: "vertex", size: 16, align: 8},
	{name: "message", kind: text, limit: MaxTextBytes},
	{name: "detail", kind: text, limit: MaxTextBytes},
}}

var vertexShape = shape{"VertexInfo", []slot{
	idSlot,
	nameSlot,
	{name: "owner", size: 8},
	{name: "version", size: 8},
	{name: "rows", size: 8},
	{name: "bytes", size: 8},
	{name: "children", size: 8},
	{name: "group", size: 1},
	{name: "birth", size: 8},
}}

var statShape = shape{"Stat", []slot{
	nameSlot,
	{name: "peer", size: 8},
	{name: "value", size: 8},
}}

var replyShape = shape{"Reply", []slot{
	{name: "error", kind: table, of: []*shape{&errorShape}},
	{name: "effects", size: 2},
	{name: "parts", kind: vector, size: partBytes, align: 8, limit: MaxParts},
	pathsSlot,
	{name: "version", size: 8},
	{name: "spawns_left", size: 8},
	{name: "served_ns", size: 8},
	{name: "bytes_moved", size: 8},
	{name: "ran", kind: vector, size: runsBytes, align: 8, limit: MaxNodes},
	{name: "has_value", size: 1},
	valueSlot,
	idsSlot,
	{name: "vertices", kind: tables, limit: MaxInfos, of: []*shape{&vertexShape}},
	nodesSlot,
	{name: "stats", kind: tables, limit: MaxStats, of: []*shape{&statShape}},
	identitySlot,
	{name: "view", size: 8},
	{name: "missing", size: 4},
	{name: "group", size: 1},
	inlineSlot,
	{name: "how", size: 2},
}}

var operationShape = shape{"Operation", []slot{
	{name: "op", size: 2},
	idSlot,
	nameSlot,
	{name: "expected", size: 8},
	{name: "direction", size: 4},
	{name: "replace", size: 1},
	{name: "has_value", size: 1},
	valueSlot,
	idsSlot,
	identitySlot,
	{name: "sequence", size: 8},
	{name: "floor", size: 8},
	nodesSlot,
	{name: "view", size: 8},
	{name: "group", size: 1},
	inlineSlot,
	{name: "birth", size: 8},
}}
