package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// MaxVertexLines is how many vertices the tables show; --json shows all.
const MaxVertexLines = 200

// print writes the report as tables for people.
func (r *report) print(out io.Writer) error {
	var b strings.Builder
	r.nodeTable(&b)
	r.vertexTable(&b)
	for _, n := range r.Nodes {
		if n.Role != "guest" && n.Alive {
			n.peerTable(&b)
			n.counterTable(&b)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// table writes lines of cells in columns, the first line as their heads.
func table(b *strings.Builder, lines [][]string) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	_ = w.Flush() // a strings.Builder takes everything
}

func (r *report) nodeTable(b *strings.Builder) {
	lines := [][]string{{"NODE", "ROLE", "ALIVE", "ROUND TRIP", "VERTICES", "DATA", "LIMIT",
		"CALLS SERVED", "RUNNING", "ADDRESSES"}}
	for _, n := range r.Nodes {
		line := []string{number(n.Node), n.Role, yes(n.Alive)}
		if n.Role == "guest" || !n.Alive {
			line = append(line, "-", "-", "-", "-", "-", "-")
		} else {
			line = append(line, roundTrip(n.RoundTripNs), n.Counters.text("vertices"),
				size(n.Counters["vertices.bytes"]), size(n.Counters["vertices.bytes.limit"]),
				n.Counters.text("calls.served"), n.Counters.text("calls.running"))
		}
		lines = append(lines, append(line, strings.Join(n.Addresses, " ")))
	}
	table(b, lines)
}

func (r *report) vertexTable(b *strings.Builder) {
	if len(r.Vertices) == 0 {
		b.WriteString("\nno vertices\n")
		return
	}
	lines := [][]string{{"VERTEX", "OWNER", "VERSION", "ROWS", "DATA", "CHILDREN"}}
	for i, v := range r.Vertices {
		if i == MaxVertexLines {
			break
		}
		name, rows := strconv.Quote(v.Name), "-"
		if v.Name == "" {
			name = v.ID
		}
		if v.Rows >= 0 {
			rows = number(v.Rows)
		}
		children := number(v.Children)
		if v.Group {
			children += " (group)"
		}
		lines = append(lines, []string{name, number(v.Owner), number(v.Version), rows,
			size(v.Bytes), children})
	}
	b.WriteByte('\n')
	table(b, lines)
	if more := len(r.Vertices) - MaxVertexLines; more > 0 {
		fmt.Fprintf(b, "and %d more: --json shows all\n", more)
	}
}

func (n *nodeReport) peerTable(b *strings.Builder) {
	if len(n.Peers) == 0 {
		return
	}
	lines := [][]string{{"PEER", "OVER", "REQUESTS", "FRAMES OUT", "FRAMES IN", "DATA OUT", "DATA IN",
		"SPUN", "SLEPT", "ROUND TRIP"}}
	for _, p := range n.Peers {
		lines = append(lines, []string{number(p.Node), p.ways(), p.Counters.text("requests.sent"),
			p.Counters.text("frames.sent"), p.Counters.text("frames.received"),
			size(p.Counters["bytes.sent"]), size(p.Counters["bytes.received"]),
			p.Counters.text("waits.spun"), p.Counters.text("waits.slept"),
			roundTrip(p.Counters["roundtrip.ns"])})
	}
	fmt.Fprintf(b, "\nnode %d and its peers\n", n.Node)
	table(b, lines)
}

// ways gives how the sessions with the peer go that are up.
func (p *peerReport) ways() string {
	var ways []string
	for name, up := range p.Counters {
		if way, ok := strings.CutPrefix(name, "sessions."); ok && up > 0 {
			ways = append(ways, way)
		}
	}
	if len(ways) == 0 {
		return "-"
	}
	slices.Sort(ways)
	return strings.Join(ways, " ")
}

func (n *nodeReport) counterTable(b *strings.Builder) {
	if len(n.Counters) == 0 {
		return
	}
	lines := [][]string{{"COUNTER", "VALUE"}}
	names := make([]string, 0, len(n.Counters))
	for name := range n.Counters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		lines = append(lines, []string{name, n.Counters.text(name)})
	}
	fmt.Fprintf(b, "\nnode %d\n", n.Node)
	table(b, lines)
}

// text is a counter for a cell: a node of another version may not have it.
func (c counters) text(name string) string {
	if value, ok := c[name]; ok {
		return number(value)
	}
	return "-"
}

func number[N int | int64 | uint64](n N) string { return fmt.Sprintf("%d", n) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func roundTrip(ns int64) string {
	if ns <= 0 {
		return "-"
	}
	return time.Duration(ns).Round(100 * time.Nanosecond).String()
}

// size writes bytes with a unit and three digits or so: 999 B, 1.46 KiB, 64.0 MiB.
func size(bytes int64) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	value := float64(bytes)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if value /= 1024; value < 1024 {
			return fmt.Sprintf("%.4g %s", value, unit)
		}
	}
	return fmt.Sprintf("%.4g TiB", value/1024)
}
