"""What UDFs that numba compiles need of dcf.h; ``import dcf.numba`` asks for it.

``calculate`` and ``merge`` are the signatures for ``numba.cfunc``. Inside of a calculate,
``rows(input)`` is the number of rows of the vertex, 0 where it has no value, and
``column(input, i, dtype)`` an array over the buffer of its column i: no copy, for reading, and only
until the function returns. Inside of a merge, ``count(input)`` is the number of parts and
``part(input, i, dtype)`` the number that a part is. ``give(output, number)`` makes the 8 bytes of
an int64 or float64 the part, and gives the status for ``return``.

A column has elements of a fixed width of whole bytes and no nulls: nothing here looks.

>>> import numba, struct
>>> from dcf.numba import calculate, column, give
>>> @numba.cfunc(calculate)
... def total(user_data, input, output):
...     return give(output, column(input, 0, numba.float64).sum())
>>> udf = dcf.udf.from_address("total", total, short=True)
>>> with dcf.open() as worker:
...     total = worker.call(udf, worker.put("prices", {"price": [2.0, 3.5]}))
>>> struct.unpack("d", total)
(5.5,)
"""

from __future__ import annotations

from typing import Any

import numba
import numpy
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, register_jitable

# status(user_data, input, output), all of them addresses.
calculate = merge = types.int32(types.voidptr, types.uintp, types.uintp)

# Where things lie, in words of 8 bytes: dcf_udf_input, dcf_merge_input, dcf_part, dcf_output, its
# table of functions, and ArrowArray. tests/test_numba.py compares them with the header.
INPUT_ARRAY = 5
MERGE_PARTS, MERGE_COUNT = 1, 2
API_RESERVE = 2
ARRAY_LENGTH, ARRAY_OFFSET, ARRAY_BUFFERS, ARRAY_CHILDREN = 0, 2, 5, 6


@intrinsic
def _pointer(_context: Any, address: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(address), generate


@intrinsic
def _reserve(_context: Any, function: Any, output: Any, size: Any) -> Any:
    """Calls output->api->reserve; gives the address, or 0 where it was refused."""

    def generate(_target: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.IntType(32), [word, word, word.as_pointer()])
        place = builder.alloca(word)
        builder.store(ir.Constant(word, 0), place)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1], args[2], place])
        return builder.load(place)

    return types.uintp(function, output, size), generate


@register_jitable
def _word(address: int, index: int) -> Any:
    return numba.carray(_pointer(address), (index + 1,), numpy.uintp)[index]


@register_jitable
def rows(input_: int) -> Any:
    """Gives the number of rows of the vertex; 0 where it has no value."""
    array = _word(input_, INPUT_ARRAY)
    return _word(array, ARRAY_LENGTH) if array else numpy.uintp(0)


@register_jitable
def column(input_: int, index: int, dtype: Any) -> Any:
    """Gives an array over the values of a column of the vertex."""
    batch = _word(input_, INPUT_ARRAY)
    array = _word(_word(batch, ARRAY_CHILDREN), index)
    offset, length = _word(array, ARRAY_OFFSET), _word(array, ARRAY_LENGTH)
    buffer = _pointer(_word(_word(array, ARRAY_BUFFERS), 1))
    return numba.carray(buffer, (offset + length,), dtype)[offset:]


@register_jitable
def count(input_: int) -> Any:
    """Gives the number of parts that a merge folds."""
    return _word(input_, MERGE_COUNT)


@register_jitable
def part(input_: int, index: int, dtype: Any) -> Any:
    """Gives the number that a part of a merge is."""
    step = _word(input_, 0) >> 32
    return numba.carray(_pointer(_word(_word(input_, MERGE_PARTS) + step * index, 0)), (1,), dtype)[
        0
    ]


@register_jitable
def give(output: int, number: Any) -> Any:
    """Makes a number of 8 bytes the part, and gives the status: DCF_OK, or DCF_EXHAUSTED."""
    place = _reserve(_word(_word(output, 0), API_RESERVE), output, numpy.uintp(8))
    if place == 0:
        return numpy.int32(9)
    numba.carray(_pointer(place), (1,), type(number))[0] = number
    return numpy.int32(0)
