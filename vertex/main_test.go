package vertex

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"dcf/vertex/arena"
	"dcf/vertex/cdata"
)

var seed = flag.Uint64("seed", 0, "seed of randomised tests; 0: a new one")

// newRand gives the source of a randomised test and logs how to repeat it.
func newRand(t testing.TB) *rand.Rand {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// TestMain sees to it that no batch, no body and no block is left.
func TestMain(m *testing.M) {
	flag.Parse()
	usedBefore, _ := arena.Usage()
	code := m.Run()
	batches, _, bodies := cdata.Live()
	used, _ := arena.Usage()
	if code == 0 && (batches != 0 || bodies != 0 || used != usedBefore) {
		fmt.Fprintf(os.Stderr, "left behind: %d batches, %d bodies, %d bytes\n",
			batches, bodies, used-usedBefore)
		code = 1
	}
	os.Exit(code)
}
