package arena

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestBlocksAreAlignedAndRecycled(t *testing.T) {
	used, _ := Usage()
	for _, size := range []int{0, 1, 63, 64, 4096, Large - 1, Large, Large + 1, 64 << 20} {
		block := Alloc(size)
		require.NotNil(t, block, "%d bytes", size)
		require.Len(t, block, size)
		p := uintptr(unsafe.Pointer(unsafe.SliceData(block)))
		require.Zero(t, p%Align, "%d bytes", size)
		for i := 0; i < size; i += 4096 {
			block[i] = 1
		}
		Free(block)
		if size >= Large {
			again := Alloc(size)
			require.Equal(t, p, uintptr(unsafe.Pointer(unsafe.SliceData(again))), "%d bytes are not recycled", size)
			Free(again)
		}
	}
	after, _ := Usage()
	require.Equal(t, used, after)
}

func TestKeepBoundsWhatIsKept(t *testing.T) {
	defer Keep(512 << 20)
	Free(Alloc(8 << 20))
	_, kept := Usage()
	require.GreaterOrEqual(t, kept, 8<<20)
	Keep(1 << 20)
	_, kept = Usage()
	require.LessOrEqual(t, kept, 1<<20)
	Free(Alloc(8 << 20))
	_, kept = Usage()
	require.LessOrEqual(t, kept, 1<<20)
}

// Copies of all the ways that a size chooses, to places that are aligned and not, are whole and touch nothing else.
func TestCopy(t *testing.T) {
	const streamed = 32 << 20
	from := make([]byte, streamed+1000)
	_, err := rand.NewChaCha8([32]byte{}).Read(from)
	require.NoError(t, err)
	for _, size := range []int{0, 1, 4095, copiedByC - 1, copiedByC, streamed - 1, streamed, streamed + 63, streamed + 64} {
		for _, at := range []int{0, 1, 64} {
			to := Alloc(len(from))
			require.NotNil(t, to)
			to[at+size] = 0xa5
			if at > 0 {
				to[at-1] = 0x5a
			}
			require.Equal(t, size, Copy(to[at:at+size], from[3:]))
			require.True(t, bytes.Equal(to[at:at+size], from[3:3+size]), "%d bytes at %d", size, at)
			require.Equal(t, byte(0xa5), to[at+size])
			require.True(t, at == 0 || to[at-1] == 0x5a)
			Free(to)
		}
	}
	require.Equal(t, 2, Copy(make([]byte, 2), from), "what has room is copied")
}
