"""Tables of every library into a vertex and out again, and where no byte may be copied."""

from __future__ import annotations

import duckdb
import nanoarrow
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import dcf

ROWS = [
    {"id": 1, "price": 2.5, "name": "a", "ok": True},
    {"id": 2, "price": None, "name": "bb", "ok": None},
    {"id": 3, "price": -1.0, "name": None, "ok": False},
]
COLUMNS = {key: [row[key] for row in ROWS] for key in ROWS[0]}

MAKERS = {
    "dict": lambda: COLUMNS,
    "dcf": lambda: dcf.Batch(COLUMNS),
    "pyarrow-table": lambda: pa.table(COLUMNS),
    "pyarrow-batch": lambda: pa.record_batch(COLUMNS),
    "pyarrow-chunks": lambda: pa.concat_tables(
        [pa.table(COLUMNS).slice(0, 1), pa.table(COLUMNS).slice(1)]
    ),
    "pyarrow-reader": lambda: pa.table(COLUMNS).to_reader(max_chunksize=2),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "pandas": lambda: pd.DataFrame(COLUMNS).astype(
        {"id": "int64[pyarrow]", "price": "float64[pyarrow]", "ok": "bool[pyarrow]"}
    ),
    "nanoarrow": lambda: nanoarrow.Array(pa.record_batch(COLUMNS)),
    "duckdb": lambda: duckdb.from_arrow(pa.table(COLUMNS)),
}

READERS = {
    "dcf": lambda vertex: dcf.Batch(vertex).to_pylist(),
    "pyarrow": lambda vertex: pa.table(vertex).to_pylist(),
    "pyarrow-batch": lambda vertex: pa.record_batch(vertex.batch()).to_pylist(),
    "to_arrow": lambda vertex: vertex.to_arrow().to_pylist(),
    "polars": lambda vertex: pl.DataFrame(vertex).to_dicts(),
    "pandas": lambda vertex: pa.table(pd.DataFrame.from_arrow(vertex.batch())).to_pylist(),
    "nanoarrow": lambda vertex: nanoarrow.ArrayStream(vertex).read_all().to_pylist(),
    "duckdb": lambda vertex: [
        dict(zip(ROWS[0], row, strict=True))
        for row in duckdb.from_arrow(pa.table(vertex)).order("id").fetchall()
    ],
    "stream": lambda vertex: [row for batch in vertex.stream() for row in batch.to_pylist()],
}


def same(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """pandas spells a missing float as NaN and a missing bool as None."""
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("reader", ["dcf", "pyarrow"])
def test_every_library_in(worker: dcf.Worker, maker: str, reader: str) -> None:
    vertex = worker.put(maker, MAKERS[maker]())
    assert same(READERS[reader](vertex)) == ROWS
    assert vertex.info().rows == 3
    assert vertex.set(MAKERS[maker]()) > 0
    assert same(READERS[reader](vertex)) == ROWS


@pytest.mark.parametrize("reader", READERS)
def test_every_library_out(worker: dcf.Worker, reader: str) -> None:
    vertex = worker.put("table", pa.table(COLUMNS))
    assert same(READERS[reader](vertex)) == ROWS


def test_numpy_reads_a_vertex(worker: dcf.Worker) -> None:
    vertex = worker.put("numbers", {"x": [1.0, 2.0]})
    assert np.asarray(vertex).tolist() == [1.0, 2.0]
    assert np.asarray(worker.put("two", {"x": [1], "y": [2]})).tolist() == [[1, 2]]


def test_a_put_and_its_read_share_memory(worker: dcf.Worker) -> None:
    values = np.arange(100_000, dtype="f8")
    vertex = worker.put("numpy", {"x": values})
    assert np.asarray(vertex).ctypes.data == values.ctypes.data

    table = pa.table({"x": values})
    address = table["x"].chunk(0).buffers()[1].address
    vertex = worker.put("pyarrow", table.to_batches()[0])
    assert pa.record_batch(vertex.batch())["x"].buffers()[1].address == address
    assert pl.DataFrame(vertex.batch())["x"].to_numpy().ctypes.data == address


def test_memory_outlives_vertex_and_worker() -> None:
    with dcf.open() as worker:
        vertex = worker.put("x", pa.table({"x": np.arange(10)}))
        batch = vertex.batch()
        frame = pl.DataFrame(vertex)
        vertex.drop()
    assert batch is not None
    assert batch["x"].to_pylist() == frame["x"].to_list() == list(range(10))


def test_a_group_is_one_table(worker: dcf.Worker) -> None:
    table = pa.table({"k": ["a", "b", "a", "c"], "v": [1, 2, 3, 4]})
    group = worker.put("group", table, shard_by="k")
    assert group.batch() is None
    assert [shard.batch().to_pydict()["v"] for shard in group.shards()] == [[1, 3], [2], [4]]
    rows = sorted(pa.table(group).to_pylist(), key=lambda row: row["v"])
    assert rows == table.to_pylist()
    assert len(pl.DataFrame(group)) == 4
    assert np.asarray(dcf.Batch(group)["v"]).sum() == 10
