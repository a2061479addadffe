// Package abi checks that libdcf, its header and those who use it stay in step: what the header
// declares, what the library exports, what the Python extension calls, and how structs lie in
// memory. It holds the reading of those; the checks are its tests.
package abi

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Header is include/dcf.h without its comments.
type Header struct{ text string }

var comments = regexp.MustCompile(`(?s)/\*.*?\*/`)

// ReadHeader reads a C header.
func ReadHeader(path string) (*Header, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &Header{comments.ReplaceAllString(string(content), "")}, nil
}

var declaration = regexp.MustCompile(`(?m)^(?:const )?\w+\*? \*?(dcf_\w+)\(`)

// Functions gives the names of the functions that the header declares, sorted.
func (h *Header) Functions() []string {
	var names []string
	for _, match := range declaration.FindAllStringSubmatch(h.text, -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return names
}

// Field is a member of a struct.
type Field struct{ Struct, Name string }

var (
	structs = regexp.MustCompile(`(?ms)^(?:typedef )?struct (dcf_\w+) \{\n(.*?)^\}`)
	method  = regexp.MustCompile(`\(\*(\w+)\)\(`)
	member  = regexp.MustCompile(`(\w+)(?:\[\w+\])?$`)
)

// Fields gives the members of all structs in the order of the header.
func (h *Header) Fields() []Field {
	var fields []Field
	for _, match := range structs.FindAllStringSubmatch(h.text, -1) {
		for text := range strings.SplitSeq(match[2], ";") {
			text = strings.TrimSpace(text)
			if name := method.FindStringSubmatch(text); name != nil {
				fields = append(fields, Field{match[1], name[1]})
			} else if name := member.FindStringSubmatch(text); name != nil {
				fields = append(fields, Field{match[1], name[1]})
			}
		}
	}
	return fields
}

var constant = regexp.MustCompile(`(?m)^#define (DCF_\w+) \(?[0-9(]`)

// Constants gives the names of the numbers that the header defines, sorted.
func (h *Header) Constants() []string {
	var names []string
	for _, match := range constant.FindAllStringSubmatch(h.text, -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return names
}

// Probe writes a C program that prints the list which abi.txt commits: constants and their numbers,
// structs and their sizes, members and their offsets.
func (h *Header) Probe() string {
	var out strings.Builder
	out.WriteString("#include <dcf.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n")
	for _, name := range h.Constants() {
		fmt.Fprintf(&out, "  printf(\"%s %%lld\\n\", (long long)%s);\n", name, name)
	}
	last := ""
	for _, f := range h.Fields() {
		if f.Struct != last {
			last = f.Struct
			fmt.Fprintf(&out, "  printf(\"%s %%zu\\n\", sizeof(%s));\n", f.Struct, f.Struct)
		}
		fmt.Fprintf(&out, "  printf(\"%s.%s %%zu\\n\", offsetof(%s, %s));\n",
			f.Struct, f.Name, f.Struct, f.Name)
	}
	out.WriteString("  return 0;\n}\n")
	return out.String()
}

// RustList gives the same list out of Rust's bindings; what they lack has no number in it.
func RustList(h *Header, bindings string) string {
	var out strings.Builder
	write := func(name, pattern string) {
		number := ""
		if match := regexp.MustCompile(pattern).FindStringSubmatch(bindings); match != nil {
			number = match[1]
		}
		fmt.Fprintf(&out, "%s %s\n", name, number)
	}
	for _, name := range h.Constants() {
		write(name, `pub const `+name+`: \w+ = (\d+);`)
	}
	last := ""
	for _, f := range h.Fields() {
		if f.Struct != last {
			last = f.Struct
			write(f.Struct, `\["Size of `+f.Struct+`"\]\[[^\]]*- (\d+)usize\]`)
		}
		name := f.Struct + "::" + f.Name
		write(f.Struct+"."+f.Name, `\["Offset of field: `+name+`"\]\s*\[[^\]]*- (\d+)usize\]`)
	}
	return out.String()
}

// Exported reads what `nm -D --defined-only` prints: the functions of a library, sorted.
func Exported(output []byte) []string {
	var names []string
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[1] == "T" {
			name, _, _ := strings.Cut(fields[2], "@")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Mapped reads the names that a linker's version script exports, sorted.
func Mapped(script []byte) []string {
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^    (dcf_\w+);$`).FindAllSubmatch(script, -1) {
		names = append(names, string(match[1]))
	}
	slices.Sort(names)
	return names
}

// Used gives those of the names that occur in the C, Python or Rust files below a folder, sorted.
func Used(folder string, names []string) ([]string, error) {
	word := regexp.MustCompile(`\bdcf_\w+\b`)
	found := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		isSource := slices.Contains([]string{".c", ".h", ".py", ".rs"}, filepath.Ext(path))
		if err != nil || entry.IsDir() || !isSource {
			return err
		}
		content, err := os.ReadFile(path)
		for _, name := range word.FindAll(content, -1) {
			found[string(name)] = true
		}
		return err
	})
	var used []string
	for _, name := range names {
		if found[name] {
			used = append(used, name)
		}
	}
	slices.Sort(used)
	return used, err
}

// Unused reads a list of names with the reason why each is not used: "name: reason" a line, where
// lines that start with # are comments.
func Unused(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	reasons := map[string]string{}
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, found := strings.Cut(line, ": ")
		if !found || reason == "" {
			return nil, fmt.Errorf("%s: %q is not \"name: reason\"", path, line)
		}
		reasons[name] = reason
	}
	return reasons, nil
}
