"""Batches without a worker: building, reading, and every way to get it wrong."""

from __future__ import annotations

import array
import datetime as dt
import decimal
import pickle

import numpy as np
import pyarrow as pa
import pytest

import dcf

UTC = dt.timezone.utc
OSLO = dt.datetime(2024, 5, 17, 10, 30, 0, 250000)

COLUMNS = {
    "bool": [True, None, False],
    "int": [1, -(2**63), 2**63 - 1],
    "unsigned": [2**64 - 1, None, 0],
    "float": [1.5, float("inf"), None],
    "mixed": [1, 2.5, None],
    "str": ["", "æøå", None],
    "bytes": [b"", b"\x00\xff", None],
    "list": [[1, 2], [], None],
    "nested": [[["a"], []], [None], None],
    "dict": [{"a": 1, "b": "x"}, {"b": "y"}, None],
    "none": [None, None, None],
    "date": [dt.date(1969, 12, 31), dt.date(2024, 2, 29), None],
    "naive": [OSLO, dt.datetime(1, 1, 1), None],
    "aware": [OSLO.replace(tzinfo=UTC), dt.datetime(1970, 1, 1, tzinfo=UTC), None],
    "duration": [dt.timedelta(days=-1, microseconds=3), dt.timedelta(0), None],
}


def expected(name: str) -> list[object]:
    if name == "mixed":
        return [1.0, 2.5, None]
    if name == "dict":
        return [{"a": 1, "b": "x"}, {"a": None, "b": "y"}, None]
    return COLUMNS[name]


@pytest.mark.parametrize("name", COLUMNS)
def test_values_survive_the_way_to_arrow_and_back(name: str) -> None:
    batch = dcf.Batch.from_dict({name: COLUMNS[name]})
    assert batch.to_pydict() == {name: expected(name)}
    table = pa.table(batch)
    table.validate(full=True)
    assert table.to_pydict() == {name: expected(name)}
    assert dcf.Batch(table).to_pydict() == {name: expected(name)}


@pytest.mark.parametrize("name", COLUMNS)
def test_chunks_and_slices_are_joined(name: str) -> None:
    whole = pa.table(dcf.Batch.from_dict({name: COLUMNS[name]}))
    chunks = pa.concat_tables([whole.slice(1), whole.slice(0, 0), whole, whole.slice(1, 1)])
    joined = dcf.Batch(chunks)
    assert joined.to_pydict() == chunks.to_pydict()
    pa.table(joined).validate(full=True)


ARROW = {
    "int8": pa.array([1, None, -128], pa.int8()),
    "uint16": pa.array([1, None, 65535], pa.uint16()),
    "half": pa.array(np.array([1.5, 2.0, 0.0], "f2")),
    "float32": pa.array([1.5, None, 0], pa.float32()),
    "large_utf8": pa.array(["a", None, "c" * 40], pa.large_utf8()),
    "utf8_view": pa.array(["a", None, "c" * 40], pa.string_view()),
    "fixed": pa.array([b"abc", None, b"xyz"], pa.binary(3)),
    "decimal": pa.array(
        [decimal.Decimal("-1.50"), None, decimal.Decimal("9e10")], pa.decimal128(20, 2)
    ),
    "dictionary": pa.array(["x", None, "y"]).dictionary_encode(),
    "time32": pa.array([dt.time(1, 2, 3), None, dt.time(0)], pa.time32("s")),
    "time64": pa.array([dt.time(1, 2, 3, 4), None, dt.time(0)], pa.time64("us")),
    "zoned": pa.array([OSLO.replace(tzinfo=UTC), None, None], pa.timestamp("us", "Europe/Oslo")),
    "fixed_list": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int32(), 2)),
    "large_list": pa.array([[1], None, []], pa.large_list(pa.int32())),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())),
    "list_view": pa.array([[1, 2], None, []], pa.list_view(pa.int32())),
    "large_list_view": pa.array([[1, 2], None, []], pa.large_list_view(pa.int32())),
    "interval": pa.array([pa.MonthDayNano([1, 2, 3]), None, pa.MonthDayNano([-1, 0, -9])]),
    "run_end": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int16()), ["a", None]),
    "dense_union": pa.UnionArray.from_dense(
        pa.array([0, 5, 0], pa.int8()),
        pa.array([0, 0, 1], pa.int32()),
        [pa.array([1, None]), pa.array(["x"])],
        type_codes=[0, 5],
    ),
    "sparse_union": pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, None]), pa.array(["x", "y", "z"])]
    ),
    # 200 values: an index above 127 is no negative number.
    "dictionary_of_uint8": pa.DictionaryArray.from_arrays(
        pa.array(range(200), pa.uint8()), [f"value {i}" for i in range(200)]
    ),
}


