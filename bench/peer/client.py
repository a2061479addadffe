"""The cases in which dcf is compared with other systems, called from Python.

Prints one JSON object: the version and a map of cases. The functions are those of the servers, in
C; equal names and versions make them one.
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Callable
from time import perf_counter

import _bench
import dcf
import numpy as np

VERSION = "bench-1"  # FIXTURE_VERSION of bench/c/fixture.h
ARGUMENTS = struct.pack("<qq", 5, 0)
ROWS = (64 << 20) // 8
OUTSTANDING = 64
FAN_ITEMS = 8
FAN_SUM = FAN_ITEMS * 499500.0
COLUMN_SUM = 499999500000.0
WARM_CALLS = 200
MAX_CALLS = 200_000
MIN_BULK = 3
TIMEOUT = 30.0

Figures = dict[str, float]
Operation = Callable[[], object]


def latency(operation: Operation, seconds: float) -> Figures:
    """Small calls, one after another: microseconds."""
    for _ in range(WARM_CALLS):
        operation()
    took: list[float] = []
    begin = last = perf_counter()
    while last < begin + seconds and len(took) < MAX_CALLS:
        operation()
        now = perf_counter()
        took.append(now - last)
        last = now
    micros = np.array(took) * 1e6
    return {
        "p50_us": round(float(np.percentile(micros, 50)), 3),
        "p99_us": round(float(np.percentile(micros, 99)), 3),
        "min_us": round(float(micros.min()), 3),
        "calls_per_s": round(len(took) / (last - begin)),
        "n": len(took),
    }


def bulk(operation: Operation, seconds: float, size: int = 0) -> Figures:
    """Large work: milliseconds, and GB/s where bytes move."""
    operation()
    took: list[float] = []
    begin = last = perf_counter()
    while last < begin + seconds or len(took) < MIN_BULK:
        operation()
        now = perf_counter()
        took.append(now - last)
        last = now
    p50 = float(np.percentile(took, 50))
    figures = {
        "p50_ms": round(p50 * 1e3, 4),
        "min_ms": round(min(took) * 1e3, 4),
        "n": len(took),
    }
    if size:
        figures["GB_s"] = round(size / p50 / 1e9, 2)
    return figures


def rate(batch: Operation, seconds: float) -> Figures:
    """Many calls under way at once."""
    batch()
    count = 0
    begin = perf_counter()
    while perf_counter() < begin + seconds:
        batch()
        count += OUTSTANDING
    return {
        "calls_per_s": round(count / (perf_counter() - begin)),
        "outstanding": OUTSTANDING,
    }


def native(name: str) -> dcf.NativeUDF:
    """A function of the servers."""
    calculate, merge = _bench.function(name)
    return dcf.udf.from_address(
        name, calculate, merge, version=VERSION, commutative=True, short=True
    )


def check(result: object, want: object) -> None:
    """Ends the program where a call is fast and wrong."""
    if result != want:
        raise SystemExit(f"a call gave {result!r} instead of {want!r}")


def measure(worker: dcf.Worker, seconds: float) -> dict[str, Figures]:
    """Runs all cases."""
    add, blob, total = native("bench.add"), native("bench.blob"), native("bench.sum")
    item, kilobyte = worker.vertex("item"), worker.vertex("blob")
    column, table = worker.vertex("column"), worker.vertex("table")
    fan = [worker.vertex(f"fan-{number}") for number in range(FAN_ITEMS)]
    local = worker.put("numbers", {"value": [1, 2, 3, 4, 5, 6, 7, 8]})
    ones = np.ones(ROWS)
    node = item.info().owner

    def small() -> object:
        return worker.call(add, item, arguments=ARGUMENTS)

    def pipelined() -> None:
        futures = [worker.submit(add, item, arguments=ARGUMENTS) for _ in range(OUTSTANDING)]
        for future in futures:
            future.result(TIMEOUT)

    def summed(target: object) -> float:
        return float(struct.unpack("<d", worker.call(total, target, arguments=ARGUMENTS))[0])

    def fetch() -> None:
        batch = table.batch()
        if batch is None or len(batch) != ROWS:
            raise SystemExit("the table that was fetched has another number of rows")

    def put() -> None:
        worker.put("put-by-python", {"value": ones}, node=node, replace=True).release()

    check(small(), struct.pack("<q", 6))
    check(summed(column), COLUMN_SUM)
    check(summed(fan), FAN_SUM)
    return {
        "call_small": latency(small, seconds),
        "call_small_blob1k": latency(
            lambda: worker.call(blob, kilobyte, arguments=ARGUMENTS), seconds
        ),
        "call_pipelined": rate(pipelined, seconds),
        "sum_1M": bulk(lambda: summed(column), seconds),
        "fetch_64MiB": bulk(fetch, seconds, ROWS * 8),
        "put_64MiB": bulk(put, seconds, ROWS * 8),
        "fanout_agg": latency(lambda: summed(fan), seconds),
        "inproc_call": latency(lambda: worker.call(add, local, arguments=ARGUMENTS), seconds),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="the address of the first server")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each case")
    options = parser.parse_args()
    with dcf.open(join=options.server) as worker:
        cases = measure(worker, options.seconds)
        how = worker.measure("bench.add", "item", arguments=ARGUMENTS).served_how
    print(json.dumps({"version": dcf.__version__, "served_how": how, "cases": cases}))


if __name__ == "__main__":
    main()
