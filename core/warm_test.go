package core

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What makes the first get fast is worth nothing if it fails, and nobody would see that.
func TestWarm(t *testing.T) { require.NoError(t, passTable()) }
