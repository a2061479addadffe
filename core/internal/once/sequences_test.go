package once

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dcf/core/status"
)

func TestSequences(t *testing.T) {
	var s Sequences
	require.Equal(t, uint64(1), s.Floor())
	for want := uint64(1); want <= 3; want++ {
		sequence, err := s.Begin()
		require.NoError(t, err)
		require.Equal(t, want, sequence)
	}
	s.Finish(2)
	require.Equal(t, uint64(1), s.Floor(), "1 is not finished")
	require.True(t, s.Unfinished(1))
	require.False(t, s.Unfinished(2))
	s.Finish(1)
	require.Equal(t, uint64(3), s.Floor())
	s.Finish(1)
	s.Finish(99)
	require.Equal(t, uint64(3), s.Floor())
	s.Finish(3)
	require.Equal(t, uint64(4), s.Floor())
	require.False(t, s.Unfinished(4), "it was not handed out")
	require.Zero(t, s.Outstanding())
}

func TestSequencesRunFull(t *testing.T) {
	var s Sequences
	oldest, err := s.Begin()
	require.NoError(t, err)
	for range MaxOutstanding - 1 {
		sequence, err := s.Begin()
		require.NoError(t, err)
		s.Finish(sequence)
	}
	_, err = s.Begin()
	require.ErrorIs(t, err, status.Exhausted)
	require.Contains(t, err.Error(), "update 1 is not finished")
	s.Finish(oldest)
	require.Equal(t, uint64(MaxOutstanding+1), s.Floor())
	sequence, err := s.Begin()
	require.NoError(t, err)
	require.True(t, s.Unfinished(sequence), "its bit was used before")
}

func TestSequencesAgainstSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Sequences
		open := map[uint64]bool{}
		last := uint64(0)
		pick := rapid.Uint64Range(0, 300)
		for range rapid.IntRange(0, 500).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "choice") < 5 {
				sequence, err := s.Begin()
				require.NoError(t, err)
				last++
				require.Equal(t, last, sequence)
				open[sequence] = true
			} else {
				sequence := pick.Draw(t, "finished")
				require.Equal(t, open[sequence], s.Unfinished(sequence))
				s.Finish(sequence)
				delete(open, sequence)
			}
			floor := last + 1
			for sequence := range open {
				floor = min(floor, sequence)
			}
			require.Equal(t, floor, s.Floor())
			require.Equal(t, int(last+1-floor), s.Outstanding())
		}
	})
}

func TestSequencesAllocateNothing(t *testing.T) {
	var s Sequences
	step := func() {
		sequence, err := s.Begin()
		if err != nil {
			panic(err)
		}
		s.Finish(sequence)
	}
	step()
	require.Zero(t, testing.AllocsPerRun(1000, step))
}
