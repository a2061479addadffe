"""Two workers: what runs where, and what travels."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest

import dcf

TRANSPORTS = ("inproc", "shm", "tcp")
both = pytest.mark.parametrize("cluster", TRANSPORTS, indirect=True)


def delays() -> dcf.UDF:
    """The same function for each worker that asks, as two processes would have it."""

    @dcf.udf(name="tests.delays", version="1", commutative=True)
    def total(table: pa.Table) -> int:
        return sum(table["x"].to_pylist())

    total.merge(sum)
    return total


@both
def test_vertices_are_found_everywhere(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    assert sorted(two.nodes()["node"]) == sorted([one.node_id, two.node_id])
    vertex = one.put("t", {"x": [1, 2]})
    there = two.vertex("t")
    assert (there.id, there.info().kind, there.info().owner) == (vertex.id, "remote", one.node_id)
    assert there.batch().to_pydict() == {"x": [1, 2]}
    there.set({"x": [3]}, expected_version=vertex.info().version)
    assert vertex.batch().to_pydict() == {"x": [3]}
    elsewhere = one.put("elsewhere", 7, node=two.node_id)
    assert elsewhere.info().owner == two.node_id
    vertex.link(elsewhere)
    assert [child.batch().scalar() for child in there.children()] == [7]
    there.drop()
    with pytest.raises(dcf.NotFoundError):
        one.vertex("t")


@both
def test_builtins_run_beside_the_data(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    group = one.put("t", {"x": list(range(1000))}, shards=4)
    assert {shard.info().owner for shard in group.shards()} == {one.node_id, two.node_id}
    for worker in cluster:
        answer = worker.measure(dcf.sum("x"), "t")
        assert (answer.value, answer.bytes_fetched) == (499500, 0)


@pytest.mark.parametrize(
    ("cluster", "how"), [("shm", "shared memory"), ("tcp", "network")], indirect=["cluster"]
)
def test_an_answer_says_how_it_was_served(cluster: tuple[dcf.Worker, dcf.Worker], how: str) -> None:
    one, two = cluster
    one.put("t", {"x": [1, 2]})
    answer = two.measure(dcf.sum("x"), "t")
    assert (answer.value, answer.served_by, answer.served_how) == (3, one.node_id, how)
    assert answer.bytes_moved > 0
    assert one.measure(dcf.sum("x"), "t").served_how == "in process"


@both
def test_a_private_function_has_the_data_brought(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    one.put("t", {"x": [1, 2]})

    @dcf.udf
    def total(value: dcf.Batch, cx: dcf.Context) -> int:
        return sum(value["x"]) + (100 if cx.remote else 0)

    answer = two.measure(total, "t")
    assert answer.value == 103
    assert answer.bytes_fetched > 0
    with pytest.raises(dcf.Error):
        two.call(total, "t", at_owner=True)


@both
def test_a_versioned_function_runs_at_the_owner(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    group = one.put("t", {"x": list(range(100))}, shards=4)
    here, there = delays(), delays()
    one.register(here)
    two.register(there)
    for worker, udf in ((one, here), (two, there)):
        answer = worker.measure(udf, group.id)
        assert (answer.value, answer.bytes_fetched) == (4950, 0)
    assert two.measure(there, "t", here=True).bytes_fetched > 0


@both
def test_a_failure_elsewhere_names_its_node(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    one.put("v", 1)

    def make() -> dcf.UDF:
        @dcf.udf(name="tests.broken", version="1")
        def broken(value: int) -> int:
            raise ValueError("only there")

        return broken

    one.register(make())
    with pytest.raises(dcf.UDFFailedError, match="only there") as caught:
        two.call(make(), "v")
    assert caught.value.node == one.node_id
    assert "raise ValueError" in caught.value.detail


@both
def test_spawns_and_effects_across_workers(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    root, leaf = one.put("root", 1), two.put("leaf", 2)
    root.link(leaf)

    def make() -> dcf.UDF:
        @dcf.udf(name="tests.grow", version="1", updates=True)
        def grow(value: int, cx: dcf.Context) -> int:
            for child in cx.children:
                cx.spawn(child)
            if not cx.children:
                cx.add_child(10_000)
            return value

        grow.merge(sum)
        return grow

    udfs = [make(), make()]
    one.register(udfs[0])
    two.register(udfs[1])
    assert [one.call(udfs[0], root) for _ in range(2)] == [3, 10_003]
    assert two.call(udfs[1], "root") == 20_003


@both
def test_futures_across_workers(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    one.put("t", {"x": list(range(10))})
    futures = [two.submit(dcf.sum("x"), "t") for _ in range(50)]
    assert {future.result(60) for future in futures} == {45}


def test_a_function_in_another_process() -> None:
    server = """
        import sys, dcf, pyarrow as pa
        with dcf.open(listen="tcp://127.0.0.1:0") as worker:
            @dcf.udf(name="tests.where", version="1")
            def where(table: pa.Table) -> str:
                import os
                return f"{os.getpid()} {table.num_rows}"
            worker.register(where)
            worker.put("t", {"x": [1, 2, 3]})
            print(worker.addresses[0], flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(server)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with dcf.open(join=address, timeout=60) as worker:

            @dcf.udf(name="tests.where", version="1")
            def where(table: pa.Table) -> str:
                raise AssertionError("this must not run here")

            assert worker.call(where, "t") == f"{process.pid} 3"
            assert worker.call("tests.where", "t") == f"{process.pid} 3"
            process.communicate("", timeout=60)
            with pytest.raises(dcf.UnavailableError):
                worker.call(dcf.count(), "t")
        assert process.returncode == 0
