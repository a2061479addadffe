package main

import (
	"fmt"
	"go/ast"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// row is a line of a table: most often one constant, now and then some that share their words.
type row struct {
	names, values []string
	meaning       string
}

// line writes the row in Markdown. "MaxX is how many" becomes "How many".
func (r row) line() string {
	meaning := r.meaning
	if len(r.names) == 1 {
		meaning = strings.TrimPrefix(meaning, r.names[0]+" is ")
	}
	meaning = strings.ToUpper(meaning[:1]) + strings.ReplaceAll(meaning[1:], "|", `\|`)
	return fmt.Sprintf("| `%s` | %s | %s |\n", strings.Join(r.names, "`<br>`"),
		strings.Join(r.values, "<br>"), meaning)
}

// code is a status as Go writes it, spelling the place before a capital inside of its name.
var (
	code     = regexp.MustCompile(`status\.([A-Z]\w+)`)
	spelling = regexp.MustCompile(`([a-z])([A-Z])`)
)

// words gives a comment as one paragraph, with statuses as dcf.h calls them.
func words(comment *ast.CommentGroup) string {
	text := strings.Join(strings.Fields(comment.Text()), " ")
	return code.ReplaceAllStringFunc(text, func(status string) string {
		name := spelling.ReplaceAllString(strings.TrimPrefix(status, "status."), "${1}_$2")
		return "`DCF_" + strings.ToUpper(name) + "`"
	})
}

// grouped writes 65536 as 65,536.
func grouped(number int64) string {
	digits := strconv.FormatInt(number, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size writes 65536 as 64 KiB, and what is no whole number of a larger unit in bytes.
func size(bytes int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if factor := int64(1) << (30 - 10*i); bytes >= factor && bytes%factor == 0 {
			return grouped(bytes/factor) + " " + unit
		}
	}
	return grouped(bytes) + " bytes"
}

// duration writes 1500000000 as 1.5 s.
func duration(nanoseconds int64) string {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"s", time.Second}, {"ms", time.Millisecond}, {"µs", time.Microsecond}} {
		if nanoseconds >= int64(unit.size) {
			whole := float64(nanoseconds) / float64(unit.size)
			return strconv.FormatFloat(whole, 'g', -1, 64) + " " + unit.name
		}
	}
	return grouped(nanoseconds) + " ns"
}
