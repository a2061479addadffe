"""The libraries that dcf exchanges Arrow data with, as the tests see them.

Each makes a table of its own of pyarrow's, and reads whatever offers Arrow data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import arro3.core
import duckdb
import nanoarrow
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import dcf


class Library(NamedTuple):
    #: A table of the library, made of pyarrow's.
    make: Callable[[pa.Table], Any]
    #: A table of the library, read from an object with Arrow's PyCapsule interface.
    read: Callable[[Any], Any]
    #: The library's table as pyarrow's, without a copy where the library can.
    arrow: Callable[[Any], pa.Table]
    version: str


def _stream(data: Any) -> pa.Table:
    return pa.RecordBatchReader.from_stream(data).read_all()


_SESSION = duckdb.connect()
# polars panics where it lacks a type; a backtrace of each says nothing.
os.environ["RUST_BACKTRACE"] = "0"


LIBRARIES = {
    "pyarrow": Library(lambda t: t, pa.table, lambda t: t, pa.__version__),
    "polars": Library(
        pl.from_arrow,
        pl.DataFrame,
        lambda frame: frame.to_arrow(compat_level=pl.CompatLevel.newest()),
        pl.__version__,
    ),
    "pandas": Library(
        lambda t: t.to_pandas(types_mapper=pd.ArrowDtype),
        pd.DataFrame.from_arrow,
        lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
        pd.__version__,
    ),
    "duckdb": Library(
        _SESSION.from_arrow, _SESSION.from_arrow, lambda r: r.to_arrow_table(), duckdb.__version__
    ),
    "nanoarrow": Library(
        lambda t: nanoarrow.Array(t.combine_chunks().to_batches()[0]),
        nanoarrow.ArrayStream,
        pa.table,
        nanoarrow.__version__,
    ),
    "arro3": Library(
        arro3.core.Table.from_arrow,
        arro3.core.Table.from_arrow,
        pa.table,
        arro3.core.__version__,
    ),
}

#: nanoarrow.Array of a column of views, given away again, ends the process; dcf is not in sight.
#: test_arrow_libraries.py looks whether it still does.
CRASHES = {("nanoarrow", "utf8_view"), ("nanoarrow", "binary_view")}


def offered(data: Any) -> pa.Table:
    """What pyarrow reads of an object, by the interface that dcf reads, too."""
    if hasattr(data, "__arrow_c_array__"):
        return pa.Table.from_batches([pa.record_batch(data)])
    return _stream(data)


def _extents(column: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    for chunk in column.chunks:
        storage = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
        for buffer in storage.buffers():
            if buffer is not None and buffer.size > 0:
                yield buffer.address, buffer.size
        if isinstance(storage, pa.DictionaryArray):
            yield from _extents(pa.chunked_array([storage.dictionary]))


def _addresses(library: str, data: Any) -> set[int]:
    """Where the first column of a table lies."""
    if library == "pandas":
        values = data.iloc[:, 0].array
        if not hasattr(values, "_pa_array"):
            return {np.asarray(values).ctypes.data}
        return {address for address, _ in _extents(values._pa_array)}
    return {address for address, _ in _extents(LIBRARIES[library].arrow(data).column(0))}


def sharing(library: str, vertex: dcf.Vertex) -> str:
    """Whether a library uses the memory of a vertex: "shared", "copied", or "partly"."""
    mine = list(_extents(pa.table(vertex).column(0)))
    theirs = _addresses(library, LIBRARIES[library].read(vertex))
    shared = [any(at <= address < at + size for address in theirs) for at, size in mine]
    if all(shared):
        return "shared"
    return "partly" if any(shared) else "copied"
