package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/bench/measure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build makes a folder of programs that print what the real ones would.
func build(t *testing.T, programs map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "bench"), 0o755))
	for name, script := range programs {
		path := filepath.Join(folder, "bench", name)
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	}
	return folder
}

// blocksOf prints two blocks of the case that a driver is asked for.
const blocksOf = `
while [ $# -gt 1 ]; do case $1 in
  --case) name=$2;; --server) server=$2;; --alone) alone=$2;; --ring) ring=$2;;
esac; shift; done
for series in product floor; do
  echo "{\"case\":\"$name\",\"series\":\"$series\",\"threads\":1,\"calls\":1," \
    "\"elapsed_ns\":40,\"samples\":[40]}"
done
`

func runWith(t *testing.T, folder string, args ...string) ([]measure.Result, error) {
	t.Helper()
	out := filepath.Join(folder, "out.jsonl")
	o, err := parse(append(args, "-build", folder, "-out", out, "-quick"))
	require.NoError(t, err)
	runErr := run(o)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	var results []measure.Result
	for line := range bytes.Lines(text) {
		var r measure.Result
		require.NoError(t, json.Unmarshal(line, &r))
		results = append(results, r)
	}
	return results, runErr
}

func TestACaseOfOneProcess(t *testing.T) {
	folder := build(t, map[string]string{"local": blocksOf})
	results, err := runWith(t, folder, "-bench", "^local/c$")
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.Equal(t, "local/c", results[0].Case)
	require.InDelta(t, 1, results[0].Ratio, 1e-9)
	require.True(t, results[0].Pass)
	require.NotEmpty(t, results[0].Machine.CPU)
}

func TestACaseOfTwoProcesses(t *testing.T) {
	folder := build(t, map[string]string{
		"server": "echo ready tcp://there 4711 /proc/1/fd/3; cat",
		"remote": blocksOf + `[ "$server" = tcp://there ] || { echo "no server: $server" >&2; exit 1; }`,
	})
	results, err := runWith(t, folder, "-bench", "^tcp/1-one-cpu$")
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.InDelta(t, 40, results[0].P50Ns, 1e-9)
}

func TestCasesOfSharedMemory(t *testing.T) {
	// The C server says where its TCP floor is, too, Go's does not; the ring is what both say last.
	check := `[ "$server" = tcp://there -a "$ring" = /proc/1/fd/3 ] || { echo "no server: $server $ring" >&2; exit 1; }`
	crowd := `[ "$alone" = tcp://there ] || { echo "no server of its own" >&2; exit 1; }`
	folder := build(t, map[string]string{
		"server":   "echo ready tcp://there 4711 /proc/1/fd/3; cat",
		"goserver": "echo ready tcp://there /proc/1/fd/3; cat",
		"shm":      blocksOf + check,
		"tables":   blocksOf + check,
		"rust":     blocksOf + check,
		"crowd":    blocksOf + check + "\n" + crowd,
	})
	results, err := runWith(t, folder, "-bench", "^shm/(c|c-to-c|sum-64MiB|1000-clients|asleep-two-cpus|rust)$|graphsum-shm")
	require.NoError(t, err)
	require.Len(t, results, 7)
	for _, r := range results {
		rounds := 1
		if r.Case == "shm/sum-64MiB" {
			rounds = quickRounds // a process each
		}
		require.Equal(t, rounds, r.Rounds, r.Case)
	}
}

func TestIdleClients(t *testing.T) {
	folder := build(t, map[string]string{"crowd": "echo ready 10; cat"})
	require.NoError(t, os.Mkdir(filepath.Join(folder, "bin"), 0o755))
	node := filepath.Join(folder, "bin", "dcfnode")
	require.NoError(t, os.WriteFile(node,
		[]byte("#!/bin/sh\necho listening on tcp://there node 1\nexec sleep 60\n"), 0o755))
	results, err := runWith(t, folder, "-bench", "^shm/idle$")
	require.NoError(t, err)
	require.Less(t, *results[0].Value, 10.0, "it sleeps once, for a minute")
	require.Equal(t, "wake-ups/s", results[0].Unit)
	require.NoError(t, os.WriteFile(node, []byte("#!/bin/sh\necho no port is free\n"), 0o755))
	results, err = runWith(t, folder, "-bench", "^shm/idle$")
	require.Error(t, err)
	require.Contains(t, results[0].Error, "no port is free")
}

func TestFailuresAreReportedAndTheRestGoesOn(t *testing.T) {
	folder := build(t, map[string]string{
		"local":  blocksOf,
		"server": "echo ready tcp://there 4711 /proc/1/fd/3; cat; echo leaked a connection >&2; exit 1",
		"remote": blocksOf,
	})
	results, err := runWith(t, folder, "-bench", "^(local/c|tcp/64|local/go)$")
	require.EqualError(t, err, "2 of 3 cases could not be measured")
	require.Len(t, results, 3)
	require.Contains(t, results[0].Error, "localgo")
	require.Empty(t, results[1].Error)
	require.Contains(t, results[2].Error, "leaked a connection")
	require.False(t, results[2].Pass)
}

func TestStrictMakesAMissAFailure(t *testing.T) {
	folder := build(t, map[string]string{"local": blocksOf})
	_, err := runWith(t, folder, "-bench", "^local/c-64$")
	require.NoError(t, err)
	_, err = runWith(t, folder, "-bench", "^local/c-64$", "-strict")
	require.EqualError(t, err, "1 of 1 cases miss their bars")
}

func TestSelection(t *testing.T) {
	names := func(args ...string) []string {
		o, err := parse(args)
		require.NoError(t, err)
		var names []string
		for _, c := range selected(o) {
			names = append(names, c.Name)
		}
		return names
	}
	require.Equal(t, []string{"local/c", "local/c-64", "local/c-64-mixed"},
		names("-bench", "^local/c($|-64)"))
	require.Empty(t, names("-bench", "python|arrow|import"), "without a Python there is nothing to run")
	require.Equal(t, []string{"local/python-c", "local/python-python"},
		names("-bench", "local/python", "-python", "python3"))
	require.Equal(t, []string{"async/python", "async/python-fd", "arrow/capsule", "arrow/polars", "import"},
		names("-bench", "async/python|^arrow|^import", "-python", "python3"))
	require.Equal(t, []string{"shm/get-64MiB-rust", "shm/get-64MiB-rust-again"},
		names("-bench", "shm/(python|get)"))
	require.Len(t, names("-list"), len(measure.Cases))
	o, err := parse([]string{"-bench", "nothing like it"})
	require.NoError(t, err)
	require.ErrorContains(t, run(o), "no case matches")
}

func TestBadOptions(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-bench", "("}, "-bench: error parsing regexp"},
		{[]string{"-rounds", "0"}, "-rounds is 0"},
		{[]string{"local/c"}, `"local/c" is no option`},
	} {
		_, err := parse(test.args)
		require.ErrorContains(t, err, test.want)
	}
}
