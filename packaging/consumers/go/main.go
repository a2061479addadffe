// A module of its own that uses dcf: a function that runs beside a vertex, once.
package main

import (
	"fmt"
	"log"
	"time"

	"dcf/core"
	"dcf/udf"
	"dcf/vertex"
)

// rows says how many rows its vertex has.
func rows(in *udf.Input, out *udf.Output) error {
	copy(out.Reserve(1), []byte{byte('0' + in.Batch.Rows())})
	return nil
}

func run() error {
	worker, err := core.Open(core.Options{})
	if err != nil {
		return err
	}
	defer worker.Close(5 * time.Second)
	numbers, err := worker.Put(core.PutOptions{Name: "numbers"}, vertex.Int64Batch("x", 1, 2, 3))
	if err != nil {
		return err
	}
	function, err := worker.Register(udf.Definition{Kind: udf.KindGo, Name: "rows",
		Code: udf.Func{Calculate: rows}})
	if err != nil {
		return err
	}
	calls := []core.Call{{UDF: function, Targets: []*core.Vertex{numbers}}}
	if err := worker.Run(calls); err != nil {
		return err
	}
	if calls[0].Err != nil {
		return calls[0].Err
	}
	fmt.Printf("%s rows\n", calls[0].Result.Bytes)
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
