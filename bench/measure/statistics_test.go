package measure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// round makes blocks of one round, each of one thread and of samples that all are the given time.
func round(n int, times map[string]float64) []Block {
	var blocks []Block
	for series, ns := range times {
		blocks = append(blocks, Block{Case: "c", Series: series, Round: n, Threads: 1, Calls: 1000,
			ElapsedNs: int64(1000 * ns), Samples: []float64{ns, ns, ns}})
	}
	return blocks
}

func TestComputeTakesTheMedianOfPairedDifferences(t *testing.T) {
	// The machine slows down by 100 ns half-way: both sides pay, the difference stays 10. One round
	// is spoilt on one side only.
	var blocks []Block
	for n, floor := range []float64{50, 50, 50, 150, 150, 150, 150} {
		times := map[string]float64{Floor: floor, Product: floor + 10}
		if n == 5 {
			times[Product] = 5000
		}
		blocks = append(blocks, round(n, times)...)
	}
	f, err := Compute(blocks, Median)
	require.NoError(t, err)
	require.Equal(t, 7, f.Rounds)
	require.InDelta(t, 150, f.FloorP50, 1e-9)
	require.InDelta(t, 10, f.PairedDifference, 1e-9)
	require.InDelta(t, 160.0/150, f.Ratio, 1e-9)
	require.InDelta(t, 60, f.Min, 1e-9)
	require.InDelta(t, 10, f.DifferenceLow, 1e-9)
	require.InDelta(t, 10, f.DifferenceHigh, 1e-9)
}

func TestComputeBuildsFloorsOfSeveralSeries(t *testing.T) {
	f, err := Compute(round(0, map[string]float64{
		Product: 100, Floor: 65, FloorAdd: 90, FloorSubtract: 50}), Median)
	require.NoError(t, err)
	require.InDelta(t, 105, f.FloorP50, 1e-9)
	require.InDelta(t, -5, f.PairedDifference, 1e-9)
}

func TestComputeWithoutFloor(t *testing.T) {
	f, err := Compute(round(0, map[string]float64{Product: 100}), Median)
	require.NoError(t, err)
	require.Zero(t, f.FloorP50)
	require.Zero(t, f.Ratio)
	require.InDelta(t, 1e7, f.OpsPerSecond, 1e-3)
}

func TestComputeOfThreads(t *testing.T) {
	// Four threads made 8 calls in 100 ns: a call took a thread 50 ns, and 80 million were made a
	// second. Each sample, though, says 10.
	block := Block{Case: "c", Series: Product, Threads: 4, Calls: 8, ElapsedNs: 100,
		Samples: []float64{10}}
	floor := block
	floor.Series, floor.ElapsedNs = Floor, 60
	f, err := Compute([]Block{block, floor}, Mean)
	require.NoError(t, err)
	require.InDelta(t, 30, f.FloorP50, 1e-9)
	require.InDelta(t, 20, f.PairedDifference, 1e-9)
	require.InDelta(t, 8e7, f.OpsPerSecond, 1e-3)
	require.InDelta(t, 10, f.P50, 1e-9)
}

func TestComputeOfTails(t *testing.T) {
	// The slowest of a hundred took 100 times as long as the others, of the floor 40 times.
	block := Block{Case: "c", Series: Product, Threads: 1, Calls: 1001, ElapsedNs: 1}
	floor := block
	floor.Series = Floor
	for i := range 1001 {
		ns := 10.0
		switch {
		case i%1000 == 999:
			ns = 9000
		case i%91 == 90:
			ns = 1000
		}
		block.Samples = append(block.Samples, ns)
		floor.Samples = append(floor.Samples, ns*0.4)
	}
	for _, test := range []struct {
		statistic   Statistic
		floor, ours float64
	}{{Median, 4, 10}, {P99, 400, 1000}, {P999, 400, 1000}} {
		f, err := Compute([]Block{block, floor}, test.statistic)
		require.NoError(t, err)
		require.InDelta(t, test.floor, f.FloorP50, 1e-9)
		require.InDelta(t, test.ours-test.floor, f.PairedDifference, 1e-9)
	}
	block.Samples = append(block.Samples, 9000)
	f, err := Compute([]Block{block, floor}, P999)
	require.NoError(t, err)
	require.Greater(t, f.FloorP50+f.PairedDifference, 8000.0, "two in 1002 are more than one in 1000")
}

func TestComputeTakesTheWorstOfRatios(t *testing.T) {
	var blocks []Block
	for n, product := range []float64{100, 240, 50} {
		floor := 100.0
		if n == 1 {
			floor = 200 // the load was other, and the product's worst round is not its slowest
		}
		blocks = append(blocks, round(n, map[string]float64{Floor: floor, Product: product})...)
	}
	f, err := Compute(append(blocks, round(3, map[string]float64{Floor: 100, Product: 130})...), Mean)
	require.NoError(t, err)
	require.InDelta(t, 1.3, f.WorstRatio, 1e-9)
}

func TestComputeRefusesIncompleteRuns(t *testing.T) {
	_, err := Compute(round(0, map[string]float64{Floor: 1}), Median)
	require.ErrorContains(t, err, "no block of the product")
	blocks := round(0, map[string]float64{Floor: 1, Product: 1})
	_, err = Compute(append(blocks, blocks[0]), Median)
	require.ErrorContains(t, err, "twice")
	_, err = Compute(append(blocks, round(1, map[string]float64{Product: 1})...), Median)
	require.ErrorContains(t, err, "round")
}

func TestQuantile(t *testing.T) {
	sorted := []float64{1, 2, 3, 4, 5}
	for _, test := range []struct{ q, want float64 }{
		{0, 1}, {0.25, 2}, {0.5, 3}, {0.9, 4.6}, {0.99, 4.96}, {1, 5},
	} {
		require.InDelta(t, test.want, quantile(sorted, test.q), 1e-9, "%v", test.q)
	}
	require.InDelta(t, 7, quantile([]float64{7}, 0.999), 1e-9)
	require.InDelta(t, 1.5, quantile([]float64{1, 2}, 0.5), 1e-9)
}
