package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEveryPackageWithLimitsIsASection finds the limits.go files whose constants users may meet:
// those that are exported, of packages that are no benchmark.
func TestEveryPackageWithLimitsIsASection(t *testing.T) {
	const root = "../../.."
	listed := map[string]bool{}
	for _, section := range sections {
		listed[section.path] = true
	}
	exported := regexp.MustCompile(`(?m)^(const |\t)[A-Z]\w*( int64)? += `)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "limits.go" {
			return err
		}
		folder, _ := filepath.Rel(root, filepath.Dir(path))
		text, err := os.ReadFile(path)
		if strings.HasPrefix(folder, "bench") || !exported.Match(text) {
			return err
		}
		require.True(t, listed[folder], "%s/limits.go is no section of the page of limits", folder)
		delete(listed, folder)
		return err
	})
	require.NoError(t, err)
	require.Empty(t, listed, "sections without a limits.go")
}

func TestUnits(t *testing.T) {
	require.Equal(t, "255 bytes", size(255))
	require.Equal(t, "64 KiB", size(64<<10))
	require.Equal(t, "2,147,483,647 bytes", size(1<<31-1))
	require.Equal(t, "1,048,576", grouped(1<<20))
	require.Equal(t, "100", grouped(100))
	require.Equal(t, "1.5 s", duration(int64(1500*time.Millisecond)))
	require.Equal(t, "50 µs", duration(int64(50*time.Microsecond)))
	require.Equal(t, "| `MaxX` | 3 | How many. |\n",
		row{[]string{"MaxX"}, []string{"3"}, "MaxX is how many."}.line())
}
