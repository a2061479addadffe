"""The tree: the classic testbed of systems that send functions to data.

Fourteen numbers on two workers, and three questions that walk them:

    python tree.py                  all on one worker
    python tree.py --over inproc    vertices 8 to 13 on a second worker of this process
    python tree.py --over tcp       ... of another process
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import dcf

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILDREN = {0: [1, 2], 1: [3, 4], 2: [5, 6], 4: [7, 8, 9], 8: [10, 11], 9: [12, 13]}
VALUES = [*range(1, 9), *range(100, 700, 100)]
FIRST_OF_SECOND = 8
NEW_LEAF = 10_000


# ---- The functions. Name and version say that they are the same on every worker that registers
# them, so they run where their vertices are.


@dcf.udf(name="graph_sum", version="1", updates=True, commutative=True)
def graph_sum(value: int, cx: dcf.Context) -> int:
    """The vertex's value and those of everything below it. A leaf gets a child."""
    for child in cx.children:
        cx.spawn(child)
    if not cx.children:
        cx.add_child(NEW_LEAF)
    return value


graph_sum.merge(sum)


@dcf.udf(name="around", version="1", commutative=True)
def around(value: int, cx: dcf.Context) -> dict[str, list[object]]:
    """The set of vertices within so many edges of this one, whatever their direction.

    A vertex is met over many paths: `once` runs it once for each number of edges that is left, and
    the union counts it once.
    """
    left = cx.arguments
    if left > 0:
        for neighbour in (*cx.children, *cx.parents):
            cx.spawn(neighbour, arguments=left - 1, once=True)
    return {"id": [bytes(cx.id)], "value": [value]}


@around.merge
def union(parts: list[dcf.Batch]) -> dict[str, list[object]]:
    """Joins sets, each vertex once."""
    members = {
        id_: value for part in parts for id_, value in zip(part["id"], part["value"], strict=True)
    }
    return {"id": list(members), "value": list(members.values())}


@around.finish
def sum_of_union(part: dcf.Batch) -> int:
    """The answer for one start."""
    return sum(part["value"])


@dcf.udf(name="extremes", version="1", commutative=True)
def extremes(value: int, cx: dcf.Context) -> dict[str, list[object]]:
    """The vertices of a tree with their versions, of which merge keeps two."""
    for child in cx.children:
        cx.spawn(child)
    return {"value": [value], "id": [bytes(cx.id)], "version": [cx.version]}


@extremes.merge
def keep_extremes(parts: list[dcf.Batch]) -> dict[str, list[object]]:
    """The largest and the smallest, in this order."""
    rows = [row for part in parts for row in part.to_pylist()]
    kept = [max(rows, key=lambda row: row["value"]), min(rows, key=lambda row: row["value"])]
    return {key: [row[key] for row in kept] for key in ("value", "id", "version")}


FUNCTIONS = (graph_sum, around, extremes)


# ---- The tree and its questions


class Tree(NamedTuple):
    """The vertices, by their numbers, at the worker that asks."""

    worker: dcf.Worker
    vertices: list[dcf.Vertex]

    def graph_sum(self) -> int:
        """Sums the tree and gives each of its leaves a child."""
        return self.worker.call(graph_sum, self.vertices[0])

    def max_adjacent_sum(self, distance: int) -> int:
        """The largest sum of all distinct vertices within so many edges of a start."""
        asked = [self.worker.submit(around, v, arguments=distance) for v in self.vertices]
        return max(future.result() for future in asked)

    def swap_largest_and_smallest(self) -> tuple[int, int]:
        """Exchanges the largest and the smallest value by two conditional sets.

        Each set happens only if its vertex is still at the version that was read; else
        dcf.AbortedError says so and nothing of it was applied. The two together are not atomic:
        a crash between them leaves the smallest value on both vertices, and the largest is lost
        but for what this function printed or kept. Whoever needs more has to write down what is to
        be done, in a vertex of its own, before it is begun.
        """
        found = self.worker.call(extremes, self.vertices[0])
        large, small = found.to_pylist()
        for one, other in ((large, small), (small, large)):
            vertex = self.worker.vertex(dcf.VertexID(one["id"]))
            vertex.set(other["value"], expected_version=one["version"])
        return large["value"], small["value"]

    def drop(self) -> None:
        """Removes the tree, and what graph_sum has hung on it."""
        stack = [self.vertices[0]]
        while stack:
            vertex = stack.pop()
            stack += vertex.children()
            vertex.drop()


def build(worker: dcf.Worker, second: int = 0, prefix: str = "") -> Tree:
    """Makes the tree; vertices 8 and above at the node `second` (0: here, too)."""
    vertices = [
        worker.put(f"{prefix}{i}", value, node=second if i >= FIRST_OF_SECOND else 0)
        for i, value in enumerate(VALUES)
    ]
    for parent, children in CHILDREN.items():
        for child in children:
            vertices[parent].link(vertices[child])
    for function in FUNCTIONS:
        worker.register(function)
    return Tree(worker, vertices)


# ---- Where it lies


@contextlib.contextmanager
def workers(over: str) -> Iterator[tuple[dcf.Worker, int]]:
    """Opens the worker that asks; gives the node that has the second half of the tree, too."""
    if over == "one":
        with dcf.open() as worker:
            yield worker, 0
    elif over == "inproc":
        with (
            dcf.open(listen="inproc://tree") as first,
            dcf.open(listen="inproc://tree-2", join="inproc://tree") as second,
        ):
            for function in FUNCTIONS:
                second.register(function)
            yield first, second.node_id
    else:
        with (
            dcf.open(listen="tcp://127.0.0.1:0") as first,
            subprocess.Popen(  # noqa: S603 - this file, at the other end
                [sys.executable, __file__, "--serve", first.addresses[0]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            yield first, int(process.stdout.readline())
            process.communicate("")


def serve(address: str) -> None:
    """Is the second worker until standard input ends."""
    with dcf.open(listen="tcp://127.0.0.1:0", join=address) as worker:
        for function in FUNCTIONS:
            worker.register(function)
        print(worker.node_id, flush=True)
        sys.stdin.read()


def show(over: str) -> None:
    """Asks the three questions."""
    with workers(over) as (worker, second):
        tree = build(worker, second)
        for distance in range(4):
            print(f"MaxAdjacentSum {distance}: {tree.max_adjacent_sum(distance)}")
        large, small = tree.swap_largest_and_smallest()
        print(f"SwapLargestAndSmallest: {large} and {small}")
        for _ in range(2):
            print(f"GraphSum: {tree.graph_sum()}")
        tree.drop()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--over", choices=("one", "inproc", "tcp"), default="one")
    parser.add_argument("--serve", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
    else:
        show(arguments.over)


if __name__ == "__main__":
    main()
