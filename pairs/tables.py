"""The tables that go from language to language: one for each type, with nulls where it has them."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa

# So many rows that a slice begins and ends within a byte of a bitmap.
ROWS = 11
FIRST, COUNT = 3, 6


def cycle(values: Sequence[object]) -> list[object]:
    """Repeats values for all rows; every fourth one is null."""
    return [None if i % 4 == 3 else values[i % len(values)] for i in range(ROWS)]


def plain(of: pa.DataType, *values: object) -> pa.Array:
    return pa.array(cycle(values), type=of)


def full(of: pa.DataType, *values: object) -> pa.Array:
    """A column without nulls and without a bitmap."""
    return pa.array([values[i % len(values)] for i in range(ROWS)], type=of)


def dictionary(index: pa.DataType, values: pa.Array) -> pa.Array:
    indices = plain(index, *range(len(values)))
    return pa.DictionaryArray.from_arrays(indices, values)


def nested(depth: int) -> pa.Array:
    """Lists and structs in turn, so many levels of them."""
    of, value = pa.int32(), 7
    for level in range(depth):
        of = pa.list_(of) if level % 2 == 0 else pa.struct([("inner", of)])
        value = [value, None] if level % 2 == 0 else {"inner": value}
    return plain(of, value, value)


def union(mode: str) -> pa.Array:
    ids = pa.array([i % 2 for i in range(ROWS)], pa.int8())
    children = [plain(pa.int64(), 1, 2), plain(pa.string(), "a", "bc", "")]
    if mode == "sparse":
        return pa.UnionArray.from_sparse(ids, children, ["number", "text"])
    offsets = pa.array([i // 2 for i in range(ROWS)], pa.int32())
    return pa.UnionArray.from_dense(ids, offsets, children, ["number", "text"])


def run_ends() -> pa.Array:
    ends = pa.array([2, 4, 9, ROWS], pa.int32())
    return pa.RunEndEncodedArray.from_arrays(ends, pa.array(["a", None, "bc", "a"]))


def annotated() -> pa.Table:
    """Metadata of the table and of a column, and a column that has no nulls by its type."""
    field = pa.field("x", pa.int64(), nullable=False, metadata={"unit": "m", "empty": ""})
    return pa.table(
        [full(pa.int64(), 1, 2, 3)], schema=pa.schema([field], metadata={"made by": "the runner"})
    )


UNITS = ("s", "ms", "us", "ns")
TIME = datetime.datetime(2013, 7, 31, 23, 59, 58, 123456)
TEXTS = ("", "a", "żółw", "more than the twelve bytes of a view", "日本")
POINTS = pa.struct([("x", pa.float64()), ("label", pa.string())])

COLUMNS: dict[str, Callable[[], pa.Array]] = {
    "null": lambda: pa.nulls(ROWS),
    "bool": partial(plain, pa.bool_(), True, False, True, True, False),
    **{
        str(of): partial(plain, of, 0, 1, 2**bits - 1, low)
        for of, bits, low in (
            (pa.int8(), 7, -(2**7)),
            (pa.int16(), 15, -(2**15)),
            (pa.int32(), 31, -(2**31)),
            (pa.int64(), 63, -(2**63)),
            (pa.uint8(), 8, 5),
            (pa.uint16(), 16, 5),
            (pa.uint32(), 32, 5),
            (pa.uint64(), 64, 5),
        )
    },
    "float16": partial(plain, pa.float16(), 1.5, -0.0, float("inf")),
    "float32": partial(plain, pa.float32(), 1.5, -0.0, float("inf")),
    "float64": partial(plain, pa.float64(), 0.1, -0.0, float("-inf")),
    "no nulls": partial(full, pa.int32(), 4, 5, 6),
    "utf8": partial(plain, pa.string(), *TEXTS),
    "large_utf8": partial(plain, pa.large_string(), *TEXTS),
    "string_view": partial(plain, pa.string_view(), *TEXTS),
    "binary": partial(plain, pa.binary(), b"", b"\0\xff", b"abc"),
    "large_binary": partial(plain, pa.large_binary(), b"", b"\0\xff", b"abc"),
    "binary_view": partial(plain, pa.binary_view(), b"", b"\0\xff", b"thirteen bytes"),
    "fixed_size_binary": partial(plain, pa.binary(3), b"abc", b"\0\0\0", b"xyz"),
    "decimal128": partial(
        plain, pa.decimal128(38, 4), decimal.Decimal("-1.2345"), decimal.Decimal(10**33)
    ),
    "decimal256": partial(
        plain, pa.decimal256(76, -2), decimal.Decimal(-1200), decimal.Decimal(10**60)
    ),
    "date32": partial(plain, pa.date32(), TIME.date(), datetime.date(1969, 12, 31)),
    "date64": partial(plain, pa.date64(), TIME.date(), datetime.date(1969, 12, 31)),
    **{f"time32[{u}]": partial(plain, pa.time32(u), 1, 86_000) for u in ("s", "ms")},
    **{f"time64[{u}]": partial(plain, pa.time64(u), 1000, 86_000_000) for u in ("us", "ns")},
    **{
        f"duration[{u}]": partial(plain, pa.duration(u), 1000, -7000)
        for u in ("s", "ms", "us", "ns")
    },
    **{
        f"timestamp[{unit}, {zone}]": partial(plain, pa.timestamp(unit, zone), 0, 1_375_300_000)
        for unit, zone in (
            ("s", "Europe/Warsaw"),
            ("ms", None),
            ("us", "+05:30"),
            ("ns", "America/New_York"),
        )
    },
    "month_day_nano": partial(
        plain, pa.month_day_nano_interval(), pa.MonthDayNano([1, -2, 3]), pa.MonthDayNano([0, 0, 0])
    ),
    "dictionary": lambda: dictionary(pa.int8(), pa.array(["UA", None, "a longer carrier"])),
    "dictionary of dates": lambda: dictionary(pa.uint16(), pa.array([TIME.date()])),
    "list": partial(plain, pa.list_(pa.int32()), [1, None], [], [2, 3, 4]),
    "large_list": partial(plain, pa.large_list(pa.string()), ["a", None], [], ["bcd"]),
    "list_view": partial(plain, pa.list_view(pa.int32()), [1, None], [], [2, 3, 4]),
    "large_list_view": partial(plain, pa.large_list_view(pa.int32()), [1, None], [], [2, 3, 4]),
    "fixed_size_list": partial(plain, pa.list_(pa.float32(), 2), [1, None], [2, 3]),
    "list of dictionaries": lambda: pa.ListArray.from_arrays(
        pa.array([*range(ROWS), ROWS], pa.int32()), dictionary(pa.int8(), pa.array(["a", "b"]))
    ),
    "struct": partial(plain, POINTS, {"x": 1.5, "label": None}, {"x": None, "label": "there"}),
    "list of structs": partial(plain, pa.list_(POINTS), [{"x": 1, "label": "a"}, None], []),
    "map": partial(plain, pa.map_(pa.string(), pa.int32()), [("a", 1), ("b", None)], []),
    "nested 10 deep": partial(nested, 10),
    "sparse union": partial(union, "sparse"),
    "dense union": partial(union, "dense"),
    "run_end_encoded": run_ends,
}


def everything() -> pa.Table:
    return pa.table({name: make() for name, make in COLUMNS.items()})


TABLES: dict[str, Callable[[], pa.Table]] = {
    **{name: lambda make=make: pa.table({"x": make()}) for name, make in COLUMNS.items()},
    "annotated": annotated,
    "all together": everything,
    "zero rows": lambda: everything().slice(0, 0),
}
