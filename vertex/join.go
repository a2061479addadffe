package vertex

import (
	"unsafe"

	"dcf/core/status"
)

// Join copies arrays of one struct ArrowSchema, in order, into one batch with memory of its own;
// dictionaries become one. The structs are borrowed. Without an array the batch has no rows. It
// fails as Import does, and where a column grows beyond what its type can count.
func Join(schema unsafe.Pointer, arrays []unsafe.Pointer) (*Batch, error) {
	s, err := ImportSchema(schema)
	if err != nil {
		return nil, err
	}
	if len(arrays) == 0 {
		return Empty(s)
	}
	from := make([]*draft, 0, len(arrays))
	defer func() {
		for _, d := range from {
			d.free()
		}
	}()
	var r runs
	for i, array := range arrays {
		d := newDraft(s, status.InvalidArgument, importAdvice)
		from = append(from, d)
		if err := d.borrow(array); err != nil {
			return nil, err
		}
		r.add(i, 0, d.arrays[0].length)
	}
	if len(from) == 1 {
		return from[0].copy()
	}
	return gather(from, r)
}
