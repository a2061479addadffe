package arena

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/status"
)

// share switches sharing on for the rest of the process.
func share(t testing.TB) { require.NoError(t, Share(Options{})) }

// inChild runs a test again in a process of its own, where it may change limits, and says whether
// this is that process.
func inChild(t *testing.T) bool {
	if os.Getenv("ARENA_CHILD") == t.Name() {
		return true
	}
	run := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	run.Env = append(os.Environ(), "ARENA_CHILD="+t.Name())
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return false
}

func address(block []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(block))) }

// mapped maps the segment of a block and gives the block as a peer sees it.
func mapped(t testing.TB, block []byte) ([]byte, *Mapping) {
	id, offset, ok := Locate(block)
	require.True(t, ok)
	file, size, err := SegmentFile(id)
	require.NoError(t, err)
	defer file.Close()
	m, err := Map(int(file.Fd()), 0)
	require.NoError(t, err)
	require.Len(t, m.Bytes(), int(size))
	return m.Bytes()[offset : offset+int64(len(block))], m
}

func TestSharedBlocksAreSeenByPeers(t *testing.T) {
	share(t)
	used, _ := Usage()
	for _, size := range []int{SharedLarge, SharedLarge + 1, 300_000, 16 << 20, 16<<20 + 1, 100 << 20} {
		block := Alloc(size)
		require.Len(t, block, size)
		require.Zero(t, address(block)%Align)
		seen, m := mapped(t, block)
		for i := 0; i < size; i += 4096 {
			block[i] = byte(i>>12) | 1
			require.Equal(t, block[i], seen[i])
		}
		block[size-1] = 77
		require.Equal(t, byte(77), seen[size-1])
		p := address(block)
		Free(block)
		again := Alloc(size)
		require.Equal(t, p, address(again), "%d bytes are not recycled", size)
		Free(again)
		m.Release()
	}
	after, _ := Usage()
	require.Equal(t, used, after)
}

func TestOtherMemoryIsNotLocated(t *testing.T) {
	share(t)
	small := Alloc(SharedLarge - 1)
	defer Free(small)
	for _, bytes := range [][]byte{nil, small, make([]byte, SharedLarge)} {
		_, _, ok := Locate(bytes)
		require.False(t, ok)
	}
	_, _, err := SegmentFile(1 << 60)
	require.ErrorIs(t, err, status.NotFound)
}

// Blocks of random sizes, filled with what is theirs alone, so that two in one place are seen.
func TestSharedBlocksDoNotOverlap(t *testing.T) {
	share(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for worker := range 4 {
		rng := rand.New(rand.NewPCG(seed, uint64(worker)))
		all.Go(func() {
			var blocks [][]byte
			drop := func(i int) {
				block := blocks[i]
				want := byte(address(block)>>14) ^ byte(worker)
				for k := 0; k < len(block); k += 16 << 10 {
					if block[k] != want || block[len(block)-1] != want {
						t.Errorf("a block of %d bytes was overwritten", len(block))
						break
					}
				}
				Free(block)
				blocks[i] = blocks[len(blocks)-1]
				blocks = blocks[:len(blocks)-1]
			}
			for range 3000 {
				if len(blocks) > 20 || len(blocks) > 0 && rng.IntN(2) == 0 {
					drop(rng.IntN(len(blocks)))
					continue
				}
				size := SharedLarge + rng.IntN(SharedLarge<<rng.IntN(6))
				if rng.IntN(200) == 0 {
					size += 16 << 20
				}
				block := Alloc(size)
				mark := byte(address(block)>>14) ^ byte(worker)
				for k := 0; k < size; k += 16 << 10 {
					block[k] = mark
				}
				block[size-1] = mark
				blocks = append(blocks, block)
			}
			for len(blocks) > 0 {
				drop(0)
			}
		})
	}
	all.Wait()
}

// faults says whether f touches memory that it must not.
func faults(f func()) (fault bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { fault = recover() != nil }()
	f()
	return false
}

var sink byte

func TestMappingsAreReadOnlyBetweenGuards(t *testing.T) {
	share(t)
	for _, size := range []int{SharedLarge, 20 << 20} {
		block := Alloc(size)
		_, m := mapped(t, block)
		all := m.Bytes()
		read := func(i int) {
			sink += *(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(all)), i))
		}
		require.False(t, faults(func() { read(0); read(len(all) - 1) }))
		require.True(t, faults(func() { all[0] = 1 }), "a mapping is writable")
		require.True(t, faults(func() { read(-1) }), "no guard in front of a mapping")
		require.True(t, faults(func() { read(len(all)) }), "no guard behind a mapping")
		m.Retain().Release()
		require.False(t, faults(func() { read(0) }))
		m.Release()
		require.True(t, faults(func() { read(0) }), "a mapping stays")

		id, offset, _ := Locate(block)
		file, total, err := SegmentFile(id)
		require.NoError(t, err)
		start := unsafe.Add(unsafe.Pointer(unsafe.SliceData(block)), -offset)
		guard := func(at int64) func() { return func() { sink += *(*byte)(unsafe.Add(start, at)) } }
		require.False(t, faults(guard(total-1)))
		require.True(t, faults(guard(-1)), "no guard in front of a segment")
		require.True(t, faults(guard(total)), "no guard behind a segment")
		_, err = unix.Mmap(int(file.Fd()), 0, int(total), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		require.ErrorIs(t, err, unix.EACCES, "a peer could write")
		require.ErrorIs(t, unix.Ftruncate(int(file.Fd()), 0), unix.EINVAL)
		require.NoError(t, file.Close())
		Free(block)
	}
}

