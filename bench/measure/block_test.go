package measure

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBlocksSurvivePrintingAndReading(t *testing.T) {
	v := 12.5
	want := []Block{
		{Case: "a", Series: Product, Round: 3, Threads: 2, Calls: 10, ElapsedNs: 99,
			Samples: []float64{1.5, 2}},
		{Case: "b", Value: &v, Unit: "KiB"},
	}
	var text bytes.Buffer
	for i := range want {
		require.NoError(t, want[i].Print(&text))
	}
	got, err := ReadBlocks(&text)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestReadBlocksRefusesWhatMeasuredNothing(t *testing.T) {
	const good = `{"case":"c","series":"product","threads":1,"calls":1,"elapsed_ns":1,` +
		`"samples":[1]}` + "\n"
	for _, test := range []struct{ name, text, want string }{
		{"not JSON", good + "Segmentation fault\n", `line 2 of the driver is no block`},
		{"no samples", `{"case":"c","series":"product","threads":1,"calls":1,"elapsed_ns":1}`,
			"line 1 of the driver: block 0 of c product measured nothing"},
		{"no time", good + `{"case":"c","series":"floor","threads":1,"calls":1,"samples":[1]}`,
			"1 calls by 1 threads in 0 ns, 1 samples"},
		{"no calls", `{"case":"c","series":"floor","threads":1,"elapsed_ns":1,"samples":[1]}`,
			"measured nothing: 0 calls"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReadBlocks(strings.NewReader(test.text))
			require.ErrorContains(t, err, test.want)
		})
	}
}
