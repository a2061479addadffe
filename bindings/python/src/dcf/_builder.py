"""Values that are filled in where they will lie."""

from __future__ import annotations

import itertools
import os
import struct
import warnings
import weakref

from . import _dcf

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Any, Protocol

    import numpy
    from typing_extensions import CapsuleType, Self

    from ._vertex import Vertex
    from ._worker import Worker

    class ArrowSchema(Protocol):
        """What has the type of a table: a schema or table of any Arrow library."""

        def __arrow_c_schema__(self) -> CapsuleType: ...


_VALIDITY, _OFFSETS, _VALUES = range(3)

# The numpy types of Arrow's formats of one letter, and of those of times by their first letters.
_NUMBERS = {"c": "i1", "s": "i2", "i": "i4", "l": "i8", "e": "f2", "f": "f4", "g": "f8"}
_NUMBERS |= {"C": "u1", "S": "u2", "I": "u4", "L": "u8"}
_UNITS = {"s": "s", "m": "ms", "u": "us", "n": "ns"}
_TIMES = {"tdD": "i4", "tdm": "M8[ms]", "tts": "i4", "ttm": "i4", "ttu": "i8", "ttn": "i8"}


class Builder(_dcf.Builder):
    """A table in the making, filled in where it will lie; `Worker.build` makes it.

    A context manager, which aborts what was not committed. ``builder["x"]`` or ``builder[0]`` is a
    `BuilderColumn`. One thread at a time uses a builder; arrays of its columns may be written to
    on any. What is not filled in holds anything, but offsets, which are zeros, and validity, where
    nothing is null.

    The memory counts against the worker's limit. Arrays and memoryviews of it stay safe to use in
    any order of garbage collection: they keep it. After the commit they must not be written to,
    and those that columns gave are read-only.
    """

    def __init__(self, worker: Worker, schema: ArrowSchema, rows: int) -> None:
        self._pid = os.getpid()
        self._given: list[weakref.ref[numpy.ndarray[Any, Any]]] = []
        if not hasattr(schema, "__arrow_c_schema__"):
            raise TypeError(
                "a schema of an Arrow library is wanted, as pyarrow.schema makes it, not "
                f"{type(schema).__name__}"
            )
        self._open(worker, schema, rows)
        self.columns = tuple(_tree(self))

    columns: tuple[BuilderColumn, ...]
    """The columns, in the order of the schema."""

    def __getitem__(self, key: str | int) -> BuilderColumn:
        return _pick(self.columns, key, "the builder")

    def __len__(self) -> int:
        return len(self.columns)

    def commit(
        self,
        name: str | None = None,
        *,
        shard_by: str | None = None,
        shards: int = 0,
        node: int = 0,
        replace: bool = False,
        timeout: float | None = None,
    ) -> Vertex:
        """Checks what was filled in and makes a vertex of it, without a copy; see `Worker.put`.

        On an error nothing was published, and the builder can be corrected and committed again:
        `InvalidArgumentError` for offsets, indices and text that are wrong says column and value.
        """
        vertex: Vertex = self._commit(name, shard_by, shards, node, replace, timeout)
        for given in self._given:
            array = given()
            if array is not None:
                array.flags.writeable = False
        self._given.clear()
        return vertex

    def abort(self) -> None:
        """Gives the builder up; nothing is published. Twice, or after a commit, is fine."""
        self._abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def __del__(self) -> None:
        if getattr(self, "_pid", None) != os.getpid() or self.ended:
            return
        warnings.warn(
            f"{self!r} was neither committed nor aborted",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )
        self.abort()

    def __repr__(self) -> str:
        state = "ended" if self.ended else "open"
        return f"<dcf.Builder, {state}>"


