"""The example of the tree, at every distance, and over and over again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[3] / "examples" / "tree" / "python" / "tree.py"
ANSWERS = """\
MaxAdjacentSum 0: 600
MaxAdjacentSum 1: 1305
MaxAdjacentSum 2: 2120
MaxAdjacentSum 3: 2136
SwapLargestAndSmallest: 600 and 1
GraphSum: 2136
GraphSum: 82136
"""
MAX_GROWTH_BYTES = 1 << 20
# In a process of its own: what other tests left to the allocator must not count.
ROUNDS = """
import ctypes, gc, runpy, sys
import dcf

tree = runpy.run_path(sys.argv[1])
trim = ctypes.CDLL(None).malloc_trim

def ask_trees(worker, count):
    for _ in range(count):
        fresh = tree["build"](worker)
        assert (fresh.graph_sum(), fresh.graph_sum()) == (2136, 82136)
        fresh.drop()

# The least of some looks with trees between them: garbage comes and goes, what leaked is there
# each time.
def resident_bytes(worker):
    looks = []
    for _ in range(5):
        ask_trees(worker, 20)
        gc.collect()
        trim(0)
        with open("/proc/self/smaps_rollup") as file:
            looks += [int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:")]
    return min(looks)

with dcf.open() as worker:
    ask_trees(worker, 1_000)
    settled = resident_bytes(worker)
    ask_trees(worker, 9_000)
    print(resident_bytes(worker) - settled)
"""


@pytest.mark.parametrize("over", ["one", "inproc", "tcp"])
def test_the_tree(over: str) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "dev", str(TREE), "--over", over],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, ANSWERS), result.stderr


def test_fresh_trees_leave_no_memory_behind() -> None:
    result = subprocess.run(
        [sys.executable, "-c", ROUNDS, str(TREE)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < MAX_GROWTH_BYTES
