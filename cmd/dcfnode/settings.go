package main

import (
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"dcf/core"
	"dcf/vertex"
)

const (
	defaultAddress  = "tcp://127.0.0.1:7411"
	flagConfig      = "config"
	flagPrintConfig = "print-config"
)

// kind is what a setting's value looks like.
type kind int

const (
	text   kind = iota // one value
	list               // any number of them
	toggle             // true or false
)

// setting is one thing that can be configured: a flag, an environment variable and a key of the
// file at once.
type setting struct {
	key      string
	kind     kind
	argument string   // how --help calls the value
	defaults []string // one for text, any for list, none for toggle
	help     string
	apply    func(n *node, value string) error // called for each value
}

// node is a configuration that was understood.
type node struct {
	options   core.Options
	load      []loadFile
	shutdown  time.Duration
	logLevel  slog.Level
	logFormat string
}

// loadFile is a file that becomes a vertex.
type loadFile struct{ name, path string }

// settings are all there are, in the order of --help.
var settings = []setting{
	{"listen", list, "ADDRESS", []string{defaultAddress},
		"serve at tcp://host:port (port 0: any free one), unix:///path or shm:///path; repeatable",
		func(n *node, value string) error {
			n.options.Listen = append(n.options.Listen, value)
			return address(value)
		}},
	{"join", list, "ADDRESS", nil,
		"join the cluster of the node there; repeated: the first that answers",
		func(n *node, value string) error {
			n.options.Join = append(n.options.Join, value)
			return address(value)
		}},
	{"node-id", text, "N", []string{"0"}, "this node's id in the cluster; 0: chosen at random",
		func(n *node, value string) (err error) {
			n.options.NodeID, err = strconv.ParseUint(value, 10, 64)
			if err != nil || n.options.NodeID > vertex.MaxNodeID {
				return fmt.Errorf("want a whole number from 0 to %d", uint64(vertex.MaxNodeID))
			}
			return nil
		}},
	{"load", list, "[NAME=]FILE", nil,
		"make a vertex of an Arrow IPC file, named like the file unless told; repeatable",
		func(n *node, value string) error {
			name, path, named := strings.Cut(value, "=")
			if !named {
				path = value
				name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
			}
			if name == "" || path == "" || len(name) > vertex.MaxNameBytes {
				return fmt.Errorf("want NAME=FILE or FILE, with a name of 1 to %d bytes",
					vertex.MaxNameBytes)
			}
			for _, other := range n.load {
				if other.name == name {
					return fmt.Errorf("the name %q is there twice", name)
				}
			}
			n.load = append(n.load, loadFile{name: name, path: path})
			return nil
		}},
	{"remote", list, "NAME@NODE", nil,
		"know beforehand that the vertex NAME belongs to node NODE; repeatable",
		func(n *node, value string) error {
			at := strings.LastIndexByte(value, '@')
			if at <= 0 || at > vertex.MaxNameBytes {
				return fmt.Errorf("want NAME@NODE, with a name of 1 to %d bytes", vertex.MaxNameBytes)
			}
			id, err := strconv.ParseUint(value[at+1:], 10, 64)
			if err != nil || id == 0 || id > vertex.MaxNodeID {
				return fmt.Errorf("want NAME@NODE, with a node id from 1 to %d",
					uint64(vertex.MaxNodeID))
			}
			n.options.Remote = append(n.options.Remote,
				core.Remote{ID: vertex.NameID(value[:at]), Node: id})
			return nil
		}},
	{"memory-limit", text, "BYTES", []string{"0"},
		"how much vertex data to hold, for example 4GiB; 0: half of the machine's memory",
		func(n *node, value string) (err error) {
			n.options.MemoryLimit, err = parseBytes(value)
			return err
		}},
	{"timeout", text, "DURATION", []string{core.DefaultTimeout.String()},
		"how long anything waits that is not told otherwise",
		func(n *node, value string) (err error) {
			n.options.Timeout, err = duration(value, time.Millisecond)
			return err
		}},
	{"shutdown-timeout", text, "DURATION", []string{"10s"},
		"how long calls under way may go on after a signal to stop",
		func(n *node, value string) (err error) {
			n.shutdown, err = duration(value, time.Millisecond)
			return err
		}},
	{"shared-memory", text, "SWITCH", []string{"on"},
		"on or off: go on over shared memory with nodes and programs of this host and user",
		func(n *node, value string) error {
			n.options.NoSharedMemory = value == "off"
			if value != "on" && value != "off" {
				return fmt.Errorf("want on or off")
			}
			return nil
		}},
	{"shared-limit", text, "BYTES", []string{"0"},
		"how much vertex data others of this host may map, for example 4GiB; 0: 1TiB",
		func(n *node, value string) (err error) {
			n.options.SharedLimit, err = parseBytes(value)
			return err
		}},
	{"shared-warm", text, "BYTES", []string{"0"},
		"how much of it gets its pages at the start, in the background",
		func(n *node, value string) (err error) {
			n.options.SharedWarm, err = parseBytes(value)
			return err
		}},
	{"spin", text, "DURATION", []string{"50us"}, // core.DefaultSpin
		"how long whoever waits for a frame polls before it sleeps; 0: never",
		func(n *node, value string) (err error) {
			n.options.Spin, err = duration(value, 0)
			return err
		}},
	{"insecure", toggle, "", nil,
		"allow to listen beyond loopback, where anybody can then read, change and run everything",
		func(n *node, _ string) error {
			n.options.Insecure = true
			return nil
		}},
	{"log-level", text, "LEVEL", []string{"info"}, "debug, info, warn or error",
		func(n *node, value string) error {
			if n.logLevel.UnmarshalText([]byte(value)) != nil {
				return fmt.Errorf("want debug, info, warn or error")
			}
			return nil
		}},
	{"log-format", text, "FORMAT", []string{"text"}, "text or json",
		func(n *node, value string) error {
			n.logFormat = value
			if value != "text" && value != "json" {
				return fmt.Errorf("want text or json")
			}
			return nil
		}},
}

