"""Values that are filled in where they will lie."""

from __future__ import annotations

import array
import contextlib
import datetime as dt
import gc
import itertools
import random
import threading
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import dcf
from conftest import counters

TABLE = pa.schema(
    {
        "x": pa.float64(),
        "name": pa.string(),
        "flag": pa.bool_(),
        "when": pa.timestamp("us", "UTC"),
        "kind": pa.dictionary(pa.int8(), pa.string()),
    }
)


def filled(worker: dcf.Worker) -> dcf.Builder:
    builder = worker.build(TABLE, 3)
    builder["x"][:] = [1.5, 2.5, 3.5]
    builder["name"].set(["Ålesund", None, ""])
    builder["flag"][:] = [True, False, True]
    builder["when"][:] = np.array(["2024-02-29", "1969-12-31", "2000-01-01"], "M8[us]")
    builder["kind"].set_dictionary(["near", "far"])
    builder["kind"][:] = [1, 0, 1]
    builder["kind"].validity[1] = False
    return builder


ROWS = [
    {"x": 1.5, "name": "Ålesund", "flag": True, "kind": "far"},
    {"x": 2.5, "name": None, "flag": False, "kind": None},
    {"x": 3.5, "name": "", "flag": True, "kind": "far"},
]


def test_a_table_is_built_and_committed(worker: dcf.Worker) -> None:
    with filled(worker) as builder:
        assert len(builder) == 5
        where = builder["x"].values.__array_interface__["data"][0]
        vertex = builder.commit("built")
        assert builder.ended
    table = vertex.to_arrow()
    assert table.schema.types == TABLE.types
    assert table.drop_columns("when").to_pylist() == ROWS
    assert table["when"][0].as_py() == dt.datetime(2024, 2, 29, tzinfo=dt.timezone.utc)
    assert table["x"].chunk(0).buffers()[1].address == where, "nothing is copied"
    assert worker.call(dcf.sum("x"), "built") == 7.5
    assert pl.DataFrame(vertex.batch())["x"].to_list() == [1.5, 2.5, 3.5]
    assert counters(worker)["builders"] == 0


def test_all_numbers(worker: dcf.Worker) -> None:
    types = {str(np.dtype(letter)): np.dtype(letter) for letter in "bBhHiIqQefd"}
    schema = pa.schema({name: pa.from_numpy_dtype(t) for name, t in types.items()})
    schema = schema.append(pa.field("duration", pa.duration("ns")))
    schema = schema.append(pa.field("day", pa.date32()))
    schema = schema.append(pa.field("time", pa.time64("ns")))
    with worker.build(schema, 4) as builder:
        for column in builder.columns:
            assert len(column) == 4
            column[:] = [1, 2, 3, 4]
            column[1:3] = 7
            assert np.asarray(column).tolist() == column[:].tolist()
            assert np.asarray(column, "f8" if column.name != "duration" else None).size == 4
        table = builder.commit().to_arrow()
    for name in types:
        assert table[name].to_pylist() == [1, 7, 7, 4], name
    assert table["day"][0].as_py() == dt.date(1970, 1, 2)
    assert table["duration"].cast(pa.int64()).to_pylist() == [1, 7, 7, 4]


def test_nested_types(worker: dcf.Worker) -> None:
    schema = pa.schema(
        {
            "l": pa.list_(pa.string()),
            "f": pa.list_(pa.float32(), 2),
            "s": pa.struct({"a": pa.int8(), "b": pa.large_binary()}),
            "d": pa.decimal128(10, 2),
            "m": pa.map_(pa.string(), pa.int32()),
            "n": pa.null(),
        }
    )
    with worker.build(schema, 2) as builder:
        builder["l"].set([0, 2, 3])
        builder["l"].child(0).set(["a", "bc", None])
        builder["f"].child(0)[:] = [1, 2, 3, 4]
        builder["s"].child("a")[:] = [5, 6]
        builder["s"].child("b").set([b"\xff", b""])
        builder["s"].validity[:] = [True, False]
        builder["d"].values[:] = 0
        builder["d"].values[:, 0] = [150, 25]
        builder["m"].set(np.array([0, 1, 1]))
        entries = builder["m"].child(0)
        entries.child("key").set(["k"])
        entries.child("value")[:] = [9]
        table = builder.commit().to_arrow()
    assert table["l"].to_pylist() == [["a", "bc"], [None]]
    assert table["f"].to_pylist() == [[1, 2], [3, 4]]
    assert table["s"].to_pylist() == [{"a": 5, "b": b"\xff"}, None]
    assert [str(value) for value in table["d"].to_pylist()] == ["1.50", "0.25"]
    assert table["m"].to_pylist() == [[("k", 9)], []]
    assert table["n"].null_count == 2


@pytest.mark.parametrize("offsets", [list, np.array, lambda o: array.array("i", o), tuple])
def test_texts_as_offsets_and_data(worker: dcf.Worker, offsets: Any) -> None:
    for text in (pa.string(), pa.large_string(), pa.binary()):
        with worker.build(pa.schema({"t": text}), 3) as builder:
            builder["t"].set((offsets([0, 1, 1, 4]), b"abcd"))
            builder["t"].validity[0] = False
            table = builder.commit().to_arrow()
        assert table["t"].cast(pa.binary()).to_pylist() == [None, b"", b"bcd"]


