"""Calls that nobody waits for: futures, and the thread that completes them."""

from __future__ import annotations

import concurrent.futures
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from . import _dcf
    from ._worker import Worker

# How long the completion thread sleeps before it looks whether its worker is still wanted.
_POLL_SECONDS = 0.25

_HOW = ("in process", "shared memory", "network")
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
    """The futures of one worker that are not done, and the thread that completes them."""

    def __init__(self, worker: Worker) -> None:
        self._lock = threading.Lock()
        self._futures: set[Future] = set()
        self._thread: threading.Thread | None = None
        self._worker = weakref.ref(worker)

    def add(self, future: Future) -> None:
        """Counts a future as under way."""
        with self._lock:
            self._futures.add(future)

    def attach(self, future: Future, pending: _dcf.Pending) -> None:
        """Ties a future to its call, unless that is done already.

        The first one brings the queue into being, and so starts the thread that reads it.
        """
        with self._lock:
            if future in self._futures:
                future._pending = pending
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_complete_all, args=(self,), name="dcf-completions", daemon=True
                )
                self._thread.start()

    def done(self, future: Future) -> None:
        """Forgets a future."""
        with self._lock:
            self._futures.discard(future)

    def waiting(self) -> list[Future]:
        """Gives those that are under way."""
        with self._lock:
            return list(self._futures)

    def poll(self) -> list[tuple[Future, Any, BaseException | None, Any]] | None:
        """Waits a little for finished calls; None where there will be no more."""
        worker = self._worker()
        return None if worker is None else worker._poll(_POLL_SECONDS)

    def join(self, free: bool) -> None:
        """Waits for the thread, after the queue was closed, and gives up what is left.

        Unless the library is `free` of these calls, they stay in memory.
        """
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        from .errors import CancelledError

        for future in self.waiting():
            pending = future._pending
            if pending is not None and free:
                pending.abandon()
            future._complete(None, CancelledError("the worker was closed during the call"), None)
            self.done(future)


def _complete_all(completions: Completions) -> None:
    while (finished := completions.poll()) is not None:
        for future, value, error, facts in finished:
            completions.done(future)
            future._complete(value, error, facts)
        # A worker that nobody holds must not live on in this thread's last list.
        del finished
