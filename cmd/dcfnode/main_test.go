package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core"
	"dcf/udf"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// asNode makes the test binary a dcfnode, so that process tests need not build one.
const asNode = "DCFNODE_TEST_IS_NODE=1"

func TestMain(m *testing.M) {
	if os.Getenv("DCFNODE_TEST_IS_NODE") == "1" {
		p := &program{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}
		p.base.UDFs = []udf.Definition{latch(func() {
			_, _ = os.Stdout.WriteString("latched\n")
			_, _ = io.ReadAll(os.Stdin) // until the test lets go
		})}
		os.Exit(p.run(os.Args[1:]))
	}
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// latch is a function that waits while it runs and gives "done".
func latch(wait func()) udf.Definition {
	return udf.Definition{Kind: udf.KindGo, Name: "latch", Version: "1",
		Code: udf.Func{Calculate: func(_ *udf.Input, out *udf.Output) error {
			wait()
			out.Bytes([]byte("done"))
			return nil
		}}}
}

// dcfnode runs the program within the test, as a shell would: arguments split at spaces.
func dcfnode(environ []string, args ...string) (exit int, stdout, stderr string) {
	var out, errs bytes.Buffer
	exit = run(args, environ, &out, &errs)
	return exit, out.String(), errs.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "go test -rewrite accepts a change")
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"help.txt":         {"--help"},
		"help_serve.txt":   {"serve", "--help"},
		"help_status.txt":  {"status", "--help"},
		"help_version.txt": {"help", "version"},
	} {
		exit, stdout, stderr := dcfnode(nil, args...)
		require.Zero(t, exit)
		require.Empty(t, stderr)
		golden(t, name, stdout)
		for line := range strings.Lines(stdout) {
			require.LessOrEqual(t, len(line), helpColumns+1, line)
		}
	}
}

func TestVersion(t *testing.T) {
	exit, stdout, _ := dcfnode(nil, "version")
	require.Zero(t, exit)
	require.Regexp(t, `^dcfnode \d+\.\d+\.\d+ \(go1\.`, stdout)
}

// Every message is one line that says what was wrong, and where it came from.
func TestWrongUsage(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for _, c := range []struct {
		name    string
		environ []string
		args    []string
		want    string
	}{
		{"unknown flag", nil, []string{"--lisen", "x"}, "unknown flag: --lisen"},
		{"unknown command", nil, []string{"staus"}, `unknown command "staus" for "dcfnode"`},
		{"arguments", nil, []string{"serve", "now"}, `unknown command "now" for "dcfnode serve"`},
		{"too many addresses", nil, []string{"status", "a", "b"}, "accepts at most 1 arg(s)"},
		{"bad address", nil, []string{"--listen", "localhost:80"},
			`listen (flag): "localhost:80": want tcp://host:port, unix:///path or shm:///path`},
		{"bad address of status", nil, []string{"status", "here"}, `status "here": want tcp://`},
		{"no time", nil, []string{"status", "--timeout", "0s"}, "want a duration over 0"},
		{"no address", []string{"DCF_LISTEN="}, nil,
			"listen (environment): a node listens somewhere"},
		{"node id", []string{"DCF_NODE_ID=two"}, nil,
			`node-id (environment): "two": want a whole number from 0 to 4294967295`},
		{"large node id", nil, []string{"--node-id", "4294967296"}, "from 0 to 4294967295"},
		{"memory", nil, []string{"--memory-limit", "4 potatoes"},
			`memory-limit (flag): "4 potatoes": want a size, for example 4GiB`},
		{"timeout", nil, []string{"--timeout", "30"}, "want a duration of at least 1ms"},
		{"spin", nil, []string{"--spin=-1us"}, "want a duration of at least 0s"},
		{"shared memory", nil, []string{"--shared-memory", "maybe"},
			`shared-memory (flag): "maybe": want on or off`},
		{"shared memory off", nil, []string{"--shared-memory", "off", "--listen", "shm:///x"},
			"shared memory is off, which shm:///x needs"},
		{"level", nil, []string{"--log-level", "loud"}, "want debug, info, warn or error"},
		{"format", nil, []string{"--log-format", "xml"}, "want text or json"},
		{"insecure", []string{"DCF_INSECURE=maybe"}, nil,
			`insecure (environment): "maybe": want true or false`},
		{"remote", nil, []string{"--remote", "prices"}, "want NAME@NODE"},
		{"remote node", nil, []string{"--remote", "prices@0"}, "a node id from 1 to"},
		{"no name", nil, []string{"--load", "=x.arrow"}, "want NAME=FILE or FILE"},
		{"name twice", nil, []string{"--load", "a=x.arrow", "--load", "/y/a.arrow"},
			`load (flag): "/y/a.arrow": the name "a" is there twice`},
		{"no file", nil, []string{"--load", folder + "/none.arrow"},
			`none.arrow as vertex "none": no such file or directory`},
		{"not Arrow", nil, []string{"--load", "a=" + file("a.arrow", "hello")},
			`a.arrow as vertex "a": `},
		{"no configuration", nil, []string{"--config", folder + "/none.toml"},
			"none.toml does not exist"},
		{"no configuration either", []string{"DCF_CONFIG=" + folder + "/nope.toml"}, nil,
			"nope.toml does not exist"},
		{"not TOML", nil, []string{"--config", file("broken.toml", "listen = [")}, "broken.toml"},
		{"unknown key", nil, []string{"--config", file("key.toml", "lisen = 'x'")},
			`key.toml has the unknown key "lisen": the keys are listen, join, node-id`},
		{"a list for one", nil, []string{"--config", file("list.toml", "node-id = [1, 2]")},
			"list.toml): want one value, not a list"},
		{"odd values", nil, []string{"--config", file("odd.toml", "join = [[1]]")},
			"want plain values"},
	} {
		t.Run(c.name, func(t *testing.T) {
			exit, stdout, stderr := dcfnode(c.environ, c.args...)
			require.Equal(t, exitUsage, exit, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, c.want)
			require.True(t, strings.HasPrefix(stderr, "dcfnode: "), stderr)
			require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
		})
	}
}

func TestNoAccess(t *testing.T) {
	worker, err := core.Open(core.Options{Listen: []string{"tcp://127.0.0.1:0"}, NodeID: 3})
	require.NoError(t, err)
	taken := worker.Addresses()[0]
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"port in use", []string{"--listen", taken}, taken + ": address already in use"},
		{"beyond loopback", []string{"--listen", "tcp://0.0.0.0:0"}, "--insecure"},
		{"nobody there", []string{"--listen", "tcp://127.0.0.1:0", "--join", "tcp://127.0.0.1:1"},
			"tcp://127.0.0.1:1"},
		{"id taken", []string{"--listen", "tcp://127.0.0.1:0", "--join", taken, "--node-id", "3"},
			"node id 3 is taken by a live worker, node 3 at " + taken},
		{"status of nobody", []string{"status", "tcp://127.0.0.1:1"}, "tcp://127.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			exit, stdout, stderr := dcfnode(nil, c.args...)
			require.Equal(t, exitNoAccess, exit, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, c.want)
		})
	}
	require.NoError(t, worker.Close(0))
}

// The program itself, not only the test binary in its place, builds and runs.
func TestProgramBuilds(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "dcfnode")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command(binary, "version").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "dcfnode "+version)
}
