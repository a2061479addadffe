package exec

import (
	"context"
	"log/slog"
	"sync/atomic"

	"dcf/core/internal/store"
	"dcf/udf"
	"dcf/vertex/arena"
	"unsafe"
)

// Frame is the memory that running calculates needs. There is one for each pin, so that whoever
// holds a pin has a frame to itself, and nothing is allocated for a call.
type Frame struct {
	Inputs  [WaveSize]udf.Input
	Outputs [WaveSize]udf.Output
	Wave    udf.Wave
	One     udf.Wave // of the first input and output only
	Scratch udf.Scratch
	Fold    udf.MergeInput
	Parts   [FoldSize]udf.Value
	Final   udf.Output // of merge and finish
	// Tags say whose each input is, for whoever fills the frame.
	Tags     [WaveSize]uint32
	Ran      udf.State // of a calculate that C ran
	function *Function // that runs now
	patient  udf.Terms // of its calculates that nobody hurries
	hurried  [WaveSize]udf.Terms
	never    *atomic.Uint32 // a cancel flag that is never raised, outside the Go heap
	_        [64]byte
}

// Made gives the frame of a pin that the caller holds; nil where it was not made yet.
func (fs *Frames) Made(p store.Pin) *Frame { return fs.frames[p.Index()].Load() }

// Frames are the frames of one store's pins.
type Frames struct {
	frames [store.MaxPins]atomic.Pointer[Frame]
	engine *Engine
}

// At gives the frame of a pin that the caller holds.
func (fs *Frames) At(p store.Pin) *Frame {
	if f := fs.Made(p); f != nil {
		return f
	}
	f := fs.engine.newFrame()
	fs.frames[p.Index()].Store(f)
	return f
}

func (e *Engine) newFrame() *Frame {
	f := &Frame{never: NewFlag()}
	f.patient.Cancelled = f.never
	f.Wave.Scratch, f.Fold.Scratch = &f.Scratch, &f.Scratch
	f.One = udf.Wave{Inputs: f.Inputs[:1], Outputs: f.Outputs[:1], Scratch: &f.Scratch}
	for i := range f.Outputs {
		e.equip(f, &f.Outputs[i], &f.Inputs[i])
	}
	e.equip(f, &f.Final, &udf.Input{State: new(udf.State)})
	return f
}

// equip gives an output what it needs of the worker.
func (e *Engine) equip(f *Frame, out *udf.Output, in *udf.Input) {
	out.NewID = e.IDs.Next
	if e.Log != nil {
		out.Log = func(level int, text string) {
			e.Log.Log(context.Background(), slog.Level(level), text[:min(len(text), udf.MaxLogBytes)],
				"udf", f.function.Name, "vertex", in.Vertex.String())
		}
	}
}

// Prepare makes the frame ready for n calculates of a function, whose inputs are filled.
func (f *Frame) Prepare(fn *Function, n int) {
	f.Runs(fn)
	f.Wave.Inputs, f.Wave.Outputs = f.Inputs[:n], f.Outputs[:n]
}

// Runs says which function runs in the frame from now on.
func (f *Frame) Runs(fn *Function) {
	if f.function != fn {
		f.function, f.patient.Auxiliary = fn, fn.Auxiliary
	}
}

// Fill gives the input of that index, but for its arguments.
func (f *Frame) Fill(at int, state *udf.State) {
	in := &f.Inputs[at]
	in.State, in.Terms = state, &f.patient
}

// Hurry says when the calculate of a filled input is to end early: with deadline, where that is not
// 0, and when cancelled is raised, where it is not nil.
func (f *Frame) Hurry(at int, fn *Function, deadline int64, cancelled *atomic.Uint32) {
	if cancelled == nil {
		cancelled = f.never
	}
	f.hurried[at] = udf.Terms{Auxiliary: fn.Auxiliary, Deadline: deadline, Cancelled: cancelled}
	f.Inputs[at].Terms = &f.hurried[at]
}

// Close frees the frames. Nobody may hold a pin.
func (fs *Frames) Close() {
	for i := range fs.frames {
		if f := fs.frames[i].Swap(nil); f != nil {
			for j := range f.Outputs {
				f.Outputs[j].Clear()
			}
			f.Final.Clear()
			f.Scratch.Close()
			FreeFlag(f.never)
		}
	}
}

// NewFlag makes a word outside the Go heap, so that C may be given its address.
func NewFlag() *atomic.Uint32 {
	flag := (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(arena.Alloc(arena.Align))))
	flag.Store(0)
	return flag
}

// FreeFlag frees it.
func FreeFlag(flag *atomic.Uint32) {
	arena.Free(unsafe.Slice((*byte)(unsafe.Pointer(flag)), arena.Align))
}
