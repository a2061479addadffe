package builtin

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/status"
	"dcf/udf"
	"dcf/udf/udftest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBuiltinKindConforms(t *testing.T) {
	const parts = "a builtin's part is made of data, never of its arguments' bytes"
	const pure = "builtins have no effects and spawn nothing"
	udftest.Run(t, udftest.Suite{
		Kind: Kind{},
		Define: func(_ *testing.T, f udftest.Function) udf.Definition {
			return udf.Definition{Kind: udf.KindBuiltin, Name: string(f)}
		},
		Arguments: func(t *testing.T) udf.Value { return args(t, "column", "value") },
		Without: map[udftest.Function]string{
			udftest.Echo:    parts,
			udftest.Big:     parts,
			udftest.Rubbish: parts,
			udftest.Fail:    "there is no code of a user that could fail",
			udftest.Panic:   "there is no code of a user that could panic",
			udftest.Spawn:   pure,
			udftest.Effects: pure,
			udftest.Wait:    "builtins wait for nothing; TestCancelled covers cancelling",
		},
	})
}

func TestDefinitions(t *testing.T) {
	require.Equal(t, []string{"aggregate", "count", "filter", "head", "max", "mean", "min", "select",
		"sum", "variance"}, Names())
	for _, def := range Definitions() {
		p, err := Kind{}.Load(&def)
		require.NoError(t, err)
		require.True(t, p.HasMerge())
		ordered := slices.Contains([]string{"filter", "head", "select"}, def.Name)
		require.Equal(t, !ordered, p.HasFinish())
		require.Equal(t, !ordered, def.Flags&udf.Commutative != 0, "%s", def.Name)
		require.Equal(t, Version, def.Version)
		p.Close()
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct {
		def      udf.Definition
		code     status.Code
		contains string
	}{
		{udf.Definition{Name: "median"}, status.NotFound,
			`no builtin "median"; there are aggregate, count`},
		{udf.Definition{Name: "sum", Flags: udf.Updates}, status.InvalidArgument, "flags 0"},
		{udf.Definition{Name: "head", Flags: udf.Commutative}, status.InvalidArgument, "flags 0"},
		{udf.Definition{Name: "sum", Auxiliary: []byte{1}}, status.InvalidArgument, "auxiliary"},
		{udf.Definition{Name: "sum", Code: udf.Func{}}, status.InvalidArgument, "code"},
	} {
		_, err := Kind{}.Load(&c.def)
		requireFailure(t, err, c.code, c.contains)
	}
}

// Every builtin and every argument has its place in the manual.
func TestDocsNameEverything(t *testing.T) {
	docs, err := os.ReadFile("../../docs/builtins.md")
	require.NoError(t, err)
	for _, name := range Names() {
		require.Regexp(t, regexp.MustCompile("(?m)^### .*`"+name+"`"), string(docs))
		for _, field := range slices.Concat(fields[name], whereFields, aggregateFields) {
			require.Contains(t, string(docs), "`"+field+"`", "of %q", name)
		}
	}
	for _, op := range operators {
		require.Contains(t, string(docs), "`"+op+"`")
	}
}
