"""Every language puts every type; every language reads it, calls it, updates it and drops it."""

from __future__ import annotations

import itertools
import struct

import pyarrow as pa
import pytest

from peers import LANGUAGES, CommandError, Peer
from tables import COUNT, FIRST, TABLES

PAIRS = list(itertools.product(LANGUAGES, LANGUAGES))
pairs = pytest.mark.parametrize(
    ("owner", "caller"), PAIRS, ids=[f"{owner}-{caller}" for owner, caller in PAIRS]
)
tables = pytest.mark.parametrize("kind", TABLES)


def assert_same(got: pa.Table, want: pa.Table) -> None:
    assert got.schema.equals(want.schema, check_metadata=True), (got.schema, want.schema)
    assert got.to_pylist() == want.to_pylist()


def counts(value: object) -> tuple[int, ...]:
    assert isinstance(value, bytes)
    return struct.unpack("<qq", value)


@tables
@pairs
def test_pair(peers: dict[str, Peer], owner: str, caller: str, kind: str) -> None:
    here, there = peers[owner], peers[caller]
    table, name = TABLES[kind](), f"{owner}-{caller}-{kind.replace(' ', '_')}"
    part = table.slice(FIRST, COUNT)
    here.put(name, table, FIRST, COUNT)
    assert_same(there.read(name), part)

    # The owner's function, then the caller's, to which the data comes.
    for how, node in (("owner", here.node), ("here", there.node)):
        answer = there.call("tally", name, how)
        assert (answer.node, counts(answer.value)) == (node, (len(part), part[0].null_count))
        answer = there.call("tail", name, how)
        assert answer.node == node
        assert_same(answer.value, part.slice(1))

    # The caller gives a value, and the owner's function takes it; then without a function.
    answer = there.call("replace", name, arguments=(table, 1, 5))
    assert (answer.node, answer.effects, answer.value) == (here.node, "complete", None)
    assert_same(here.read(name), table.slice(1, 5))
    there.set(name, table, 0, len(table))
    assert_same(there.read(name), table)
    assert_same(here.read(name), table)

    there.do("drop", name)
    with pytest.raises(CommandError) as gone:
        here.read(name)
    assert gone.value.status == "DCF_NOT_FOUND"


@tables
@pytest.mark.parametrize("owner", LANGUAGES)
def test_all_at_once(peers: dict[str, Peer], owner: str, kind: str) -> None:
    """A table spread over all languages: each counts its shards, and one answer comes home."""
    table, name = TABLES[kind](), f"all-{owner}-{kind.replace(' ', '_')}"
    peers[owner].put(name, table, 0, len(table), shards=len(peers))
    for caller in peers.values():
        answer = caller.call("tally", name)
        assert counts(answer.value) == (len(table), table[0].null_count)
        assert_same(caller.read(name), table)
    peers[owner].do("drop", name)
