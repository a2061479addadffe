package processor

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestLeave(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var allowed, after unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &allowed))
	cpu := Current()
	require.True(t, allowed.IsSet(cpu))
	require.Equal(t, allowed.Count() > 1, Leave(cpu))
	require.NoError(t, unix.SchedGetaffinity(0, &after))
	require.Equal(t, allowed, after)

	// One that has no other stays.
	defer func() { require.NoError(t, unix.SchedSetaffinity(0, &allowed)) }()
	var only unix.CPUSet
	only.Set(cpu)
	require.NoError(t, unix.SchedSetaffinity(0, &only))
	require.Equal(t, cpu, Current())
	require.False(t, Leave(cpu))
	require.Equal(t, cpu, Current())
}
