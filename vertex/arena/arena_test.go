package arena

import (
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
