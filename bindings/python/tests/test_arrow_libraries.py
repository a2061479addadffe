"""Every Arrow type, put from and got by every library, here and of another process.

dcf must not be seen: what a library makes of a vertex is what it makes of pyarrow's own table, and
a vertex holds what pyarrow reads of the library's. docs/arrow.md has the outcome.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import arrow_page
import dcf
from arrow_libraries import CRASHES, LIBRARIES, offered, sharing
from arrow_types import REFUSED, ROWS, TYPES, column, table

OTHERS = [name for name in LIBRARIES if name != "pyarrow"]
KEPT = [name for name in TYPES if name not in REFUSED]
FAILS = object()


class Offer:
    """pyarrow's table by its Arrow interface alone: libraries know its own class, too."""

    def __init__(self, data: pa.Table) -> None:
        (self._batch,) = data.combine_chunks().to_batches()

    def __arrow_c_schema__(self) -> object:
        return self._batch.schema.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._batch.__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return pa.Table.from_batches([self._batch]).__arrow_c_stream__(requested_schema)


@pytest.fixture(scope="module")
def here() -> Iterator[dcf.Worker]:
    with dcf.open(timeout=60) as worker:
        yield worker


def attempt(function: Any, *args: Any) -> Any:
    """What a library gives, or FAILS."""
    try:
        return function(*args)
    except BaseException:  # noqa: BLE001 - polars' panics are no Exception
        return FAILS


def require_same(got: pa.Table, wanted: pa.Table) -> None:
    got.validate(full=True)
    assert got.schema.types == wanted.schema.types
    assert got.schema.names == wanted.schema.names
    assert got.to_pylist() == wanted.to_pylist()


@pytest.mark.parametrize("name", KEPT)
def test_put(here: dcf.Worker, other: dcf.Worker, name: str) -> None:
    source = table(name)
    for library, (make, _, _, _) in LIBRARIES.items():
        if (library, name) in CRASHES or attempt(make, source) is FAILS:
            continue
        wanted = offered(make(source))
        vertex = here.put(None, make(source))
        require_same(offered(vertex), wanted)
        require_same(pa.table(dcf.Batch(make(source))), wanted)
        vertex.set(make(source))
        require_same(offered(vertex), wanted)
        there = other.put(None, make(source), node=1)
        assert there.info().kind == "remote"
        require_same(offered(there), wanted)
        there.drop()


@pytest.mark.parametrize("name", KEPT)
def test_chunks(here: dcf.Worker, name: str) -> None:
    """Chunks with offsets, put, set, given as arguments, and as a column."""
    whole = table(name)
    chunks = pa.concat_tables([whole.slice(3, 5), whole.slice(0, 0), whole.slice(101)])
    vertex = here.put(None, chunks)
    require_same(pa.table(vertex), chunks)
    vertex.set(chunks)
    require_same(pa.table(vertex), chunks)
    require_same(pa.table(dcf.Batch({"x": chunks["x"]})), chunks)
    rows = here.call(dcf.udf(lambda batch, context: context.arguments), vertex, arguments=chunks)
    require_same(pa.table(rows), chunks)
    assert rows.to_pylist() == [{"x": plain(v)} for v in chunks["x"].to_pylist()]


def plain(value: Any) -> Any:
    """A value of an extension type as that of its storage, which is what dcf knows."""
    return value.bytes if type(value).__name__ == "UUID" else value


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("library", OTHERS)
def test_get(here: dcf.Worker, other: dcf.Worker, library: str, name: str) -> None:
    _, read, arrow, _ = LIBRARIES[library]
    source = table(name)

    def through(data: Any) -> pa.Table:
        return arrow(read(data))

    wanted = attempt(through, Offer(source))
    local, there = here.put(None, source), other.put(None, source, node=1)
    for vertex in (local, there):
        got = attempt(through, vertex)
        assert (got is FAILS) == (wanted is FAILS)
        if wanted is not FAILS:
            require_same(got, wanted)
    there.drop()


