package main

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"dcf/core"
	"dcf/udf"
	"dcf/vertex"
)

// size is the number of vertices; those below firstOfSecond belong to the first worker.
const (
	size          = 14
	firstOfSecond = 8
)

// children is the tree. Its vertices are named by their numbers.
var children = map[int][]int{0: {1, 2}, 1: {3, 4}, 2: {5, 6}, 4: {7, 8, 9}, 8: {10, 11}, 9: {12, 13}}

// startValue gives the value that a vertex begins with: 1 to 8, then 100 to 600.
func startValue(i int) int64 {
	if i < firstOfSecond {
		return int64(i + 1)
	}
	return int64(i-firstOfSecond+1) * 100
}

func name(i int) string { return strconv.Itoa(i) }

// tree is the example's tree, on the worker that asks and perhaps on another.
type tree struct {
	worker   *core.Worker
	root     *core.Vertex
	vertices []*core.Vertex
	sum      *core.UDF
	around   *core.UDF
	extremes *core.UDF
}

// build makes the tree. Vertex 8 and above are put by second, which may be the same worker. prefix
// keeps trees of one cluster apart.
func build(first, second *core.Worker, prefix string) (*tree, error) {
	t := &tree{worker: first}
	for i := range size {
		w := first
		if i >= firstOfSecond {
			w = second
		}
		v, err := w.Put(core.PutOptions{Name: prefix + name(i)}, vertex.Int64Batch("value", startValue(i)))
		if err != nil {
			return nil, fmt.Errorf("put vertex %d: %w", i, err)
		}
		t.vertices = append(t.vertices, v)
	}
	t.root = t.vertices[0]
	for from, list := range children {
		for _, to := range list {
			if err := t.vertices[from].Link(t.vertices[to].ID()); err != nil {
				return nil, fmt.Errorf("link %d to %d: %w", from, to, err)
			}
		}
	}
	return t, t.open()
}

func (t *tree) open() (err error) {
	for name, udf := range map[string]**core.UDF{"graph_sum": &t.sum, "around": &t.around, "extremes": &t.extremes} {
		if *udf, err = t.worker.OpenUDF(name); err != nil {
			return err
		}
	}
	return nil
}

// run makes one call and gives its result in bytes.
func (t *tree) run(fn *core.UDF, target vertex.ID, arguments []byte) ([]byte, error) {
	calls := []core.Call{{UDF: fn, TargetIDs: []vertex.ID{target}, Buffer: make([]byte, 64),
		Arguments: udf.Value{Bytes: arguments}}}
	if err := t.worker.Run(calls); err != nil {
		return nil, err
	}
	if calls[0].Err != nil {
		return nil, calls[0].Err
	}
	return calls[0].Result.Bytes, nil
}

// graphSum sums the tree and gives each of its leaves a child.
func (t *tree) graphSum() (int64, error) {
	bytes, err := t.run(t.sum, t.root.ID(), nil)
	if err != nil {
		return 0, err
	}
	return getInt(bytes), nil
}

// maxAdjacentSum gives the largest sum of all distinct vertices within so many edges of a start.
// All starts are asked in one go.
func (t *tree) maxAdjacentSum(distance int) (int64, error) {
	calls := make([]core.Call, len(t.vertices))
	arguments := binary.LittleEndian.AppendUint64(nil, uint64(distance))
	for i, v := range t.vertices {
		calls[i] = core.Call{UDF: t.around, TargetIDs: []vertex.ID{v.ID()}, Buffer: make([]byte, 8),
			Arguments: udf.Value{Bytes: arguments}}
	}
	if err := t.worker.Run(calls); err != nil {
		return 0, err
	}
	best := int64(0)
	for i := range calls {
		if calls[i].Err != nil {
			return 0, calls[i].Err
		}
		best = max(best, getInt(calls[i].Result.Bytes))
	}
	return best, nil
}

// swapLargestAndSmallest exchanges the values of the vertices that have the largest and the smallest
// one. Each set happens only if its vertex still is at the version that was read, but there is
// nothing that holds for both: if this process dies between the sets, both vertices have the
// largest value and the smallest is lost; GraphSum then is too large by their difference.
func (t *tree) swapLargestAndSmallest() (largest, smallest extreme, err error) {
	bytes, err := t.run(t.extremes, t.root.ID(), nil)
	if err != nil {
		return largest, smallest, err
	}
	largest, smallest = readExtreme(bytes), readExtreme(bytes[extremeSize:])
	if err = t.set(smallest, largest.Value); err != nil {
		return largest, smallest, err
	}
	return largest, smallest, t.set(largest, smallest.Value)
}

func (t *tree) set(at extreme, value int64) error {
	v, err := t.worker.Open(at.ID)
	if err != nil {
		return err
	}
	defer v.Release()
	batch := vertex.Int64Batch("value", value)
	if _, err = v.Set(at.Version, batch); err != nil {
		batch.Release()
	}
	return err
}

// drop takes the whole tree away, with what GraphSum added below its leaves.
func (t *tree) drop() error {
	for _, v := range t.vertices {
		if err := t.dropAdded(v); err != nil {
			return err
		}
		if err := v.Drop(); err != nil {
			return err
		}
		v.Release()
	}
	return nil
}

// dropAdded drops the vertices below v that have no name, and what is below them.
func (t *tree) dropAdded(v *core.Vertex) error {
	below, err := v.Children()
	if err != nil {
		return err
	}
	for _, id := range below {
		if id.Named() {
			continue // one of t.vertices
		}
		child, err := t.worker.Open(id)
		if err != nil {
			return err
		}
		if err = t.dropAdded(child); err == nil {
			err = child.Drop()
		}
		child.Release()
		if err != nil {
			return err
		}
	}
	return nil
}
