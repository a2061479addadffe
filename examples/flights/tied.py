"""Runs a program that ends when the process that started it ends, however that comes.

    python tied.py PARENT PROGRAM [ARGUMENT...]

PARENT is the process id of the starter. The kernel remembers the wish across exec, so the program
itself need not know of it: it gets SIGTERM when the starting thread is gone, killed or crashed.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def main() -> None:
    """Ties this process to its parent and becomes the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit(f"tied: prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it ended before the kernel was told
        sys.exit(f"tied: process {parent} is gone already")
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


main()
