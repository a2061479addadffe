"""Loads libdcf so that its threads leave the process's signals to Python's.

A signal that another thread than the main one takes does not wake the main one: a program that
waits for SIGTERM in ``threading.Event.wait`` would not see it. SIGURG is the one that libdcf's
threads send each other.
"""

from signal import SIG_BLOCK, SIG_SETMASK, SIGURG, pthread_sigmask, valid_signals

_before = pthread_sigmask(SIG_BLOCK, valid_signals() - {SIGURG})
try:
    from . import _dcf  # noqa: F401
finally:
    pthread_sigmask(SIG_SETMASK, _before)
