"""Functions that numba compiles, and those of cffi, as UDFs."""

from __future__ import annotations

import asyncio
import doctest
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

import dcf

HEADER = Path(__file__).parents[3] / "include" / "dcf.h"
LAYOUT = """
#include "dcf.h"
#include <stdio.h>
#define WORD(type, field) printf("%zu\\n", offsetof(type, field) / 8)
int main(void) {
  WORD(dcf_udf_input, array);
  WORD(dcf_merge_input, parts);
  WORD(dcf_merge_input, part_count);
  WORD(dcf_output_api, reserve);
  WORD(struct ArrowArray, length);
  WORD(struct ArrowArray, offset);
  WORD(struct ArrowArray, buffers);
  WORD(struct ArrowArray, children);
  printf("%zu\\n", offsetof(dcf_merge_input, part_size));
  printf("%zu\\n", offsetof(dcf_output, api) + offsetof(dcf_part, bytes.data));
}
"""


@pytest.fixture(scope="module")
def numba() -> Any:
    return pytest.importorskip("numba", reason="numba supports no Python of this version")


def test_the_layout_is_the_headers(numba: Any, tmp_path: Path) -> None:
    from dcf import numba as ours

    (tmp_path / "layout.c").write_text(LAYOUT)
    subprocess.run(
        ["cc", f"-I{HEADER.parent}", "layout.c", "-o", "layout"], cwd=tmp_path, check=True
    )
    printed = subprocess.run([tmp_path / "layout"], check=True, capture_output=True).stdout
    assert [int(word) for word in printed.split()] == [
        ours.INPUT_ARRAY,
        ours.MERGE_PARTS,
        ours.MERGE_COUNT,
        ours.API_RESERVE,
        ours.ARRAY_LENGTH,
        ours.ARRAY_OFFSET,
        ours.ARRAY_BUFFERS,
        ours.ARRAY_CHILDREN,
        4,  # the high half of the first word
        0,
    ]


def test_its_examples(numba: Any) -> None:
    from dcf import numba as ours

    failed, tried = doctest.testmod(ours, extraglobs={"dcf": dcf})
    assert tried > 0
    assert failed == 0


def test_a_function_reads_the_columns_buffer(numba: Any, worker: dcf.Worker) -> None:
    from dcf.numba import calculate, column, count, give, merge, part, rows

    @numba.cfunc(calculate)
    def product(data, input_, output):  # type: ignore[no-untyped-def]
        if rows(input_) == 0:
            return 0
        x, n = column(input_, 0, numba.float64), column(input_, 1, numba.int32)
        total = 0.0
        for i in range(rows(input_)):
            total += x[i] * n[i]
        return give(output, total)

    @numba.cfunc(merge)
    def add(data, input_, output):  # type: ignore[no-untyped-def]
        total = 0.0
        for i in range(count(input_)):
            total += part(input_, i, numba.float64)
        return give(output, total)

    import numpy

    udf = dcf.udf.from_address("tests.product", product, add, short=True, commutative=True)
    del product, add
    table = {"x": numpy.arange(100.0), "n": numpy.arange(100, dtype=numpy.int32)}
    expected = struct.pack("d", sum(i * i for i in range(100)))
    whole, sharded = worker.put(None, table), worker.put(None, table, shards=7)
    assert worker.call(udf, whole) == worker.call(udf, sharded) == expected
    assert worker.call(udf, worker.put(None)) is None

    async def main() -> Any:
        return await asyncio.gather(*(worker.call_async(udf, v) for v in (whole, sharded)))

    assert asyncio.run(main()) == [expected, expected]


def test_whole_numbers_and_failures(numba: Any, worker: dcf.Worker) -> None:
    from dcf.numba import calculate, column, give

    @numba.cfunc(calculate)
    def largest(data, input_, output):  # type: ignore[no-untyped-def]
        return give(output, column(input_, 0, numba.int64).max())

    @numba.cfunc(calculate)
    def fails(data, input_, output):  # type: ignore[no-untyped-def]
        return 10

    vertex = worker.put("v", {"x": [3, -9, 7]})
    udf = dcf.udf.from_address("tests.largest", largest)
    assert worker.call(udf, vertex) == struct.pack("q", 7)
    with pytest.raises(dcf.UDFFailedError, match="tests.fails"):
        worker.call(dcf.udf.from_address("tests.fails", fails), vertex)


def test_a_function_of_cffi(worker: dcf.Worker) -> None:
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    seen: list[int] = []

    @ffi.callback("int32_t(void*, void*, void*)")  # type: ignore[untyped-decorator]
    def note(user_data: Any, input_: Any, output: Any) -> int:
        seen.append(int(ffi.cast("intptr_t", user_data)))
        return 0

    udf = dcf.udf.from_address("tests.cffi", note, user_data=77)
    assert worker.call(udf, worker.put("v", 1)) is None
    assert seen == [77]


@pytest.mark.parametrize("function", ["text", None, 1.5, True, print, b"x"], ids=repr)
def test_what_is_no_function(function: Any) -> None:
    with pytest.raises(TypeError, match="calculate is an address"):
        dcf.udf.from_address("x", function if function is not None else object())
    with pytest.raises(TypeError, match="user_data is an address"):
        dcf.udf.from_address("x", 4096, user_data="text")


@pytest.mark.parametrize("address", [0, -1, 1 << 64])
def test_an_address_that_is_none(address: int) -> None:
    with pytest.raises(ValueError, match="where there is no function"):
        dcf.udf.from_address("x", address)
