package clock

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// C code and other processes compare our deadlines with CLOCK_MONOTONIC: it must be that clock.
func TestNowIsMonotonicClock(t *testing.T) {
	var before, after unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &before))
	now := Now()
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &after))
	require.LessOrEqual(t, before.Nano(), now)
	require.LessOrEqual(t, now, after.Nano())
}

func TestAfterSaturates(t *testing.T) {
	require.Equal(t, int64(math.MaxInt64), After(math.MaxInt64))
	require.Positive(t, Until(After(time.Hour)))
	require.Negative(t, Until(After(-time.Second)))
}
