"""The cluster that all tests share, and what must be left of it at the end: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peers import COMMUTATIVE, LANGUAGES, UPDATES, Peer, cluster

FUNCTIONS = {"tally": COMMUTATIVE, "tail": 0, "replace": UPDATES}


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Peer]]:
    with cluster(tmp_path_factory.mktemp("pairs")) as running:
        for peer in running.values():
            for name, flags in FUNCTIONS.items():
                peer.do("register", name, flags)
        yield running
        left = {name: running[name].close() for name in reversed(LANGUAGES)}
    assert left.pop("go") == {}  # handles are those of the C interface
    kinds = dict.fromkeys(("vertices", "udfs", "queues", "tickets", "builders"), 0) | {"workers": 1}
    for language, handles in left.items():
        assert handles == {f"handles.{kind}": count for kind, count in kinds.items()}, language
