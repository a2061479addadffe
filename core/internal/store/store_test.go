package store

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
	"dcf/vertex/arena"
)

var seed = flag.Uint64("seed", 0, "seed of the randomised tests; 0: a new one")

func TestMain(m *testing.M) {
	flag.Parse()
	before, _ := arena.Usage()
	code := m.Run()
	if after, _ := arena.Usage(); after != before && code == 0 {
		fmt.Fprintf(os.Stderr, "%d bytes of the arena are left\n", after-before)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func open(t *testing.T, limit int64) *Store {
	s := Open(limit)
	t.Cleanup(s.Close)
	return s
}

func create(t *testing.T, s *Store, name string, value int64) *Record {
	r, err := s.Create(Vertex{ID: vertex.NameID(name), Name: name, Value: vertex.Int64Batch("x", value)})
	require.NoError(t, err)
	t.Cleanup(func() { s.Release(r) })
	return r
}

// value reads a vertex as a call does.
func value(t *testing.T, s *Store, r *Record) (int64, uint64) {
	pin, err := s.Pin()
	require.NoError(t, err)
	defer s.Unpin(pin)
	v := r.Current()
	require.NotNil(t, v)
	return v.Batch().Int64(0)[0], v.Number()
}

func TestCreateFindDrop(t *testing.T) {
	s := open(t, 1<<20)
	r := create(t, s, "prices", 7)
	require.Equal(t, "prices", r.Name())
	x, first := value(t, s, r)
	require.Equal(t, int64(7), x)
	require.Equal(t, uint64(1<<countBits+1), first)

	_, err := s.Create(Vertex{ID: r.ID(), Name: "prices"})
	require.ErrorIs(t, err, status.AlreadyExists)
	require.Contains(t, err.Error(), `"prices" exists already`)

	require.True(t, s.Drop(r))
	require.False(t, s.Drop(r), "a second drop")
	require.Nil(t, s.Open(r.ID()))
	require.Nil(t, r.Current())

	again := create(t, s, "prices", 8)
	_, second := value(t, s, again)
	require.Greater(t, second, first, "a version is used twice under one name")
	require.Nil(t, r.Current(), "the handle means the vertex that it was opened on")
}

func TestChanges(t *testing.T) {
	a, b, c := vertex.NameID("a"), vertex.NameID("b"), vertex.NameID("c")
	for _, test := range []struct {
		name    string
		effects []udf.Effect
		want    []vertex.ID
		err     status.Code
	}{
		{"link", []udf.Effect{{Kind: udf.EffectLink, ID: c}}, []vertex.ID{a, b, c}, status.OK},
		{"unlink", []udf.Effect{{Kind: udf.EffectUnlink, ID: a}}, []vertex.ID{b}, status.OK},
		{"link and unlink", []udf.Effect{{Kind: udf.EffectLink, ID: c}, {Kind: udf.EffectUnlink, ID: c}},
			[]vertex.ID{a, b}, status.OK},
		{"unlink a stranger", []udf.Effect{{Kind: udf.EffectUnlink, ID: c}}, []vertex.ID{a, b}, status.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, 1<<20)
			r, err := s.Create(Vertex{ID: s.testID(), Children: []vertex.ID{a, b}})
			require.NoError(t, err)
			defer s.Release(r)
			change, removed := ChangeOf(test.effects)
			require.False(t, removed)
			_, err = s.Apply(r, 0, change)
			require.Equal(t, test.err, status.Of(err))
			pin, _ := s.Pin()
			defer s.Unpin(pin)
			require.Equal(t, test.want, r.Current().Children())
		})
	}
}

func (s *Store) testID() vertex.ID { return vertex.NewSource(1, 1).Next() }

func TestConditionalSet(t *testing.T) {
	s := open(t, 1<<20)
	r := create(t, s, "x", 1)
	_, version := value(t, s, r)
	next, err := s.Apply(r, version, Change{SetValue: true, Value: vertex.Int64Batch("x", 2)})
	require.NoError(t, err)
	require.Equal(t, version+1, next)

	late := vertex.Int64Batch("x", 3)
	defer late.Release()
	_, err = s.Apply(r, version, Change{SetValue: true, Value: late})
	require.ErrorIs(t, err, status.Aborted)
	x, _ := value(t, s, r)
	require.Equal(t, int64(2), x)
}

