"""What a worker knows about a vertex."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from . import _dcf


class VertexInfo(NamedTuple):
    """What a worker knows about a vertex at one moment."""

    id: _dcf.VertexID
    #: "local": owned here; "remote": only its owner is known here.
    kind: str
    #: The node that owns it.
    owner: int
    #: Never used twice for one vertex.
    version: int
    #: Rows of the value; -1: it has none.
    rows: int
    bytes: int
    children: int