def test_texts_are_set_again(worker: dcf.Worker) -> None:
    with worker.build(pa.schema({"t": pa.string()}), 2) as builder:
        builder["t"].set([None, "x"])
        builder["t"].set(["longer than that", "y"])
        assert builder.commit().batch()["t"].to_pylist() == ["longer than that", "y"]


def test_arrow_sees_what_is_written(worker: dcf.Worker) -> None:
    with worker.build(pa.schema({"x": pa.int64(), "t": pa.string()}), 3) as builder:
        validity, values = builder["x"].buffers()
        shown = pa.Array.from_buffers(pa.int64(), 3, [pa.py_buffer(validity), pa.py_buffer(values)])
        builder["x"][:] = [1, 2, 3]
        assert shown.to_pylist() == [1, 2, 3]
        assert [part is not None and len(part) for part in builder["t"].buffers()] == [1, 16, 0]
        vertex = builder.commit()
        assert vertex.batch()["x"].to_pylist() == [1, 2, 3]


def test_no_rows(worker: dcf.Worker) -> None:
    with worker.build(TABLE, 0) as builder:
        builder["x"][:] = []
        builder["name"].set([])
        builder["flag"][:] = []
        builder["x"].validity[:] = []
        builder["kind"].set_dictionary(pa.array([], pa.string()))
        assert builder.commit().info().rows == 0


def test_what_is_wrong_can_be_corrected(worker: dcf.Worker) -> None:
    worker.put("taken", 1)
    with filled(worker) as builder:
        with pytest.raises(dcf.AlreadyExistsError):
            builder.commit("taken")
        builder["name"].set(([0, 2, 1, 3], b"abc"))
        with pytest.raises(dcf.InvalidArgumentError, match='column "name": offset 2 .* value 1'):
            builder.commit("taken", replace=True)
        builder["name"].set(([0, 1, 2, 3], b"ab\xff"))
        with pytest.raises(dcf.InvalidArgumentError, match="value 2 is not UTF-8"):
            builder.commit("taken", replace=True)
        builder["name"].set(([0, 1, 2, 3], b"abc"))
        builder["kind"][0] = 2
        with pytest.raises(dcf.InvalidArgumentError, match='column "kind": value 0 has index 2'):
            builder.commit("taken", replace=True)
        builder["kind"][0] = 0
        assert builder.commit("taken", replace=True).info().rows == 3


def test_wrong_use(worker: dcf.Worker) -> None:
    with pytest.raises(TypeError, match="schema of an Arrow library"):
        worker.build({"x": "f8"}, 3)  # type: ignore[arg-type]
    with pytest.raises(dcf.UnsupportedError, match="string_view"):
        worker.build(pa.schema({"v": pa.string_view()}), 3)
    with pytest.raises(dcf.InvalidArgumentError, match="MaxRows"):
        worker.build(TABLE, -1)
    with pytest.raises(dcf.ExhaustedError, match="memory limit"):
        worker.build(TABLE, 1 << 39)
    schema = pa.schema([pa.field("x", pa.int64(), nullable=False), *TABLE])
    schema = schema.remove(1)
    with worker.build(schema, 3) as builder:
        with pytest.raises(KeyError, match='no column "y", it has: x, name'):
            builder["y"]
        with pytest.raises(IndexError):
            builder[5]
        with pytest.raises(TypeError, match="has no nulls"):
            builder["x"].validity  # noqa: B018
        with pytest.raises(TypeError, match="use set"):
            builder["name"].values  # noqa: B018
        with pytest.raises(TypeError, match="is no text or list"):
            builder["x"].set([1, 2, 3])
        with pytest.raises(ValueError, match="so 4 offsets, not 3"):
            builder["name"].set(["a", "b"])
        with pytest.raises(TypeError, match="value 1 is int, not str"):
            builder["name"].set(["a", 1, "b"])
        with pytest.raises(ValueError, match="offsets"):
            builder["name"].set(([0, 1, 2, 1 << 31], b""))
        with pytest.raises(ValueError, match="32 bits"):
            builder["name"].set((np.array([0, 1, 2, 1 << 31]), b""))
        with pytest.raises(TypeError, match="has no dictionary"):
            builder["x"].set_dictionary([1])
        with pytest.raises(TypeError, match='Arrow type "u", and this is "l"'):
            builder["kind"].set_dictionary([1])
        with pytest.raises(dcf.InvalidArgumentError, match="has no dictionary"):
            builder.commit()
    for use in (
        builder.commit,
        lambda: builder["x"].values,
        lambda: builder["name"].set(["a", "b", "c"]),
        lambda: builder["kind"].set_dictionary(["a"]),
        lambda: len(builder["x"]),
    ):
        with pytest.raises(dcf.BadHandleError, match="committed or aborted"):
            use()
    builder.abort()