func TestDangerousDescriptorsAreRefused(t *testing.T) {
	memory := func(size int64, seals int) int {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		require.NoError(t, err)
		t.Cleanup(func() { _ = unix.Close(fd) })
		require.NoError(t, unix.Ftruncate(fd, size))
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		require.NoError(t, err)
		return fd
	}
	const fixed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer file.Close()
	for _, c := range []struct {
		name string
		fd   int
	}{
		{"nothing", -1},
		{"a file", int(file.Fd())},
		{"not sealed", memory(4096, 0)},
		{"may shrink", memory(4096, unix.F_SEAL_GROW)},
		{"may grow", memory(4096, unix.F_SEAL_SHRINK)},
		{"empty", memory(0, fixed)},
		{"half a page", memory(4096+2048, fixed)},
		{"too large", memory(1<<20+4096, fixed)},
	} {
		_, err := Map(c.fd, 1<<20)
		require.ErrorIs(t, err, status.InvalidArgument, c.name)
	}
	m, err := Map(memory(1<<20, fixed), 1<<20)
	require.NoError(t, err)
	m.Release()
	_, err = Map(memory(MaxSegmentBytes+4096, fixed), 0)
	require.ErrorIs(t, err, status.InvalidArgument)
}

// pages gives the bytes of a block's segment that have pages.
func pages(t testing.TB, block []byte) int64 {
	id, _, ok := Locate(block)
	require.True(t, ok)
	file, _, err := SegmentFile(id)
	require.NoError(t, err)
	defer file.Close()
	var s unix.Stat_t
	require.NoError(t, unix.Fstat(int(file.Fd()), &s))
	return s.Blocks * 512
}

func fill(block []byte) {
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
}

func TestSharedMemoryOverTheLimitIsGivenBack(t *testing.T) {
	share(t)
	defer Keep(512 << 20)
	Keep(0)
	small, block, large := Alloc(SharedLarge), Alloc(8<<20), Alloc(32<<20)
	fill(block)
	fill(large)
	before := pages(t, block)
	require.GreaterOrEqual(t, before, int64(8<<20))
	Free(block)
	if _, _, ok := Locate(small); ok {
		require.LessOrEqual(t, pages(t, small), before-8<<20)
	}
	segments := Shared()
	Free(large)
	after := Shared()
	require.Equal(t, segments.Segments-1, after.Segments)
	require.Equal(t, segments.Bytes-32<<20, after.Bytes)
	Free(small)
	require.Zero(t, Shared().Kept)
	_, kept := Usage()
	require.Zero(t, kept)

	Keep(1 << 30)
	block, large = Alloc(8<<20), Alloc(32<<20)
	Free(block)
	Free(large)
	require.Equal(t, int64(40<<20), Shared().Kept)
	Keep(16 << 20)
	require.Equal(t, int64(8<<20), Shared().Kept)
	Keep(4 << 20)
	require.Zero(t, Shared().Kept)
	require.Zero(t, Shared().Segments, "nothing is in them")
	require.Equal(t, 1, Shared().Descriptors, "a pipe is all that is left")
}

// A segment that is given back has no pages any more, whoever maps it.
func TestMappedSegmentsAreGivenBack(t *testing.T) {
	share(t)
	defer Keep(512 << 20)
	for name, free := range map[string]func(block []byte){
		"at once": func(block []byte) { Keep(0); Free(block) },
		"later":   func(block []byte) { Keep(64 << 20); Free(block); Keep(0) },
	} {
		t.Run(name, func(t *testing.T) {
			block := Alloc(32 << 20)
			fill(block)
			seen, m := mapped(t, block)
			defer m.Release()
			require.EqualValues(t, 1, seen[0])
			free(block)
			require.Zero(t, seen[0], "its page is gone")
		})
	}
}

