package udf_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dcf/core/status"
	"dcf/udf"
	"dcf/udf/udftest"
	"dcf/vertex"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGoKindConforms(t *testing.T) {
	udftest.Run(t, udftest.Suite{
		Kind: udf.GoKind{},
		Define: func(_ *testing.T, f udftest.Function) udf.Definition {
			return udf.Definition{Kind: udf.KindGo, Name: string(f), Code: functions[f]}
		},
		Without: map[udftest.Function]string{
			udftest.Rubbish: "a *vertex.Batch is valid by construction",
		},
	})
}

var functions = map[udftest.Function]udf.Func{
	udftest.Echo:    {Calculate: echo},
	udftest.Sum:     {Calculate: sum, Merge: addUp, Finish: addUp},
	udftest.Fail:    {Calculate: fail},
	udftest.Panic:   {Calculate: panics},
	udftest.Spawn:   {Calculate: spawn},
	udftest.Effects: {Calculate: effects},
	udftest.Big: {Calculate: func(_ *udf.Input, out *udf.Output) error {
		for i, part := 0, out.Reserve(udftest.BigBytes); i < len(part); i++ {
			part[i] = byte(i % 251)
		}
		return nil
	}},
	udftest.Wait: {Calculate: func(in *udf.Input, _ *udf.Output) error {
		for in.Cancelled.Load() == 0 {
			runtime.Gosched()
		}
		return status.Cancelled
	}},
}

func echo(in *udf.Input, out *udf.Output) error {
	if in.Arguments.Batch != nil {
		out.Batch(in.Arguments.Batch.Retain())
		return nil
	}
	out.Bytes(in.Arguments.Bytes)
	return nil
}

func sum(in *udf.Input, out *udf.Output) error {
	var total int64
	for _, n := range in.Batch.Int64(0) {
		total += n
	}
	binary.LittleEndian.PutUint64(out.Reserve(8), uint64(total))
	return nil
}

func addUp(in *udf.MergeInput, out *udf.Output) error {
	var total uint64
	for _, part := range in.Parts {
		total += binary.LittleEndian.Uint64(part.Bytes)
	}
	binary.LittleEndian.PutUint64(out.Reserve(8), total)
	return nil
}

func fail(in *udf.Input, out *udf.Output) error {
	if string(in.Arguments.Bytes) == "fail" {
		out.Fail(udftest.FailMessage, udftest.FailDetail)
		return nil
	}
	out.Bytes([]byte("fine"))
	return nil
}

func panics(in *udf.Input, out *udf.Output) error {
	if string(in.Arguments.Bytes) == "panic" {
		panic(udftest.PanicMessage)
	}
	out.Bytes([]byte("fine"))
	return nil
}

func spawn(in *udf.Input, out *udf.Output) error {
	for _, child := range in.Children {
		err := out.Spawn(udf.Spawn{Target: child, UDF: udftest.SpawnUDF, Once: true,
			Arguments: in.Arguments})
		if err != nil {
			return err
		}
	}
	return nil
}

func effects(in *udf.Input, out *udf.Output) error {
	value := vertex.Int64Batch("value", 1, 2, 3)
	if err := out.SetValue(value.Retain()); err != nil {
		return err
	}
	if _, err := out.AddChild(udftest.MadeName, value); err != nil {
		return err
	}
	if _, err := out.AddChild("", nil); err != nil {
		return err
	}
	return errors.Join(out.Link(in.Children[0]), out.Unlink(in.Children[0]), out.Remove())
}

// An error keeps its code where it has one, and is the function's failure otherwise.
func TestGoKindKeepsCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code status.Code
	}{
		{errors.New("no such thing"), status.UDFFailed},
		{status.Errorf(status.NotFound, "no such thing"), status.NotFound},
		{status.Errorf(status.Internal, "no such thing"), status.UDFFailed},
	} {
		f := udf.Func{
			Calculate: func(*udf.Input, *udf.Output) error { return c.err },
			Merge:     func(*udf.MergeInput, *udf.Output) error { return c.err },
			Finish:    func(*udf.MergeInput, *udf.Output) error { panic("no such thing") },
		}
		p, err := udf.GoKind{}.Load(&udf.Definition{Kind: udf.KindGo, Name: "f", Code: f})
		require.NoError(t, err)
		require.True(t, p.HasMerge() && p.HasFinish())
		outputs := make([]udf.Output, 3)
		p.Calculate(&udf.Wave{Inputs: make([]udf.Input, 1), Outputs: outputs[:1]})
		p.Merge(&udf.MergeInput{}, &outputs[1])
		p.Finish(&udf.MergeInput{}, &outputs[2])
		require.Equal(t, []status.Code{c.code, c.code, status.UDFFailed},
			[]status.Code{outputs[0].Failure.Code, outputs[1].Failure.Code, outputs[2].Failure.Code})
		for i := range outputs {
			require.Contains(t, outputs[i].Failure.Message, "no such thing")
		}
		require.Contains(t, outputs[2].Failure.Detail, "func_test.go", "the stack of a panic")
		p.Close()
	}
}

// The first line of what an error or a panic says is the message; the detail has all of it.
func TestGoKindCutsMessagesToALine(t *testing.T) {
	joined := errors.Join(errors.New("no such thing"), errors.New("and no other"))
	for _, calculate := range []func(*udf.Input, *udf.Output) error{
		func(*udf.Input, *udf.Output) error { return joined },
		func(*udf.Input, *udf.Output) error { return status.Errorf(status.NotFound, "%w", joined) },
		func(*udf.Input, *udf.Output) error { panic(joined) },
	} {
		p, err := udf.GoKind{}.Load(&udf.Definition{Name: "f", Code: udf.Func{Calculate: calculate}})
		require.NoError(t, err)
		outputs := make([]udf.Output, 1)
		p.Calculate(&udf.Wave{Inputs: make([]udf.Input, 1), Outputs: outputs})
		require.Regexp(t, `no such thing$`, outputs[0].Failure.Message)
		require.Contains(t, outputs[0].Failure.Detail, "no such thing\nand no other")
		p.Close()
	}
}
