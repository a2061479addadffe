package measure

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// columns are the headings of every table.
var columns = []string{"case", "p50", "p99", "p99.9", "calls/s", "floor", "difference", "ratio",
	"limit", ""}

// row gives a result's cells.
func (r *Result) row() []string {
	verdict := "miss"
	switch {
	case r.Error != "":
		return []string{r.Case, "", "", "", "", "", "", "", r.Limit.String(), "error"}
	case r.Pass:
		verdict = "pass"
	}
	if r.Disturbed {
		verdict += ", disturbed"
	}
	if r.Value != nil {
		return []string{r.Case, fmt.Sprintf("%g %s", *r.Value, r.Unit), "", "", "", "", "", "",
			r.Limit.String(), verdict}
	}
	cells := []string{r.Case, duration(r.P50Ns), duration(r.P99Ns), duration(r.P999Ns),
		count(r.OpsPerS), "", "", "", r.Limit.String(), verdict}
	if r.PairedDifferenceNs != nil {
		cells[5] = duration(r.FloorP50Ns)
		cells[6] = fmt.Sprintf("%s (%s to %s)", duration(*r.PairedDifferenceNs),
			duration(*r.PairedDifferenceLowNs), duration(*r.PairedDifferenceHighNs))
		cells[7] = fmt.Sprintf("%.2f", r.Ratio)
		if r.WorstRatio > 0 {
			cells[7] += fmt.Sprintf(" (worst %.2f)", r.WorstRatio)
		}
	}
	return cells
}

// WriteTable writes results for a terminal.
func WriteTable(w io.Writer, machine Machine, results []Result) error {
	fmt.Fprintf(w, "%s\n\n", machine)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	for i := range results {
		fmt.Fprintln(t, strings.Join(results[i].row(), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return writeErrors(w, results)
}

// writeErrors says why cases have no figures.
func writeErrors(w io.Writer, results []Result) error {
	for i := range results {
		if r := &results[i]; r.Error != "" {
			if _, err := fmt.Fprintf(w, "\n%s: %s\n", r.Case, r.Error); err != nil {
				return err
			}
		}
	}
	return nil
}

// WriteMarkdown writes results as a table for the manual.
func WriteMarkdown(w io.Writer, machine Machine, results []Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", machine)
	rule := strings.Repeat(" --- |", len(columns))
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), rule)
	for i := range results {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(results[i].row(), " | "))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return writeErrors(w, results)
}

// duration writes nanoseconds with three significant digits and a fitting unit.
func duration(ns float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}} {
		if ns >= unit.size || ns <= -unit.size {
			return digits(ns/unit.size) + " " + unit.name
		}
	}
	return digits(ns) + " ns"
}

func count(perSecond float64) string {
	switch {
	case perSecond >= 1e6:
		return digits(perSecond/1e6) + " M"
	case perSecond >= 1e3:
		return digits(perSecond/1e3) + " k"
	default:
		return digits(perSecond)
	}
}

// digits writes three significant digits, and all of those before the point.
func digits(v float64) string {
	switch magnitude := max(v, -v); {
	case magnitude >= 100:
		return fmt.Sprintf("%.0f", v)
	case magnitude >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
