"""Tests of the example as a user runs it, and of what it claims about frames and bytes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dcf
import pyarrow
import pytest

import counters
import data
import delays
from cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SOME_ROWS = 6000
# How long anything may take before a test gives up; far more than it needs.
PATIENCE = 180.0
# A heartbeat or a notice of the cluster is smaller; so is what status itself sends between nodes.
LARGEST_NOTICE = 300
PAUSED = re.compile(r"paused (before|after) question (\d); .* node (\d+); .*status (\S+)`")


class Run:
    """run.py as a child whose processes can be found: all inherit a mark in their environment."""

    def __init__(self, dcfnode: str, *arguments: str) -> None:
        self.output = ""
        self._mark = f"DCF_FLIGHTS_MARK={uuid.uuid4()}"
        name, _, value = self._mark.partition("=")
        self.popen = subprocess.Popen(
            [sys.executable, "-u", str(HERE / "run.py"), "--dcfnode", dcfnode, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, name: value},
        )

    def line(self) -> str:
        """Reads the next line; "" at the end."""
        assert self.popen.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self.popen.stdout], [], [], PATIENCE)[0]:
                raise TimeoutError(f"run.py is silent after:\n{self.output}")
            byte = os.read(self.popen.stdout.fileno(), 1)
            if not byte:
                break
            line += byte
        self.output += line.decode()
        return line.decode()

    def rest(self) -> int:
        """Reads all that is left and gives the exit code."""
        while self.line():
            pass
        return self.popen.wait(PATIENCE)

    def go_on(self) -> None:
        """Presses Enter."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(b"\n")
        self.popen.stdin.flush()

    def processes(self) -> list[str]:
        """Finds what the run has started and what still lives, itself included."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                if self._mark.encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append(f"{folder.name} {command}")
            except OSError:  # it has just ended
                continue
        return found

    def none_left(self) -> None:
        """Waits until no process is left, as none must be."""
        deadline = time.monotonic() + PATIENCE
        while left := self.processes():
            assert time.monotonic() < deadline, f"these outlived the run: {left}\n{self.output}"
            select.select([], [], [], 0.05)

    def end(self) -> None:
        """Ends it whatever it does, and what it should have ended and did not."""
        self.popen.kill()
        self.popen.wait()
        for left in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(left.split()[0]), signal.SIGKILL)
        for pipe in (self.popen.stdin, self.popen.stdout):
            assert pipe is not None
            pipe.close()


class Said:
    """What run.py printed about one way to ask."""

    def __init__(self, output: str, number: int) -> None:
        found = re.search(rf"^{number}\. .*?(?=^\d\. |^$)", output, re.M | re.S)
        assert found, output
        text = found[0]
        self.ran = {who: int(n) for n, who in re.findall(r"(\d+) times on ([a-z]+ \w+)", text)}
        self.links = {
            (one, other): counters.Link(int(count.replace(",", "")), int(frames))
            for one, other, count, frames in re.findall(
                r"([a-z]+ \d+) - ([a-z]+ \w+) +([\d,]+) bytes +(\d+) frames", text
            )
        }
        fetched = re.search(r"fetched +([\d,]+) bytes", text)
        self.fetched = int(fetched[1].replace(",", "")) if fetched else 0


@pytest.fixture
def started(dcfnode: str) -> Iterator[list[Run]]:
    """Runs that the test makes; whatever happens, they are ended."""
    runs: list[Run] = []
    yield runs
    for one in runs:
        one.end()


def test_all_flights(dcfnode: str, started: list[Run]) -> None:
    """The whole table, on two nodes: the carriers are those of the committed table."""
    run = Run(dcfnode)
    started.append(run)
    assert run.rest() == 0, run.output
    table = (HERE / "testdata" / "carriers.txt").read_text()
    assert table in run.output
    for number in (1, 2, 3):
        assert f"check {number}: equals pandas on the whole table" in run.output
    builtin, private, shared = (Said(run.output, number) for number in (1, 2, 3))
    assert builtin.ran == {"node 1": 6, "node 2": 6}
    assert private.ran == {"the client": 12}
    assert shared.ran == {"worker 1": 6, "worker 2": 6}
    assert (builtin.fetched, shared.fetched) == (0, 0)
    # They are processes of one host, and find shared memory by themselves.
    assert run.output.count("  over shared memory\n") == run.output.count(" frames  over ") > 0
    # What the call says came to the function did come from the nodes.
    carried = sum(link.bytes for (_, to), link in private.links.items() if to == "the client")
    assert 60_000_000 < private.fetched < carried < private.fetched + 100_000
    run.none_left()


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_figures_are_those_of_status(dcfnode: str, started: list[Run], nodes: int) -> None:
    """What is printed equals what `dcfnode status` shows around each question."""
    run = Run(dcfnode, "--rows", str(SOME_ROWS), "--nodes", str(nodes), "--pause")
    started.append(run)
    seen = {}
    client = {}
    while line := run.line():
        if paused := PAUSED.match(line):
            when, number, guest, address = paused.groups()
            done = subprocess.run(
                [dcfnode, "status", "--json", address], stdout=subprocess.PIPE, check=True
            )
            seen[int(number), when] = json.loads(done.stdout)
            client[int(number)] = int(guest)
            run.go_on()
    assert run.popen.wait(PATIENCE) == 0, run.output
    for number, kind in ((1, "node"), (2, "node"), (3, "worker")):
        before, after = (members(seen[number, when]) for when in ("before", "after"))
        said = Said(run.output, number)
        names = {node: f"{kind} {node}" for node in after} | {client[number]: "the client"}
        ran = {
            names[node]: after[node]["counters"]["calculates"]
            - before[node]["counters"]["calculates"]
            for node in after
        }
        assert {who: n for who, n in ran.items() if n} == {
            who: n for who, n in said.ran.items() if who != "the client"
        }
        for node, peer in ((node, peer) for node in after for peer in names if peer != node):
            ends = (names[node], names[peer])
            shown = said.links.get(ends) or said.links.get(ends[::-1]) or counters.Link(0, 0)
            then, now = traffic(before[node], peer), traffic(after[node], peer)
            # Around the moments that run.py looked at, only heartbeats and notices passed.
            frames = now[1] - then[1] - shown.frames
            assert frames >= 0, (ends, then, now, shown)
            assert 0 <= now[0] - then[0] - shown.bytes <= frames * LARGEST_NOTICE, (ends, shown)
    run.none_left()


def members(report: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The members that a report of `dcfnode status` shows, by node id."""
    assert report["errors"] == []
    return {node["node"]: node for node in report["nodes"] if node["role"] != "guest"}


