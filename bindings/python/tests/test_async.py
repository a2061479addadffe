"""Calls of asyncio: what is answered at once, what comes later, and how they end."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import dcf


@dcf.udf(short=True)
def short(value: int) -> int:
    return value + 1


@dcf.udf
def where(_: int) -> int:
    return threading.get_ident()


class Stuck:
    """A function that runs until it is told to stop, or notices that it is not wanted."""

    def __init__(self, worker: dcf.Worker, heeds: bool = True) -> None:
        self.started, self.release, self.ended = (threading.Event() for _ in range(3))
        self.vertex = worker.put(None, 1)

        @dcf.udf
        def stuck(value: int, cx: dcf.Context) -> int:
            self.started.set()
            while not (self.release.wait(0.005) or (heeds and cx.cancelled)):
                pass
            self.ended.set()
            return value

        self.udf = stuck

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.started.wait, 60)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# ---- Answers -------------------------------------------------------------------------


def test_a_short_function_answers_at_once(worker: dcf.Worker) -> None:
    vertex = worker.put("v", 4)
    seen: list[int] = []

    @dcf.udf(short=True)
    def look(value: int) -> int:
        seen.append(threading.get_ident())
        return value

    async def main() -> Any:
        call = worker.call_async(look, vertex)
        assert seen == [threading.get_ident()], "it has run by the time that the call returns"
        return await call, await call

    assert asyncio.run(main()) == (4, 4)
    assert worker._loops is None, "nothing had to wait, so no queue was opened"


def test_any_other_runs_beside_the_loop(worker: dcf.Worker) -> None:
    vertex = worker.put("v", 4)

    async def main() -> Any:
        return await worker.call_async(where, vertex)

    assert asyncio.run(main()) != threading.get_ident()


@pytest.mark.parametrize("cluster", ["inproc", "shm", "tcp"], indirect=True)
def test_many_at_once(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    double = dcf.udf(name="tests.double", version="1")(lambda value: 2 * value.scalar())
    one.register(double)
    vertices = [one.put(None, i) for i in range(100)]
    there = [two.vertex(vertex.id) for vertex in vertices]

    async def main() -> Any:
        here = [one.call_async(double, vertex) for vertex in vertices]
        away = [two.call_async(double, vertex) for vertex in there]
        counts = [two.call_async(dcf.count(), vertex) for vertex in there]
        at_once = [one.call_async(short, vertex) for vertex in vertices]
        return [await asyncio.gather(*calls) for calls in (here, away, counts, at_once)]

    numbers = list(range(100))
    doubles = [2 * i for i in numbers]
    assert asyncio.run(main()) == [doubles, doubles, 100 * [1], [i + 1 for i in numbers]]


@pytest.mark.parametrize("udf", [short, where], ids=["at once", "later"])
def test_asyncio_takes_it_for_a_coroutine(worker: dcf.Worker, udf: dcf.UDF) -> None:
    vertex = worker.put("v", 1)

    async def main() -> None:
        assert asyncio.iscoroutine(worker.call_async(udf, vertex))
        results = [
            await asyncio.create_task(worker.call_async(udf, vertex)),
            await asyncio.wait_for(worker.call_async(udf, vertex), 60),
            await asyncio.shield(worker.call_async(udf, vertex)),
            await asyncio.ensure_future(worker.call_async(udf, vertex)),
        ]
        assert all(isinstance(result, int) for result in results)
        if hasattr(asyncio, "TaskGroup"):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(worker.call_async(udf, vertex))
            assert isinstance(task.result(), int)
        for call in (worker.call_async(udf, vertex), worker.call_async(udf, vertex)):
            with pytest.raises(KeyError):
                call.throw(KeyError("x"))
        worker.call_async(udf, vertex).close()

    asyncio.run(main())
    assert isinstance(asyncio.run(of(worker.call_async, short, vertex)), int)


async def of(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await call(*args, **kwargs)


def test_targets_and_arguments(worker: dcf.Worker) -> None:
    @dcf.udf
    def scale(value: int, cx: dcf.Context) -> int:
        return value * cx.arguments

    vertex = worker.put("v", 7)
    assert asyncio.run(of(worker.call_async, scale, "v", arguments=3)) == 21
    assert asyncio.run(of(worker.call_async, scale, vertex.id, arguments=3)) == 21
    assert asyncio.run(of(worker.call_async, scale, [vertex, vertex], arguments=2)) == [14, 14]
    with pytest.raises(dcf.NotFoundError):
        asyncio.run(of(worker.call_async, scale, "no such vertex"))


def test_an_answer_of_every_kind(worker: dcf.Worker) -> None:
    kinds = [None, True, 5, 2.5, "text", b"bytes", b"x" * 100_000, {"x": [1, 2]}]
    vertex = worker.put("v", 1)

    async def main() -> None:
        for is_short in (True, False):
            for kind in kinds:
                give = dcf.udf(short=is_short)(lambda value, kind=kind: kind)
                give.merge(lambda parts: parts[0])
                got = await worker.call_async(give, vertex)
                assert (got.to_pydict() if isinstance(got, dcf.Batch) else got) == kind

    asyncio.run(main())


def test_the_rest_of_a_worker() -> None:
    async def main() -> None:
        async with dcf.open(timeout=60) as worker:
            vertex = await worker.put_async("t", {"x": [1, 2]})
            assert (await worker.vertex_async("t")).id == vertex.id
            batch = await vertex.batch_async()
            assert batch is not None
            assert batch.to_pydict() == {"x": [1, 2]}
            version = await vertex.set_async({"x": [3]})
            with pytest.raises(dcf.AbortedError):
                await vertex.set_async({"x": [4]}, expected_version=version + 1)
            assert (await vertex.to_arrow_async()).to_pydict() == {"x": [3]}
        assert worker.closed

    asyncio.run(main())


# ---- Failures ------------------------------------------------------------------------


@pytest.mark.parametrize("is_short", [True, False], ids=["at once", "later"])
def test_a_failure_is_raised_where_it_is_awaited(worker: dcf.Worker, is_short: bool) -> None:
    vertex = worker.put("v", 1)

    @dcf.udf(name="tests.broken", short=is_short)
    def broken(value: int) -> float:
        return value / 0

    async def main() -> None:
        call = worker.call_async(broken, vertex)
        with pytest.raises(
            dcf.UDFFailedError, match=r'"tests.broken".*ZeroDivisionError'
        ) as caught:
            await call
        assert "value / 0" in caught.value.detail or caught.value.__cause__ is not None
        some = await asyncio.gather(worker.call_async(broken, vertex), return_exceptions=True)
        assert isinstance(some[0], dcf.UDFFailedError)

    asyncio.run(main())


def test_what_is_wrong_at_once_is_raised_at_once(worker: dcf.Worker) -> None:
    vertex = worker.put("v", 1)

    async def main() -> None:
        with pytest.raises(TypeError, match="@dcf.udf"):
            worker.call_async(len, vertex)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="keyword"):
            worker.call_async(where, vertex, wait=1)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="timeout"):
            worker.call_async(where, vertex, timeout=float("nan"))

    asyncio.run(main())
    with pytest.raises(RuntimeError, match="no running event loop"):
        worker.call_async(where, vertex)


def test_a_timeout(worker: dcf.Worker) -> None:
    stuck = Stuck(worker, heeds=False)

    async def main() -> None:
        with pytest.raises(TimeoutError, match="stuck") as caught:
            await worker.call_async(stuck.udf, stuck.vertex, timeout=0.05)
        assert isinstance(caught.value, dcf.TimeoutError)

    asyncio.run(main())
    stuck.release.set()


# ---- Giving up, from either side ---------------------------------------------------------


def test_a_cancelled_task_cancels_its_call(worker: dcf.Worker) -> None:
    stuck = Stuck(worker)

    async def main() -> None:
        task = asyncio.create_task(worker.call_async(stuck.udf, stuck.vertex))
        await stuck.begun()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(stuck.ended.wait, 60), "the function was told"
        stuck.started.clear()
        stuck.ended.clear()
        seconds = 0.05
        while not stuck.started.is_set():  # given up before it began, it is made again
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(worker.call_async(stuck.udf, stuck.vertex), seconds)
            seconds *= 2
        assert await asyncio.to_thread(stuck.ended.wait, 60)

    asyncio.run(main())
    assert worker.call(dcf.count(), stuck.vertex) == 1


def test_a_task_that_is_cancelled_before_it_begins(worker: dcf.Worker) -> None:
    stuck = Stuck(worker)

    async def main() -> None:
        task = asyncio.create_task(worker.call_async(stuck.udf, stuck.vertex))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while worker._loops is None or len(worker._loops.place(worker)[0]):
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_worker_that_closes_gives_its_calls_up() -> None:
    worker = dcf.open(timeout=60)
    stuck = Stuck(worker)

    async def main() -> None:
        task = asyncio.create_task(worker.call_async(stuck.udf, stuck.vertex))
        await stuck.begun()
        await worker.close_async(0.05)
        with pytest.raises(dcf.CancelledError, match="closed"):
            await task
        with pytest.raises(dcf.BadHandleError, match="the worker is closed"):
            worker.call_async(stuck.udf, stuck.vertex)

    asyncio.run(main())
    assert stuck.ended.wait(60)


@pytest.mark.parametrize("how", ["on the loop", "beside it"])
def test_a_worker_that_closes_waits_for_its_calls(how: str) -> None:
    worker = dcf.open(timeout=60)
    stuck = Stuck(worker, heeds=False)

    async def main() -> Any:
        task = asyncio.create_task(worker.call_async(stuck.udf, stuck.vertex))
        await stuck.begun()
        threading.Timer(0.05, stuck.release.set).start()
        if how == "on the loop":
            worker.close(60)
        else:
            await worker.close_async(60)
        return await task

    assert asyncio.run(main()) == 1


# ---- Loops -------------------------------------------------------------------------------


def test_a_loop_that_ends_takes_its_queue_along(worker: dcf.Worker) -> None:
    vertex = worker.put("v", 1)
    asyncio.run(of(worker.call_async, where, vertex))
    before = descriptors()
    for _ in range(20):
        asyncio.run(of(worker.call_async, where, vertex))
    assert descriptors() == before


def test_a_loop_that_ends_while_calls_run(worker: dcf.Worker) -> None:
    stuck = Stuck(worker)
    kept: list[Any] = []

    async def main() -> None:
        kept.append(worker.call_async(stuck.udf, stuck.vertex))  # nobody awaits it
        await stuck.begun()

    asyncio.run(main())
    assert stuck.ended.wait(60), "the loop's end gave the call up"
    assert worker.call(short, stuck.vertex) == 2


def test_a_loop_that_is_only_closed(worker: dcf.Worker) -> None:
    stuck = Stuck(worker)
    loop = asyncio.new_event_loop()

    async def start() -> None:
        worker.call_async(stuck.udf, stuck.vertex)
        await stuck.begun()

    loop.run_until_complete(start())
    loop.close()
    gone = weakref.ref(loop)
    del loop
    before = descriptors()
    assert asyncio.run(of(worker.call_async, where, stuck.vertex))  # the next one sees it
    assert stuck.ended.wait(60)
    assert descriptors() < before
    deadline = time.monotonic() + 60
    while gone() is not None and time.monotonic() < deadline:
        gc.collect()
    assert gone() is None


def test_a_future_that_is_dropped(worker: dcf.Worker) -> None:
    seen = threading.Event()

    @dcf.udf
    def note(value: int) -> int:
        seen.set()
        return value

    vertex = worker.put("v", 1)

    async def main() -> Any:
        worker.call_async(note, vertex)
        gc.collect()
        assert await asyncio.to_thread(seen.wait, 60), "the call goes on"
        return await worker.call_async(where, vertex)

    assert asyncio.run(main())


def test_several_loops_and_threads(worker: dcf.Worker) -> None:
    vertices = [worker.put(None, i) for i in range(20)]
    echo = dcf.udf(lambda value: value.scalar())
    found: list[Any] = []

    async def main() -> None:
        for _ in range(5):
            calls = [worker.call_async(echo, vertex) for vertex in vertices]
            calls += [worker.call_async(short, vertex) for vertex in vertices]
            found.append(await asyncio.gather(*calls))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == 20 * [[*range(20), *range(1, 21)]]


def test_futures_of_both_kinds_beside_each_other(worker: dcf.Worker) -> None:
    vertex = worker.put("v", 1)

    async def main() -> Any:
        future = worker.submit(where, vertex)
        return await worker.call_async(where, vertex), await asyncio.wrap_future(future)

    assert len(asyncio.run(main())) == 2


def test_the_loop_goes_on_meanwhile(worker: dcf.Worker) -> None:
    stuck = Stuck(worker, heeds=False)

    async def main() -> Any:
        call = asyncio.create_task(worker.call_async(stuck.udf, stuck.vertex))
        await stuck.begun()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not call.done()
        stuck.release.set()
        return await call

    assert asyncio.run(main()) == 1
