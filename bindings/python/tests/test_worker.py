"""Workers and vertices: what they are, what they refuse, and how they end."""

from __future__ import annotations

import gc
import pickle
import warnings

import pyarrow as pa
import pytest

import dcf
from conftest import counters


def test_open_and_close() -> None:
    worker = dcf.open(node_id=7)
    assert (worker.node_id, worker.closed, worker.addresses) == (7, False, [])
    assert repr(worker) == "<dcf.Worker, node 7>"
    worker.close()
    worker.close()
    assert worker.closed
    assert repr(worker) == "<dcf.Worker, closed>"
    for call in (
        worker.nodes,
        worker.stats,
        lambda: worker.put("x", 1),
        lambda: worker.vertex("x"),
    ):
        with pytest.raises(dcf.BadHandleError, match="closed"):
            call()


def test_a_leaked_worker_warns_and_is_closed() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        worker = dcf.open()
        worker.put("x", 1)
        del worker
        gc.collect()
    assert [w.category for w in caught] == [ResourceWarning]
    assert "unclosed <dcf.Worker" in str(caught[0].message)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"listen": "ftp://x"}, dcf.InvalidArgumentError, "ftp"),
        ({"listen": "tcp://0.0.0.0:0"}, dcf.Error, "(?i)insecure"),
        ({"join": "inproc://nobody"}, dcf.UnavailableError, "nobody"),
        (
            {"listen": "shm:///tmp/dcf", "shared_memory": False},
            dcf.InvalidArgumentError,
            "shared memory is off",
        ),
        ({"node_id": 2**40}, dcf.InvalidArgumentError, "node"),
        ({"node_id": -1}, OverflowError, "node_id is -1"),
        ({"log": "loud"}, dcf.InvalidArgumentError, "loud"),
        ({"timeout": float("nan")}, ValueError, "NaN"),
        ({"timeout": "soon"}, TypeError, "real number"),
        ({"listen": 5}, TypeError, "not iterable|join"),
    ],
)
def test_options_that_are_refused(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dcf.open(**options)  # type: ignore[arg-type]


def test_a_vertex_tells_what_it_is(worker: dcf.Worker) -> None:
    vertex = worker.put("prices", {"x": [1, 2]})
    info = vertex.info()
    assert (vertex.name, info.kind, info.rows, info.children) == ("prices", "local", 2, 0)
    assert info.owner == worker.node_id
    assert info.id == vertex.id == worker.vertex("prices").id == worker.vertex(vertex.id).id
    assert vertex.worker is worker
    assert repr(vertex) == f"<dcf.Vertex 'prices' {vertex.id}>"
    assert worker.put(None, 1).name == ""


def test_set_makes_a_new_version(worker: dcf.Worker) -> None:
    vertex = worker.put("x", 1)
    before = vertex.batch()
    first = vertex.info().version
    second = vertex.set(2, expected_version=first)
    assert second > first
    with pytest.raises(dcf.AbortedError):
        vertex.set(3, expected_version=first)
    assert before is not None
    assert (before.scalar(), dcf.Batch(vertex).scalar()) == (1, 2)
    vertex.set(None)
    assert vertex.batch() is None
    assert vertex.info().rows == -1


def test_names(worker: dcf.Worker) -> None:
    worker.put("æ" * 127, 1)
    with pytest.raises(dcf.AlreadyExistsError) as caught:
        worker.put("æ" * 127, 2)
    assert caught.value.status == "DCF_ALREADY_EXISTS"
    assert worker.put("æ" * 127, 3, replace=True).batch().scalar() == 3
    with pytest.raises(dcf.InvalidArgumentError, match="255"):
        worker.put("x" * 256, 1)
    with pytest.raises(dcf.NotFoundError, match="nothing"):
        worker.vertex("nothing")
    with pytest.raises(LookupError):
        worker.vertex(dcf.VertexID("ab" * 16))
    with pytest.raises(TypeError):
        worker.put("x", object())
    with pytest.raises(TypeError, match="the name of a vertex"):
        worker.put(3, 1)  # type: ignore[arg-type]


def test_edges(worker: dcf.Worker) -> None:
    root, left, right = (worker.put(name, 1) for name in ("root", "left", "right"))
    root.link(left)
    root.link(right.id)
    assert [child.name for child in root.children()] == ["left", "right"]
    assert [parent.name for parent in left.parents()] == ["root"]
    root.unlink(left)
    assert [child.name for child in root.children()] == ["right"]
    with pytest.raises(TypeError, match="a Vertex or a VertexID"):
        root.link("left")  # type: ignore[arg-type]


def test_tables_about_the_cluster(worker: dcf.Worker) -> None:
    for name in ("a/1", "a/2", "b"):
        worker.put(name, 1)
    assert worker.vertices("a/")["name"].to_pylist() == ["a/1", "a/2"]
    assert set(worker.vertices().column_names) >= {"id", "name", "owner", "version", "rows"}
    assert [dcf.VertexID(id_) for id_ in worker.vertices("b")["id"]] == [worker.vertex("b").id]
    assert worker.nodes()["node"].to_pylist() == [worker.node_id]
    assert counters(worker)["handles.workers"] >= 1


def test_a_dropped_vertex_is_gone_at_once(worker: dcf.Worker) -> None:
    vertex, other = worker.put("x", {"x": [5]}), worker.vertex("x")
    batch = vertex.batch()
    vertex.drop()
    assert batch["x"].to_pylist() == [5]
    with pytest.raises(dcf.NotFoundError):
        worker.vertex("x")
    again = worker.put("x", {"x": [6]})
    with pytest.raises((dcf.NotFoundError, dcf.BadHandleError)):
        other.batch()
    assert again.batch().to_pydict() == {"x": [6]}


def test_released_handles(worker: dcf.Worker) -> None:
    vertex = worker.put("x", 1)
    before = counters(worker)["handles.vertices"]
    vertex.release()
    vertex.release()
    assert counters(worker)["handles.vertices"] == before - 1
    assert repr(vertex) == "<dcf.Vertex, released>"
    with pytest.raises(dcf.BadHandleError, match="released"):
        vertex.info()
    with pytest.raises(dcf.BadHandleError, match="released"):
        worker.call(dcf.count(), vertex)
    assert worker.vertex("x").batch().scalar() == 1


def test_handles_are_given_back(worker: dcf.Worker) -> None:
    before = counters(worker)["handles.vertices"]
    for _ in range(100):
        worker.put(None, 1).info()
    gc.collect()
    assert counters(worker)["handles.vertices"] == before


def test_errors_are_pickled() -> None:
    error = dcf.NotFoundError("no vertex", node=3, vertex=dcf.VertexID("01" * 16), detail="trace")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is dcf.NotFoundError
    assert vars(copy) == vars(error)
    assert str(copy) == "no vertex (on node 3)\n\nWhere it happened:\ntrace"


def test_each_status_has_a_class() -> None:
    from dcf import _dcf, errors

    for code in range(1, 16):
        cls = type(errors.make_error(code, 0, 0, None, "", ""))
        assert cls.status == _dcf.status_name(code)
        assert cls is getattr(dcf, cls.__name__)
        assert issubclass(cls, dcf.Error)
        assert cls.hint


def test_memory_limit() -> None:
    with dcf.open(memory_limit=1 << 20) as worker:
        with pytest.raises(dcf.ExhaustedError):
            worker.put("large", {"x": list(range(1 << 18))})
        assert worker.put("small", 1).batch().scalar() == 1


def test_shards(worker: dcf.Worker) -> None:
    table = pa.table({"x": list(range(100))})
    group = worker.put("t", table, shards=4)
    assert [shard.info().rows for shard in group.shards()] == [25] * 4
    assert group.info().children == 4
    assert worker.put("one", 1).shards()[0].name == "one"
    with pytest.raises(dcf.Error, match="nothing"):
        worker.put("u", table, shard_by="nothing")
