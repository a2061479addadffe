package builtin

import (
	"github.com/apache/arrow/go/v17/arrow"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// aggregateProgram runs count, sum, min, max, mean, variance and aggregate. A part is a record of
// keys and states; merge folds such records and finish makes the result of the last one.
type aggregateProgram struct{ function string }

var _ udf.Program = (*aggregateProgram)(nil)

func newAggregate(function string) udf.Program { return &aggregateProgram{function} }

// Calculate aggregates the rows of each vertex.
func (p *aggregateProgram) Calculate(wave *udf.Wave) {
	var plans planCache
	for i := range wave.Inputs {
		in, out := &wave.Inputs[i], &wave.Outputs[i]
		if err := p.calculate(&plans, in, out); err != nil {
			out.FailWith(status.From(err))
		}
	}
}

func (p *aggregateProgram) calculate(plans *planCache, in *udf.Input, out *udf.Output) error {
	plan, err := plans.plan(p.function, in.Arguments)
	if err != nil {
		return err
	}
	record, err := recordOf(in)
	if err != nil {
		return err
	}
	t, err := plan.aggregate(record, in.Cancelled)
	if err != nil {
		return err
	}
	return give(out, t.part)
}

// HasMerge says that parts are folded.
func (p *aggregateProgram) HasMerge() bool { return true }

// HasFinish says that a part is no result yet.
func (p *aggregateProgram) HasFinish() bool { return true }

// Merge folds parts into one.
func (p *aggregateProgram) Merge(in *udf.MergeInput, out *udf.Output) {
	t, err := p.fold(in)
	if err == nil {
		err = give(out, t.part)
	}
	if err != nil {
		out.FailWith(status.From(err))
	}
}

// Finish makes the result.
func (p *aggregateProgram) Finish(in *udf.MergeInput, out *udf.Output) {
	t, err := p.fold(in)
	if err == nil {
		err = give(out, t.result)
	}
	if err != nil {
		out.FailWith(status.From(err))
	}
}

// Close does nothing: the program holds nothing.
func (p *aggregateProgram) Close() {}

func (p *aggregateProgram) fold(in *udf.MergeInput) (*table, error) {
	a, err := parse(p.function, in.Arguments)
	if err != nil {
		return nil, err
	}
	parts := make([]arrow.Record, 0, len(in.Parts))
	for _, part := range in.Parts {
		if part.Batch == nil {
			return nil, foreign("it is bytes")
		}
		parts = append(parts, part.Batch.Record())
	}
	return newPlan(a).fold(parts)
}

// planCache keeps the plan of the arguments before: those of a wave are mostly the same.
type planCache struct {
	last *plan
	of   *vertex.Batch
}

func (c *planCache) plan(function string, value udf.Value) (*plan, error) {
	if c.last == nil || value.Batch == nil || value.Batch != c.of {
		a, err := parse(function, value)
		if err != nil {
			return nil, err
		}
		c.last, c.of = newPlan(a), value.Batch
	}
	return c.last, nil
}

// recordOf gives the value of the vertex.
func recordOf(in *udf.Input) (arrow.Record, error) {
	if in.Batch == nil {
		return nil, status.Errorf(status.NotFound,
			"the vertex has no value to read: set one, or call on a vertex that has").
			WithVertex(in.Vertex)
	}
	if in.Views == nil {
		return in.Batch.Record(), nil
	}
	return vertex.CachedRecord(in.Batch, in.Views), nil
}

// give makes the answer out of a record.
func give(out *udf.Output, record func() (arrow.Record, error)) error {
	r, err := record()
	if err != nil {
		return err
	}
	batch, err := vertex.FromRecord(r)
	if err != nil {
		return err
	}
	out.Batch(batch)
	return nil
}
