"""Calls that an event loop awaits, beside what awaiting costs by itself."""

from __future__ import annotations

import argparse
import asyncio
import os
import struct

import _bench
import dcf
import measure

ARGUMENTS = struct.pack("<qq", 5, 0)  # 16 bytes
RESULT = struct.pack("<q", 6)
VALUES = [1, 2, 3, 4, 5, 6, 7, 8]

PRODUCT = "await call_async(function, vertex, arguments=arguments)"


def at_once(
    names: dict[str, object], loop: asyncio.AbstractEventLoop
) -> tuple[measure.Awaiting, measure.Awaiting]:
    """A short function, beside the call that blocks and a future that is done already."""
    done = loop.create_future()
    done.set_result(None)
    floor = "call(function, vertex, arguments=arguments); await done"
    return (
        measure.Awaiting(PRODUCT, names, loop),
        measure.Awaiting(floor, {**names, "done": done}, loop),
    )


def by_descriptor(
    names: dict[str, object], loop: asyncio.AbstractEventLoop
) -> tuple[measure.Awaiting, measure.Awaiting]:
    """A function on another thread, beside a thread that is asked to write an eventfd."""
    bell = _bench.bell()
    waiting: list[asyncio.Future[None]] = []

    def rung() -> None:
        os.read(bell, 8)
        waiting.pop().set_result(None)

    def ring() -> asyncio.Future[None]:
        future = loop.create_future()
        waiting.append(future)
        _bench.ring()
        return future

    loop.add_reader(bell, rung)
    return (
        measure.Awaiting(PRODUCT, names, loop),
        measure.Awaiting("await ring()", {"ring": ring}, loop),
    )


# What each case compares, and whether its function is short.
CASES = {"async/python": (at_once, True), "async/python-fd": (by_descriptor, False)}


def main() -> None:
    """Measures one case and prints its blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True, choices=CASES)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    compare, short = CASES[options.case]
    loop = asyncio.new_event_loop()
    with dcf.open() as worker:
        vertex = worker.put("numbers", {"value": VALUES})
        calculate, merge = _bench.function("bench.add")
        function = dcf.udf.from_address(
            "bench.add", calculate, merge, commutative=True, short=short
        )
        names = {
            "call": worker.call,
            "call_async": worker.call_async,
            "function": function,
            "vertex": vertex,
            "arguments": ARGUMENTS,
        }

        async def once() -> object:
            return await worker.call_async(function, vertex, arguments=ARGUMENTS)

        if loop.run_until_complete(once()) != RESULT:
            raise SystemExit("the call gave something else")
        measure.case(options.case, *compare(names, loop), options.rounds)
    loop.close()


if __name__ == "__main__":
    main()