// flagValue is a setting on the command line: it keeps the text, and the setting judges it.
type flagValue struct {
	setting *setting
	values  []string
	given   bool // on the command line: no defaults among the values
}

// addFlags makes the flags of serve.
func addFlags(flags *pflag.FlagSet) {
	for i := range settings {
		s := &settings[i]
		f := flags.VarPF(&flagValue{setting: s, values: s.defaults}, s.key, "", s.help)
		if s.kind == toggle {
			f.NoOptDefVal = "true"
		}
	}
	flags.Var(&flagValue{setting: &setting{argument: "FILE"}}, flagConfig,
		"read settings from this TOML file (or the one that DCF_CONFIG names)")
	flags.Bool(flagPrintConfig, false, "print the settings and where each comes from, and stop")
}

// Set takes one more value of a list, and the last one of anything else.
func (f *flagValue) Set(value string) error {
	if f.setting.kind != list || !f.given {
		f.values = nil
	}
	f.values, f.given = append(f.values, value), true
	return nil
}

// String is the default that --help shows.
func (f *flagValue) String() string { return strings.Join(f.values, ",") }

// Type is what --help calls the value.
func (f *flagValue) Type() string {
	if f.setting.kind == toggle {
		return "bool"
	}
	return f.setting.argument
}

// layered is the value for a layer of the configuration.
func (f *flagValue) layered() any {
	if f.setting.kind == list {
		return f.values
	}
	return f.String()
}

func address(value string) error {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok || rest == "" || scheme != "tcp" && scheme != "unix" && scheme != "shm" {
		return fmt.Errorf("want tcp://host:port, unix:///path or shm:///path")
	}
	return nil
}

func duration(value string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < least {
		return 0, fmt.Errorf("want a duration of at least %v, for example 500ms, 30s or 2m", least)
	}
	return d, nil
}

// units are those of sizes, the longer ones first.
var units = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// parseBytes reads a size such as 4GiB, 1.5GB or 4096.
func parseBytes(value string) (int64, error) {
	number, factor := value, 1.0
	for _, unit := range units {
		if rest, ok := strings.CutSuffix(value, unit.suffix); ok {
			number, factor = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	size, err := strconv.ParseFloat(number, 64)
	if size *= factor; err != nil || !(size >= 0) || size >= math.MaxInt64 {
		return 0, fmt.Errorf("want a size, for example 4GiB, 512MiB or 1000000")
	}
	return int64(size), nil
}
