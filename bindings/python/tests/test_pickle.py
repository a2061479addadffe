"""Handles that are pickled: as an address and an id, and attached to their cluster again."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import pytest

import dcf

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def again(thing: object, protocol: int = pickle.DEFAULT_PROTOCOL) -> object:
    return pickle.loads(pickle.dumps(thing, protocol))


def read(vertex: dcf.Vertex) -> tuple[str, object, bool]:
    """What another process makes of a vertex; it runs there."""
    value = vertex.to_arrow().to_pydict()
    same = copy.copy(vertex)  # a second one shares the guest
    return vertex.name, value, same.worker is vertex.worker and same.worker.closed


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_within_a_process_the_open_worker_serves(
    cluster: tuple[dcf.Worker, dcf.Worker], protocol: int
) -> None:
    one, _ = cluster
    vertex = one.put("v", {"x": [1]})
    same = again(vertex, protocol)
    assert isinstance(same, dcf.Vertex)
    assert same is not vertex
    assert (same.id, same.name) == (vertex.id, "v")
    assert isinstance(again(one, protocol), dcf.Worker)
    same.release()


@pytest.mark.parametrize("cluster", ["tcp"], indirect=True)
def test_another_process_joins_as_a_guest(cluster: tuple[dcf.Worker, dcf.Worker]) -> None:
    one, two = cluster
    vertices = [one.put("a", {"x": [1]}), two.put("b", {"x": [2]}), one.vertex("b")]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(read, vertices, chunksize=1)
    assert found == [("a", {"x": [1]}, False), ("b", {"x": [2]}, False), ("b", {"x": [2]}, False)]


def test_a_guest_pickles_what_members_own() -> None:
    with (
        dcf.open(listen="inproc://pickled") as member,
        dcf.open(join="inproc://pickled") as guest,
    ):
        member.put("theirs", 5)
        theirs = again(guest.vertex("theirs"))
        assert isinstance(theirs, dcf.Vertex)
        assert theirs.info().owner == member.node_id
        with pytest.raises(TypeError, match="private to its worker, which is a guest"):
            pickle.dumps(guest.put("mine", 6))


def test_what_cannot_be_reached_is_not_pickled(worker: dcf.Worker) -> None:
    vertex = worker.put("v", 1)
    for handle in (worker, vertex):
        with pytest.raises(TypeError, match="listen="):
            pickle.dumps(handle)
    with pytest.raises(TypeError, match="name and version"):
        pickle.dumps(dcf.udf(lambda value: 1))
    vertex.release()
    with pytest.raises(dcf.BadHandleError, match="released"):
        pickle.dumps(vertex)


def test_nobody_is_there_any_more() -> None:
    with dcf.open(listen="inproc://gone") as worker:
        pickled = pickle.dumps(worker.put("v", 1))
    with pytest.raises(dcf.UnavailableError, match="inproc://gone"):
        pickle.loads(pickled)


def test_a_vertex_that_was_dropped_meanwhile() -> None:
    with dcf.open(listen="inproc://dropped") as worker:
        vertex = worker.put("v", 1)
        pickled = pickle.dumps(vertex)
        vertex.drop()
        with pytest.raises(dcf.NotFoundError):
            pickle.loads(pickled)
