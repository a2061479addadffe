package main

import (
	"io"
	"os"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow/ipc"

	"dcf/udf"
	"dcf/vertex"
)

// readTable reads the rows that three words name: an Arrow IPC stream of one batch, where they
// begin, how many they are.
func readTable(words []string) (*vertex.Batch, error) {
	from, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return nil, err
	}
	count, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(words[0])
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader, err := ipc.NewReader(file)
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	record, err := reader.Read()
	if err != nil {
		return nil, err
	}
	from = min(from, record.NumRows())
	rows := record.NewSlice(from, min(from+count, record.NumRows()))
	defer rows.Release()
	return vertex.FromRecord(rows)
}

// writeTable writes the batches that next gives until io.EOF, and then releases them: the writer
// compares dictionaries with those of before. Arrow's writer, in v17, loses its way in list views
// that do not begin at the first value of their memory: so rows get memory of their own.
func writeTable(path string, schema *vertex.Schema, next func() (*vertex.Batch, error)) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	writer := ipc.NewWriter(file, ipc.WithSchema(schema.Arrow()))
	for {
		batch, err := next()
		if err == io.EOF {
			return writer.Close()
		}
		if err != nil {
			return err
		}
		rows, err := vertex.Concat([]*vertex.Batch{batch})
		batch.Release()
		if err != nil {
			return err
		}
		defer rows.Release()
		if err := writer.Write(rows.Record()); err != nil {
			return err
		}
	}
}

// batches gives one after the other, for writeTable.
func batches(values []udf.Value) func() (*vertex.Batch, error) {
	return func() (*vertex.Batch, error) {
		if len(values) == 0 {
			return nil, io.EOF
		}
		first := values[0].Batch.Retain()
		values = values[1:]
		return first, nil
	}
}
