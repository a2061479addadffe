package measure

import (
	"fmt"
	"slices"
)

// Figures are what the blocks of one case come to. All times are nanoseconds a call.
type Figures struct {
	P50, P99, P999, Min float64
	OpsPerSecond        float64
	FloorP50            float64 // median over rounds of the floor's statistic; 0: there is none
	PairedDifference    float64 // median over rounds of product - floor
	DifferenceLow       float64 // lower and upper quartile of the same
	DifferenceHigh      float64
	Ratio               float64 // (FloorP50 + PairedDifference) / FloorP50
	WorstRatio          float64 // largest over rounds of product / floor
	Rounds              int
}

// Compute computes the figures of one case's blocks.
//
// P50 to Min are over all samples of the product. The comparison with the floor is not made of
// these: both are taken per block (by statistic), subtracted round by round, and the median of the
// differences is the figure. What disturbs the machine for longer than a round disturbs both sides
// and cancels; what is shorter spoils a few rounds, which a median ignores.
func Compute(blocks []Block, statistic Statistic) (Figures, error) {
	var f Figures
	rounds := map[int]map[string]float64{}
	var samples []float64
	var calls, elapsed int64
	for i := range blocks {
		b := &blocks[i]
		if rounds[b.Round] == nil {
			rounds[b.Round] = map[string]float64{}
		}
		if _, twice := rounds[b.Round][b.Series]; twice {
			return f, fmt.Errorf("measure: %s has round %d of %s twice", b.Case, b.Round, b.Series)
		}
		rounds[b.Round][b.Series] = statistic.of(b)
		if b.Series == Product {
			samples = append(samples, b.Samples...)
			calls += b.Calls
			elapsed += b.ElapsedNs
		}
	}
	if len(samples) == 0 {
		return f, fmt.Errorf("measure: the driver printed no block of the product")
	}
	slices.Sort(samples)
	f.Min, f.P50 = samples[0], quantile(samples, 0.5)
	f.P99, f.P999 = quantile(samples, 0.99), quantile(samples, 0.999)
	f.OpsPerSecond = float64(calls) / (float64(elapsed) / 1e9)
	f.Rounds = len(rounds)
	return f, f.compare(rounds)
}

// compare sets the fields that need a floor, where there is one.
func (f *Figures) compare(rounds map[int]map[string]float64) error {
	var floors, differences []float64
	for round, series := range rounds {
		if len(series) != len(rounds[0]) {
			return fmt.Errorf("measure: round %d has %d series, round 0 has %d",
				round, len(series), len(rounds[0]))
		}
		floor, ok := series[Floor]
		if !ok {
			continue
		}
		floor += series[FloorAdd] - series[FloorSubtract]
		if floor > 0 {
			f.WorstRatio = max(f.WorstRatio, series[Product]/floor)
		}
		floors = append(floors, floor)
		differences = append(differences, series[Product]-floor)
	}
	if len(floors) == 0 {
		return nil
	}
	slices.Sort(floors)
	slices.Sort(differences)
	f.FloorP50 = quantile(floors, 0.5)
	f.PairedDifference = quantile(differences, 0.5)
	f.DifferenceLow, f.DifferenceHigh = quantile(differences, 0.25), quantile(differences, 0.75)
	if f.FloorP50 > 0 {
		f.Ratio = (f.FloorP50 + f.PairedDifference) / f.FloorP50
	}
	return nil
}

// of gives what one call of a block took.
func (s Statistic) of(b *Block) float64 {
	if s == Mean {
		return float64(b.ElapsedNs) * float64(b.Threads) / float64(b.Calls)
	}
	sorted := slices.Clone(b.Samples)
	slices.Sort(sorted)
	switch s {
	case P99:
		return quantile(sorted, 0.99)
	case P999:
		return quantile(sorted, 0.999)
	default:
		return quantile(sorted, 0.5)
	}
}

// quantile gives the q-quantile of sorted, interpolated between neighbours.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
