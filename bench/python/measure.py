"""Times Python statements in short blocks, in turn, and prints the blocks for dcfbench.

The counterpart of bench/c/measure.h: it judges nothing and knows nothing about what it times.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter_ns
from timeit import Timer

BLOCK_NS = 5_000_000
SAMPLE_NS = 20_000  # four times as long as in C: the clock costs more here
MAX_SAMPLES = 8192
CALIBRATE_CALLS = 2000
CALIBRATIONS = 5


class Statement:
    """A statement that is timed in runs of as many as make the clock's own cost small."""

    def __init__(self, text: str, names: dict[str, object]) -> None:
        # The collector stays on: what a call costs it belongs to the call.
        self._timer = Timer(text, "import gc; gc.enable()", perf_counter_ns, names)
        fastest = min(self._timer.repeat(CALIBRATIONS, CALIBRATE_CALLS))
        self.batch = int(SAMPLE_NS * CALIBRATE_CALLS / fastest) + 1

    def block(self) -> tuple[float, list[float]]:
        """Runs for some milliseconds: nanoseconds of all, and of one in each sample."""
        samples: list[float] = []
        elapsed = 0.0
        while elapsed < BLOCK_NS and len(samples) < MAX_SAMPLES:
            took = self._timer.timeit(self.batch)
            elapsed += took
            samples.append(took / self.batch)
        return elapsed, samples


def case(name: str, product: str, floor: str, names: dict[str, object], rounds: int) -> None:
    """Measures blocks of both in turn, the order reversed every second round, and prints them."""
    series = [("product", Statement(product, names)), ("floor", Statement(floor, names))]
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
                    "calls": statement.batch * len(samples),
                    "elapsed_ns": int(elapsed),
                    "samples": [round(sample, 1) for sample in samples],
                }
            )
    for line in lines:
        json.dump(line, sys.stdout)
        sys.stdout.write("\n")
