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
    listen = {"inproc": f"inproc://{request.node.name}", "tcp": "tcp://127.0.0.1:0"}[
        getattr(request, "param", "inproc")
    ]
    second = listen + "-second" if listen.startswith("inproc") else listen
    with (
        dcf.open(listen=listen, timeout=60) as one,
        dcf.open(listen=second, join=one.addresses, timeout=60) as two,
    ):
        yield one, two


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
    assert left["handles.udfs"] == 0, left
