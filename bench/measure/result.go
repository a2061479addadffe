package measure

import (
	"math"
	"strings"
)

// Result is the line of JSON that a case comes to. Times are nanoseconds a call.
type Result struct {
	Case               string   `json:"case"`
	P50Ns              float64  `json:"p50_ns,omitempty"`
	P99Ns              float64  `json:"p99_ns,omitempty"`
	P999Ns             float64  `json:"p999_ns,omitempty"`
	MinNs              float64  `json:"min_ns,omitempty"`
	OpsPerS            float64  `json:"ops_per_s,omitempty"`
	Floor              string   `json:"floor,omitempty"`
	FloorP50Ns         float64  `json:"floor_p50_ns,omitempty"`
	Ratio              float64  `json:"ratio,omitempty"`
	WorstRatio         float64  `json:"worst_ratio,omitempty"` // where each round must keep the bar
	PairedDifferenceNs *float64 `json:"paired_difference_ns,omitempty"`
	// The quartiles of the paired differences say how far to believe their median.
	PairedDifferenceLowNs  *float64 `json:"paired_difference_low_ns,omitempty"`
	PairedDifferenceHighNs *float64 `json:"paired_difference_high_ns,omitempty"`
	Rounds                 int      `json:"rounds,omitempty"`
	Value                  *float64 `json:"value,omitempty"` // of a case that is no time
	Unit                   string   `json:"unit,omitempty"`
	Limit                  Limit    `json:"limit"`
	Pass                   bool     `json:"pass"`
	Disturbed              bool     `json:"disturbed"`
	Error                  string   `json:"error,omitempty"` // why there are no figures
	Machine                Machine  `json:"machine"`
}

// NewResult judges what a driver printed for a case.
func NewResult(c *Case, blocks []Block, machine Machine) (Result, error) {
	if len(blocks) == 1 && blocks[0].Value != nil {
		return newValue(c, *blocks[0].Value, blocks[0].Unit, machine), nil
	}
	f, err := Compute(blocks, c.Statistic)
	if err != nil {
		return Result{}, err
	}
	r := Result{
		Case: c.Name, P50Ns: tenths(f.P50), P99Ns: tenths(f.P99), P999Ns: tenths(f.P999),
		MinNs: tenths(f.Min), OpsPerS: math.Round(f.OpsPerSecond), Rounds: f.Rounds,
		Floor: c.Floor, Limit: c.Limit, Machine: machine,
	}
	if f.FloorP50 > 0 {
		difference := tenths(f.PairedDifference)
		low, high := tenths(f.DifferenceLow), tenths(f.DifferenceHigh)
		r.FloorP50Ns, r.PairedDifferenceNs = tenths(f.FloorP50), &difference
		r.PairedDifferenceLowNs, r.PairedDifferenceHighNs = &low, &high
		r.Ratio = math.Round(f.Ratio*1000) / 1000
		r.Disturbed = c.ExpectedFloorNs > 0 && f.FloorP50 > MaxDisturbance*c.ExpectedFloorNs
	}
	switch {
	case f.FloorP50 <= 0:
		r.Pass = c.Limit.holds(f.P50, 0)
	case c.Every:
		r.WorstRatio = math.Round(f.WorstRatio*1000) / 1000
		r.Pass = c.Limit.holds(f.WorstRatio, 1)
	default:
		r.Pass = c.Limit.holds(f.FloorP50+f.PairedDifference, f.FloorP50)
	}
	return r, nil
}

// NewFailure is the result of a case that could not be measured.
func NewFailure(c *Case, err error, machine Machine) Result {
	text := strings.Join(strings.Fields(err.Error()), " ") // on one line, for the tables
	return Result{Case: c.Name, Floor: c.Floor, Limit: c.Limit, Error: text, Machine: machine}
}

func newValue(c *Case, value float64, unit string, machine Machine) Result {
	value = math.Round(value*100) / 100
	return Result{Case: c.Name, Value: &value, Unit: unit, Limit: c.Limit, Machine: machine,
		Pass: unit == c.Limit.Unit && value <= c.Limit.AtMost}
}

func tenths(v float64) float64 { return math.Round(v*10) / 10 }
