package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex"
)

// functions has what every language has, and the failures of Go.
var functions = map[string]udf.Func{
	"tally":          {Calculate: tally, Merge: addUp},
	"tail":           {Calculate: tail},
	"replace":        {Calculate: replace},
	"go.fail":        {Calculate: fails},
	"go.panic":       {Calculate: panics},
	"go.index":       {Calculate: indexes},
	"go.hang":        {Calculate: hangs},
	"go.hang_update": {Calculate: hangs},
}

// function gives the function of that name, or, where another language has it, one that says that
// it ran at the wrong place.
func function(name string) udf.Func {
	if f, ok := functions[name]; ok {
		return f
	}
	return udf.Func{Calculate: func(*udf.Input, *udf.Output) error {
		return errors.New("another language's function ran in Go")
	}}
}

// tally gives the rows of a table, and the nulls of its first column.
func tally(in *udf.Input, out *udf.Output) error {
	record := in.Batch.Record()
	putCounts(out, uint64(record.NumRows()), uint64(record.Column(0).NullN()))
	return nil
}

func putCounts(out *udf.Output, rows, nulls uint64) {
	part := out.Reserve(16)
	binary.LittleEndian.PutUint64(part, rows)
	binary.LittleEndian.PutUint64(part[8:], nulls)
}

func addUp(in *udf.MergeInput, out *udf.Output) error {
	var rows, nulls uint64
	for _, part := range in.Parts {
		rows += binary.LittleEndian.Uint64(part.Bytes)
		nulls += binary.LittleEndian.Uint64(part.Bytes[8:])
	}
	putCounts(out, rows, nulls)
	return nil
}

// tail gives all rows but the first.
func tail(in *udf.Input, out *udf.Output) error {
	record := in.Batch.Record()
	rows := record.NewSlice(min(1, record.NumRows()), record.NumRows())
	defer rows.Release()
	part, err := vertex.FromRecord(rows)
	if err == nil {
		out.Batch(part)
	}
	return err
}

// replace makes the arguments the value.
func replace(in *udf.Input, out *udf.Output) error {
	if in.Arguments.Batch == nil {
		return status.Errorf(status.InvalidArgument, "replace needs a table as its arguments")
	}
	return out.SetValue(in.Arguments.Batch.Retain())
}

func fails(*udf.Input, *udf.Output) error {
	return errors.Join(errors.New("the sky fell"), errors.New("and this is why, in Go"))
}

func panics(*udf.Input, *udf.Output) error {
	deeper()
	return nil
}

//go:noinline
func deeper() { panic("the sky fell\nin Go") }

func indexes(in *udf.Input, _ *udf.Output) error {
	return fmt.Errorf("there is no child %v", in.Children[int(in.Batch.Rows())+1])
}

// hangs until somebody opened the pipe that the arguments name, and closed it.
func hangs(in *udf.Input, out *udf.Output) error {
	_, err := os.ReadFile(string(in.Arguments.Bytes))
	out.Bytes([]byte("released"))
	return err
}
