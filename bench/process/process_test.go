package process

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(script string) *Command {
	return &Command{Path: "/bin/sh", Args: []string{"-c", script}, CPU: AnyCPU}
}

func TestRunGivesOutputAndPassesComplaintsOn(t *testing.T) {
	var complaints bytes.Buffer
	c := shell("echo $GREETING; echo grumble >&2")
	c.Env = []string{"GREETING=hello"}
	out, err := c.Run(&complaints)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(out))
	require.Equal(t, "grumble\n", complaints.String())
}

func TestRunSaysWhatAFailedProgramSaid(t *testing.T) {
	_, err := shell("echo it is broken >&2; exit 3").Run(&bytes.Buffer{})
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "it is broken")
	_, err = (&Command{Path: "/no/such/program", CPU: AnyCPU}).Run(&bytes.Buffer{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRunPinsTheProgramAndNotItself(t *testing.T) {
	const allowed = "grep Cpus_allowed_list /proc/self/status"
	before, err := shell(allowed).Run(&bytes.Buffer{})
	require.NoError(t, err)
	pinned := shell(allowed)
	pinned.CPU = 0
	out, err := pinned.Run(&bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, "Cpus_allowed_list:\t0\n", string(out))
	after, err := shell(allowed).Run(&bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	pinned.CPU = 1000
	_, err = pinned.Run(&bytes.Buffer{})
	require.ErrorContains(t, err, "pinning to processor 1000")
}

func TestServersServeUntilTheyAreStopped(t *testing.T) {
	s, err := shell("echo starting; echo ready one two; echo ready three; cat").Serve()
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two"}, s.Ready)
	kib, err := ResidentKiB(s.PID())
	require.NoError(t, err)
	require.Positive(t, kib)
	share, err := ProportionalKiB(s.PID())
	require.NoError(t, err)
	require.Positive(t, share)
	require.LessOrEqual(t, share, kib)
	require.NoError(t, s.Stop())
	_, err = ResidentKiB(s.PID())
	require.Error(t, err, "the server is still there")
}

func TestWakeUpsAreCounted(t *testing.T) {
	own, err := WakeUps(os.Getpid())
	require.NoError(t, err)
	const sleeps = 20
	for range sleeps {
		_, err := shell("true").Run(&bytes.Buffer{}) // this process waits for each
		require.NoError(t, err)
	}
	after, err := WakeUps(os.Getpid())
	require.NoError(t, err)
	require.GreaterOrEqual(t, after-own, int64(sleeps))

	s, err := shell("/bin/true; echo ready; cat").Serve()
	require.NoError(t, err)
	count, err := WakeUps(s.PID())
	require.NoError(t, err)
	require.Positive(t, count, "it waited for its child")
	require.NoError(t, s.Stop())
	_, err = WakeUps(s.PID())
	require.ErrorContains(t, err, "has it ended?")
}

func TestServersThatFailSayWhy(t *testing.T) {
	_, err := shell("echo the port is taken >&2; exit 1").Serve()
	require.ErrorContains(t, err, "ended before it was ready")
	require.ErrorContains(t, err, "the port is taken")
	s, err := shell("echo ready; cat; echo could not close >&2; exit 4").Serve()
	require.NoError(t, err)
	require.Empty(t, s.Ready)
	err = s.Stop()
	require.ErrorContains(t, err, "exit status 4")
	require.ErrorContains(t, err, "could not close")
}

func TestSaidKeepsTheEnd(t *testing.T) {
	require.Empty(t, said([]byte(" \n")))
	long := said(append(bytes.Repeat([]byte("x"), 2*maxErrorText), "the end"...))
	require.Len(t, long, len(": ...")+maxErrorText)
	require.Contains(t, long, "the end")
}
