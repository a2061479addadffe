"""Calls of asyncio: one queue for each event loop, which reads it when its descriptor says so.

Imported with the first such call: importing asyncio takes longer than all of dcf.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from .errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from . import _dcf
    from ._worker import Worker

in_thread = asyncio.to_thread

# How long a wait that has no deadline of its own goes on before it looks around.
_SLICE = 0.25


class LoopFuture(asyncio.Future[Any]):
    """A call under way, as the event loop sees it. Cancelling it asks the call to end early."""

    _pending: _dcf.Pending | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled and self._pending is not None:
            self._pending.cancel()
        return cancelled

    def complete(self, value: Any, error: BaseException | None) -> None:
        """Takes the call's outcome, unless nobody wants it any more."""
        self._pending = None
        if self.done():
            return
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)


class LoopCalls:
    """The calls of one event loop at one worker.

    The queue is closed with the worker or with the loop, whichever is first.
    """

    def __init__(self, queue: _dcf.Queue, loop: asyncio.AbstractEventLoop) -> None:
        self.queue = queue
        self.loop = loop
        self._over = threading.Lock()  # taken once, for ever
        self._idle: threading.Event | None = None
        # A descriptor of its own: the queue may be closed by another thread, and its descriptor's
        # number be another file's before this loop forgets it.
        self._fd = os.dup(queue.fd())
        loop.add_reader(self._fd, self._ready)
        self._life = self._until_the_loop_ends()
        with contextlib.suppress(StopIteration):
            self._life.asend(None).send(None)

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        """Ends the queue with the loop, which ends its generators before it closes.

        asyncio tells of its end to nobody else: see AbstractEventLoop.shutdown_asyncgens.
        """
        try:
            yield
        finally:
            self.end()

    @property
    def over(self) -> bool:
        """Whether the queue was closed."""
        return self._over.locked()

    def _ready(self, timeout: float | None = None) -> None:
        """Completes what has finished."""
        finished = self.queue.poll() if timeout is None else self.queue.poll(timeout)
        for future, value, error, _ in finished or ():
            future.complete(value, error)
        if self._idle is not None and len(self.queue) == 0:
            self._idle.set()

    def end(self) -> None:
        """Gives all calls up, on the loop's thread at its end, or once it is closed."""
        if not self._over.acquire(blocking=False):
            return
        self._detach()
        if len(self.queue) == 0:
            self.queue.close()
        else:  # functions that still run are waited for elsewhere
            threading.Thread(target=self.queue.close, name="dcf-closing", daemon=True).start()

    def close(self, timeout: float | None) -> None:
        """Waits for what is under way where the loop runs, and gives the rest up."""
        here = asyncio._get_running_loop() is self.loop
        if timeout != 0 and self.loop.is_running():
            self._drain(timeout, here)
        if not self._over.acquire(blocking=False):
            return
        lost = self.queue.close()
        if here:
            self._finish(lost)
            return
        try:
            self.loop.call_soon_threadsafe(self._finish, lost)
        except RuntimeError:  # the loop is closed
            self._detach()

    def _drain(self, timeout: float | None, here: bool) -> None:
        if here:  # the loop stands still, so this does what it would do
            end = None if timeout is None else time.monotonic() + timeout
            while len(self.queue) > 0 and (end is None or time.monotonic() < end):
                self._ready(_SLICE if end is None else max(end - time.monotonic(), 1e-3))
            return
        self._idle = threading.Event()
        if len(self.queue) > 0:
            self._idle.wait(timeout)

    def _finish(self, lost: Iterable[LoopFuture]) -> None:
        self._detach()
        for future in lost:
            future.complete(None, CancelledError("the worker was closed during the call"))

    def _detach(self) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
        os.close(self._fd)
        with contextlib.suppress(StopIteration, RuntimeError):  # at the loop's end it runs already
            self._life.aclose().send(None)


class Loops:
    """The event loops that have called one worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[asyncio.AbstractEventLoop, LoopCalls] = {}

    def place(self, worker: Worker) -> tuple[_dcf.Queue, LoopFuture]:
        """Gives the queue of the running loop, and a future of a call there."""
        loop = asyncio.get_running_loop()
        calls = self._calls.get(loop)
        if calls is None or calls.over:
            calls = self._open(worker, loop)
        return calls.queue, LoopFuture(loop=loop)

    def _open(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> LoopCalls:
        calls = LoopCalls(worker._open_queue(), loop)
        with self._lock:
            ended = [of for of in self._calls if of.is_closed()]
            over = [self._calls.pop(of) for of in ended]
            self._calls[loop] = calls
        for of in over:
            of.end()
        return calls

    def close(self, timeout: float | None) -> None:
        """Closes all queues, with one deadline."""
        with self._lock:
            calls = list(self._calls.values())
            self._calls.clear()
        end = None if timeout is None else time.monotonic() + timeout
        for of in calls:
            of.close(None if end is None else max(end - time.monotonic(), 0))