def test_an_exception_aborts(worker: dcf.Worker) -> None:
    before = counters(worker)["vertices.bytes"]
    builder = worker.build(TABLE, 1000)
    assert counters(worker)["builders.bytes"] > 8000
    with pytest.raises(ZeroDivisionError), builder:
        raise ZeroDivisionError
    assert builder.ended
    assert counters(worker)["builders"] == 0
    assert counters(worker)["vertices.bytes"] == before


@pytest.mark.filterwarnings("ignore:.*neither committed nor aborted:ResourceWarning")
@pytest.mark.parametrize("end", ["commit", "abort", "drop"])
def test_arrays_keep_their_memory_in_any_order(worker: dcf.Worker, end: str) -> None:
    """Views outlive the builder, the vertex and its data, in each order of letting go."""
    n = 1 << 17  # large blocks are unmapped or used again once they are free
    for order in itertools.permutations(["builder", "vertex", "view"]):
        used = counters(worker)["memory.used"]
        held: dict[str, Any] = {}
        builder = held["builder"] = worker.build(pa.schema({"x": pa.int64()}), n)
        builder["x"][:] = 7
        view = held["view"] = builder["x"].values[10:]
        if end == "commit":
            held["vertex"] = builder.commit()
        elif end == "abort":
            builder.abort()
        del builder, view
        for name in order:
            if name == "vertex" and "vertex" in held:
                held["vertex"].drop()
            if name == "view":
                assert held["view"].sum() == 7 * (n - 10)
                held["view"][:] = 7
            held.pop(name, None)
            gc.collect()
            other = worker.build(pa.schema({"y": pa.int64()}), n)
            other["y"][:] = 1  # would write over memory that was given back too early
            if "view" in held:
                assert held["view"][0] == 7
            other.abort()
        gc.collect()
        assert counters(worker)["memory.used"] < used + n  # and not the 8 n bytes of values


def test_arrays_are_read_only_after_the_commit(worker: dcf.Worker) -> None:
    with worker.build(pa.schema({"x": pa.int64()}), 3) as builder:
        values = builder["x"].values
        values[:] = 1
        vertex = builder.commit()
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 2
    assert values.tolist() == vertex.batch()["x"].to_pylist() == [1, 1, 1]


def test_what_is_shown_does_not_move(worker: dcf.Worker) -> None:
    with worker.build(pa.schema({"l": pa.list_(pa.int64())}), 1) as builder:
        builder["l"].set([0, 2])
        items = builder["l"].child(0).values
        items[:] = 1
        with pytest.raises(BufferError, match='column "l" cannot grow'):
            builder["l"].set([0, 3])
        del items
        builder["l"].set([0, 3])
        builder["l"].child(0)[2] = 5
        assert builder.commit().batch()["l"].to_pylist() == [[1, 1, 5]]


def test_a_builder_that_is_forgotten_warns(worker: dcf.Worker) -> None:
    def forget() -> None:
        worker.build(TABLE, 3)
        gc.collect()

    with pytest.warns(ResourceWarning, match="neither committed nor aborted"):
        forget()
    assert counters(worker)["builders"] == 0


def test_a_builder_of_a_closed_worker() -> None:
    with dcf.open() as worker:
        builder = worker.build(pa.schema({"x": pa.int64()}), 3)
        values = builder["x"].values
    values[:] = 3
    with pytest.raises(dcf.BadHandleError):
        builder["x"].values  # noqa: B018
    with pytest.raises(dcf.BadHandleError):
        builder.commit()
    assert values.sum() == 9
    builder.abort()
    assert values.sum() == 9


def test_shards_and_nodes(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    with filled(one) as builder:
        view = builder["x"].values
        there = builder.commit("there", node=two.node_id)
    assert there.info().owner == two.node_id
    assert view.tolist() == [1.5, 2.5, 3.5]
    assert two.vertex("there").batch()["kind"].to_pylist() == ["far", None, "far"]
    with filled(one) as builder:
        group = builder.commit("group", shards=3)
    assert [shard.info().rows for shard in group.shards()] == [1, 1, 1]
    assert two.call(dcf.sum("x"), "group") == 7.5


def test_one_commit_of_many_threads(worker: dcf.Worker) -> None:
    for _ in range(20):
        with filled(worker) as builder:
            done: list[dcf.Vertex] = []

            def commit(builder: dcf.Builder = builder, done: list[dcf.Vertex] = done) -> None:
                with contextlib.suppress(dcf.AbortedError, dcf.BadHandleError):
                    done.append(builder.commit())

            threads = [threading.Thread(target=commit) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(done) == 1
            done[0].drop()


def test_random_offsets(worker: dcf.Worker) -> None:
    """Whatever stands in offsets and indices, a commit refuses it or what it made can be read."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    committed = 0
    for _ in range(300):
        with filled(worker) as builder:
            parts = builder[rng.choice(["name", "kind"])].buffers()
            with rng.choice([part for part in parts if part]) as part:
                part[rng.randrange(len(part))] = rng.randrange(256)
            del parts
            try:
                vertex = builder.commit()
            except dcf.InvalidArgumentError:
                continue
            committed += 1
            vertex.batch().to_pylist()
            vertex.to_arrow().validate(full=True)
            vertex.drop()
    assert 0 < committed < 300
