package sched

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPick(t *testing.T) {
	for _, test := range []struct {
		name string
		call Call
		want Choice
	}{
		{"shared", Call{HaveIt: true}, Owner},
		{"shared, wanted here", Call{HaveIt: true, Here: true}, Here},
		{"private", Call{HaveIt: true, Private: true}, Here},
		{"private, wanted there", Call{HaveIt: true, Private: true, AtOwner: true}, Owner},
		{"the owner lacks it", Call{HaveIt: true, Missing: true}, Here},
		{"only the owner can have it", Call{}, Owner},
		{"only the owner can have it, wanted here", Call{Here: true}, Owner},
	} {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.want, Pick(test.call)) })
	}
}
