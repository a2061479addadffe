"""What a program may do wrong: each thing is said clearly, and nothing crashes or hangs."""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dcf

Python = Callable[..., subprocess.CompletedProcess[str]]

# ---- Another library -----------------------------------------------------------------


def with_library(folder: Path, version: int) -> Path:
    """Copies the package beside a libdcf that has nothing but that ABI version."""
    package = folder / "dcf"
    source = Path(dcf.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("libdcf*", "__pycache__"))
    (library,) = (path.name for path in source.glob("libdcf.so*"))
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", package / "_dcf.abi3.so"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    used = {word.partition("@")[0] for word in listed.split() if word.startswith("dcf_")}
    stubs = "".join(f"void {name}(void) {{}}\n" for name in used - {"dcf_abi_version"})
    (folder / "fake.c").write_text(
        f"{stubs}unsigned dcf_abi_version(void) {{ return {version}; }}\n"
    )
    (folder / "fake.map").write_text("DCF_0 { global: dcf_*; local: *; };\n")
    subprocess.run(
        f"cc -w -shared -fPIC fake.c -Wl,-soname,{library} -Wl,--version-script=fake.map "
        f"-o dcf/{library}",
        shell=True,
        cwd=folder,
        check=True,
    )
    return folder


@pytest.mark.parametrize(("version", "said"), [(2 << 16, "2.0"), (0, "0.0"), (1 << 16 | 7, "1.7")])
def test_a_library_of_another_abi(tmp_path: Path, version: int, said: str) -> None:
    folder = with_library(tmp_path, version)
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); import dcf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: libdcf has ABI version {said}, and this package was")
    assert last.endswith("reinstall dcf")


# ---- Handles after their end -----------------------------------------------------------


def test_a_handle_after_close() -> None:
    worker = dcf.open()
    vertex = worker.put("v", {"x": [1]})
    udf = dcf.udf(lambda value: 1)
    worker.call(udf, vertex)
    batch = vertex.batch()
    worker.close()
    worker.close()
    uses: list[Callable[[], Any]] = [
        lambda: worker.put("w", 1),
        lambda: worker.call(udf, vertex),
        lambda: worker.submit(udf, vertex),
        lambda: worker.measure(udf, vertex),
        lambda: worker.call_async(udf, vertex),
        lambda: worker.register(udf),
        worker.stats,
        vertex.info,
        vertex.batch,
        lambda: vertex.set(1),
        lambda: list(vertex.stream()),
    ]
    for use in uses:
        with pytest.raises(dcf.BadHandleError, match=r"closed|released"):
            use()
    assert batch is not None
    assert batch["x"].to_pylist() == [1], "what was taken outlives its worker"
    assert "released" in repr(vertex) or "BAD_HANDLE" in repr(vertex)
    vertex.release()


def test_arrays_outlive_their_worker() -> None:
    import numpy
    import polars
    import pyarrow

    worker = dcf.open()
    vertex = worker.put("t", {"x": numpy.arange(1000.0), "s": ["a"] * 1000})
    taken = [pyarrow.table(vertex), polars.DataFrame(vertex), numpy.asarray(vertex.batch()["x"])]  # type: ignore[index]
    view = memoryview(vertex.batch()["x"])  # type: ignore[index]
    stream = vertex.stream()
    del vertex
    worker.close()
    del worker
    gc.collect()
    assert taken[0]["x"].to_pylist() == list(range(1000))
    assert taken[1]["x"].sum() == taken[2].sum() == sum(view) == 499500
    assert taken[1]["s"].to_list() == ["a"] * 1000
    del stream


# ---- Callbacks -----------------------------------------------------------------------------


def test_machine_code_is_kept_as_long_as_workers_know_it() -> None:
    ran: list[int] = []
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, *3 * [ctypes.c_void_p])
    function = prototype(lambda data, input_, output: ran.append(1) or 0)
    with dcf.open() as worker:
        udf = dcf.udf.from_address("tests.closure", function)
        gone = weakref.ref(udf)
        worker.register(udf)
        del udf, function
        gc.collect()
        assert worker.call("tests.closure", worker.put("v", 1)) is None
        assert ran == [1]
        assert gone() is not None
    gc.collect()
    assert gone() is None


def test_a_python_function_is_kept_as_long_as_workers_know_it() -> None:
    def echo(value):  # type: ignore[no-untyped-def]
        return value.scalar()

    with dcf.open() as worker:
        udf = dcf.udf(name="tests.kept")(echo)
        gone = weakref.ref(echo)
        worker.register(udf)
        del udf, echo
        gc.collect()
        assert worker.call("tests.kept", worker.put("v", 3)) == 3
        assert gone() is not None
    gc.collect()
    assert gone() is None


def test_library_threads_keep_their_python_state(worker: dcf.Worker) -> None:
    # A thread local lives as long as the state of its thread.
    local = threading.local()
    lock = threading.Lock()
    counts: dict[int, int] = {}

    @dcf.udf
    def count(_: int) -> int:
        local.count = getattr(local, "count", 0) + 1
        with lock:
            counts[threading.get_ident()] = counts.get(threading.get_ident(), 0) + 1
        return local.count - counts[threading.get_ident()]

    vertex = worker.put("v", 1)
    assert {worker.submit(count, vertex).result(60) for _ in range(500)} == {0}
    assert sum(counts.values()) == 500
    assert len(counts) < 250, "the same threads were used again"


class UnshowableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


