package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const envPrefix = "DCF_"

// config is the settings of all layers, each later one over those before.
type config struct {
	merged  *koanf.Koanf
	layers  []layer
	node    node
	unknown []string // variables of the environment that may be misspelt
}

type layer struct {
	name   string // "default", "file dcfnode.toml", "environment", "flag"
	values *koanf.Koanf
}

// loadConfig reads defaults, file, environment and flags, and checks all values.
func loadConfig(flags *pflag.FlagSet, environ []string) (*config, error) {
	c := &config{merged: koanf.New("")}
	defaults := map[string]any{}
	for _, s := range settings {
		defaults[s.key] = plainDefault(s)
	}
	if err := c.add("default", confmap.Provider(defaults, ""), nil); err != nil {
		return nil, err
	}
	if err := c.addFile(flags, environ); err != nil {
		return nil, err
	}
	err := c.add("environment", env.Provider("", env.Opt{Prefix: envPrefix,
		EnvironFunc: func() []string { return environ }, TransformFunc: fromEnvironment}), nil)
	if err != nil {
		return nil, err
	}
	changed := func(f *pflag.Flag) (string, any) {
		if !f.Changed || f.Name == flagConfig || f.Name == flagPrintConfig || find(f.Name) == nil {
			return "", nil
		}
		return f.Name, f.Value.(*flagValue).layered()
	}
	if err := c.add("flag", posflag.ProviderWithFlag(flags, "", nil, changed), nil); err != nil {
		return nil, err
	}
	c.unknown = unknownVariables(environ)
	return c, c.understand()
}

// unknownVariables are those that look like settings and are none. They may belong to another part
// of dcf, so they are no error.
func unknownVariables(environ []string) (unknown []string) {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envPrefix+"CONFIG" {
			continue
		}
		if key, _ := fromEnvironment(name, value); key == "" {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

func plainDefault(s setting) any {
	switch s.kind {
	case list:
		return s.defaults
	case toggle:
		return false
	}
	return s.defaults[0]
}

func find(key string) *setting {
	for i := range settings {
		if settings[i].key == key {
			return &settings[i]
		}
	}
	return nil
}

// fromEnvironment turns DCF_NODE_ID into node-id. Variables of other parts of dcf are left alone.
func fromEnvironment(name, value string) (string, any) {
	key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", "-")
	s := find(key)
	switch {
	case s == nil:
		return "", nil
	case s.kind != list:
		return key, value
	case value == "":
		return key, []string{}
	}
	return key, strings.Split(value, ",")
}

func (c *config) add(name string, provider koanf.Provider, parser koanf.Parser) error {
	l := layer{name: name, values: koanf.New("")}
	if err := l.values.Load(provider, parser); err != nil {
		return wrong("%s: %w", name, err)
	}
	if err := c.merged.Merge(l.values); err != nil {
		return wrong("%s: %w", name, err)
	}
	c.layers = append(c.layers, l)
	return nil
}

func (c *config) addFile(flags *pflag.FlagSet, environ []string) error {
	path := flags.Lookup(flagConfig).Value.String()
	if !flags.Changed(flagConfig) {
		for _, variable := range environ {
			if value, ok := strings.CutPrefix(variable, envPrefix+"CONFIG="); ok {
				path = value
			}
		}
	}
	if path == "" {
		return nil
	}
	if err := c.add("file "+path, file.Provider(path), toml.Parser()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return wrong("the configuration file %s does not exist", path)
		}
		return wrong("the configuration %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	values := c.layers[len(c.layers)-1].values
	for _, key := range values.Keys() {
		if find(key) == nil {
			return wrong("the configuration file %s has the unknown key %q: the keys are %s", path,
				key, strings.Join(keys(), ", "))
		}
	}
	return nil
}

func keys() (all []string) {
	for _, s := range settings {
		all = append(all, s.key)
	}
	return all
}

// understand turns values into options, and says of a wrong one where it came from.
func (c *config) understand() error {
	for _, s := range settings {
		values, err := c.values(s)
		for _, value := range values {
			if err == nil && (s.kind != toggle || value == "true") {
				if err = s.apply(&c.node, value); err != nil {
					err = fmt.Errorf("%q: %w", value, err)
				}
			}
		}
		if err != nil {
			return wrong("%s (%s): %w", s.key, c.source(s.key), err)
		}
	}
	if len(c.node.options.Listen) == 0 {
		return wrong("listen (%s): a node listens somewhere; leave it out for %s",
			c.source("listen"), defaultAddress)
	}
	return nil
}

// values gives a setting's values as text, whatever their layer has them in.
func (c *config) values(s setting) ([]string, error) {
	value := c.merged.Get(s.key)
	many, isList := value.([]any)
	if texts, ok := value.([]string); ok {
		isList = true
		for _, t := range texts {
			many = append(many, t)
		}
	}
	switch {
	case isList && s.kind != list:
		return nil, errors.New("want one value, not a list")
	case !isList:
		many = []any{value}
	}
	var values []string
	for _, v := range many {
		switch v := v.(type) {
		case string, int64, float64, bool:
			values = append(values, fmt.Sprint(v))
		default:
			return nil, fmt.Errorf("want plain values, not %T", v)
		}
	}
	if s.kind == toggle {
		on, err := strconv.ParseBool(values[0])
		if err != nil {
			return nil, fmt.Errorf("%q: want true or false", values[0])
		}
		values[0] = strconv.FormatBool(on)
	}
	return values, nil
}

// source names the layer that a value comes from.
func (c *config) source(key string) string {
	for _, l := range slices.Backward(c.layers) {
		if l.values.Exists(key) {
			return l.name
		}
	}
	return "default"
}

// print writes the settings as a TOML file that gives the same configuration.
func (c *config) print(out io.Writer) error {
	var b strings.Builder
	for _, s := range settings {
		values, err := c.values(s)
		if err != nil {
			return err
		}
		for i := range values {
			if s.kind != toggle && s.key != "node-id" {
				values[i] = quote(values[i])
			}
		}
		text := strings.Join(values, ", ")
		if s.kind == list {
			text = "[" + text + "]"
		}
		fmt.Fprintf(&b, "%s = %s  # %s\n", s.key, text, c.source(s.key))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// quote writes a TOML basic string.
func quote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