func TestPreparedChangeCanBeDiscarded(t *testing.T) {
	s := open(t, 1<<20)
	r := create(t, s, "x", 1)
	_, before, _ := s.Usage()
	batch := vertex.Int64Batch("x", 2)
	defer batch.Release()
	p, err := s.Prepare(r, 0, Change{SetValue: true, Value: batch, Add: []vertex.ID{s.testID()}})
	require.NoError(t, err)
	s.Discard(p)
	_, after, _ := s.Usage()
	require.Equal(t, before, after)
	x, _ := value(t, s, r)
	require.Equal(t, int64(1), x)
}

func TestMemoryLimitIsKept(t *testing.T) {
	s := open(t, 1000)
	r := create(t, s, "small", 1)
	big := vertex.Int64Batch("x", make([]int64, 1000)...)
	defer big.Release()
	_, err := s.Create(Vertex{ID: vertex.NameID("big"), Name: "big", Value: big})
	require.ErrorIs(t, err, status.Exhausted)
	require.Contains(t, err.Error(), "memory limit of 1000")
	_, err = s.Apply(r, 0, Change{SetValue: true, Value: big})
	require.ErrorIs(t, err, status.Exhausted)
	x, _ := value(t, s, r)
	require.Equal(t, int64(1), x, "a refused set lost the old value")
	// Superseded versions are given back before anything is refused.
	for i := range int64(10_000) {
		_, err := s.Apply(r, 0, Change{SetValue: true, Value: vertex.Int64Batch("x", i)})
		require.NoError(t, err)
	}
}

func TestReaderKeepsItsVersion(t *testing.T) {
	s := open(t, 1<<30)
	r := create(t, s, "x", 1)
	pin, err := s.Pin()
	require.NoError(t, err)
	old := r.Current()
	for i := range int64(100) {
		_, err := s.Apply(r, 0, Change{SetValue: true, Value: vertex.Int64Batch("x", 2+i)})
		require.NoError(t, err)
	}
	require.Equal(t, int64(1), old.Batch().Int64(0)[0])
	_, held, _ := s.Usage()
	s.Unpin(pin)
	s.Reclaim()
	_, left, _ := s.Usage()
	require.Less(t, left, held)
}

func TestUpdatesTakeTurns(t *testing.T) {
	s := open(t, 1<<20)
	r := create(t, s, "x", 0)
	require.True(t, s.TryLock(r))
	require.False(t, s.TryLock(r))

	err := s.Lock(r, time.Millisecond, nil)
	require.ErrorIs(t, err, status.Timeout)
	require.Contains(t, err.Error(), `"x" is being updated`)
	var cancelled atomic.Uint32
	cancelled.Store(1)
	require.ErrorIs(t, s.Lock(r, time.Minute, &cancelled), status.Cancelled)

	var inside, count int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if !assertLock(t, s, r) {
					return
				}
				inside++
				if inside != 1 {
					t.Error("two updates at once")
				}
				runtime.Gosched()
				inside--
				count++
				s.Unlock(r)
			}
		})
	}
	s.Unlock(r)
	group.Wait()
	require.Equal(t, int64(1600), count)
	require.Empty(t, s.waiting.queues)
}

