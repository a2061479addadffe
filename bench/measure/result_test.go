package measure

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var testMachine = Machine{CPU: "Abacus", Cores: 2, Kernel: "6.0", Go: "go1.26", GCC: "12",
	Load: "0 0 0"}

func result(t *testing.T, c *Case, product, floor float64) Result {
	t.Helper()
	times := map[string]float64{Product: product}
	if floor > 0 {
		times[Floor] = floor
	}
	r, err := NewResult(c, round(0, times), testMachine)
	require.NoError(t, err)
	return r
}

func TestResultsAreJudgedByTheirBars(t *testing.T) {
	times := &Case{Name: "t", Limit: Limit{Times: 1.5}}
	plus := &Case{Name: "p", Limit: Limit{Times: 1.5, PlusNs: 100}}
	most := &Case{Name: "m", Limit: Limit{AtMost: 1000, Unit: "ns"}}
	rate := &Case{Name: "r", Limit: Limit{Rate: 0.5}}
	for _, test := range []struct {
		name           string
		c              *Case
		product, floor float64
		pass           bool
	}{
		{"within times", times, 150, 100, true},
		{"beyond times", times, 151, 100, false},
		{"faster than its floor", times, 20, 100, true},
		{"within times and more", plus, 250, 100, true},
		{"beyond both", plus, 251, 100, false},
		{"within a time", most, 1000, 0, true},
		{"beyond a time", most, 1001, 0, false},
		{"within a time, slower than its floor", most, 1000, 100, true},
		{"beyond a time, faster than its floor", most, 1001, 2000, false},
		{"half the calls", rate, 200, 100, true},
		{"less than half the calls", rate, 201, 100, false},
		{"no floor where one is due", times, 1, 0, false},
		{"no calls to compare with", rate, 1, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.pass, result(t, test.c, test.product, test.floor).Pass)
		})
	}
}

func TestEveryRoundMayHaveToKeepTheBar(t *testing.T) {
	var blocks []Block
	for n, product := range []float64{100, 100, 200} {
		blocks = append(blocks, round(n, map[string]float64{Floor: 100, Product: product})...)
	}
	for _, test := range []struct {
		every bool
		rate  float64
		pass  bool
		worst float64
	}{{false, 1, true, 0}, {true, 0.5, true, 2}, {true, 0.51, false, 2}} {
		c := &Case{Name: "c", Every: test.every, Limit: Limit{Rate: test.rate}}
		r, err := NewResult(c, blocks, testMachine)
		require.NoError(t, err)
		require.Equal(t, test.pass, r.Pass)
		require.InDelta(t, test.worst, r.WorstRatio, 1e-9)
	}
}

func TestBarsInWords(t *testing.T) {
	for _, test := range []struct {
		limit Limit
		want  string
	}{
		{Limit{Times: 1.5}, "1.5 times"},
		{Limit{Times: 1.3, PlusNs: 5000}, "1.3 times + 5.00 us"},
		{Limit{Times: 1, PlusNs: 150}, "floor + 150 ns"},
		{Limit{Rate: 0.55}, "0.55 times the calls/s"},
		{Limit{AtMost: 4000, Unit: "ns"}, "4.00 us"},
		{Limit{AtMost: 40, Unit: "wake-ups/s"}, "40 wake-ups/s"},
	} {
		require.Equal(t, test.want, test.limit.String())
	}
}

func TestResultsOfDisturbedRunsSaySo(t *testing.T) {
	c := &Case{Name: "c", ExpectedFloorNs: 50, Limit: Limit{Times: 2}}
	require.False(t, result(t, c, 80, 75).Disturbed)
	require.True(t, result(t, c, 80, 76).Disturbed)
	c.ExpectedFloorNs = 0
	require.False(t, result(t, c, 80, 1e9).Disturbed, "nobody knows what to expect")
}

func TestValuesAreJudgedInTheirUnit(t *testing.T) {
	c := &Case{Name: "size", Limit: Limit{AtMost: 16, Unit: "MB"}}
	for _, test := range []struct {
		value float64
		unit  string
		pass  bool
	}{{16, "MB", true}, {16.1, "MB", false}, {1, "KiB", false}} {
		r, err := NewResult(c, []Block{{Case: "size", Value: &test.value, Unit: test.unit}}, testMachine)
		require.NoError(t, err)
		require.Equal(t, test.pass, r.Pass, "%v %s", test.value, test.unit)
	}
}

