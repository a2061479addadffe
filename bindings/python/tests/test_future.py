"""Calls that nobody waits for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading

import pytest

import dcf


def test_a_future_gives_the_result(worker: dcf.Worker) -> None:
    vertex = worker.put("t", {"x": [1, 2]})
    future = worker.submit(dcf.sum("x"), vertex)
    assert future.result(60) == 3
    assert future.done()
    assert not future.cancel()
    assert future.exception() is None
    answer = future.answer()
    assert (answer.value, answer.served_by, answer.effects) == (3, worker.node_id, "none")


def test_many_at_once(worker: dcf.Worker) -> None:
    double = dcf.udf(lambda value: 2 * value.scalar())
    vertices = [worker.put(None, i) for i in range(200)]
    futures = [worker.submit(double, vertex) for vertex in vertices]
    assert [future.result(60) for future in futures] == [2 * i for i in range(200)]
    done, waiting = concurrent.futures.wait(futures, 60)
    assert (len(done), len(waiting)) == (200, 0)


def test_failures_are_the_futures(worker: dcf.Worker) -> None:
    future = worker.submit(dcf.udf(lambda value: 1 / 0), worker.put("v", 1))
    with pytest.raises(dcf.UDFFailedError, match="ZeroDivisionError") as caught:
        future.result(60)
    assert "1 / 0" in caught.value.detail
    assert future.exception() is caught.value


def test_what_is_wrong_at_once_is_raised_at_once(worker: dcf.Worker) -> None:
    with pytest.raises(TypeError, match="@dcf.udf"):
        worker.submit(len, worker.put("v", 1))  # type: ignore[arg-type]
    with pytest.raises(dcf.NotFoundError):
        worker.submit(dcf.count(), "no such vertex")
    assert worker._completions.waiting() == []


def test_callbacks(worker: dcf.Worker) -> None:
    called = threading.Event()
    seen: list[object] = []

    def look(future: dcf.Future) -> None:
        seen.append(future.result())
        called.set()

    worker.submit(dcf.count(), worker.put("v", 1)).add_done_callback(look)
    assert called.wait(60)
    assert seen == [1]


def test_asyncio_can_wait(worker: dcf.Worker) -> None:
    vertex = worker.put("v", 5)
    echo = dcf.udf(lambda value: value.scalar())

    async def both() -> list[object]:
        calls = (worker.submit(echo, vertex) for _ in range(2))
        return list(await asyncio.gather(*(asyncio.wrap_future(call) for call in calls)))

    assert asyncio.run(both()) == [5, 5]


def test_cancel(worker: dcf.Worker) -> None:
    started, seen, ended = threading.Event(), threading.Event(), threading.Event()

    @dcf.udf
    def until_cancelled(value: int, cx: dcf.Context) -> int:
        started.set()
        while not cx.cancelled:
            seen.wait(0.01)
        ended.set()
        return value

    vertex = worker.put("v", 1)
    future = worker.submit(until_cancelled, vertex)
    assert started.wait(60)
    assert future.cancel()
    assert future.cancelled()
    assert ended.wait(60)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(60)
    assert worker.call(dcf.count(), vertex) == 1


def test_a_timeout(worker: dcf.Worker) -> None:
    release = threading.Event()

    @dcf.udf
    def slow(value: int, cx: dcf.Context) -> int:
        assert cx.remaining is not None
        release.wait(60)
        return value

    future = worker.submit(slow, worker.put("v", 1), timeout=0.05)
    with pytest.raises(TimeoutError) as caught:
        future.result(60)
    assert isinstance(caught.value, dcf.TimeoutError)
    release.set()


def test_close_waits_for_calls_under_way() -> None:
    release = threading.Event()
    worker = dcf.open()
    wait = dcf.udf(lambda value: release.wait(60))
    future = worker.submit(wait, worker.put("v", 1))
    threading.Timer(0.05, release.set).start()
    worker.close(60)
    assert future.result(0) is True


def test_close_gives_up_what_does_not_end() -> None:
    release, started = threading.Event(), threading.Event()
    worker = dcf.open(timeout=0.1)

    @dcf.udf
    def stuck(value: int) -> None:
        started.set()
        release.wait(60)

    vertex = worker.put("v", 1)
    future = worker.submit(stuck, vertex, timeout=60)
    assert started.wait(60)
    with contextlib.suppress(dcf.Error):  # the worker says that a callback did not return
        worker.close(0.05)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(60)
    release.set()
    vertex.release()  # what a function never gave back is kept, and so is its target
