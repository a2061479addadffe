package store

import (
	"testing"

	"dcf/vertex"
)

func BenchmarkPinUnpin(b *testing.B) {
	s := Open(1 << 20)
	defer s.Close()
	for b.Loop() {
		pin, _ := s.Pin()
		s.Unpin(pin)
	}
}

func BenchmarkFind(b *testing.B) {
	s := Open(1 << 20)
	defer s.Close()
	id := vertex.NameID("x")
	r, _ := s.Create(Vertex{ID: id})
	s.Release(r)
	pin, _ := s.Pin()
	defer s.Unpin(pin)
	for b.Loop() {
		s.Find(id)
	}
}

func BenchmarkApply(b *testing.B) {
	s := Open(1 << 20)
	defer s.Close()
	r, _ := s.Create(Vertex{ID: vertex.NameID("x"), Value: vertex.Int64Batch("x", 1)})
	defer s.Release(r)
	for b.Loop() {
		_, _ = s.Apply(r, 0, Change{})
	}
}
