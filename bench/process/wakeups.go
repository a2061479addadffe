package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// WakeUps gives how often the threads that a process has now went to sleep by themselves so far,
// which is how often they were or will be woken.
func WakeUps(pid int) (int64, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("process: %d has no threads: has it ended?", pid)
	}
	var all int64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("process: a thread ended while they were counted: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			var n int64
			if found, _ := fmt.Sscanf(line, "voluntary_ctxt_switches: %d", &n); found == 1 {
				all += n
			}
		}
	}
	return all, nil
}