def traffic(node: dict[str, Any], peer: int) -> tuple[int, int]:
    """Bytes and frames that a node has exchanged with a peer."""
    for entry in node["peers"]:
        if entry["node"] == peer:
            c = entry["counters"]
            return c["bytes.sent"] + c["bytes.received"], c["frames.sent"] + c["frames.received"]
    return 0, 0


@pytest.fixture(scope="module")
def some_flights() -> pyarrow.Table:
    """A sample of the year."""
    return pyarrow.Table.from_pandas(data.flights(SOME_ROWS), preserve_index=False)


@pytest.mark.parametrize("nodes", [1, 2, 4])
@pytest.mark.parametrize("kind", ["node", "worker"])
def test_one_request_and_one_reply(
    dcfnode: str, some_flights: pyarrow.Table, kind: str, nodes: int
) -> None:
    """Each pair that must speak does so once: the caller with the group's owner, and that with
    each other owner of shards. The answers are the same on any number of nodes.
    """
    program = [dcfnode, "--listen", "tcp://127.0.0.1:0"]
    worker = [sys.executable, str(HERE / "worker.py")]
    base = program if kind == "node" else worker
    function = delays.builtin() if kind == "node" else delays.function(delays.VERSION)
    commands = [[*base, "--node-id", str(i + 1)] for i in range(nodes)]
    with Cluster(commands) as cluster, dcf.open(join=cluster.address) as client:
        flights = client.put("flights", some_flights, shard_by="month")
        group = flights.info().owner
        answer = client.call(function, flights)  # who owns what is known from here on
        truth = delays.by_pandas(some_flights.to_pandas())
        assert delays.differences(delays.rows_of(answer), truth) == []

        calls = 10
        before = counters.status(dcfnode, cluster.address)
        mine = requests_of(client)
        least = [1 << 30, 1 << 30]
        for _ in range(calls):
            sent, received = frames_of(client)
            client.call(function, flights)
            now = frames_of(client)
            least = [min(least[0], now[0] - sent), min(least[1], now[1] - received)]
        after = counters.status(dcfnode, cluster.address)

        grown = {node: n - mine.get(node, 0) for node, n in requests_of(client).items()}
        assert {node: n for node, n in grown.items() if n} == {group: calls}
        assert least == [1, 1]  # frames of one call; heartbeats may come on top of others
        for node in cluster.nodes:
            others = [other for other in cluster.nodes if other != node]
            expected = dict.fromkeys(others, calls if node == group else 0)
            asked = requests_between(after, node, others)
            asked_before = requests_between(before, node, others)
            assert {o: n - asked_before[o] for o, n in asked.items()} == expected
            assert served(after, node) - served(before, node) == calls


