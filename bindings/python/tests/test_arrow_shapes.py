"""Tables of unusual shapes, names and metadata, in and out, here and of another process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import nanoarrow
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import dcf

GIB = 2**30


class Money(pa.ExtensionType):  # type: ignore[misc]
    """An extension type of a user's, with a parameter."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        super().__init__(pa.int64(), "tests.money")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.currency.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> Money:
        return cls(serialized.decode())


@pytest.fixture(scope="module", autouse=True)
def money() -> Iterator[None]:
    pa.register_extension_type(Money(""))
    yield
    pa.unregister_extension_type("tests.money")


def amounts() -> pa.Array:
    return pa.ExtensionArray.from_storage(Money("NOK"), pa.array([1, None, 3]))


def noted() -> pa.Table:
    fields = [
        pa.field("a", pa.int32(), nullable=False, metadata={"unit": "m", "raw": b"\xff\0"}),
        pa.field("s", pa.struct([pa.field("x", pa.int8(), metadata={"deep": "yes"})])),
    ]
    columns = [pa.array([1], pa.int32()), pa.array([{"x": 2}], fields[1].type)]
    return pa.table(columns, schema=pa.schema(fields, metadata={"of": "the table"}))


SHAPES = {
    "no rows": lambda: pa.table({"a": pa.array([], pa.int32()), "s": pa.array([], pa.utf8())}),
    "no chunks": lambda: pa.schema(
        [
            ("a", pa.int32()),
            ("d", pa.dictionary(pa.int8(), pa.utf8())),
            ("v", pa.string_view()),
            ("r", pa.run_end_encoded(pa.int16(), pa.utf8())),
        ]
    ).empty_table(),
    "no columns": lambda: pa.table({}),
    "rows without columns": lambda: pa.table({"a": [1, 2, 3]}).select([]),
    "one name twice": lambda: pa.table([[1, 2], ["x", "y"]], names=["a", "a"]),
    "no name": lambda: pa.table([[1, 2]], names=[""]),
    "names beyond ASCII": lambda: pa.table({"Grüße 🎉": [1], "a b": [2]}),
    "metadata": noted,
    "an extension": lambda: pa.table({"m": amounts()}),
    "an extension inside": lambda: pa.table({"l": pa.ListArray.from_arrays([0, 2, 3], amounts())}),
    "an ordered dictionary": lambda: pa.table(
        {"d": pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), ["a", "b"], ordered=True)}
    ),
    "dictionaries inside": lambda: pa.table(
        {"l": pa.array([["a"], ["b", "a"]], pa.list_(pa.dictionary(pa.int8(), pa.utf8())))}
    ),
    "all null": lambda: pa.table({"a": pa.nulls(9, pa.utf8()), "b": pa.nulls(9)}),
    "4,096 columns": lambda: pa.table({f"c{i}": [i] for i in range(4096)}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(worker: dcf.Worker, other: dcf.Worker, name: str) -> None:
    source = SHAPES[name]()
    for at, node in ((worker, 0), (other, 1)):
        vertex = at.put(None, source, node=node)
        assert vertex.info().rows == source.num_rows
        assert pa.table(vertex).equals(source, check_metadata=True)
        assert pa.table(vertex.batch()).equals(source, check_metadata=True)
        vertex.set({"other": [1]})
        vertex.set(source)
        assert pa.table(vertex).equals(source, check_metadata=True)
        vertex.drop()
    assert pa.table(dcf.Batch(source)).equals(source, check_metadata=True)


def test_columns_without_a_name_of_their_own(worker: dcf.Worker) -> None:
    vertex = worker.put(None, SHAPES["one name twice"]())
    batch = vertex.batch()
    assert batch is not None
    assert batch.column_names == ["a", "a"]
    assert [batch[i].to_pylist() for i in (0, 1)] == [[1, 2], ["x", "y"]]
    empty = worker.put(None, SHAPES["rows without columns"]())
    assert len(pl.DataFrame(empty)) == 3
    assert np.asarray(empty).shape == (3, 0)


def test_chunks_of_a_dictionary_become_one(worker: dcf.Worker, other: dcf.Worker) -> None:
    parts = [["a", "b"], ["c", None, "a"], []]
    chunks = pa.chunked_array([pa.array(part, pa.utf8()).dictionary_encode() for part in parts])
    source = pa.table({"d": chunks})
    for at, node in ((worker, 0), (other, 1)):
        got = pa.table(at.put(None, source, node=node))["d"].combine_chunks()
        assert got.dictionary.to_pylist() == ["a", "b", "c"]
        assert got.indices.to_pylist() == [0, 1, 2, None, 0]
    vertex = worker.put(None, {"d": chunks})
    vertex.set({"d": chunks})
    assert vertex.batch()["d"].to_pylist() == ["a", "b", "c", None, "a"]
    assert vertex.batch()["d"].dictionary.to_pylist() == ["a", "b", "c"]
    assert np.asarray(vertex).tolist() == ["a", "b", "c", None, "a"]


def test_a_dictionary_that_outgrows_its_indices(worker: dcf.Worker) -> None:
    def part(start: int) -> pa.Array:
        values = [f"v{i}" for i in range(start, start + 100)]
        return pa.DictionaryArray.from_arrays(pa.array(range(100), pa.int8()), values)

    source = pa.table({"d": pa.chunked_array([part(0), part(100)])})
    for refused in (lambda: worker.put(None, source), lambda: dcf.Batch(source)):
        with pytest.raises(dcf.InvalidArgumentError, match='"d": 200 distinct values are too many'):
            refused()


def test_rows_that_are_null(worker: dcf.Worker) -> None:
    kind = pa.struct([("x", pa.int64())])
    rows = pa.array([{"x": 1}, None], kind)
    with pytest.raises(dcf.InvalidArgumentError, match="1 of its rows are null"):
        worker.put(None, rows)
    as_column = pa.chunked_array([rows, rows])
    vertex = worker.put(None, {"s": as_column})
    assert vertex.batch()["s"].to_pylist() == as_column.to_pylist()


def test_limits_have_a_name(worker: dcf.Worker) -> None:
    wide = pa.table({f"c{i}": [i] for i in range(4097)})
    kind: pa.DataType = pa.int8()
    for _ in range(65):
        kind = pa.list_(kind)
    deep = pa.table({"d": pa.nulls(1, kind)})
    for source, limit in ((wide, "MaxColumns"), (deep, "MaxDepth")):
        with pytest.raises(dcf.InvalidArgumentError, match=limit):
            worker.put(None, source)


def test_pandas_with_its_own_types(worker: dcf.Worker) -> None:
    frame = pd.DataFrame(
        {
            "number": [1.5, None],
            "when": pd.to_datetime(["2024-01-01", None], utc=True),
            "text": ["a", None],
            "kind": pd.Categorical(["x", "y"]),
            "count": pd.array([1, None], dtype="Int64"),
        }
    )
    batch = worker.put(None, frame).batch()
    assert batch is not None
    assert pa.table(batch).to_pylist() == pa.Table.from_pandas(frame).to_pylist()
    pd.testing.assert_series_equal(pd.DataFrame.from_arrow(batch)["when"], frame["when"])


def test_a_stream_of_nanoarrow_is_read_once(worker: dcf.Worker) -> None:
    stream = nanoarrow.ArrayStream(pa.table({"x": [1, 2]}))
    assert worker.put(None, stream).batch().to_pydict() == {"x": [1, 2]}
    with pytest.raises(RuntimeError, match="released"):
        worker.put(None, stream)


# ---- More than 2 GiB -------------------------------------------------------------


def available() -> int:
    with open("/proc/meminfo") as file:
        lines = dict(line.split(":") for line in file)
    return int(lines["MemAvailable"].split()[0]) * 1024


def long_texts(size: int) -> pa.Table:
    """Texts of 1 MiB each, over `size` bytes in all, made where they lie."""
    count = size // 2**20 + 1
    data = np.full(count * 2**20, ord("a"), "u1")
    data[:: 2**20] = np.arange(count) % 26 + ord("a")
    offsets = np.arange(count + 1, dtype="i8") * 2**20
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.table({"x": pa.Array.from_buffers(pa.large_string(), count, buffers)})


def require_texts(got: pa.ChunkedArray, count: int) -> None:
    assert len(got) == count
    for i in (0, 1, count // 2, count - 1):
        text = got[i].as_py()
        assert text == chr(i % 26 + ord("a")) + "a" * (2**20 - 1)


@pytest.mark.skipif(os.environ.get("DCF_TEST_LARGE") == "0", reason="DCF_TEST_LARGE is 0")
def test_more_than_two_gib_of_text(worker: dcf.Worker, other: dcf.Worker) -> None:
    """Here without a copy, and sent to another process and fetched from there."""
    if available() < 10 * GIB:
        pytest.skip("less than 10 GiB of memory are available")
    source = long_texts(2 * GIB)
    count = source.num_rows
    vertex = worker.put(None, source)
    got = pa.table(vertex)["x"]
    require_texts(got, count)
    address = source["x"].chunk(0).buffers()[2].address
    assert got.chunk(0).buffers()[2].address == address
    vertex.drop()

    there = other.put(None, source, node=1)
    assert there.info().bytes > 2 * GIB
    del source, got, vertex
    require_texts(pa.table(there)["x"], count)
    there.drop()


def test_more_than_two_gib_do_not_fit_into_utf8(worker: dcf.Worker) -> None:
    """Chunks are views of one: what is joined is counted before it is copied."""
    one = pa.array(["a" * 2**20] * 64)
    source = pa.table({"x": pa.chunked_array([one] * 33)})
    for refused in (lambda: worker.put(None, source), lambda: dcf.Batch(source)):
        with pytest.raises(dcf.InvalidArgumentError, match='"x": its values are too large for'):
            refused()
