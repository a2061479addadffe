package capitest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/capi/capitest"
)

var seed = flag.Uint64("seed", 0, "seed of the tests at random; 0: a new one")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// programs gives all C tests.
func programs(t *testing.T) (root string, sources []string) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	sources, err = filepath.Glob(filepath.Join(root, "capi", "testdata", "*.c"))
	require.NoError(t, err)
	require.NotEmpty(t, sources)
	return root, sources
}

// testLibrary runs every C program against one way to build libdcf.
func testLibrary(t *testing.T, l capitest.Library, stressRounds int) {
	root, sources := programs(t)
	folder := t.TempDir()
	require.NoError(t, l.Build(root, folder))
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".c")
		t.Run(name, func(t *testing.T) {
			var arguments []string
			switch name {
			case "stress":
				arguments = []string{strconv.Itoa(stressRounds), fmt.Sprint(aSeed(t))}
			case "small":
				arguments = []string{fmt.Sprint(aSeed(t))}
			}
			program, err := l.Compile(root, folder, source)
			require.NoError(t, err)
			out, err := l.Run(program, arguments...)
			require.NoError(t, err)
			t.Log(out)
			require.NoError(t, os.Remove(program))
		})
	}
}

func aSeed(t *testing.T) uint64 {
	if *seed == 0 {
		*seed = rand.Uint64()>>1 + 1
	}
	t.Logf("-seed %d", *seed)
	return *seed
}

// TestTree runs the C example: its answers, and the pair of sums of fresh trees, each way that the
// tree may lie. After thousands of them the program itself compares its memory.
func TestTree(t *testing.T) {
	root, _ := programs(t)
	folder, source := t.TempDir(), filepath.Join(root, "examples", "tree", "c")
	require.NoError(t, capitest.Shared.Build(root, folder))
	program, err := capitest.Shared.Compile(root, folder, filepath.Join(source, "tree.c"),
		filepath.Join(source, "functions.c"))
	require.NoError(t, err)
	for over, rounds := range map[string]int{"one": 10_000, "inproc": 3_000, "tcp": 50} {
		t.Run(over, func(t *testing.T) {
			out, err := capitest.Shared.Run(program, over)
			require.NoError(t, err)
			require.Equal(t, "MaxAdjacentSum 0: 600\nMaxAdjacentSum 1: 1305\nMaxAdjacentSum 2: 2120\n"+
				"MaxAdjacentSum 3: 2136\nSwapLargestAndSmallest: 600 and 1\nGraphSum: 2136\n"+
				"GraphSum: 82136\n", out)
			out, err = capitest.Shared.Run(program, over, strconv.Itoa(rounds))
			require.NoError(t, err)
			require.Contains(t, out, fmt.Sprintf("%d times 2136 and 82136\n", rounds))
		})
	}
}

func TestShared(t *testing.T)    { testLibrary(t, capitest.Shared, 2000) }
func TestRace(t *testing.T)      { testLibrary(t, capitest.Race, 200) }
func TestSanitized(t *testing.T) { testLibrary(t, capitest.Sanitized, 200) }