def requests_of(client: dcf.Worker) -> dict[int, int]:
    """The client's requests, by node."""
    rows = client.stats().to_pylist()
    return {row["peer"]: row["value"] for row in rows if row["name"] == "requests.sent"}


def frames_of(client: dcf.Worker) -> tuple[int, int]:
    """Frames that the client has sent and received."""
    rows = client.stats().to_pylist()
    sent = sum(row["value"] for row in rows if row["name"] == "frames.sent")
    return sent, sum(row["value"] for row in rows if row["name"] == "frames.received")


def requests_between(report: dict[str, Any], node: int, others: list[int]) -> dict[int, int]:
    """Requests that a node has sent to others."""
    (found,) = [n for n in report["nodes"] if n["node"] == node]
    peers = {peer["node"]: peer["counters"]["requests.sent"] for peer in found["peers"]}
    return {other: peers.get(other, 0) for other in others}


def served(report: dict[str, Any], node: int) -> int:
    """Calls that a node has answered: one reply each."""
    (found,) = [n for n in report["nodes"] if n["node"] == node]
    return int(found["counters"]["calls.served"])


@pytest.mark.parametrize("attempt", range(6))
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_an_interrupt(
    dcfnode: str, started: list[Run], seed: int, how: signal.Signals, attempt: int
) -> None:
    """Ctrl-C at any moment leaves no process behind, and neither does a kill."""
    rng = random.Random(f"{seed} {how} {attempt}")
    lines, seconds = rng.randrange(14), rng.uniform(0, 0.4)
    print(f"--seed {seed}: {how.name} after {lines} lines and {seconds:.3f} s")
    run = Run(dcfnode, "--rows", str(SOME_ROWS))
    started.append(run)
    for _ in range(lines):
        run.line()
    select.select([], [], [], seconds)  # the moment is the input
    run.popen.send_signal(how)
    code = run.rest()
    if how == signal.SIGINT:
        # 130: told so; -SIGINT: Python itself was still starting; 0: it was done.
        assert code in (130, -signal.SIGINT, 0), run.output
        assert "Traceback" not in run.output or lines == 0
    run.none_left()


def test_a_second_interrupt_changes_nothing(dcfnode: str, started: list[Run]) -> None:
    """Clearing up goes on under a second and third Ctrl-C."""
    run = Run(dcfnode, "--rows", str(SOME_ROWS), "--pause")
    started.append(run)
    while not run.line().startswith("paused"):
        pass
    for _ in range(3):
        run.popen.send_signal(signal.SIGINT)
    assert run.rest() == 130
    run.none_left()


def test_a_node_that_cannot_start_is_told(started: list[Run]) -> None:
    """The error names the program and its end, and the run fails."""
    run = Run("/bin/false", "--rows", str(SOME_ROWS))
    started.append(run)
    assert run.rest() == 1
    assert "/bin/false --listen tcp://127.0.0.1:0 --node-id 1" in run.output
    assert "ended with code 1 before it served" in run.output
    run.none_left()


def test_a_wrong_answer_is_found() -> None:
    """The comparison with pandas sees each kind of difference."""
    truth = {"AA": delays.Row(3, 1.5, 7.0), "UA": delays.Row(0, None, None)}
    assert delays.differences(truth, truth) == []
    near = {**truth, "AA": delays.Row(3, 1.5 + 1e-10, 7.0)}
    assert delays.differences(near, truth) == []
    for wrong in (
        {"AA": truth["AA"]},
        {**truth, "XX": truth["AA"]},
        {**truth, "AA": delays.Row(4, 1.5, 7.0)},
        {**truth, "AA": delays.Row(3, 1.5 + 1e-6, 7.0)},
        {**truth, "AA": delays.Row(3, 1.5, 8.0)},
        {**truth, "AA": delays.Row(3, None, 7.0)},
        {**truth, "UA": delays.Row(0, 0.0, None)},
    ):
        assert len(delays.differences(wrong, truth)) == 1
