"""Asks one question of the flights of 2013, which lie on two nodes, in three ways.

1. By builtin functions: every node knows them, so they run beside the data.
2. By a Python function of this process: it lives only here, so the data comes to it.
3. By the same function in Python workers that registered it: it runs beside the data in each.

The answers are compared with pandas. What ran where and what travelled is what the nodes counted.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import dcf
    import pandas
    import pyarrow

    from cluster import Cluster
    from report import Told

_INTERRUPTED = 130  # what a shell gives for a program that Ctrl-C ended
_ROOT = Path(__file__).resolve().parents[2]


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(description=lines[0])
    parser.add_argument("--nodes", type=int, default=2, help="how many nodes, and Python workers")
    parser.add_argument("--rows", type=int, default=0, help="so many flights of the year; 0: all")
    parser.add_argument("--dcfnode", default=None, help="the program; default: of this checkout")
    parser.add_argument(
        "--pause", action="store_true", help="wait for Enter before and after each question"
    )
    options = parser.parse_args(arguments)
    if options.nodes < 1 or options.rows < 0:
        parser.error("--nodes is at least 1, and --rows at least 0")
    built = _ROOT / "build" / "bin" / "dcfnode"
    options.dcfnode = options.dcfnode or (str(built) if built.exists() else shutil.which("dcfnode"))
    if options.dcfnode is None:
        parser.error(f"there is no {built}, and no dcfnode on the PATH: run `make build` first")
    return options


class Stage(NamedTuple):
    """A cluster with the table in it, and the guest that asks."""

    cluster: Cluster
    client: dcf.Worker
    vertex: dcf.Vertex
    names: dict[int, str]  # of the nodes, for people


class Story:
    """The run: one table, two clusters, three ways to ask."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._told: list[Told] = []

    def tell(self) -> bool:
        """Does all of it; false where an answer is not pandas'."""
        import pyarrow

        import data
        import delays
        import report

        report.progress("reading the flights")
        frame = data.flights(self._options.rows)
        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        report.progress(
            f"{len(frame):,} flights, {table.nbytes / 1e6:.1f} MB in {table.num_columns} columns; "
            f"{table['dep_delay'].null_count:,} were cancelled and never departed"
        )
        node = [self._options.dcfnode, "--listen", "tcp://127.0.0.1:0"]
        with self._stage("node", node, table) as stage:
            self._ask(stage, "builtin functions", delays.builtin())
            private = delays.function(version=None)
            self._ask(stage, "a Python function of the client alone", private)
        worker = [sys.executable, str(Path(__file__).with_name("worker.py"))]
        with self._stage("worker", worker, table) as stage:
            shared = delays.function(delays.VERSION)
            self._ask(stage, "the same Python function, registered by each worker", shared)
        report.progress("all processes have stopped")
        return self._judge(frame)

    @contextlib.contextmanager
    def _stage(self, kind: str, command: list[str], table: pyarrow.Table) -> Iterator[Stage]:
        """Starts a cluster of such processes, and puts the table into it."""
        import dcf

        import report
        from cluster import Cluster

        commands = [[*command, "--node-id", str(i + 1)] for i in range(self._options.nodes)]
        report.progress(f"starting {len(commands)} {kind} processes")
        with Cluster(commands) as cluster, dcf.open(join=cluster.address) as client:
            names = {process.node: f"{kind} {process.node}" for process in cluster.processes}
            for process in cluster.processes:
                report.progress(f"{names[process.node]} listens on {process.address}")
            vertex = client.put("flights", table, shard_by="month")
            held: dict[int, list[int]] = {}
            for shard in vertex.shards():
                info = shard.info()
                held.setdefault(info.owner, []).append(info.rows)
            spread = ", ".join(
                f"{len(rows)} on {names[owner]} ({sum(rows):,} flights)"
                for owner, rows in sorted(held.items())
            )
            report.progress(f'put the table "flights", one shard a month: {spread}')
            yield Stage(cluster, client, vertex, {**names, client.node_id: "the client"})
            report.progress(f"stopping the {kind}s")

    def _ask(self, stage: Stage, title: str, function: Any) -> None:
        """Asks one way, and finds out what the nodes did and sent for it."""
        import counters
        import delays
        import report

        program, number = self._options.dcfnode, len(self._told) + 1
        self._pause(f"before question {number}", stage)
        report.progress(f"asking by {title}")
        before = counters.take(program, stage.cluster.address, stage.client)
        answer = stage.client.measure(function, stage.vertex)
        after = counters.take(program, stage.cluster.address, stage.client)
        rows = delays.rows_of(answer.value)
        self._told.append(report.Told(title, rows, answer, after.since(before), stage.names))
        self._pause(f"after question {number}", stage)

    def _pause(self, when: str, stage: Stage) -> None:
        if not self._options.pause:
            return
        print(
            f"paused {when}; the client is node {stage.client.node_id}; "
            f"see `dcfnode status {stage.cluster.address}`, and press Enter",
            flush=True,
        )
        sys.stdin.readline()

    def _judge(self, frame: pandas.DataFrame) -> bool:
        """Prints all that was learned; false where an answer is not pandas'."""
        import data
        import delays
        import report

        print(f"\n{report.carriers(self._told[0].rows, data.airlines())}\n")
        for i, told in enumerate(self._told):
            print(report.way(i + 1, told))
        print(f"\n{report.EXPLANATION}\n")
        truth = delays.by_pandas(frame)
        right = True
        for i, told in enumerate(self._told):
            wrong = delays.differences(told.rows, truth)
            right = right and not wrong
            print(f"check {i + 1}: " + ("; ".join(wrong) or "equals pandas on the whole table"))
        return right


def interrupt(*_: object) -> None:
    """Ends the run, once: what follows is clearing up, which is short and must not be cut."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Runs the story; 0: all answers were right."""
    signal.signal(signal.SIGINT, interrupt)
    options = options_of(sys.argv[1:])
    try:
        return 0 if Story(options).tell() else 1
    except KeyboardInterrupt:
        print("\ninterrupted: all processes were stopped", file=sys.stderr)
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
