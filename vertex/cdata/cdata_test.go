package cdata

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMemoryUnderSanitizers runs the C code without Go, with the tools that see memory that is used
// after its end or never freed, and races between threads.
func TestMemoryUnderSanitizers(t *testing.T) {
	for _, sanitizer := range []string{"address,undefined", "thread"} {
		t.Run(sanitizer, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "memory")
			out, err := exec.Command("cc", "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror",
				"-fsanitize="+sanitizer, "-o", program, "testdata/memory.c", "batch.c", "views.c", "slot.c",
				"../arena/arena.c", "../arena/segment.c", "../arena/units.c", "-lpthread").CombinedOutput()
			require.NoError(t, err, "%s", out)
			out, err = exec.Command(program).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