RAISED = [
    (SystemExit(3), "SystemExit: 3"),
    (KeyboardInterrupt(), "KeyboardInterrupt"),
    (GeneratorExit(), "GeneratorExit"),
    (StopIteration(1), "StopIteration: 1"),
    (KeyError("a\nb"), "KeyError: 'a"),
    (MemoryError(), "MemoryError"),
    (UnshowableError(), "UnshowableError"),
]


@pytest.mark.parametrize(("raised", "message"), RAISED, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("cluster", ["inproc", "shm", "tcp"], indirect=True)
def test_whatever_a_function_raises(
    cluster: tuple[dcf.Worker, dcf.Worker], raised: BaseException, message: str
) -> None:
    one, two = cluster

    @dcf.udf(name="tests.raises", version="1")
    def raises(value: int) -> None:
        raise type(raised)(*raised.args)

    vertex = one.put("v", 1)
    one.register(raises)
    calls: list[Callable[[], Any]] = [
        lambda: one.submit(raises, vertex).result(60),
        lambda: two.call(raises, "v", at_owner=True),
    ]
    for call in calls:
        with pytest.raises(dcf.UDFFailedError) as caught:
            call()
        assert caught.value.status == "DCF_UDF_FAILED"
        assert 'function "tests.raises"' in caught.value.message
        assert message in caught.value.message
        assert "Traceback" in caught.value.detail
        assert "raise type(raised)" in caught.value.detail, "the whole traceback"
    kind = dcf.UDFFailedError if isinstance(raised, Exception) else type(raised)
    with pytest.raises(kind):  # on the thread that called it goes on as itself
        one.call(raises, vertex)
    assert one.call(dcf.count(), vertex) == 1


def test_a_failure_deep_down_has_its_whole_traceback(worker: dcf.Worker) -> None:
    def deeper(n: int) -> int:
        return 1 // n if n == 0 else deeper(n - 1) + 0

    def fails(parts: list[int]) -> int:
        raise LookupError("no such part") from ValueError("for a reason")

    vertex = worker.put("v", {"x": [1, 2]}, shards=2)
    calculates = dcf.udf(name="tests.deep")(lambda value: deeper(50))
    merges = dcf.udf(name="tests.merges")(lambda value: 1)
    merges.merge(fails)
    with pytest.raises(dcf.UDFFailedError, match=r'"tests.deep".*ZeroDivisionError') as caught:
        worker.submit(calculates, vertex).result(60)
    assert "ZeroDivisionError" in caught.value.detail
    assert "in deeper" in caught.value.detail
    with pytest.raises(dcf.UDFFailedError, match=r'"tests.merges".*no such part') as caught:
        worker.submit(merges, vertex).result(60)
    assert "for a reason" in caught.value.detail
    assert "direct cause" in caught.value.detail


def test_a_function_that_hangs(worker: dcf.Worker) -> None:
    release = threading.Event()
    hangs = dcf.udf(name="tests.hangs")(lambda value: release.wait(60))
    vertex = worker.put("v", 1)
    try:
        with pytest.raises(dcf.TimeoutError, match='"tests.hangs"') as caught:
            worker.submit(hangs, vertex, timeout=0.05).result(60)
        assert caught.value.status == "DCF_TIMEOUT"
        assert worker.call(dcf.count(), vertex) == 1
    finally:
        release.set()


# ---- The end of the interpreter ---------------------------------------------------------------

SETTING = """
    import asyncio, sys, threading, dcf, dcf._worker
    dcf._worker._EXIT_SECONDS = 0.05
    started = threading.Semaphore(0)

    @dcf.udf
    def spins(value: int) -> None:
        started.release()
        while True:
            pass

    @dcf.udf
    def sleeps(value: int) -> None:
        started.release()
        while True:
            threading.Event().wait(0.01)

    class Last:  # the modules go after the threads: time for these to do harm
        def __del__(self, sleep=__import__("time").sleep):
            sleep(0.2)

    sys.modules["last"] = Last()
    worker = dcf.open(timeout=0.05)
    vertices = [worker.put(None, i) for i in range(4)]
"""
ENDS = {
    "submitted": """
    for vertex in vertices:
        worker.submit({udf}, vertex, timeout=60)
    """,
    "in threads": """
    def called(vertex):
        worker.call({udf}, vertex, timeout=60)

    for vertex in vertices:
        threading.Thread(target=called, args=(vertex,), daemon=True).start()
    """,
    "awaited": """
    async def main():
        tasks = [asyncio.create_task(worker.call_async({udf}, v, timeout=60)) for v in vertices]
        await asyncio.to_thread(lambda: [started.acquire() for _ in vertices])
        for _ in vertices:
            started.release()

    asyncio.run(main())
    """,
    "awaited in a thread": """
    async def main():
        await asyncio.gather(*(worker.call_async({udf}, v, timeout=60) for v in vertices))

    threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
    """,
    "in a loop that stands still": """
    async def main():
        for vertex in vertices:
            worker.call_async({udf}, vertex, timeout=60)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    """,
}


@pytest.mark.parametrize("udf", ["spins", "sleeps"])
@pytest.mark.parametrize("how", ENDS)
def test_an_exit_while_functions_run(python: Python, how: str, udf: str) -> None:
    script = SETTING + ENDS[how].replace("{udf}", udf)
    result = python(
        script + "\n    for _ in vertices:\n        started.acquire()\n    print('leaving')"
    )
    assert (result.returncode, result.stdout) == (0, "leaving\n"), result.stderr
    assert "Fatal" not in result.stderr
    assert "SIG" not in result.stderr
