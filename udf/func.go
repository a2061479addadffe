package udf

import (
	"strings"

	"dcf/core/status"
)

// Func is a function written in Go. Calculate is required; Merge and Finish may be nil. A returned
// error fails the call with status.UDFFailed, or with the error's own code where it has one, and so
// does a panic. None may end its goroutine (runtime.Goexit, t.FailNow): whoever runs it would end.
type Func struct {
	Calculate func(in *Input, out *Output) error
	Merge     func(in *MergeInput, out *Output) error
	Finish    func(in *MergeInput, out *Output) error
}

// GoKind is the kind of functions written in Go; a Definition's Code is a Func.
type GoKind struct{}

var _ Kind = GoKind{}

// ID gives KindGo.
func (GoKind) ID() KindID { return KindGo }

// Load makes a program of a Func.
func (GoKind) Load(def *Definition) (Program, error) {
	f, ok := def.Code.(Func)
	if !ok || f.Calculate == nil {
		return nil, status.Errorf(status.InvalidArgument,
			"the function %q has no calculate: set Definition.Code to a udf.Func that has one", def.Name)
	}
	return &goProgram{f}, nil
}

type goProgram struct{ f Func }

var _ Program = (*goProgram)(nil)

// Calculate runs the inputs under one guard. Where one panics, those after it run under the next.
func (p *goProgram) Calculate(wave *Wave) {
	next := 0
	defer func() {
		if next < len(wave.Inputs) { // or else nobody panicked
			p.goOn(wave, next, recover())
		}
	}()
	inputs, outputs := wave.Inputs, wave.Outputs[:len(wave.Inputs)]
	for i := range inputs {
		next = i
		if err := p.f.Calculate(&inputs[i], &outputs[i]); err != nil {
			outputs[i].FailWith(failure(err))
		}
	}
	next = len(inputs)
}

// goOn records the panic of one input and runs those after it.
func (p *goProgram) goOn(wave *Wave, at int, panicked any) {
	wave.Outputs[at].panicked(panicked)
	p.Calculate(&Wave{wave.Inputs[at+1:], wave.Outputs[at+1:], wave.Scratch})
}

func (p *goProgram) HasMerge() bool  { return p.f.Merge != nil }
func (p *goProgram) HasFinish() bool { return p.f.Finish != nil }

func (p *goProgram) Merge(in *MergeInput, out *Output)  { fold(p.f.Merge, in, out) }
func (p *goProgram) Finish(in *MergeInput, out *Output) { fold(p.f.Finish, in, out) }

func fold(f func(*MergeInput, *Output) error, in *MergeInput, out *Output) {
	defer func() {
		if panicked := recover(); panicked != nil {
			out.panicked(panicked)
		}
	}()
	if err := f(in, out); err != nil {
		out.FailWith(failure(err))
	}
}

func (p *goProgram) Close() {}

// failure gives the error of a user's function its code: its own where it chose one. The first line
// is the message, and where there are more, all of them are the detail.
func failure(err error) *status.Error {
	e := status.From(err)
	if e.Code == status.Internal {
		e = status.Errorf(status.UDFFailed, "%w", err)
	}
	first, _, more := strings.Cut(e.Message, "\n")
	if !more {
		return e
	}
	short := *e
	short.Message = first
	if short.Detail == "" {
		short.Detail = e.Message
	}
	return &short
}