@pytest.mark.parametrize("name", ARROW)
def test_types_that_only_arrow_has(name: str) -> None:
    column = ARROW[name]
    for chosen in (column, column.slice(1), column.slice(1, 1)):
        decoded = dcf.Batch.from_dict({"x": chosen})["x"].to_pylist()
        assert decoded == chosen.to_pylist()


def test_columns_of_one_name_do_not_get_lost_in_a_dict() -> None:
    batch = dcf.Batch(pa.table([[1, 2], [3, 4]], names=["x", "x"]))
    assert [batch[i].to_pylist() for i in range(2)] == [[1, 2], [3, 4]]
    for whole in (batch.to_pydict, batch.to_pylist):
        with pytest.raises(ValueError, match="take them by number, of \\['x', 'x'\\]"):
            whole()


def test_numpy_is_shared_where_it_can_be() -> None:
    values = np.arange(1000, dtype="f8")
    batch = dcf.Batch({"x": values})
    back = np.asarray(batch)
    assert back.ctypes.data == values.ctypes.data
    assert not back.flags.writeable
    memory = memoryview(batch["x"])
    assert memory.format == "d"
    assert memory.readonly
    del batch
    assert memory[999] == 999.0  # the view keeps the memory alive


@pytest.mark.parametrize(
    ("values", "format_"),
    [
        (np.array([1, 2], "i1"), "c"),
        (np.array([1, 2], "u2"), "S"),
        (np.array([1, 2], ">i4"), "i"),
        (np.array([1, 2], "f4"), "f"),
        (np.array([1, 0, 1, 1, 0, 0, 1, 1, 1], bool), "b"),
        (np.arange(10)[::2], "l"),
        (np.array(["2024-01-01", "NaT"], "M8[D]"), "tss:"),
        (np.array(["2024-01-01", "NaT"], "M8[ns]"), "tsn:"),
        (np.array([1, 2], "m8[ms]"), "tDm"),
        (np.array(["a", "bc"]), "u"),
        (np.array(["a", None], object), "u"),
        (array.array("h", [1, 2]), "s"),
        (memoryview(b"ab"), "C"),
        (range(3), "l"),
    ],
)
def test_columns_of_other_sequences(values: object, format_: str) -> None:
    column = dcf.Batch({"x": values})["x"]
    assert column.format == format_
    assert len(column) == len(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "biufmM":
        np.testing.assert_array_equal(np.asarray(column).astype(values.dtype), values)
    elif not isinstance(values, np.ndarray):
        assert column.to_pylist() == list(values)


def test_numpy_of_nulls_and_tables() -> None:
    batch = dcf.Batch({"i": [1, None], "f": [0.5, 1.5]})
    np.testing.assert_array_equal(np.asarray(batch["i"]), [1, np.nan])
    np.testing.assert_array_equal(np.asarray(batch), [[1, 0.5], [np.nan, 1.5]])
    assert np.asarray(batch, dtype="f4").dtype == np.float32
    assert np.asarray(dcf.Batch({"s": ["a", None]})).tolist() == ["a", None]


@pytest.mark.parametrize(
    "value", [0, -5, 2**63, 1.5, True, False, "", "text", np.int32(3), np.float32(0.5)]
)
def test_a_plain_value_is_one_row_and_one_column(value: object) -> None:
    batch = dcf.Batch(value)
    assert (batch.num_rows, batch.num_columns, batch.column_names) == (1, 1, [""])
    assert batch.scalar() == value
    assert pa.table(batch).to_pylist() == [{"": value}]


def test_rows_and_columns() -> None:
    batch = dcf.Batch({"a": [1, 2], "ø": ["x", "y"]})
    assert len(batch) == batch.num_rows == 2
    assert batch["ø"].to_pylist() == batch[1].to_pylist() == batch[-1].to_pylist() == ["x", "y"]
    assert list(batch["a"]) == [1, 2]
    assert batch["a"][-1] == 2
    assert batch.to_pylist() == [{"a": 1, "ø": "x"}, {"a": 2, "ø": "y"}]
    assert repr(batch) == "<dcf.Batch of 2 rows: ['a', 'ø']>"
    assert repr(batch["a"]) == '<dcf.Column "a" of 2 values of Arrow type "l">'
    assert dcf.Batch(batch) is batch
    assert dcf.Batch({}).num_rows == 0


def test_a_row_is_one_row() -> None:
    row = {"n": 3, "names": ["a", "b"], "when": OSLO, "nothing": None, "sub": {"x": 1.5}}
    assert dcf.Batch.from_row(row).to_pylist() == [row]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: dcf.Batch({"x": [1, "a"]}), TypeError, "value 1 is str"),
        (lambda: dcf.Batch({"x": [1], "y": [1, 2]}), ValueError, "'y' has 2 values"),
        (lambda: dcf.Batch({1: [1]}), TypeError, "name of a column is str"),
        (lambda: dcf.Batch({"x": 5}), TypeError, "put a single value in a list"),
        (lambda: dcf.Batch({"x": [object()]}), TypeError, "builtins.object"),
        (lambda: dcf.Batch({"x": [2**64]}), OverflowError, "neither int64 nor uint64"),
        (lambda: dcf.Batch({"x": [-1, 2**63]}), OverflowError, "neither int64 nor uint64"),
        (lambda: dcf.Batch(2**64), OverflowError, "64 bits"),
        (lambda: dcf.Batch({"x": [dt.date(2024, 1, 1), OSLO]}), TypeError, "one type"),
        (lambda: dcf.Batch({"x": np.zeros((2, 2))}), TypeError, "one dimension"),
        (lambda: dcf.Batch({"x": np.zeros(2, "c16")}), TypeError, "complex128"),
        (lambda: dcf.Batch(object()), TypeError, "is no Arrow data"),
        (lambda: dcf.Batch(None), TypeError, "None is no batch"),
        (lambda: dcf.Batch(pa.array([1])), TypeError, "give it a name"),
        (lambda: dcf.Batch.from_dict([1]), TypeError, "a dict of"),
        (lambda: dcf.Batch({"x": [1, 2]}).scalar(), ValueError, "2 rows and 1 columns"),
        (lambda: dcf.Batch({"x": [1]})["y"], KeyError, "no column 'y'"),
        (lambda: dcf.Batch({"x": [1]})[7], IndexError, "column 7"),
        (lambda: dcf.Batch({"x": [1]})["x"][3], IndexError, "value 3"),
        (lambda: memoryview(dcf.Batch({"x": ["a"]})["x"]), BufferError, "no run of plain numbers"),
        (lambda: memoryview(dcf.Batch({"x": [1, None]})["x"]), BufferError, "with nulls"),
        (lambda: dcf.VertexID("xyz"), ValueError, "32 hex digits"),
        (lambda: dcf.VertexID(5), TypeError, "a vertex id"),
    ],
)
def test_mistakes_are_named(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]


