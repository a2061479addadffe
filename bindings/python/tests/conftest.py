"""What all tests share: a worker of their own, and a check that nothing is left behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

import dcf


@pytest.fixture
def worker() -> Iterator[dcf.Worker]:
    with dcf.open(timeout=60) as opened:
        yield opened


def counters(worker: dcf.Worker) -> dict[str, int]:
    """Sums a worker's counters over its peers."""
    sums: dict[str, int] = {}
    for row in worker.stats().to_pylist():
        sums[row["name"]] = sums.get(row["name"], 0) + row["value"]
    return sums


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[dcf.Worker, dcf.Worker]]:
    """Two workers of one cluster, over the transport that the test is parametrised with."""
    over = getattr(request, "param", "inproc")
    listen = f"inproc://{request.node.name}" if over == "inproc" else "tcp://127.0.0.1:0"
    second = listen + "-second" if over == "inproc" else listen
    shared = over == "shm"
    with (
        dcf.open(listen=listen, timeout=60, shared_memory=shared) as one,
        dcf.open(listen=second, join=one.addresses, timeout=60) as two,
    ):
        yield one, two


@pytest.fixture(scope="session")
def other() -> Iterator[dcf.Worker]:
    """A guest of a worker in another process, which is node 1, over shared memory."""
    script = """
        import sys, dcf
        with dcf.open(listen="tcp://127.0.0.1:0", node_id=1) as worker:
            print(worker.addresses[0], flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        with dcf.open(join=process.stdout.readline().strip(), timeout=60) as guest:
            yield guest
        process.communicate("", timeout=60)
    assert process.returncode == 0


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script in a Python of its own."""

    def run(script: str, *args: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-X", "dev", "-c", textwrap.dedent(script), *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    gc.collect()
    with dcf.open() as worker:
        left = {k: v for k, v in counters(worker).items() if k.startswith("handles.")}
    assert left["handles.workers"] == 1, left
    assert left["handles.vertices"] == 0, left
    assert left["handles.queues"] == 0, left
    assert left["handles.builders"] == 0, left
    assert left["handles.udfs"] == 0, left
