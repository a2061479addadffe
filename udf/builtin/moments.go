package builtin

import "github.com/apache/arrow/go/v17/arrow"

// moments keeps count, mean and the sum of squared deviations from the mean of each group.
//
// Rows are added by Welford's recurrence, whole chunks of one group in two passes, and two sets
// are combined by the formula of Chan, Golub and LeVeque. Source: T. F. Chan, G. H. Golub,
// R. J. LeVeque, "Algorithms for computing the sample variance: analysis and recommendations",
// The American Statistician 37 (1983), pp. 242-247.
type moments[W wide] struct{ groups []moment }

type moment struct{ count, mean, squares float64 }

// add joins another set of values.
func (m *moment) add(o moment) {
	if o.count == 0 {
		return
	}
	count := m.count + o.count
	delta := o.mean - m.mean
	m.mean += delta * (o.count / count)
	m.squares += o.squares + delta*delta*(m.count*o.count/count)
	m.count = count
}

func (m *moments[W]) grow(groups int) { m.groups = extend(m.groups, groups, moment{}) }

func (m *moments[W]) add(ids []uint32, values []W) {
	if ids == nil {
		m.groups[0].add(momentOf(values))
		return
	}
	groups := m.groups
	for i, id := range ids {
		g := &groups[id]
		v := float64(values[i])
		g.count++
		delta := v - g.mean
		g.mean += delta / g.count
		g.squares += delta * (v - g.mean)
	}
}

// momentOf goes over the values twice, in four lanes which overlap in the processor; the sum of the
// deviations corrects the rounding of the mean.
func momentOf[W wide](values []W) moment {
	if len(values) == 0 {
		return moment{}
	}
	var a, b, c, d float64
	rest := values
	for ; len(rest) >= 4; rest = rest[4:] {
		v := rest[:4:4]
		a, b, c, d = a+float64(v[0]), b+float64(v[1]), c+float64(v[2]), d+float64(v[3])
	}
	for _, v := range rest {
		a += float64(v)
	}
	count := float64(len(values))
	mean := (a + b + c + d) / count
	var sums, squares [4]float64
	for rest = values; len(rest) >= 4; rest = rest[4:] {
		v := rest[:4:4]
		a, b = float64(v[0])-mean, float64(v[1])-mean
		c, d = float64(v[2])-mean, float64(v[3])-mean
		sums[0], sums[1], sums[2], sums[3] = sums[0]+a, sums[1]+b, sums[2]+c, sums[3]+d
		squares[0], squares[1] = squares[0]+a*a, squares[1]+b*b
		squares[2], squares[3] = squares[2]+c*c, squares[3]+d*d
	}
	for _, v := range rest {
		a = float64(v) - mean
		sums[0], squares[0] = sums[0]+a, squares[0]+a*a
	}
	sum := sums[0] + sums[1] + sums[2] + sums[3]
	return moment{count, mean, squares[0] + squares[1] + squares[2] + squares[3] - sum*sum/count}
}

func (m *moments[W]) columns() []arrow.Array {
	counts, means, squares := make([]float64, len(m.groups)), make([]float64, len(m.groups)),
		make([]float64, len(m.groups))
	for i, g := range m.groups {
		counts[i], means[i], squares[i] = g.count, g.mean, g.squares
	}
	t := arrow.PrimitiveTypes.Float64
	return []arrow.Array{makeColumn(t, counts, nil), makeColumn(t, means, nil),
		makeColumn(t, squares, nil)}
}

func (m *moments[W]) fold(ids []uint32, columns []arrow.Array, from int) {
	counts, means, squares := values[float64](columns[0])[from:],
		values[float64](columns[1])[from:], values[float64](columns[2])[from:]
	for i, id := range ids {
		m.groups[id].add(moment{counts[i], means[i], squares[i]})
	}
}
