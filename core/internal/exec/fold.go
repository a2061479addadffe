package exec

import (
	"unsafe"

	"dcf/core/status"
	"dcf/udf"
)

func sliceAt(p unsafe.Pointer, n int) []byte { return unsafe.Slice((*byte)(p), n) }

// Finish makes the result of a call's only part, at the caller, and gives it to take while it is
// valid. A function without finish gives the part itself.
func (e *Engine) Finish(fn *Function, arguments, part udf.Value, take func(*udf.Value)) *status.Error {
	pin, err := e.Store.Pin()
	if err != nil {
		return status.From(err)
	}
	defer e.Store.Unpin(pin)
	frame := e.Frames.At(pin)
	out := &frame.Final
	defer out.Clear()
	defer frame.Scratch.Reset()
	if failure := e.finish(frame, fn, arguments, part); failure != nil {
		return failure
	}
	if out.HasPart {
		take(&out.Part)
	}
	return nil
}

// finish runs fn's finish into the frame's first output.
func (e *Engine) finish(frame *Frame, fn *Function, arguments, part udf.Value) *status.Error {
	in, out := &frame.Fold, &frame.Final
	in.Parts = append(frame.Parts[:0], part)
	in.Arguments, in.Auxiliary = arguments, fn.Auxiliary
	frame.function = fn
	fn.Program.Finish(in, out)
	frame.Parts[0], in.Parts, in.Arguments = udf.Value{}, nil, udf.Value{}
	if out.Failure != nil {
		failure := status.Errorf(out.Failure.Code, "finish of function %q: %s", fn.Name,
			out.Failure.Message)
		return failure.WithDetail(out.Failure.Detail)
	}
	return nil
}
