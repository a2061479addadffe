package process

import (
	"fmt"
	"os"
	"strings"
)

// ResidentKiB gives the resident memory of a process, exactly: the cheaper /proc/PID/statm lags by
// some pages a processor.
func ResidentKiB(pid int) (float64, error) { return rollup(pid, "Rss:") }

// ProportionalKiB gives the resident memory of a process, where a page that n processes share
// counts as 1/n of one.
func ProportionalKiB(pid int) (float64, error) { return rollup(pid, "Pss:") }

// rollup reads a line of the sum over a process's mappings.
func rollup(pid int, field string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, field+" %f kB", &kib); n == 1 {
			return kib, nil
		}
	}
	return 0, fmt.Errorf("process: /proc/%d/smaps_rollup has no line %s", pid, field)
}