func TestResultAsJSON(t *testing.T) {
	c := &Case{Name: "local/c", Floor: "a floor", ExpectedFloorNs: 50, Limit: Limit{Times: 1.6}}
	text, err := json.Marshal(result(t, c, 110, 100))
	require.NoError(t, err)
	require.JSONEq(t, `{"case":"local/c", "p50_ns":110, "p99_ns":110, "p999_ns":110, "min_ns":110,
		"ops_per_s":9090909, "floor":"a floor", "floor_p50_ns":100, "ratio":1.1,
		"paired_difference_ns":10, "paired_difference_low_ns":10, "paired_difference_high_ns":10,
		"rounds":1, "limit":{"times":1.6}, "pass":true, "disturbed":true,
		"machine":{"cpu":"Abacus","cores":2,"kernel":"6.0","go":"go1.26","gcc":"12","load":"0 0 0"}}`,
		string(text))
}

func TestTables(t *testing.T) {
	v := 12.5
	results := []Result{
		result(t, &Case{Name: "fast", Limit: Limit{Times: 1.6}}, 110, 100),
		result(t, &Case{Name: "slow", ExpectedFloorNs: 1000,
			Limit: Limit{Times: 1.3, PlusNs: 5000}}, 98765, 43210),
		result(t, &Case{Name: "every", Every: true, Limit: Limit{Rate: 0.7}}, 110, 100),
		{Case: "size", Value: &v, Unit: "MB", Limit: Limit{AtMost: 16, Unit: "MB"}, Pass: true},
		NewFailure(&Case{Name: "broken", Limit: Limit{AtMost: 2000, Unit: "ns"}},
			errors.New("two\nlines and more"), testMachine),
	}
	var table, markdown bytes.Buffer
	require.NoError(t, WriteTable(&table, testMachine, results))
	require.NoError(t, WriteMarkdown(&markdown, testMachine, results))
	require.Equal(t, strings.TrimLeft(`
Abacus, 2 cores, Linux 6.0, go1.26, gcc 12, load 0 0 0

| case | p50 | p99 | p99.9 | calls/s | floor | difference | ratio | limit |  |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| fast | 110 ns | 110 ns | 110 ns | 9.09 M | 100 ns | 10.0 ns (10.0 ns to 10.0 ns) | 1.10 | 1.6 times | pass |
| slow | 98.8 us | 98.8 us | 98.8 us | 10.1 k | 43.2 us | 55.6 us (55.6 us to 55.6 us) | 2.29 | 1.3 times + 5.00 us | miss, disturbed |
| every | 110 ns | 110 ns | 110 ns | 9.09 M | 100 ns | 10.0 ns (10.0 ns to 10.0 ns) | 1.10 (worst 1.10) | 0.7 times the calls/s | pass |
| size | 12.5 MB |  |  |  |  |  |  | 16 MB | pass |
| broken |  |  |  |  |  |  |  | 2.00 us | error |

broken: two lines and more
`, "\n"), markdown.String())
	for _, want := range []string{"Abacus", "miss, disturbed", "12.5 MB",
		"broken: two lines and more"} {
		require.Contains(t, table.String(), want)
	}
}

func TestCasesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases {
		require.False(t, seen[c.Name], "%s is listed twice", c.Name)
		seen[c.Name] = true
		require.NotEmpty(t, c.What, c.Name)
		bars := 0
		for _, bar := range []float64{c.Limit.Times, c.Limit.Rate, c.Limit.AtMost} {
			if bar > 0 {
				bars++
			}
		}
		require.Equal(t, 1, bars, c.Name)
		require.Equal(t, c.Limit.AtMost > 0, c.Limit.Unit != "", c.Name)
		require.True(t, c.Floor != "" || c.Limit.AtMost > 0, "%s has no floor to be compared with", c.Name)
	}
}

func TestModelName(t *testing.T) {
	const text = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\n" +
		"model name\t: AMD EPYC\n\nprocessor\t: 1\n"
	require.Equal(t, "AMD EPYC (family 25, model 1)", modelName(text))
	require.Equal(t, "AMD EPYC", modelName("model name : AMD EPYC\n"))
	require.Equal(t, "unknown", modelName("Processor : rev 1\n"))
}
