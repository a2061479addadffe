"""A Python that imports dcf and makes a call, beside one that imports an empty extension."""

from __future__ import annotations

import argparse
import subprocess
import sys
from time import perf_counter_ns

import measure

PRODUCT = """
import dcf
with dcf.open() as worker:
    worker.call(dcf.count(), worker.put("numbers", {"value": [1, 2]}))
"""
FLOOR = "import _empty"


class Program(measure.Statement):
    """A program that is run as a process, from its start to its end."""

    batch = calls = 1

    def __init__(self, text: str) -> None:
        self._command = [sys.executable, "-c", text]
        self._time(1)  # the first one reads the files from the disk

    def _time(self, _count: int) -> float:
        begin = perf_counter_ns()
        subprocess.run(self._command, check=True)
        return perf_counter_ns() - begin


def main() -> None:
    """Measures the case and prints its blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True, choices=["import"])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    measure.case(options.case, Program(PRODUCT), Program(FLOOR), options.rounds)


if __name__ == "__main__":
    main()
