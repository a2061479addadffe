package wire

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/vertex"
)

var (
	seed    = flag.Uint64("seed", 0, "seed of the randomised tests; 0: one of the clock")
	rewrite = flag.Bool("rewrite", false, "write schemas/vectors anew")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}

// random gives a source of random numbers and prints its seed.
func random(t testing.TB) *rand.Rand {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// split gives the header and the body of a frame in one piece.
func split(t testing.TB, frame []byte) (header []byte, body *vertex.Body) {
	headerLen, bodyLen, err := ParsePrefix(frame, Limits{})
	require.NoError(t, err)
	require.Len(t, frame, PrefixBytes+headerLen+int(bodyLen))
	header = frame[PrefixBytes : PrefixBytes+headerLen]
	if bodyLen == 0 {
		return header, nil
	}
	body, err = vertex.NewBody(int(bodyLen))
	require.NoError(t, err)
	copy(body.Bytes(), frame[PrefixBytes+headerLen:])
	return header, body
}
