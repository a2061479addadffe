package main

// #include "capi.h"
import "C"

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/pelletier/go-toml/v2"

	"dcf/core"
	"dcf/vertex"
)

// config is what dcf_worker_options.config may say; dcf.h describes it.
type config struct {
	Insecure     bool     `toml:"insecure"`
	Log          string   `toml:"log"`
	SharedMemory *bool    `toml:"shared_memory"`
	SharedLimit  int64    `toml:"shared_limit"`
	SharedWarm   int64    `toml:"shared_warm"`
	Remote       []remote `toml:"remote"`
}

type remote struct {
	Name string `toml:"name"`
	ID   string `toml:"id"`
	Node uint64 `toml:"node"`
}

// optionsOf turns the caller's options, or NULL, into core's.
func optionsOf(from *C.dcf_worker_options) (core.Options, error) {
	o := core.Options{}
	if from == nil {
		return o, nil
	}
	in := C.dcf_worker_options{spin_ns: -1}
	if err := sized(from, &in, "DCF_WORKER_OPTIONS_INIT"); err != nil {
		return o, err
	}
	if err := known(in.flags, 0); err != nil {
		return o, err
	}
	listen, err := text(in.listen, "options->listen")
	if err != nil {
		return o, err
	}
	join, err := text(in.join, "options->join")
	if err != nil {
		return o, err
	}
	if in.memory_limit > math.MaxInt64 || in.timeout_ns < 0 || in.spin_ns < -1 {
		return o, invalid("options: memory_limit must be below 2^63, timeout_ns not negative, and " +
			"spin_ns not below -1")
	}
	o.NodeID, o.Listen, o.Join = uint64(in.node_id), list(listen), list(join)
	o.MemoryLimit, o.Timeout = int64(in.memory_limit), time.Duration(in.timeout_ns)
	o.Spin = spinOf(in.spin_ns)
	toml, err := view(in.config, "options->config")
	if err != nil {
		return o, err
	}
	return o, configure(&o, toml)
}

// configure adds what a TOML text says to options.
func configure(o *core.Options, text []byte) error {
	var c config
	decoder := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		if unknown := (*toml.StrictMissingError)(nil); errors.As(err, &unknown) {
			return invalid("config: unknown key: dcf.h lists the known ones above dcf_worker_open:\n%s",
				unknown.String())
		}
		return invalid("config: %w", err)
	}
	o.Insecure = c.Insecure
	o.SharedLimit, o.SharedWarm = c.SharedLimit, c.SharedWarm
	o.NoSharedMemory = c.SharedMemory != nil && !*c.SharedMemory
	if c.Log != "" {
		var level slog.Level
		if err := level.UnmarshalText([]byte(c.Log)); err != nil {
			return invalid("config: log is %q: it is one of debug, info, warn, error", c.Log)
		}
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	}
	for _, r := range c.Remote {
		ref, err := r.reference()
		if err != nil {
			return err
		}
		o.Remote = append(o.Remote, ref)
	}
	return nil
}

func (r remote) reference() (core.Remote, error) {
	if (r.Name == "") == (r.ID == "") || r.Node == 0 {
		return core.Remote{}, invalid("config: each [[remote]] has a node, and either a name or an id")
	}
	if r.Name != "" {
		return core.Remote{ID: vertex.NameID(r.Name), Node: r.Node}, nil
	}
	id, err := vertex.ParseID(r.ID)
	if err != nil {
		return core.Remote{}, invalid("config: %w", err)
	}
	return core.Remote{ID: id, Node: r.Node}, nil
}

// spinOf turns what C says of spinning (-1: as the library likes, 0: never) into what core takes.
func spinOf(ns C.int64_t) time.Duration {
	switch ns {
	case -1:
		return 0
	case 0:
		return -1
	}
	return time.Duration(ns)
}
