package ring

import "testing"

func BenchmarkPut(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1-slot", 40}, {"3-slots", 160}, {"4-slots", 224}} {
		b.Run(size.name, func(b *testing.B) {
			p, c := ends()
			message := make([]byte, size.bytes)
			var buffer [MaxMessage]byte
			for b.Loop() {
				p.Put(1, message)
				p.Publish()
				p.Wake()
				if _, _, found, _ := c.Take(&buffer); !found {
					b.Fatal("nothing came")
				}
			}
		})
	}
}
