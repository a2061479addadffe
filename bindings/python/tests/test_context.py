"""Contexts: arguments, spawns and effects."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

import dcf


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (None, b""),
        (b"", b""),
        (b"raw", b"raw"),
        (bytearray(b"raw"), b"raw"),
        (5, 5),
        ("text", "text"),
        ({"limit": 3, "names": ["a"], "none": None}, {"limit": 3, "names": ["a"], "none": None}),
        (pa.table({"a": [1]}), {"a": 1}),
    ],
)
def test_arguments(worker: dcf.Worker, given: Any, got: Any) -> None:
    seen: list[Any] = []

    @dcf.udf
    def look(value: int, cx: dcf.Context) -> None:
        seen.append(cx.arguments)

    worker.call(look, worker.put("v", 1), arguments=given)
    assert seen == [got]


def test_arguments_that_are_a_table(worker: dcf.Worker) -> None:
    seen: list[dcf.Batch] = []

    @dcf.udf
    def look(value: int, cx: dcf.Context) -> None:
        seen.append(cx.arguments)

    given = {
        "a": [1, 2, None],
        "s": ["x", None, "zz"],
        "l": [[1], [], None],
        "b": [True, None, False],
    }
    worker.call(look, worker.put("v", 1), arguments=dcf.Batch(given))
    assert seen[0].to_pydict() == given
    pa.table(seen[0]).validate(full=True)


def test_what_a_context_knows(worker: dcf.Worker) -> None:
    seen: list[Any] = []

    @dcf.udf(auxiliary=b"aux")
    def look(value: int, cx: dcf.Context) -> None:
        seen.append(
            (cx.id, cx.version, cx.children, cx.parents, cx.auxiliary, cx.cancelled, cx.remote)
        )
        seen.append(cx)
        assert repr(cx) == f"<dcf.Context of vertex {cx.id}, version {cx.version}>"

    root, leaf = worker.put("root", 1), worker.put("leaf", 2)
    root.link(leaf)
    version = root.info().version
    worker.call(look, root)
    assert seen[0] == (root.id, version, (leaf.id,), (), b"aux", False, False)
    assert repr(seen[1]) == "<dcf.Context of a call that has ended>"
    for use in (lambda: seen[1].id, lambda: seen[1].spawn(leaf), lambda: seen[1].set_value(1)):
        with pytest.raises(RuntimeError, match="ends with its call"):
            use()


def test_spawns(worker: dcf.Worker) -> None:
    @dcf.udf
    def leaf_value(value: int, cx: dcf.Context) -> int:
        return value * cx.arguments["factor"]

    @dcf.udf
    def tree(value: int, cx: dcf.Context) -> int:
        for child in cx.children:
            cx.spawn(child, leaf_value, arguments={"factor": 10})
        return value

    tree.merge(sum)
    root, one, two = worker.put("root", 1), worker.put("one", 2), worker.put("two", 3)
    root.link(one)
    root.link(two)
    assert worker.call(tree, root) == 51


def test_spawning_once(worker: dcf.Worker) -> None:
    @dcf.udf
    def visit(value: int, cx: dcf.Context) -> int:
        for child in cx.children:
            cx.spawn(child, arguments=b"same", once=cx.arguments != b"all")
        return value

    visit.merge(sum)
    top, left, right, bottom = (worker.put(name, 1) for name in ("top", "left", "right", "bottom"))
    for a, b in ((top, left), (top, right), (left, bottom), (right, bottom)):
        a.link(b)
    assert worker.call(visit, top, arguments=b"same") == 4


def test_spawning_without_end_is_stopped(worker: dcf.Worker) -> None:
    @dcf.udf
    def forever(value: int, cx: dcf.Context) -> None:
        cx.spawn(cx.id)
        cx.spawn(cx.id)

    vertex = worker.put("v", 1)
    with pytest.raises(dcf.ExhaustedError):
        worker.call(forever, vertex)
    assert worker.call(dcf.count(), vertex) == 1


def test_effects(worker: dcf.Worker) -> None:
    @dcf.udf(updates=True)
    def grow(value: int, cx: dcf.Context) -> int:
        cx.set_value(value + 1)
        cx.add_child(value * 100)
        cx.add_child({"x": [1, 2]}, name="named child")
        return value

    vertex = worker.put("v", 1)
    answer = worker.measure(grow, vertex)
    assert (answer.value, answer.effects) == (1, "complete")
    assert vertex.batch().scalar() == 2
    children = vertex.children()
    assert children[0].batch().scalar() == 100
    assert [child.name for child in children] == ["", "named child"]

    @dcf.udf(updates=True)
    def prune(value: int, cx: dcf.Context) -> None:
        cx.unlink(cx.children[0])
        cx.link(cx.id)

    worker.call(prune, vertex)
    assert [child.name for child in vertex.children()] == ["named child", "v"]

    @dcf.udf(updates=True)
    def remove(value: int, cx: dcf.Context) -> None:
        cx.remove()

    worker.call(remove, vertex)
    with pytest.raises(dcf.NotFoundError):
        worker.vertex("v")


def test_effects_of_a_failed_function_do_not_happen(worker: dcf.Worker) -> None:
    @dcf.udf(updates=True)
    def fails(value: int, cx: dcf.Context) -> None:
        cx.set_value(99)
        raise ValueError("after all")

    vertex = worker.put("v", 1)
    with pytest.raises(dcf.UDFFailedError, match="after all"):
        worker.call(fails, vertex)
    assert vertex.batch().scalar() == 1


def test_effects_need_updates(worker: dcf.Worker) -> None:
    @dcf.udf
    def sneaky(value: int, cx: dcf.Context) -> None:
        cx.set_value(2)

    vertex = worker.put("v", 1)
    with pytest.raises(dcf.Error, match=r"updat|UPDATES"):
        worker.call(sneaky, vertex)
    assert vertex.batch().scalar() == 1


def test_updates_of_one_vertex_run_one_after_another(worker: dcf.Worker) -> None:
    @dcf.udf(updates=True)
    def increment(value: int, cx: dcf.Context) -> None:
        cx.set_value(value + 1)

    vertex = worker.put("v", 0)
    threads = [
        threading.Thread(target=lambda: [worker.call(increment, vertex) for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert vertex.batch().scalar() == 200
