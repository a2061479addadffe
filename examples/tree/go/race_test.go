//go:build race

package main

// The race detector remembers what goroutines did, in memory of its own that grows with them.
func init() { raceDetector = true }
