"""Calls that nobody waits for: futures, and the thread that completes them."""

from __future__ import annotations

import concurrent.futures
import math
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import CancelledError

if TYPE_CHECKING:
    from . import _dcf
    from ._worker import Worker

_HOW = ("in process", "shared memory", "network")
#: How long one wait lasts, in seconds, before signals are looked at.
_SLICE = 0.05
_EFFECTS = ("none", "complete", "unknown")


class Answer(NamedTuple):
    """A call's result and what is known about how it came about."""

    value: Any
    #: Of a single target: the version that was read or made.
    version: int
    #: The node that folded the result.
    served_by: int
    #: "in process", "shared memory" or "network".
    served_how: str
    #: How long it took.
    seconds: float
    #: Over shared memory or the network, both ways.
    bytes_moved: int
    #: Of those, vertex data that was brought to the function.
    bytes_fetched: int
    #: "none", "complete", or "unknown" where the answer was lost.
    effects: str


def make_answer(value: Any, facts: tuple[int, int, int, int, int, int, int]) -> Answer:
    """Puts names to what the C half knows about a call."""
    version, served_by, how, nanoseconds, moved, fetched, effects = facts
    return Answer(
        value,
        version,
        served_by,
        _HOW[how],
        nanoseconds * 1e-9,
        moved,
        fetched,
        _EFFECTS[effects],
    )


class Future(concurrent.futures.Future[Any]):
    """A call under way; Worker.submit gives it.

    A ``concurrent.futures.Future``: ``result``, ``exception``, ``add_done_callback``,
    ``concurrent.futures.wait`` and ``asyncio.wrap_future`` work as ever. ``cancel`` makes the
    future cancelled at once and asks the call to end early; effects that it has had stay.
    Callbacks run on the worker's completion thread: they should be quick.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pending: _dcf.Pending | None = None
        self._facts: tuple[int, int, int, int, int, int, int] | None = None

    def cancel(self) -> bool:
        """Gives the call up; False where it was done already."""
        cancelled = super().cancel()
        pending = self._pending
        if cancelled and pending is not None:
            pending.cancel()
        return cancelled

    def result(self, timeout: float | None = None) -> Any:
        """Waits for the result and gives or raises it; TimeoutError where it does not come."""
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Waits like ``result`` and gives what it would raise, or None."""
        self._wait(timeout)
        return super().exception(0)

    def _wait(self, timeout: float | None) -> None:
        """Waits in slices: a signal does not end a wait where another thread takes it."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        with self._condition:
            while not self.done():
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._condition.wait(min(left, _SLICE))

    def answer(self, timeout: float | None = None) -> Answer:
        """Waits like ``result`` and gives the result with what is known about the call."""
        value = self.result(timeout)
        assert self._facts is not None, "a future with a result has facts"
        return make_answer(value, self._facts)

    def _complete(self, value: Any, error: BaseException | None, facts: Any) -> None:
        self._pending = None
        self._facts = facts
        if not self.set_running_or_notify_cancel():
            return
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)


class Completions:
    """The calls of one worker that have futures, and the thread that completes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: _dcf.Queue | None = None
        self._thread: threading.Thread | None = None

    def queue(self, worker: Worker) -> _dcf.Queue:
        """Gives the queue; the first call of it starts the thread that reads it."""
        with self._lock:
            if self._queue is None:
                self._queue = worker._open_queue()
                self._thread = threading.Thread(
                    target=_complete_all, args=(self._queue,), name="dcf-completions", daemon=True
                )
                self._thread.start()
            return self._queue

    def waiting(self) -> list[Future]:
        """Gives the futures that are under way."""
        return self._queue.waiting() if self._queue is not None else []

    def close(self, timeout: float | None) -> None:
        """Waits for what is under way, gives up the rest, and ends the thread."""
        queue, thread = self._queue, self._thread
        if queue is None or thread is None:
            return
        concurrent.futures.wait(queue.waiting(), timeout)
        for future in queue.waiting():
            future.cancel()
        lost = queue.close()
        if thread is not threading.current_thread():
            thread.join()
        for future in lost:
            future._complete(None, CancelledError("the worker was closed during the call"), None)


def _complete_all(queue: _dcf.Queue) -> None:
    # A worker that nobody holds must not live on in a variable of this thread, so there is none.
    while _complete_some(queue.poll(None)):
        pass


def _complete_some(finished: list[_dcf.Outcome] | None) -> bool:
    for future, value, error, facts in finished or ():
        future._complete(value, error, facts)
    return finished is not None