func assertLock(t *testing.T, s *Store, r *Record) bool {
	err := s.Lock(r, time.Minute, nil)
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

func TestPinsRunOut(t *testing.T) {
	s := open(t, 1<<20)
	var pins []Pin
	for range MaxPins {
		pin, err := s.Pin()
		require.NoError(t, err)
		pins = append(pins, pin)
	}
	_, err := s.Pin()
	require.ErrorIs(t, err, status.Exhausted)
	require.Contains(t, err.Error(), "MaxPins")
	seen := map[int]bool{}
	for _, pin := range pins {
		require.False(t, seen[pin.Index()])
		seen[pin.Index()] = true
		s.Unpin(pin)
	}
	require.True(t, s.Quiesce(func() bool { return true }))
}

func TestQuiesceWaitsForReaders(t *testing.T) {
	s := open(t, 1<<20)
	pin, err := s.Pin()
	require.NoError(t, err)
	require.False(t, s.Quiesce(func() bool { return true }))
	looks := 0
	require.True(t, s.Quiesce(func() bool {
		if looks++; looks == 3 {
			s.Unpin(pin)
		}
		return looks > 1000
	}))
}

func TestParentsAreAnIndex(t *testing.T) {
	s := open(t, 1<<20)
	r := create(t, s, "child", 1)
	p, q := vertex.NameID("p"), vertex.NameID("q")
	s.SetParents(r.ID(), []vertex.ID{p, q}, true)
	s.SetParents(r.ID(), []vertex.ID{p}, true)
	require.Equal(t, []vertex.ID{p, q}, r.Parents())
	s.SetParents(r.ID(), []vertex.ID{p}, false)
	require.Equal(t, []vertex.ID{q}, r.Parents())
	s.SetParents(vertex.NameID("nobody"), []vertex.ID{p}, true)
}

// Readers must never see freed memory or a torn version while others set, drop and make vertices
// again under the same ids.
func TestReadersAmongWriters(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	s := open(t, 1<<30)
	const vertices, rounds = 8, 4000
	id := func(i int) vertex.ID { return vertex.NameID(fmt.Sprint("v", i)) }
	for i := range vertices {
		r, err := s.Create(Vertex{ID: id(i), Value: vertex.Int64Batch("x", int64(i), int64(i))})
		require.NoError(t, err)
		s.Release(r)
	}
	var writers, readers sync.WaitGroup
	var stop atomic.Bool
	for n := range 3 {
		writers.Go(func() { write(t, s, rand.New(rand.NewPCG(*seed, uint64(n))), vertices, rounds, id) })
	}
	for n := range 3 {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(*seed, uint64(100+n)))
			for !stop.Load() {
				read(t, s, id(random.IntN(vertices)))
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
}

func write(t *testing.T, s *Store, random *rand.Rand, vertices, rounds int, id func(int) vertex.ID) {
	for range rounds {
		i := random.IntN(vertices)
		x := random.Int64()
		r := s.Open(id(i))
		if r == nil {
			batch := vertex.Int64Batch("x", x, x)
			if made, err := s.Create(Vertex{ID: id(i), Value: batch}); err == nil {
				s.Release(made)
			} else {
				batch.Release()
				if status.Of(err) != status.AlreadyExists {
					t.Error(err)
				}
			}
			continue
		}
		if assertLock(t, s, r) {
			if random.IntN(8) == 0 {
				s.Drop(r)
			} else {
				batch := vertex.Int64Batch("x", x, x)
				if _, err := s.Apply(r, 0, Change{SetValue: true, Value: batch}); err != nil {
					batch.Release()
				}
			}
			s.Unlock(r)
		}
		s.Release(r)
	}
}

func read(t *testing.T, s *Store, id vertex.ID) {
	pin, err := s.Pin()
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Unpin(pin)
	r := s.Find(id)
	if r == nil {
		return
	}
	v := r.Current()
	if v == nil {
		return
	}
	x := v.Batch().Int64(0)
	runtime.Gosched()
	if len(x) != 2 || x[0] != x[1] {
		t.Errorf("a torn version: %v", x)
	}
}

func TestTableAgainstMap(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	var tab table
	model := map[vertex.ID]uint32{}
	source := vertex.NewSource(3, 4)
	var ids []vertex.ID
	for range 2000 {
		ids = append(ids, source.Next())
	}
	for step := range 100_000 {
		id := ids[random.IntN(len(ids))]
		index, known := model[id]
		switch random.IntN(3) {
		case 0:
			require.Equal(t, !known, tab.insert(id, uint32(step)))
			if !known {
				model[id] = uint32(step)
			}
		case 1:
			if known {
				tab.remove(id, index)
				delete(model, id)
			} else {
				tab.remove(id, uint32(step))
			}
		}
		index, known = model[id]
		got, found := tab.find(id)
		require.Equal(t, known, found)
		if known {
			require.Equal(t, index, got)
		}
	}
	count := 0
	tab.each(func(uint32) bool { count++; return true })
	require.Equal(t, len(model), count)
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	s := open(t, 1<<20)
	r := create(t, s, "x", 1)
	id := r.ID()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		pin, _ := s.Pin()
		if s.Find(id).Current().Batch() == nil {
			panic("no value")
		}
		s.Unpin(pin)
	}))
}
