package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"dcf/core"
	"dcf/vertex"
)

func configOf(t *testing.T, environ []string, args ...string) *config {
	t.Helper()
	flags := pflag.NewFlagSet("dcfnode", pflag.ContinueOnError)
	addFlags(flags)
	require.NoError(t, flags.Parse(args))
	c, err := loadConfig(flags, environ)
	require.NoError(t, err)
	return c
}

func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.toml")
	require.NoError(t, os.WriteFile(path, []byte(
		"node-id = 5\ntimeout = \"5s\"\nspin = \"5us\"\njoin = [\"tcp://file:1\"]\ninsecure = true\n"),
		0o600))
	environ := []string{"DCF_NODE_ID=6", "DCF_TIMEOUT=6s", "DCF_JOIN=tcp://env:1,tcp://env:2",
		"HOME=/"}
	for _, c := range []struct {
		name    string
		environ []string
		args    []string
		id      uint64
		timeout time.Duration
		spin    time.Duration
		join    []string
		sources [3]string // of node-id, timeout and spin
	}{
		{"defaults", nil, nil, 0, core.DefaultTimeout, core.DefaultSpin, nil,
			[3]string{"default", "default", "default"}},
		{"file", nil, []string{"--config", path}, 5, 5 * time.Second, 5 * time.Microsecond,
			[]string{"tcp://file:1"}, [3]string{"file " + path, "file " + path, "file " + path}},
		{"file named by the environment", []string{"DCF_CONFIG=" + path}, nil, 5, 5 * time.Second,
			5 * time.Microsecond, []string{"tcp://file:1"},
			[3]string{"file " + path, "file " + path, "file " + path}},
		{"environment over file", environ, []string{"--config", path}, 6, 6 * time.Second,
			5 * time.Microsecond, []string{"tcp://env:1", "tcp://env:2"},
			[3]string{"environment", "environment", "file " + path}},
		{"flags over environment", environ, []string{"--config", path, "--node-id=7",
			"--join", "tcp://flag:1", "--join", "tcp://flag:2"}, 7, 6 * time.Second,
			5 * time.Microsecond, []string{"tcp://flag:1", "tcp://flag:2"},
			[3]string{"flag", "environment", "file " + path}},
		{"a flag that says the default", environ, []string{"--node-id=0"}, 0, 6 * time.Second, core.DefaultSpin,
			[]string{"tcp://env:1", "tcp://env:2"}, [3]string{"flag", "environment", "default"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := configOf(t, c.environ, c.args...)
			require.Equal(t, c.id, got.node.options.NodeID)
			require.Equal(t, c.timeout, got.node.options.Timeout)
			require.Equal(t, c.spin, got.node.options.Spin)
			require.Equal(t, c.join, got.node.options.Join)
			require.Equal(t, c.sources, [3]string{got.source("node-id"), got.source("timeout"),
				got.source("spin")})
			require.Equal(t, []string{defaultAddress}, got.node.options.Listen)
		})
	}
	require.True(t, configOf(t, nil, "--config", path).node.options.Insecure)
	require.False(t, configOf(t, nil, "--config", path, "--insecure=false").node.options.Insecure)
	require.True(t, configOf(t, nil, "--insecure").node.options.Insecure)
	require.True(t, configOf(t, []string{"DCF_INSECURE=1"}).node.options.Insecure)
}

func TestEverySetting(t *testing.T) {
	c := configOf(t, nil, "--listen", "unix:///run/dcf.sock", "--listen", "tcp://127.0.0.1:0",
		"--load", "prices=/data/a=b.arrow", "--load", "/data/carriers.arrow",
		"--remote", "far@away@9", "--memory-limit", "1.5GiB", "--shutdown-timeout", "3s",
		"--shared-memory", "off", "--shared-limit", "1GiB", "--shared-warm", "64MiB",
		"--log-level", "debug", "--log-format", "json")
	require.Equal(t, core.Options{
		Listen:      []string{"unix:///run/dcf.sock", "tcp://127.0.0.1:0"},
		Remote:      []core.Remote{{ID: vertex.NameID("far@away"), Node: 9}},
		MemoryLimit: 3 << 29, Timeout: core.DefaultTimeout, Spin: core.DefaultSpin,
		NoSharedMemory: true, SharedLimit: 1 << 30, SharedWarm: 64 << 20,
	}, c.node.options)
	require.Equal(t, []loadFile{{"prices", "/data/a=b.arrow"}, {"carriers", "/data/carriers.arrow"}},
		c.node.load)
	require.Equal(t, 3*time.Second, c.node.shutdown)
	require.Equal(t, "DEBUG", c.node.logLevel.String())
	require.Equal(t, "json", c.node.logFormat)
}

// What --print-config writes is a file that means the same.
func TestPrintConfig(t *testing.T) {
	args := []string{"--print-config", "--node-id", "2", "--load", "q\"\\\t=/a\u00e9.arrow",
		"--join", "tcp://a:1", "--insecure"}
	exit, printed, stderr := dcfnode([]string{"DCF_SPIN=20us"}, args...)
	require.Zero(t, exit, stderr)
	golden(t, "print_config.toml", printed)
	again, err := os.ReadFile("testdata/print_config.toml")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "again.toml")
	require.NoError(t, os.WriteFile(path, again, 0o600))
	require.Equal(t, configOf(t, []string{"DCF_SPIN=20us"}, args...).node,
		configOf(t, nil, "--config", path).node)
}

func TestUnknownVariables(t *testing.T) {
	c := configOf(t, []string{"DCF_LISTNE=x", "DCF_CONFIG=", "DCF_SPIN=1us", "OTHER=1"})
	require.Equal(t, []string{"DCF_LISTNE"}, c.unknown)
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "4096": 4096, "1B": 1, "1kB": 1000,
		"1KiB": 1024, "2MB": 2e6, "2MiB": 2 << 20, "1.5GiB": 3 << 29, "1 GB": 1e9, "1TiB": 1 << 40,
		"1TB": 1e12} {
		got, err := parseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "GiB", "-1", "1PB", "NaN", "inf", "9e99", "1 2", "0x"} {
		_, err := parseBytes(text)
		require.Error(t, err, text)
	}
}
