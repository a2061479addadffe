package arena

import "testing"

func BenchmarkLocate(b *testing.B) {
	share(b)
	block := Alloc(1 << 20)
	defer Free(block)
	for b.Loop() {
		if _, _, ok := Locate(block); !ok {
			b.Fatal("not shared")
		}
	}
}

// BenchmarkAllocFree takes warm blocks and gives them back, ordinary ones and those in segments.
func BenchmarkAllocFree(b *testing.B) {
	sizes := []struct {
		name string
		size int
	}{{"4KiB", 4 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}, {"64MiB", 64 << 20}}
	run := func(b *testing.B) {
		for _, s := range sizes {
			b.Run(s.name, func(b *testing.B) {
				Free(Alloc(s.size))
				for b.Loop() {
					Free(Alloc(s.size))
				}
			})
		}
	}
	if !sharing.on {
		b.Run("ordinary", run)
	}
	share(b)
	b.Run("shared", run)
}