func TestLimitsOfBytes(t *testing.T) {
	if !inChild(t) {
		return
	}
	require.NoError(t, Share(Options{Bytes: 100 << 20}))
	first := Alloc(SharedLarge) // takes a pooled segment of 64 MiB
	_, _, ok := Locate(first)
	require.True(t, ok)
	large := Alloc(40 << 20)
	_, _, ok = Locate(large)
	require.False(t, ok, "over the limit")
	require.Equal(t, int64(1), Shared().Refused)
	fill(large)
	Free(large)
	whole := Alloc(32 << 20)
	_, _, ok = Locate(whole)
	require.True(t, ok)
	Free(whole) // is kept, and makes room for another size
	whole = Alloc(24 << 20)
	_, _, ok = Locate(whole)
	require.True(t, ok)
	var blocks [][]byte
	for range 70 {
		block := Alloc(1 << 20)
		fill(block)
		blocks = append(blocks, block)
	}
	require.Equal(t, 2, Shared().Segments)
	for _, block := range append(blocks, first, whole) {
		Free(block)
	}
	used, _ := Usage()
	require.Zero(t, used)
}

func TestOutOfDescriptors(t *testing.T) {
	if !inChild(t) {
		return
	}
	share(t)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 20, Max: 20}))
	var blocks [][]byte
	shared := 0
	for range 40 {
		block := Alloc(17 << 20)
		require.NotNil(t, block)
		block[0] = 1
		if _, _, ok := Locate(block); ok {
			shared++
		}
		blocks = append(blocks, block)
	}
	require.Positive(t, shared)
	require.Less(t, shared, 20)
	require.Equal(t, int64(40-shared), Shared().Refused)
	id, _, ok := Locate(blocks[0])
	require.True(t, ok)
	_, _, err := SegmentFile(id)
	require.ErrorIs(t, err, status.Exhausted)
	for _, block := range blocks {
		Free(block)
	}
	block := Alloc(17 << 20)
	_, _, ok = Locate(block)
	require.True(t, ok, "what was given back is used")
	Free(block)
}

func TestOutOfSegments(t *testing.T) {
	if !inChild(t) {
		return
	}
	share(t)
	limit := &unix.Rlimit{Cur: MaxSegments + 200, Max: MaxSegments + 200}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, limit))
	var blocks [][]byte
	for range MaxSegments + 5 {
		block := Alloc(17 << 20)
		require.NotNil(t, block)
		blocks = append(blocks, block)
	}
	require.Equal(t, MaxSegments, Shared().Segments)
	require.Equal(t, int64(5), Shared().Refused)
	for _, block := range blocks {
		Free(block)
	}
}

func TestLimitOfAddresses(t *testing.T) {
	if !inChild(t) {
		return
	}
	var usage struct{ pages uint64 }
	text, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	_, err = fmt.Sscan(string(text), &usage.pages)
	require.NoError(t, err)
	limit := usage.pages*4096 + 4<<30
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: limit}))
	require.NoError(t, Share(Options{}))
	block := Alloc(32 << 20)
	_, _, ok := Locate(block)
	require.True(t, ok)
	fill(block)
	Free(block)
}

func TestNoAddresses(t *testing.T) {
	if !inChild(t) {
		return
	}
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_AS, &limit))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: 1 << 20, Max: limit.Max}))
	shared := Share(Options{})
	err := unix.Setrlimit(unix.RLIMIT_AS, &limit) // before the Go runtime needs more
	require.NoError(t, err)
	require.ErrorIs(t, shared, status.Exhausted)
	block := Alloc(SharedLarge)
	require.NotNil(t, block)
	_, _, ok := Locate(block)
	require.False(t, ok)
	Free(block)
}

func TestWarmMemory(t *testing.T) {
	if !inChild(t) {
		return
	}
	before := Alloc(1 << 20)
	require.NoError(t, Share(Options{Warm: 96 << 20}))
	require.Eventually(t, func() bool { return Shared().Kept == 96<<20 }, time.Minute, time.Millisecond)
	block := Alloc(64 << 20)
	require.Equal(t, int64(32<<20), Shared().Kept)
	require.Equal(t, int64(96<<20), pages(t, block), "a block is where the pages are")
	_, _, ok := Locate(before)
	require.False(t, ok)
	Free(before)
	Free(block)
	_, kept := Usage()
	require.Equal(t, 96<<20, kept)
	require.NoError(t, Share(Options{Warm: 1 << 30}), "only the first call counts")
	require.Equal(t, int64(96<<20), Shared().Kept)
}

// TestSegmentsUnderSanitizers runs the C code without Go, with the tools that see wrong uses of
// memory and races between threads.
func TestSegmentsUnderSanitizers(t *testing.T) {
	for _, sanitizer := range []string{"address,undefined", "thread"} {
		t.Run(sanitizer, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "segments")
			out, err := exec.Command("cc", "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror",
				"-fsanitize="+sanitizer, "-o", program, "testdata/segments.c", "arena.c", "segment.c",
				"units.c", "-lpthread").CombinedOutput()
			require.NoError(t, err, "%s", out)
			run := exec.Command(program)
			// A forked child has no threads that could be joined.
			run.Env = append(os.Environ(), "TSAN_OPTIONS=report_thread_leaks=0")
			out, err = run.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
