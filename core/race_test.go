//go:build race

package core

// slower is by how much the race detector slows the killing of clients down.
const slower = 10
