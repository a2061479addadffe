package rpc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dcf/core/internal/clock"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/shm"
	"dcf/core/internal/transport/tcp"
	"dcf/core/status"
	"dcf/udf"
	"dcf/wire"
)

// serveVariable, in the environment, makes the test binary a node that answers until its input
// ends. Its value is the address to listen at.
const serveVariable = "DCF_RPC_TEST_SERVE"

func serveProcess(address string) int {
	answer := &wire.Reply{Parts: []wire.Part{{Value: udf.Value{Bytes: make([]byte, 8)}}}}
	n := Open(Config{
		Identity: wire.Identity{Node: 1, Incarnation: 1}, Member: true,
		Handler:    newHandler(func(r *Request) { r.Reply(answer) }),
		Transports: []transport.Transport{tcp.New(), shm.New()},
	})
	resolved, err := n.Listen(address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(resolved)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := n.Close(clock.After(patience)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process starts a node in a process of its own and gives its address.
func process(t testing.TB, scheme string) (*exec.Cmd, string) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), serveVariable+"="+anyAddress(t, scheme))
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Signal(syscall.SIGCONT)
		_ = in.Close()
		_ = child.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return child, strings.TrimSpace(line)
}

// A process that is stopped is noticed by its silence, also by a session that rested, and one that is killed
// at once.
func TestStoppedProcess(t *testing.T) {
	for _, scheme := range []string{"tcp", "unix", "shm"} {
		t.Run(scheme, func(t *testing.T) {
			child, address := process(t, scheme)
			h := newHandler(nil)
			n, p := dialled(t, address, func(c *Config) {
				c.Handler, c.Timing.RestEvery = h, time.Hour // so that a request is what ends the rest
			})
			h.expect(t, "up 1")
			var reply Reply
			defer reply.Clear()
			require.NoError(t, p.Do(callFrame(nil), &reply, soon()))
			if scheme != "tcp" {
				require.Eventually(t, n.keeper.dozes.Load, patience, tick)
			}
			require.NoError(t, child.Process.Signal(syscall.SIGSTOP))
			var err error
			for err == nil { // its threads stop one by one
				err = p.Do(callFrame(nil), &reply, soon())
			}
			requireCode(t, err, status.Unavailable)
			h.expect(t, "down 1")
			require.Contains(t, h.lastReason(), "was silent for")
			require.NoError(t, child.Process.Signal(syscall.SIGCONT))
			require.Eventually(t, func() bool {
				return p.Do(callFrame(nil), &reply, soon()) == nil
			}, patience, tick)
			h.expect(t, "up 1")
			if scheme != "tcp" {
				require.Eventually(t, n.keeper.dozes.Load, patience, tick)
			}
			require.NoError(t, child.Process.Kill())
			h.expect(t, "down 1")
			requireCode(t, p.Do(callFrame(nil), &reply, soon()), status.Unavailable)
		})
	}
}

// BenchmarkProcesses is BenchmarkDo between two processes.
func BenchmarkProcesses(b *testing.B) {
	_, address := process(b, "tcp")
	_, p := dialled(b, address, nil)
	request := callFrame(make([]byte, 16))
	var reply Reply
	deadline := soon()
	took := make([]int64, 0, 1<<20)
	for b.Loop() {
		started := clock.Now()
		if err := p.Do(request, &reply, deadline); err != nil {
			b.Fatal(err)
		}
		if len(took) < cap(took) {
			took = append(took, clock.Now()-started)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
	reply.Clear()
}
