"""Calls and tables over shared memory from Python, beside a C client of the same server."""

from __future__ import annotations

import argparse
import struct
from time import perf_counter_ns

import _bench
import dcf
import measure
import pyarrow

import _client  # isort: skip  # after dcf, whose libdcf it shares

ARGUMENTS = struct.pack("<qq", 5, 0)  # 16 bytes
RESULT = struct.pack("<q", 6)
VERSION = "bench-1"
ROWS = 64 << 17  # 64 MiB of float64
FLOOR_CALLS = 64  # in one statement of the floor: what Python itself takes is then little


def add() -> dcf.NativeUDF:
    """The server's function."""
    calculate, merge = _bench.function("bench.add")
    return dcf.udf.from_address(
        "bench.add", calculate, merge, version=VERSION, commutative=True, short=True
    )


def check(worker: dcf.Worker, function: dcf.NativeUDF) -> None:
    """Ends the program where a call is wrong, or goes another way than the case claims."""
    answer = worker.measure(function, worker.vertex("item"), arguments=ARGUMENTS, at_owner=True)
    if answer.value != RESULT:
        raise SystemExit(f"the call gave {answer.value!r} instead of {RESULT!r}")
    if answer.served_how != "shared memory":
        raise SystemExit(
            f"calls are served by way of the {answer.served_how}, this case is about shared memory"
        )


def call(worker: dcf.Worker, function: dcf.NativeUDF, options: argparse.Namespace) -> None:
    """worker.call, beside calls in C of the same worker."""
    names = {
        "call": worker.call,
        "function": function,
        "vertex": worker.vertex("item"),
        "arguments": ARGUMENTS,
        "calls": _client.calls,
    }
    _client.open(worker)
    measure.case(
        options.case,
        measure.Statement("call(function, vertex, arguments=arguments)", names),
        measure.Statement(f"calls({FLOOR_CALLS})", names, calls=FLOOR_CALLS),
        options.rounds,
    )
    _client.close()


def get(worker: dcf.Worker, _function: dcf.NativeUDF, options: argparse.Namespace) -> None:
    """The first of this process."""
    table = worker.vertex("table")
    begin = perf_counter_ns()
    batch = pyarrow.record_batch(table)
    took = perf_counter_ns() - begin
    check_table(batch)
    measure.once(options.case, took)


def get_again(worker: dcf.Worker, _function: dcf.NativeUDF, options: argparse.Namespace) -> None:
    """Every later one."""
    table = worker.vertex("table")
    check_table(pyarrow.record_batch(table))
    names = {"record_batch": pyarrow.record_batch, "table": table}
    measure.case(
        options.case, measure.Statement("record_batch(table)", names), None, options.rounds
    )


def check_table(batch: pyarrow.RecordBatch) -> None:
    """The table counts its rows from 0."""
    if batch.num_rows != ROWS or batch.column(0)[ROWS - 1].as_py() != ROWS - 1:
        raise SystemExit("the table that was got is another one")


CASES = {
    "shm/python": call,
    "shm/get-64MiB-python": get,
    "shm/get-64MiB-python-again": get_again,
}


def main() -> None:
    """Measures one case and prints its blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True, choices=CASES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--server", required=True, help="the address that the server printed")
    parser.add_argument("--ring", help="of other cases")
    options = parser.parse_args()
    function = add()
    with dcf.open(join=options.server) as worker:
        check(worker, function)
        CASES[options.case](worker, function, options)
        check(worker, function)


if __name__ == "__main__":
    main()
