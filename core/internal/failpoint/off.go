//go:build !failpoint && !race

package failpoint

// Enabled says whether points are compiled in.
const Enabled = false

// Hit is where a point is.
func Hit(Point) {}

// Kill panics: there are no points.
func Kill(Point, int) { panic("failpoint: not compiled in") }