def test_lists_nested_without_end_are_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested at most 64"):
        dcf.Batch({"x": [loop]})


def test_a_producer_that_raises_or_lies_is_reported() -> None:
    class Raises:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            raise RuntimeError("no data today")

    class Lies:
        def __arrow_c_array__(self, requested_schema: object = None) -> object:
            return (1, 2)

    with pytest.raises(RuntimeError, match="no data today"):
        dcf.Batch(Raises())
    with pytest.raises(ValueError, match="capsule|PyCapsule"):
        dcf.Batch(Lies())


def test_a_stream_that_breaks_off_is_reported() -> None:
    def batches() -> object:
        yield pa.record_batch({"x": [1]})
        raise RuntimeError("the disk is gone")

    reader = pa.RecordBatchReader.from_batches(pa.schema({"x": pa.int64()}), batches())
    with pytest.raises(OSError, match="the disk is gone"):
        dcf.Batch(reader)


def test_vertex_ids_are_values() -> None:
    a = dcf.VertexID("00" * 15 + "01")
    b = dcf.VertexID(bytes(a))
    assert a == b
    assert hash(a) == hash(b)
    assert str(a) == "00" * 15 + "01"
    assert a < dcf.VertexID("ff" * 16)
    assert a != "other"
    assert pickle.loads(pickle.dumps(a)) == a
    assert repr(a) == f"dcf.VertexID('{a}')"
