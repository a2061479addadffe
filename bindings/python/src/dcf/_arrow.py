"""What the C half leaves to Python about Arrow: rare types, and numpy where the user has it."""

from __future__ import annotations

import datetime
import decimal
import struct

from . import _dcf

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy

_EPOCH = datetime.date(1970, 1, 1)
_PER_SECOND = {"s": 1, "m": 10**3, "u": 10**6, "n": 10**9}
_MICROSECOND = datetime.timedelta(microseconds=1)


# ---- Arrow to Python ---------------------------------------------------------


def _microseconds(value: int, unit: str) -> datetime.timedelta:
    # Python counts in microseconds: what is finer is cut off.
    return datetime.timedelta(microseconds=value * 10**6 // _PER_SECOND[unit])


def _timestamp(value: int, unit: str, zone: str) -> datetime.datetime:
    since = _microseconds(value, unit)
    if not zone:
        return datetime.datetime(1970, 1, 1) + since  # noqa: DTZ001 - Arrow's naive timestamp
    utc = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + since
    if zone.upper() == "UTC":
        return utc
    from zoneinfo import ZoneInfo

    return utc.astimezone(ZoneInfo(zone))


def to_python(format: str, raw: int | bytes) -> object:  # noqa: A002 - Arrow's word
    """Gives the Python form of a value of a type that the C half does not know.

    Intervals, for which Python has no type, are (months, days, nanoseconds).
    """
    if isinstance(raw, int):
        kind, unit = format[:2], format[2]
        if kind == "td":
            return _EPOCH + datetime.timedelta(days=raw if unit == "D" else raw // 86_400_000)
        if kind == "tt":
            midnight = datetime.datetime(1, 1, 1)  # noqa: DTZ001 - a time of no day
            return (midnight + _microseconds(raw, unit)).time()
        if kind == "ts":
            return _timestamp(raw, unit, format[4:])
        if kind == "tD":
            return _microseconds(raw, unit)
    elif format == "tiM":
        return (struct.unpack("<i", raw)[0], 0, 0)
    elif format == "tiD":
        days, milliseconds = struct.unpack("<ii", raw)
        return (0, days, milliseconds * 1_000_000)
    elif format == "tin":
        return struct.unpack("<iiq", raw)
    elif format == "e":
        return struct.unpack("<e", raw)[0]
    elif format.startswith("d:"):
        scale = int(format[2:].split(",")[1])
        digits = int.from_bytes(raw, "little", signed=True)
        with decimal.localcontext() as context:
            context.prec = 80
            return decimal.Decimal(digits).scaleb(-scale)
    raise TypeError(
        f"values of Arrow type {format!r} have no Python form here: pass the batch to "
        "pyarrow.table() and use its to_pylist()"
    )


# ---- Python to Arrow -----------------------------------------------------------


def _typed(values: Any, format: str) -> _dcf.Column:  # noqa: A002
    """A column of integers under the Arrow type that gives them their meaning."""
    return _dcf.retype(_dcf.Batch.from_dict({"": values})[0], format)


def _integers(values: Sequence[Any], convert: Any) -> list[int | None]:
    return [None if value is None else convert(value) for value in values]


def _from_list(values: Sequence[Any]) -> Any:
    """A column of the dates, times and numpy scalars that a list may hold."""
    first = next(value for value in values if value is not None)
    if hasattr(first, "dtype") and hasattr(first, "item"):
        return [v.item() if hasattr(v, "item") else v for v in values]
    kind = type(first)
    for value in values:
        if value is not None and type(value) is not kind:
            raise TypeError(
                f"a column holds values of one type, not {kind.__name__} and {type(value).__name__}"
            )
    if kind is datetime.datetime:
        if first.tzinfo is None:
            origin = datetime.datetime(1970, 1, 1)  # noqa: DTZ001
            return _typed(_integers(values, lambda v: (v - origin) // _MICROSECOND), "tsu:")
        start = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return _typed(_integers(values, lambda v: (v - start) // _MICROSECOND), "tsu:UTC")
    if kind is datetime.timedelta:
        return _typed(_integers(values, lambda v: v // _MICROSECOND), "tDu")
    if kind is datetime.date:
        import array

        if None not in values:
            return _typed(array.array("i", [(v - _EPOCH).days for v in values]), "tdD")
        days = _integers(values, lambda v: (v - _EPOCH).days * 86_400_000)
        return _typed(days, "tdm")
    if isinstance(first, (bytearray, memoryview)):
        return _integers(values, bytes)
    raise TypeError(
        f"a column of {kind.__module__}.{kind.__qualname__}: dcf knows bool, int, float, str, "
        "bytes, dates, timestamps, durations and lists of them; build other columns with pyarrow"
    )


def _from_numpy(values: Any) -> Any:
    if values.ndim == 0:
        return [values.item()]
    if values.ndim != 1:
        raise TypeError(f"a column has one dimension, this array has {values.ndim}")
    kind = values.dtype.kind
    if kind in "mM":
        unit = str(values.dtype)[:-1].rpartition("[")[2]
        if unit not in ("s", "ms", "us", "ns"):
            unit, values = "s", values.astype(f"{kind}8[s]")
        integers = values.view("i8")
        # NaT is the smallest integer, and null in Arrow.
        missing = integers == -(2**63)
        column = (
            [None if lost else int(v) for v, lost in zip(integers, missing, strict=True)]
            if missing.any()
            else _contiguous(integers)
        )
        return _typed(column, f"ts{unit[0]}:" if kind == "M" else f"tD{unit[0]}")
    if kind in "UOST":
        return values.tolist()
    if kind in "biuf" and values.dtype.itemsize <= 8:
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        return _contiguous(native)
    raise TypeError(f"an array of numpy's dtype {values.dtype} is no column")


def _contiguous(values: Any) -> Any:
    import numpy

    return memoryview(numpy.ascontiguousarray(values).data)


def from_python(values: Any) -> Any:
    """Gives a column that the C half knows for one that it does not."""
    if isinstance(values, list):
        return _from_list(values)
    if hasattr(values, "dtype") and hasattr(values, "tolist") and hasattr(values, "ndim"):
        if not hasattr(values, "astype") or hasattr(values, "index"):
            values = values.to_numpy()  # a Series of an older pandas
        return _from_numpy(values)
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(
            f"a column is a list, an array or an Arrow column, not {type(values).__name__}: put a "
            "single value in a list"
        )
    return list(values)


# ---- Arrow to numpy ---------------------------------------------------------------

_NUMPY_UNITS = {"s": "s", "m": "ms", "u": "us", "n": "ns"}
_NOT_A_TIME = -(2**63)


def _times_to_numpy(column: _dcf.Column, dtype: str) -> numpy.ndarray[Any, Any]:
    import numpy

    width = "i" if column.format in ("tdD", "tts", "ttm") else "l"
    integers = _dcf.retype(column, width)
    if integers.null_count == 0:
        return numpy.asarray(memoryview(integers)).astype("i8", copy=False).view(dtype)
    values = [_NOT_A_TIME if v is None else v for v in integers.to_pylist()]
    return numpy.array(values, dtype="i8").view(dtype)


def _column_to_numpy(column: _dcf.Column) -> numpy.ndarray[Any, Any]:
    import numpy

    format = column.format  # noqa: A001
    if column.dictionary is not None:
        return _objects(column)
    if len(format) == 1 and format in "cCsSiIlLefg":
        if column.null_count == 0:
            return numpy.asarray(memoryview(column))
        values = [numpy.nan if value is None else value for value in column.to_pylist()]
        return numpy.array(values, dtype="f8")
    if format == "b" and column.null_count == 0:
        return numpy.array(column.to_pylist(), dtype=bool)
    if format.startswith("ts"):
        return _times_to_numpy(column, f"M8[{_NUMPY_UNITS[format[2]]}]")
    if format.startswith("tD"):
        return _times_to_numpy(column, f"m8[{_NUMPY_UNITS[format[2]]}]")
    if format.startswith("td"):
        return _times_to_numpy(column, "M8[D]" if format == "tdD" else "M8[ms]")
    return _objects(column)


def _objects(column: _dcf.Column) -> numpy.ndarray[Any, Any]:
    import numpy

    array = numpy.empty(len(column), dtype=object)
    # Value by value: numpy would make a table of lists of one length.
    for i, value in enumerate(column.to_pylist()):
        array[i] = value
    return array


def to_numpy(
    data: _dcf.Batch | _dcf.Column, dtype: Any = None, copy: bool | None = None
) -> numpy.ndarray[Any, Any]:
    """Makes numpy's array of a column, or of the columns of a batch side by side."""
    import numpy

    if isinstance(data, _dcf.Column):
        array = _column_to_numpy(data)
    elif data.num_columns == 1:
        array = _column_to_numpy(data[0])
    else:
        columns = [_column_to_numpy(data[i]) for i in range(data.num_columns)]
        array = numpy.column_stack(columns) if columns else numpy.empty((len(data), 0))
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return array.copy() if copy else array
