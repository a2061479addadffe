//! Tables in files: Arrow IPC streams.

use std::fs::File;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;

use crate::Anything;

/// Reads the rows that three words name: a file of one batch, where they begin, how many they are.
pub(crate) fn read(words: &[&str]) -> Anything<RecordBatch> {
    let [path, from, count] = words else { return Err("a table is three words".into()) };
    let mut stream = StreamReader::try_new_buffered(File::open(path)?, None)?;
    let batch = stream.next().ok_or("the file has no batch")??;
    let from = from.parse::<usize>()?.min(batch.num_rows());
    Ok(batch.slice(from, count.parse::<usize>()?.min(batch.num_rows() - from)))
}

pub(crate) fn write(path: &str, batch: &RecordBatch) -> Anything<()> {
    let mut stream = StreamWriter::try_new_buffered(File::create(path)?, batch.schema_ref())?;
    stream.write(batch)?;
    Ok(stream.finish()?)
}

pub(crate) fn write_stream(path: &str, batches: impl RecordBatchReader) -> Anything<()> {
    let mut stream = StreamWriter::try_new_buffered(File::create(path)?, &batches.schema())?;
    for batch in batches {
        stream.write(&batch?)?;
    }
    Ok(stream.finish()?)
}
