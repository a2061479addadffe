//go:build !race

package core

const slower = 1
