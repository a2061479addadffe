"""A column of every Arrow type, for the tests of Arrow: with nulls, or without."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Any

import pyarrow as pa

#: More than any library keeps inside of a view or a header.
ROWS = 200

UTC = dt.timezone.utc
LONG = "longer than the twelve bytes that a view holds: "


def day(i: int) -> dt.date:
    return dt.date(1960, 1, 1) + dt.timedelta(days=100 * i)


def moment(i: int) -> dt.datetime:
    return dt.datetime(1960, 1, 1) + dt.timedelta(days=100 * i, seconds=i, microseconds=1000 * i)


def price(i: int) -> decimal.Decimal:
    return decimal.Decimal(i * 125 - 1000).scaleb(-2)


def clock(i: int) -> dt.time:
    return dt.time(i % 24, i % 60, 0, 1000 * i)


#: The type of each name, and its value number i.
SIMPLE: dict[str, tuple[pa.DataType, Callable[[int], Any]]] = {
    "bool": (pa.bool_(), lambda i: i % 3 == 0),
    "int8": (pa.int8(), lambda i: i - 100),
    "int16": (pa.int16(), lambda i: 100 * i - 10_000),
    "int32": (pa.int32(), lambda i: -i),
    "int64": (pa.int64(), lambda i: (i - 100) << 50),
    "uint8": (pa.uint8(), lambda i: i),
    "uint16": (pa.uint16(), lambda i: 300 * i),
    "uint32": (pa.uint32(), lambda i: i << 24),
    "uint64": (pa.uint64(), lambda i: 2**64 - 1 - i),
    "float16": (pa.float16(), lambda i: i / 2),
    "float32": (pa.float32(), lambda i: i / 4),
    "float64": (pa.float64(), lambda i: -i / 8),
    "utf8": (pa.string(), lambda i: "" if i % 5 == 0 else f"{LONG * (i % 2)}{i} æ🎉"),
    "large_utf8": (pa.large_string(), lambda i: "" if i % 5 == 0 else f"{LONG * (i % 2)}{i} æ🎉"),
    "utf8_view": (pa.string_view(), lambda i: "" if i % 5 == 0 else f"{LONG * (i % 2)}{i} æ🎉"),
    "binary": (pa.binary(), lambda i: b"\0\xff" * (i % 20)),
    "large_binary": (pa.large_binary(), lambda i: b"\0\xff" * (i % 20)),
    "binary_view": (pa.binary_view(), lambda i: b"\0\xff" * (i % 20)),
    "fixed_size_binary": (pa.binary(3), lambda i: bytes([i, 0, 255])),
    "decimal32": (pa.decimal32(7, 2), price),
    "decimal64": (pa.decimal64(15, 2), price),
    "decimal128": (pa.decimal128(30, 2), price),
    "decimal256": (pa.decimal256(60, 2), price),
    "date32": (pa.date32(), day),
    "date64": (pa.date64(), day),
    "time32": (pa.time32("ms"), clock),
    "time64": (pa.time64("us"), clock),
    "timestamp[s]": (pa.timestamp("s"), lambda i: moment(i).replace(microsecond=0)),
    "timestamp[us]": (pa.timestamp("us"), moment),
    "timestamp[us, zone]": (
        pa.timestamp("us", "Europe/Oslo"),
        lambda i: moment(i).replace(tzinfo=UTC),
    ),
    "duration[us]": (pa.duration("us"), lambda i: dt.timedelta(days=i - 100, microseconds=i)),
    "interval[month, day, ns]": (
        pa.month_day_nano_interval(),
        lambda i: pa.MonthDayNano([i, -i, 1000 * i]),
    ),
    "list": (pa.list_(pa.int32()), lambda i: [i] * (i % 4)),
    "large_list": (pa.large_list(pa.int32()), lambda i: [i] * (i % 4)),
    "fixed_size_list": (pa.list_(pa.int32(), 2), lambda i: [i, -i]),
    "list_view": (pa.list_view(pa.int32()), lambda i: [i] * (i % 4)),
    "large_list_view": (pa.large_list_view(pa.int32()), lambda i: [i] * (i % 4)),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        lambda i: {"a": i, "b": f"{LONG}{i}"},
    ),
    "map": (
        pa.map_(pa.string(), pa.int32()),
        lambda i: [(f"key {k}", i) for k in range(i % 3)],
    ),
}


def nested(depth: int) -> tuple[pa.DataType, Callable[[int], Any]]:
    """Lists of structs of lists ... of int32, as deep as that."""
    kind: pa.DataType = pa.int32()
    for level in range(depth):
        kind = pa.struct([("x", kind)]) if level % 2 else pa.list_(kind)

    def value(i: int) -> Any:
        made: Any = i
        for level in range(depth):
            made = {"x": made} if level % 2 else [made] * (1 + i % 2 * (level == 0))
        return made

    return kind, value


SIMPLE["nested 10 deep"] = nested(10)


def _dictionary(nulls: bool) -> pa.Array:
    values = [None if nulls and i % 7 == 3 else f"{LONG}{i % 10}" for i in range(ROWS)]
    return pa.array(values).dictionary_encode()


def _dictionary8(nulls: bool) -> pa.Array:
    # An index above 127 is no negative number.
    indices = [None if nulls and i % 7 == 3 else ROWS - 1 - i for i in range(ROWS)]
    values = pa.array([f"{LONG}{i}" for i in range(ROWS)])
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.uint8()), values)


def _runs(nulls: bool) -> pa.Array:
    values = [None if nulls and i % 7 == 3 else f"{LONG}{i}" for i in range(ROWS // 10)]
    ends = pa.array(range(10, ROWS + 10, 10), pa.int32())
    return pa.RunEndEncodedArray.from_arrays(ends, pa.array(values))


def _children(nulls: bool) -> list[pa.Array]:
    numbers = [None if nulls and i % 7 == 3 else i for i in range(ROWS)]
    return [pa.array(numbers, pa.int64()), pa.array([f"{LONG}{i}" for i in range(ROWS)])]


def _dense(nulls: bool) -> pa.Array:
    ids = pa.array([i % 2 for i in range(ROWS)], pa.int8())
    offsets = pa.array([i // 2 for i in range(ROWS)], pa.int32())
    return pa.UnionArray.from_dense(ids, offsets, _children(nulls))


def _sparse(nulls: bool) -> pa.Array:
    return pa.UnionArray.from_sparse(
        pa.array([i % 2 for i in range(ROWS)], pa.int8()), _children(nulls)
    )


def _uuid(nulls: bool) -> pa.Array:
    values = [None if nulls and i % 7 == 3 else bytes([i]) * 16 for i in range(ROWS)]
    return pa.array(values, pa.uuid())


def _tensor(nulls: bool) -> pa.Array:
    values = [None if nulls and i % 7 == 3 else [i, -i] for i in range(ROWS)]
    storage = pa.array(values, pa.list_(pa.int32(), 2))
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int32(), [2]), storage)


MADE: dict[str, Callable[[bool], pa.Array]] = {
    "null": lambda nulls: pa.nulls(ROWS),
    "dictionary": _dictionary,
    "dictionary of uint8": _dictionary8,
    "dense_union": _dense,
    "sparse_union": _sparse,
    "run_end_encoded": _runs,
    "extension uuid": _uuid,
    "extension tensor": _tensor,
}

#: All of them, in the order of the manual.
TYPES = ("null", *SIMPLE, *(name for name in MADE if name != "null"))
#: What Arrow's library for Go, in the version that dcf uses, does not have.
REFUSED = ("decimal32", "decimal64")


def column(name: str, *, nulls: bool = True) -> pa.Array:
    """ROWS values of the type, of which every seventh is null."""
    if name in MADE:
        return MADE[name](nulls)
    kind, value = SIMPLE[name]
    return pa.array([None if nulls and i % 7 == 3 else value(i) for i in range(ROWS)], kind)


def table(name: str, *, nulls: bool = True) -> pa.Table:
    return pa.table({"x": column(name, nulls=nulls)})
