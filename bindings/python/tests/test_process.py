"""What surrounds a process: signals, forks, threads, and its end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

Python = Callable[..., subprocess.CompletedProcess[str]]

INTERRUPT = """
    import os, signal, sys, threading
    import dcf

    @dcf.udf(name="tests.wait", version="1")
    def wait(value: int, cx: dcf.Context) -> None:
        started.set()
        while not cx.cancelled and not over.wait(0.01):
            pass

    started, over = threading.Event(), threading.Event()

    def interrupt():
        started.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    # What is not interrupted waits for longer than the process may live.
    with (
        dcf.open(listen="inproc://a", timeout=3600) as one,
        dcf.open(join="inproc://a", timeout=3600) as two,
    ):
        vertex = one.put("v", 1)
        one.register(wait)
        threading.Thread(target=interrupt).start()
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted")
        over.set()
        print(two.call(dcf.count(), "v"))
"""


@pytest.mark.parametrize(
    "call",
    [
        "one.call(wait, vertex)",  # the function runs on the main thread itself
        "two.call(wait, 'v')",  # the main thread waits for another
        "one.submit(wait, vertex).result()",
    ],
)
def test_ctrl_c_ends_a_wait(python: Python, call: str) -> None:
    result = python(INTERRUPT.replace("{call}", call))
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["interrupted", "1"]


def test_a_signal_handler_runs_while_a_call_waits(python: Python) -> None:
    result = python(
        """
        import signal, threading, dcf
        seen = threading.Event()
        signal.signal(signal.SIGALRM, lambda *_: seen.set())
        with dcf.open(listen="inproc://a") as one, dcf.open(join="inproc://a") as two:
            one.register(wait := dcf.udf(name="w", version="1")(lambda value: seen.wait(60)))
            one.put("v", 1)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            print(two.call(wait, "v"))
        """
    )
    assert (result.returncode, result.stdout) == (0, "True\n"), result.stderr


def test_a_forked_child_is_refused(python: Python) -> None:
    result = python(
        """
        import os, dcf
        worker = dcf.open()
        vertex = worker.put("v", {"x": [1]})
        udf = dcf.udf(lambda value: 1)
        future = worker.submit(udf, vertex)
        future.result(60)
        batch = vertex.batch()
        child = os.fork()
        if child == 0:
            for use in (
                dcf.open, worker.stats, vertex.info, vertex.batch, vertex.release, worker.close,
                lambda: worker.put("w", 1), lambda: worker.call(udf, vertex),
                lambda: worker.submit(udf, vertex), lambda: worker.vertex("v"),
                lambda: vertex.link(vertex), lambda: list(vertex.stream()),
            ):
                try:
                    use()
                except dcf.ForkedProcessError as error:
                    assert "spawn" in str(error)
                else:
                    os._exit(3)
            assert batch["x"].to_pylist() == [1]
            del worker, vertex, udf, future, batch, use
            raise SystemExit(0)   # the whole way through the interpreter's end
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(worker.call(udf, vertex))
        worker.close()
        """
    )
    assert (result.returncode, result.stdout) == (0, "0\n1\n"), result.stderr


def test_multiprocessing_by_spawn(tmp_path: object, python: Python) -> None:
    script = f"{tmp_path}/spawned.py"
    with open(script, "w") as file:
        file.write(
            "import multiprocessing, dcf\n"
            "def count(rows):\n"
            "    with dcf.open() as worker:\n"
            "        return worker.call(dcf.count(), worker.put('t', {'x': list(range(rows))}))\n"
            "if __name__ == '__main__':\n"
            "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
            "        print(pool.map(count, [3, 4]))\n"
        )
    result = python(f"import runpy; runpy.run_path({script!r}, run_name='__main__')")
    assert (result.returncode, result.stdout) == (0, "[3, 4]\n"), result.stderr


def test_an_exit_with_everything_open(python: Python) -> None:
    result = python(
        """
        import dcf, polars
        worker = dcf.open(listen="inproc://a")
        guest = dcf.open(join="inproc://a")
        vertex = worker.put("v", {"x": [1]})
        @dcf.udf(name="f", version="1")
        def f(frame: polars.DataFrame, cx: dcf.Context) -> int:
            cx_kept.append((frame, cx))
            return 1
        cx_kept = []
        worker.register(f)
        print(worker.call(f, vertex), guest.call(f, "v"), guest.submit(f, "v").result(60))
        batch, stream, future = vertex.batch(), vertex.stream(), guest.submit(f, "v")
        """
    )
    assert (result.returncode, result.stdout) == (0, "1 1 1\n"), result.stderr


def test_an_exit_while_a_function_runs(python: Python) -> None:
    result = python(
        """
        import threading, dcf
        started = threading.Event()
        @dcf.udf
        def forever(value: int) -> None:
            started.set()
            while True:
                threading.Event().wait(0.01)
        import dcf._worker
        dcf._worker._EXIT_SECONDS = 0.1
        worker = dcf.open(timeout=0.1)
        worker.submit(forever, worker.put("v", 1), timeout=60)
        started.wait(60)
        print("leaving")
        """
    )
    assert (result.returncode, result.stdout) == (0, "leaving\n"), result.stderr


def test_what_is_slow_to_import_comes_when_it_is_asked_for(python: Python) -> None:
    result = python(
        """
        import sys
        before = set(sys.modules)
        import dcf
        with dcf.open() as worker:
            worker.call(dcf.count(), worker.put("v", {"x": [1, 2]}))
        slow = {"asyncio", "concurrent.futures", "inspect", "logging", "re", "typing"}
        print(slow & (set(sys.modules) - before))
        assert set(dcf.__all__) <= set(dir(dcf))

        import concurrent.futures, pickle
        error = pickle.loads(pickle.dumps(dcf.errors.CancelledError("given up", node=3)))
        try:
            raise error
        except concurrent.futures.CancelledError as caught:
            print(type(caught) is dcf.CancelledError, caught)
        print(dcf.CancelledError)
        assert issubclass(dcf.Future, concurrent.futures.Future)

        names = {}
        exec("from dcf import *", names)
        assert set(dcf.__all__) <= set(names)
        for module in dcf, dcf.errors:
            try:
                module.no_such_name
            except AttributeError as missing:
                print(missing)
        """
    )
    assert (result.returncode, result.stdout.splitlines()) == (
        0,
        [
            "set()",
            "True given up (on node 3)",
            "<class 'dcf.errors.CancelledError'>",
            "module 'dcf' has no attribute 'no_such_name'",
            "module 'dcf.errors' has no attribute 'no_such_name'",
        ],
    ), result.stderr


def test_nothing_optional_is_imported(python: Python) -> None:
    result = python(
        """
        import sys, dcf
        with dcf.open() as worker:
            vertex = worker.put("t", {"x": [1, 2], "s": ["a", None]})
            assert worker.call(dcf.udf(lambda value: sum(value["x"])), vertex) == 3
            assert worker.call(dcf.sum("x").by("s"), vertex).to_pylist()
        print(sorted({"numpy", "pyarrow", "polars", "pandas"} & set(sys.modules)))
        """
    )
    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr
