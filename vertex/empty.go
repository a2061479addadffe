package vertex

import "dcf/core/status"

// Empty makes a batch without rows.
func Empty(s *Schema) (*Batch, error) {
	d := newDraft(s, status.Internal, "this is a bug")
	defer d.free()
	for i := range s.layouts {
		a := d.set(i, 0, 0, 0)
		for range s.layouts[i].buffers() {
			d.add(a, buffer{})
		}
	}
	if err := d.check(false); err != nil {
		return nil, err
	}
	return d.batch(owners{})
}
