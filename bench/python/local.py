"""Calls on a local vertex from Python, beside the least that a call into Go can cost."""

from __future__ import annotations

import argparse
import struct

import _bench
import dcf
import measure

ARGUMENTS = struct.pack("<qq", 5, 0)  # 16 bytes
VALUES = [1, 2, 3, 4, 5, 6, 7, 8]

PRODUCT = "call(function, vertex, arguments=arguments)"


def python_c(worker: dcf.Worker, vertex: dcf.Vertex, name: str, rounds: int) -> None:
    """A C function, beside an empty Go export with the GIL released."""
    calculate, merge = _bench.function("bench.add")
    function = dcf.udf.from_address("bench.add", calculate, merge, commutative=True, short=True)
    names = {
        "call": worker.call,
        "function": function,
        "vertex": vertex,
        "arguments": ARGUMENTS,
        "empty": _bench.empty,
    }
    check(worker.call(function, vertex, arguments=ARGUMENTS), struct.pack("<q", 6))
    statements = (measure.Statement(text, names) for text in (PRODUCT, "empty(5)"))
    measure.case(name, *statements, rounds)


def python_python(worker: dcf.Worker, vertex: dcf.Vertex, name: str, rounds: int) -> None:
    """A Python function, beside a Go export that calls a Python function."""
    result = struct.pack("<q", 6)

    @dcf.udf(commutative=True, short=True)
    def six(_batch: dcf.Batch) -> bytes:
        return result

    def callback(number: int) -> int:
        return number

    _bench.set_callback(callback)
    names = {
        "call": worker.call,
        "function": six,
        "vertex": vertex,
        "arguments": ARGUMENTS,
        "callback": _bench.callback,
    }
    check(one(worker.call(six, vertex, arguments=ARGUMENTS)), result)
    statements = (measure.Statement(text, names) for text in (PRODUCT, "callback(5)"))
    measure.case(name, *statements, rounds)


def one(result: object) -> object:
    """The only part of a function without merge."""
    return result[0] if isinstance(result, list) and len(result) == 1 else result


def check(result: object, want: object) -> None:
    """Ends the program where a call is fast and wrong."""
    if result != want:
        raise SystemExit(f"the call gave {result!r} instead of {want!r}")


CASES = {"local/python-c": python_c, "local/python-python": python_python}


def main() -> None:
    """Measures one case and prints its blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True, choices=CASES)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with dcf.open() as worker:
        vertex = worker.put("numbers", {"value": VALUES})
        CASES[options.case](worker, vertex, options.case, options.rounds)


if __name__ == "__main__":
    main()