class BuilderColumn:
    """A column of a `Builder`, or what is below one: the fields of a struct, the items of lists.

    Numbers, dates and times are written as an array of numpy, which `values` is:
    ``column[:] = numbers``, ``column[3] = 7``. Texts, binary and lists are `set`, and dictionaries
    get their values by `set_dictionary`, their indices as numbers.
    """

    def __init__(
        self,
        builder: Builder,
        number: int,
        name: str,
        format: str,  # noqa: A002 - Arrow's word
        dictionary: str | None,
    ) -> None:
        self._builder = builder
        self._number = number
        self.name = name
        """The column's name."""
        self.format = format
        """The type as a format string of Arrow's C interface; with a dictionary the indices'."""
        self.dictionary_format = dictionary
        """The type of the dictionary's values, or None."""
        self.children: tuple[BuilderColumn, ...] = ()
        """What is below: the fields of a struct, the items of lists."""

    def __len__(self) -> int:
        return self._builder._length(self._number)

    # ---- Numbers, dates, times, bools

    @property
    def values(self) -> numpy.ndarray[Any, Any]:
        """The values as an array of numpy, to be written to; the same memory each time.

        Times of the day, dates in days and indices of dictionaries are integers, decimals and
        other types of fixed width a row of bytes each. Bools, which Arrow has as bits, and nested
        types have none.
        """
        import numpy

        memory = self._builder._memory(self._number, _VALUES)
        format = self.format  # noqa: A001
        dtype = _NUMBERS.get(format) or _TIMES.get(format)
        if format.startswith("ts"):
            dtype = f"M8[{_UNITS[format[2]]}]"
        elif format.startswith("tD"):
            dtype = f"m8[{_UNITS[format[2]]}]"
        if dtype is not None:
            return self._give(numpy.frombuffer(memory, dtype))
        if format[0] not in "wdt":
            raise TypeError(
                f'column "{self.name}" of Arrow type "{format}" has no array of values: '
                + ("write it with column[:] =" if format == "b" else "use set()")
            )
        return self._give(numpy.frombuffer(memory, "u1").reshape(len(self), -1))

    def __getitem__(self, key: Any) -> Any:
        return self._bits()[key] if self.format == "b" else self.values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.format == "b":
            self._bits()[key] = value
        else:
            self.values[key] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> numpy.ndarray[Any, Any]:
        values: numpy.ndarray[Any, Any] = self._bits()[:] if self.format == "b" else self.values
        if dtype is not None:
            values = values.astype(dtype, copy=False)
        return values.copy() if copy else values

    def _bits(self) -> Bits:
        return Bits(self._builder._memory(self._number, _VALUES), len(self))

    def _give(self, array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        given = self._builder._given
        given[:] = [one for one in given if one() is not None]
        given.append(weakref.ref(array))
        return array

    # ---- Nulls

    @property
    def validity(self) -> Bits:
        """Which values are not null, as bools: ``column.validity[3] = False`` makes one null."""
        memory = self._builder._memory(self._number, _VALIDITY)
        if memory is None:
            raise TypeError(f'the schema says that column "{self.name}" has no nulls')
        return Bits(memory, len(self))

    # ---- Texts, binary, lists, dictionaries

    def set(self, values: Sequence[Any] | tuple[Any, Any]) -> None:
        """Writes all texts: a sequence of them, where None is null, or (offsets, data).

        ``data`` is anything with bytes, such as what pyarrow gives as a buffer. Of lists it writes
        the offsets, an array of integers that ends with the number of items, for which the child
        then has room. Where arrays or memoryviews show the old memory of what has to grow it is a
        BufferError.
        """
        if self.format in ("+l", "+L", "+m"):
            self._set_offsets(values)
        elif self.format not in ("u", "U", "z", "Z"):
            raise TypeError(
                f'column "{self.name}" of Arrow type "{self.format}" is no text or list'
            )
        elif isinstance(values, tuple) and len(values) == 2 and not isinstance(values[1], str):
            offsets, data = values
            self._write(offsets, memoryview(data).cast("B") if len(data) else b"")
        else:
            self._set_texts(values)

    def _set_texts(self, values: Sequence[Any]) -> None:
        wanted, what = (str, "str") if self.format in "uU" else (bytes, "bytes")
        pieces: list[bytes] = []
        nulls: list[int] = []
        for i, value in enumerate(values):
            if value is None:
                nulls.append(i)
                pieces.append(b"")
            elif isinstance(value, wanted):
                pieces.append(value.encode() if isinstance(value, str) else value)
            else:
                raise TypeError(
                    f'column "{self.name}": value {i} is {type(value).__name__}, not {what}'
                )
        validity = self.validity if nulls else None
        self._write(list(itertools.accumulate(map(len, pieces), initial=0)), b"".join(pieces))
        if validity is None and self._builder._memory(self._number, _VALIDITY) is not None:
            validity = self.validity
        if validity is not None:
            validity.fill(nulls)

    def _write(self, offsets: Any, data: bytes | memoryview) -> None:
        self._check(offsets)
        self._builder._reserve(self._number, len(data))
        self._write_offsets(offsets)
        with memoryview(self._builder._memory(self._number, _VALUES)) as values:
            values[: len(data)] = data

    def _set_offsets(self, offsets: Any) -> None:
        self._check(offsets)
        self._builder._reserve(self._number, max(int(offsets[-1]), 0))
        self._write_offsets(offsets)

    def _check(self, offsets: Any) -> None:
        if len(offsets) != len(self) + 1:
            raise ValueError(
                f'column "{self.name}" has {len(self)} values, and so {len(self) + 1} offsets, '
                f"not {len(offsets)}"
            )

    def _write_offsets(self, offsets: Any) -> None:
        letter = "q" if self.format in ("U", "Z", "+L") else "i"
        with memoryview(self._builder._memory(self._number, _OFFSETS)) as memory:
            if hasattr(offsets, "dtype"):
                import numpy

                kind = "i8" if letter == "q" else "i4"
                array = numpy.asarray(offsets)
                if letter == "i" and (int(array.max()) >= 2**31 or int(array.min()) < -(2**31)):
                    raise ValueError(f'column "{self.name}": offsets are beyond 32 bits')
                numpy.frombuffer(memory, kind)[:] = array
            else:
                try:
                    struct.pack_into(f"={len(offsets)}{letter}", memory, 0, *offsets)
                except struct.error as error:
                    raise ValueError(f'column "{self.name}": offsets: {error}') from None

    def set_dictionary(self, values: Any) -> None:
        """Gives the values that the indices mean: a list, or an array of the schema's type."""
        self._builder._dictionary(self._number, values)

    def buffers(self) -> tuple[memoryview | None, ...]:
        """Gives the memory as Arrow has it, writable: validity (or None), offsets if any, values.

        For ``pyarrow.Array.from_buffers`` and the like, which then see what is written.
        """
        validity = self._builder._memory(self._number, _VALIDITY)
        parts = [None if validity is None else memoryview(validity)]
        if self.format in ("u", "U", "z", "Z", "+l", "+L", "+m"):
            parts.append(memoryview(self._builder._memory(self._number, _OFFSETS)))
        if not self.format.startswith("+"):
            parts.append(memoryview(self._builder._memory(self._number, _VALUES)))
        return tuple(parts)

    # ---- Below

    def child(self, key: str | int) -> BuilderColumn:
        """Gives a field of a struct, or the items of lists, by name or number."""
        return _pick(self.children, key, f'column "{self.name}"')

    def __repr__(self) -> str:
        return f'<dcf.BuilderColumn "{self.name}" of Arrow type "{self.format}">'


class Bits:
    """Bools that lie in memory as bits, as Arrow has them. Read and written like numpy's array."""

    def __init__(self, memory: Any, length: int) -> None:
        self._memory = memory
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, key: Any) -> Any:
        return self._unpacked()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        import numpy

        bools = self._unpacked()
        bools[key] = value
        with memoryview(self._memory) as memory:
            memory[:] = numpy.packbits(bools, bitorder="little").data

    def _unpacked(self) -> numpy.ndarray[Any, Any]:
        import numpy

        bits = numpy.frombuffer(self._memory, "u1")
        return numpy.unpackbits(bits, count=self._length, bitorder="little").astype(bool)

    def fill(self, cleared: Sequence[int] = ()) -> None:
        """Sets all bits but those."""
        with memoryview(self._memory) as memory:
            memory[:] = b"\xff" * len(memory)
            for i in cleared:
                memory[i // 8] &= ~(1 << i % 8)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> numpy.ndarray[Any, Any]:
        return self._unpacked() if dtype is None else self._unpacked().astype(dtype)


def _pick(columns: tuple[BuilderColumn, ...], key: str | int, where: str) -> BuilderColumn:
    if isinstance(key, int):
        return columns[key]
    for column in columns:
        if column.name == key:
            return column
    names = ", ".join(column.name for column in columns)
    raise KeyError(f'{where} has no column "{key}", it has: {names}')


def _tree(builder: Builder) -> list[BuilderColumn]:
    """Makes the columns, with those below them."""
    described = iter(enumerate(builder._columns()))

    def take(count: int) -> Iterator[BuilderColumn]:
        for number, (name, format, children, dictionary) in itertools.islice(described, count):  # noqa: A001
            column = BuilderColumn(builder, number, name, format, dictionary)
            column.children = tuple(take(children))
            yield column

    return list(take(len(builder._columns())))
