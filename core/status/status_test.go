package status

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The header is the source of truth for other languages: names and numbers must agree.
func TestCodesEqualHeader(t *testing.T) {
	header, err := os.ReadFile("../../include/dcf.h")
	require.NoError(t, err)
	defines := regexp.MustCompile(`(?m)^#define (DCF_[A-Z_]+) (\d+)\b`).FindAllSubmatch(header, -1)
	numbers := map[string]int{}
	for _, d := range defines {
		n, err := strconv.Atoi(string(d[2]))
		require.NoError(t, err)
		numbers[string(d[1])] = n
	}
	for c := range Count {
		n, declared := numbers[c.String()]
		require.True(t, declared, "dcf.h does not declare %v", c)
		require.Equal(t, int(c), n, "%v", c)
	}
}

func TestErrorsIs(t *testing.T) {
	err := fmt.Errorf("open: %w", Errorf(NotFound, "no vertex %q: %w", "prices", io.EOF))
	require.ErrorIs(t, err, NotFound)
	require.NotErrorIs(t, err, Timeout)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, NotFound, Of(err))
	require.Equal(t, OK, Of(nil))
	require.Equal(t, Internal, Of(errors.New("other")))
	require.Equal(t, Timeout, Of(fmt.Errorf("wait: %w", Timeout)))
	require.Equal(t, "DCF_STATUS_99", Code(99).String())
}
