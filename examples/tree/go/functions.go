package main

import (
	"cmp"
	"encoding/binary"
	"slices"

	"dcf/udf"
	"dcf/vertex"
)

// newLeaf is the value of the child that GraphSum gives to every leaf.
const newLeaf = 10000

// definitions are the functions of the example. They have a version, which says that they are the
// same on every worker that registers them: so they run where their vertices are.
func definitions() []udf.Definition {
	return []udf.Definition{
		{Kind: udf.KindGo, Name: "graph_sum", Version: "1", Flags: udf.Updates | udf.Commutative | udf.Short,
			Code: udf.Func{Calculate: graphSum, Merge: addUp}},
		{Kind: udf.KindGo, Name: "around", Version: "1", Flags: udf.Commutative | udf.Short,
			Code: udf.Func{Calculate: around, Merge: union, Finish: sumOfUnion}},
		{Kind: udf.KindGo, Name: "extremes", Version: "1", Flags: udf.Commutative | udf.Short,
			Code: udf.Func{Calculate: extremes, Merge: mergeExtremes}},
	}
}

func valueOf(in *udf.Input) int64 { return in.Batch.Int64(0)[0] }

func putInt(out *udf.Output, n int64) { binary.LittleEndian.PutUint64(out.Reserve(8), uint64(n)) }

func getInt(bytes []byte) int64 { return int64(binary.LittleEndian.Uint64(bytes)) }

// graphSum is the vertex's value and those of everything below it. A leaf gets a child.
func graphSum(in *udf.Input, out *udf.Output) error {
	putInt(out, valueOf(in))
	if len(in.Children) == 0 {
		_, err := out.AddChild("", vertex.Int64Batch("value", newLeaf))
		return err
	}
	return spawnAll(out, in.Children, udf.Value{}, false)
}

func spawnAll(out *udf.Output, targets []vertex.ID, arguments udf.Value, once bool) error {
	for _, id := range targets {
		if err := out.Spawn(udf.Spawn{Target: id, Arguments: arguments, Once: once}); err != nil {
			return err
		}
	}
	return nil
}

func addUp(in *udf.MergeInput, out *udf.Output) error {
	sum := int64(0)
	for _, part := range in.Parts {
		sum += getInt(part.Bytes)
	}
	putInt(out, sum)
	return nil
}

// A member of a set of vertices, as bytes: the id, then the value.
const memberSize = len(vertex.ID{}) + 8

// around is the set of vertices within so many edges of this one, whatever their direction. The
// argument is how many are left. A vertex is met over many paths: ONCE runs it once for each number
// of edges that is left, and the union counts it once.
func around(in *udf.Input, out *udf.Output) error {
	member := out.Reserve(memberSize)
	copy(member, in.Vertex[:])
	binary.LittleEndian.PutUint64(member[len(vertex.ID{}):], uint64(valueOf(in)))
	left := getInt(in.Arguments.Bytes)
	if left == 0 {
		return nil
	}
	arguments := udf.Value{Bytes: binary.LittleEndian.AppendUint64(nil, uint64(left-1))}
	if err := spawnAll(out, in.Children, arguments, true); err != nil {
		return err
	}
	return spawnAll(out, in.Parents(), arguments, true)
}

// union joins sets, each vertex once.
func union(in *udf.MergeInput, out *udf.Output) error {
	seen := map[vertex.ID]bool{}
	var all []byte
	for _, part := range in.Parts {
		for member := range slices.Chunk(part.Bytes, memberSize) {
			if id := vertex.ID(member[:len(vertex.ID{})]); !seen[id] {
				seen[id] = true
				all = append(all, member...)
			}
		}
	}
	out.Bytes(all)
	return nil
}

func sumOfUnion(in *udf.MergeInput, out *udf.Output) error {
	sum := int64(0)
	for member := range slices.Chunk(in.Parts[0].Bytes, memberSize) {
		sum += getInt(member[len(vertex.ID{}):])
	}
	putInt(out, sum)
	return nil
}

// extreme is a vertex at one version: what a conditional set needs.
type extreme struct {
	ID      vertex.ID
	Version uint64
	Value   int64
}

const extremeSize = len(vertex.ID{}) + 16

func (e extreme) append(to []byte) []byte {
	to = append(to, e.ID[:]...)
	to = binary.LittleEndian.AppendUint64(to, e.Version)
	return binary.LittleEndian.AppendUint64(to, uint64(e.Value))
}

func readExtreme(from []byte) extreme {
	tail := from[len(vertex.ID{}):]
	return extreme{vertex.ID(from[:len(vertex.ID{})]), binary.LittleEndian.Uint64(tail), getInt(tail[8:])}
}

// extremes is the vertex with the largest and the one with the smallest value of a tree.
func extremes(in *udf.Input, out *udf.Output) error {
	self := extreme{in.Vertex, in.Version, valueOf(in)}
	out.Bytes(self.append(self.append(nil)))
	return spawnAll(out, in.Children, udf.Value{}, false)
}

func mergeExtremes(in *udf.MergeInput, out *udf.Output) error {
	var largest, smallest []extreme
	for _, part := range in.Parts {
		largest = append(largest, readExtreme(part.Bytes))
		smallest = append(smallest, readExtreme(part.Bytes[extremeSize:]))
	}
	byValue := func(a, b extreme) int { return cmp.Compare(a.Value, b.Value) }
	out.Bytes(slices.MinFunc(smallest, byValue).append(slices.MaxFunc(largest, byValue).append(nil)))
	return nil
}