@pytest.mark.parametrize("name", KEPT)
def test_slices(here: dcf.Worker, other: dcf.Worker, name: str) -> None:
    """Offsets at the top and below it, cut into shards, fetched and sent."""
    whole = table(name)
    for start, length in ((1, 7), (8, 64), (0, 0), (ROWS - 3, 3)):
        part = whole.slice(start, length)
        for source in (part, part.combine_chunks()):
            for worker, node in ((here, 0), (other, 1)):
                vertex = worker.put(None, source, node=node)
                require_same(pa.table(vertex), part)
                vertex.drop()
    group = here.put(None, whole.slice(5, 100), shards=3)
    require_same(pa.table(group), whole.slice(5, 100))
    group.drop()


@pytest.mark.parametrize("name", KEPT)
def test_python_values(here: dcf.Worker, name: str) -> None:
    source = column(name)
    batch = here.put(None, {"x": source}).batch()
    assert batch is not None
    wanted = [plain(value) for value in source.to_pylist()]
    assert batch["x"].to_pylist() == wanted
    assert [batch["x"][i] for i in range(ROWS)] == wanted
    assert batch["x"].null_count == (0 if "union" in name or "run" in name else source.null_count)


@pytest.mark.parametrize("name", KEPT)
def test_numpy(here: dcf.Worker, other: dcf.Worker, name: str) -> None:
    source = column(name, nulls=False)
    for worker, node in ((here, 0), (other, 1)):
        batch = worker.put(None, {"x": source}, node=node).batch()
        assert batch is not None
        array = np.asarray(batch["x"])
        assert len(array) == ROWS
        if array.dtype.kind in "Mm":
            assert array.tolist() == source.cast(stored(source.type)).to_numpy(False).tolist()
        else:
            assert array.tolist() == [plain(value) for value in source.to_pylist()]
        if array.dtype != object:
            assert here.put(None, {"x": array}).batch()["x"].to_pylist() == [
                plain(value) for value in array_values(array)
            ]


def stored(type_: pa.DataType) -> pa.DataType:
    """numpy's times have no zone, and its dates the unit of a timestamp."""
    if pa.types.is_date64(type_):
        return pa.timestamp("ms")
    return pa.timestamp(type_.unit) if pa.types.is_timestamp(type_) else type_


def array_values(array: np.ndarray[Any, Any]) -> list[Any]:
    return pa.array(array.astype("M8[s]") if array.dtype == "M8[D]" else array).to_pylist()


@pytest.mark.parametrize("name", REFUSED)
def test_types_that_are_refused(here: dcf.Worker, other: dcf.Worker, name: str) -> None:
    source = table(name)
    wanted = rf'column "x": Arrow\'s type {name}\(\d+, 2\) is not supported: cast the column to '
    vertex = here.put(None, {"x": [1]})
    for data in (source, source.to_batches()[0], pa.concat_tables([source, source])):
        with pytest.raises(dcf.UnsupportedError, match=wanted):
            here.put(None, data)
        with pytest.raises(dcf.UnsupportedError, match=wanted):
            vertex.set(data)
        with pytest.raises(dcf.UnsupportedError, match=wanted):
            other.put(None, data, node=1)
    assert vertex.batch().to_pydict() == {"x": [1]}


@pytest.mark.parametrize(("library", "name"), sorted(CRASHES))
def test_that_it_still_crashes(library: str, name: str) -> None:
    """Without dcf. Where it no longer does, take it out of arrow_libraries.CRASHES."""
    script = f"""
        from arrow_libraries import LIBRARIES, offered
        from arrow_types import table
        offered(LIBRARIES[{library!r}].make(table({name!r})))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=arrow_page.__file__.rpartition("/")[0],
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert ended.returncode < 0, f"{library} has learned {name}"


def test_nothing_is_copied_where_the_library_can(here: dcf.Worker) -> None:
    """The promise of the manual, whatever the table says of the versions of today."""
    for name in ("int64", "float64", "utf8_view", "timestamp[us]"):
        vertex = here.put(None, table(name, nulls=False))
        for library in ("pyarrow", "polars", "nanoarrow", "arro3"):
            assert sharing(library, vertex) == "shared"


def test_the_page_is_up_to_date(here: dcf.Worker) -> None:
    within = arrow_page.split()[1]
    made = arrow_page.tables(here)
    assert made in within, (
        "docs/arrow.md is stale: make arrow-page\n"
        f"{arrow_page.versions()}\nThe page: {within.strip().splitlines()[0]}"
    )
