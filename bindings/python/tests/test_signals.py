"""The threads of libdcf leave signals to Python's."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal
before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
theirs = set(os.listdir("/proc/self/task"))
import dcf
with dcf.open():
    pass
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
for thread in set(os.listdir("/proc/self/task")) - theirs:
    lines = open(f"/proc/self/task/{thread}/status").read().splitlines()
    blocked = int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        assert blocked >> (number - 1) & 1, (thread, number)
    assert not blocked >> (signal.SIGURG - 1) & 1, "they preempt each other by it"
    print("looked at", thread)
"""


def test_threads_take_no_signals() -> None:
    """A signal that one of them took would not wake the main thread."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "looked at" in done.stdout
