package wire

import "dcf/udf"

// Release gives back the batches of the frame's message and takes them out of it. It may be called
// for any frame, and again.
func (f *Frame) Release() {
	switch m := f.Message.(type) {
	case *Call:
		releaseValue(&m.Arguments)
		for i := range m.Targets {
			releaseValue(&m.Targets[i].Arguments)
		}
	case *Reply:
		for i := range m.Parts {
			releaseValue(&m.Parts[i].Value)
		}
		releaseValue(&m.Value)
	case *Operation:
		releaseValue(&m.Value)
	}
}

func releaseValue(v *udf.Value) {
	if v.Batch != nil {
		v.Batch.Release()
		v.Batch = nil
	}
}
