package builtin

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// bitsOf gives the rows in a mask.
func bitsOf(m mask) []int {
	rows := []int{}
	m.each(func(row int) { rows = append(rows, row) })
	return rows
}

// Masks agree with a bitmap read bit by bit, at every offset and length.
func TestMaskReadsBitmap(t *testing.T) {
	rng := random(t)
	for range 500 {
		bitmap := make([]byte, 1+rng.IntN(40))
		for i := range bitmap {
			bitmap[i] = byte(rng.Uint32())
		}
		offset := rng.IntN(8 * len(bitmap))
		rows := rng.IntN(8*len(bitmap) - offset + 1)
		want := []int{}
		for row := range rows {
			if bit := offset + row; bitmap[bit/8]>>(bit%8)&1 == 1 {
				want = append(want, row)
			}
		}
		m := loadMask(make(mask, words(rows)), bitmap, offset, rows)
		require.Equal(t, want, bitsOf(m), "%d rows from bit %d of %x", rows, offset, bitmap)
		require.Equal(t, len(want), m.count())

		values := make([]uint32, rows)
		for i := range values {
			values[i] = uint32(i) * 3
		}
		gathered := gather(make([]uint64, rows), values, m)
		require.Len(t, gathered, len(want))
		for i, row := range want {
			require.Equal(t, uint64(values[row]), gathered[i])
		}
		require.Equal(t, len(want), len(m.rows(make([]uint32, rows))))
		back := make([]uint32, rows)
		scatter(back, gather(make([]uint32, rows), values, m), m)
		for _, row := range want {
			require.Equal(t, values[row], back[row])
		}

		limit := rng.IntN(rows + 2)
		m.keep(int64(limit))
		require.Equal(t, want[:min(limit, len(want))], bitsOf(m), "the first %d", limit)
	}
}

// Runs of rows are gathered as single rows are, whatever the density.
func TestGatherDense(t *testing.T) {
	rng := random(t)
	values := make([]float32, 64*5)
	for i := range values {
		values[i] = float32(i)
	}
	for _, gaps := range []int{0, 1, 2, 5, 20, 21, 40, 64} {
		m := make(mask, 5)
		m.fill(len(values), true)
		for w := range m {
			for range gaps {
				m[w] &^= 1 << rng.IntN(64)
			}
		}
		got := gather(make([]float64, len(values)), values, m)
		require.Len(t, got, m.count())
		for i, row := range bitsOf(m) {
			require.Equal(t, float64(values[row]), got[i], "%d gaps", gaps)
		}
	}
}

// A total of 128 bits turns into a float on either side of zero.
func TestTotalFloat(t *testing.T) {
	for _, c := range []struct {
		total    total
		signed   bool
		want     float64
		fits     bool
		describe string
	}{
		{total{5, 0}, true, 5, true, "small"},
		{total{^uint64(4), ^uint64(0)}, true, -5, true, "small and negative"},
		{total{1 << 63, 0}, true, 1 << 63, false, "one over"},
		{total{1 << 63, ^uint64(0)}, true, -(1 << 63), true, "the least"},
		{total{0, 3}, true, 3 * (1 << 64), false, "far over"},
		{total{0, ^uint64(2)}, true, -3 * (1 << 64), false, "far below"},
		{total{0, 1 << 63}, false, 1 << 127, false, "unsigned"},
		{total{^uint64(0), 0}, false, 1 << 64, true, "the greatest unsigned"},
	} {
		require.Equal(t, c.want, c.total.float(c.signed), c.describe)
		fit := fits[uint64](c.total)
		if c.signed {
			fit = fits[int64](c.total)
		}
		require.Equal(t, c.fits, fit, "%s: %s", c.describe, fmt.Sprint(c.total))
	}
}
