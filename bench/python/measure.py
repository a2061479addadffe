"""Times Python statements in short blocks, in turn, and prints the blocks for dcfbench.

The counterpart of bench/c/measure.h: it judges nothing and knows nothing about what it times.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter_ns
from timeit import Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

BLOCK_NS = 5_000_000
SAMPLE_NS = 20_000  # four times as long as in C: the clock costs more here
MAX_SAMPLES = 8192
CALIBRATE_NS = 1_000_000  # how long a statement runs before its pace is believed
CALIBRATIONS = 5


class Statement:
    """A statement that is timed in runs of as many as make the clock's own cost small.

    Times are given per call: one statement makes ``calls`` of them.
    """

    def __init__(self, text: str, names: dict[str, object], calls: int = 1) -> None:
        self._prepare(text, names)
        self.calls = calls
        trial = 1
        while self._time(trial) < CALIBRATE_NS:
            trial *= 2
        fastest = min(self._time(trial) for _ in range(CALIBRATIONS))
        self.batch = int(SAMPLE_NS * trial / fastest) + 1

    def _prepare(self, text: str, names: dict[str, object]) -> None:
        # The collector stays on: what a call costs it belongs to the call.
        self._time = Timer(text, "import gc; gc.enable()", perf_counter_ns, names).timeit

    def block(self) -> tuple[float, list[float]]:
        """Runs for some milliseconds: nanoseconds of all, and of one in each sample."""
        samples: list[float] = []
        elapsed = 0.0
        while elapsed < BLOCK_NS and len(samples) < MAX_SAMPLES:
            took = self._time(self.batch)
            elapsed += took
            samples.append(took / self.batch / self.calls)
        return elapsed, samples


class Awaiting(Statement):
    """A statement that may await, in one event loop that is given."""

    def __init__(self, text: str, names: dict[str, object], loop: AbstractEventLoop) -> None:
        self._loop = loop
        super().__init__(text, names)

    def _prepare(self, text: str, names: dict[str, object]) -> None:
        code = (
            "async def run(count):\n"
            "    begin = clock()\n"
            "    for _ in range(count):\n"
            f"        {text}\n"
            "    return clock() - begin\n"
        )
        space = {**names, "clock": perf_counter_ns}
        exec(code, space)
        run = space["run"]
        self._time = lambda count: self._loop.run_until_complete(run(count))


def case(name: str, product: Statement, floor: Statement | None, rounds: int) -> None:
    """Measures blocks of both in turn, the order reversed every second round, and prints them."""
    series = [("product", product)]
    if floor is not None:
        series.append(("floor", floor))
    lines = []
    for number in range(rounds):
        for label, statement in series if number % 2 == 0 else series[::-1]:
            elapsed, samples = statement.block()
            lines.append(
                {
                    "case": name,
                    "series": label,
                    "round": number,
                    "threads": 1,
                    "calls": statement.batch * statement.calls * len(samples),
                    "elapsed_ns": int(elapsed),
                    "samples": [round(sample, 1) for sample in samples],
                }
            )
    for line in lines:
        json.dump(line, sys.stdout)
        sys.stdout.write("\n")


def once(name: str, took_ns: int) -> None:
    """Prints one operation that was timed elsewhere as a block of its own, of round 0."""
    line = {"case": name, "series": "product", "threads": 1, "calls": 1}
    json.dump({**line, "elapsed_ns": took_ns, "samples": [took_ns]}, sys.stdout)
    sys.stdout.write("\n")


def value(name: str, number: float, unit: str) -> None:
    """Prints what a case that is no time gave."""
    json.dump({"case": name, "value": number, "unit": unit}, sys.stdout)
    sys.stdout.write("\n")
