"""Vertices: pieces of Arrow data with an identity."""

from __future__ import annotations

from . import _dcf
from .errors import BadHandleError, Error, NotFoundError

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from typing import Any

    import numpy
    import pyarrow

    from ._info import VertexInfo
    from ._worker import Worker

_CHILDREN = 1
_PARENTS = 2
_KINDS = ("local", "remote")


class Vertex(_dcf.Vertex):
    """A handle on a vertex, local or remote; Worker.put and Worker.vertex give it.

    It means the vertex that it was opened on, not a later one of the same name. Letting it go
    deletes nothing; ``drop`` does. It may be used by any number of threads.

    It pickles as an address of its cluster and its id: see Worker.

    Arrow libraries take it as it is: ``pyarrow.table(vertex)``, ``polars.DataFrame(vertex)``.

    >>> with dcf.open() as worker:
    ...     vertex = worker.put("prices", {"price": [2.0, 3.5]})
    ...     vertex.batch().to_pydict()
    ...     _ = vertex.set({"price": [4.0]})
    ...     vertex.info().rows
    {'price': [2.0, 3.5]}
    1
    """

    @property
    def name(self) -> str:
        """The name, or "" where it has none."""
        return self._name()

    def info(self) -> VertexInfo:
        """Asks what the vertex is now."""
        id_, kind, owner, version, rows, size, children = self._info()
        from ._info import VertexInfo

        return VertexInfo(id_, _KINDS[kind], owner, version, rows, size, children)

    # ---- The value

    def batch(self, timeout: float | None = None) -> _dcf.Batch | None:
        """Gives the value, without a copy where it is local; None where it has none.

        The version stays in memory as long as the batch. A group has no value: use ``stream``.
        """
        try:
            return self._export(timeout)
        except NotFoundError:
            if self.info().rows < 0:
                return None
            raise

    def stream(self) -> _dcf.Stream:
        """Gives the value as a stream of batches; of a group, shard by shard."""
        return self._stream()

    def to_arrow(self) -> pyarrow.Table:
        """Gives the value as a ``pyarrow.Table``; of a group, all of its shards."""
        import pyarrow

        return pyarrow.table(self.stream())

    async def batch_async(self, timeout: float | None = None) -> _dcf.Batch | None:
        """Gives the value like ``batch``, in a thread, while the event loop goes on."""
        from ._asyncio import in_thread

        return await in_thread(self.batch, timeout)

    async def to_arrow_async(self) -> pyarrow.Table:
        """Gives the value like ``to_arrow``, in a thread, while the event loop goes on."""
        from ._asyncio import in_thread

        return await in_thread(self.to_arrow)

    async def set_async(self, value: Any, *, expected_version: int = 0) -> int:
        """Replaces the value like ``set``, in a thread, while the event loop goes on."""
        from ._asyncio import in_thread

        return await in_thread(self.set, value, expected_version=expected_version)

    def set(self, value: Any, *, expected_version: int = 0) -> int:
        """Replaces the value and gives the new version; None leaves the vertex without a value.

        `value` is whatever Worker.put accepts. With `expected_version` the vertex must still be
        at that version, or AbortedError is raised and nothing was changed.
        """
        return self._set(value, expected_version)

    # ---- Edges

    def children(self) -> list[Vertex]:
        """Opens the children, in order."""
        return [self.worker.vertex(id_) for id_ in self._edges(_CHILDREN)]

    def parents(self) -> list[Vertex]:
        """Opens the vertices that have this one as a child. The index may lag."""
        return [self.worker.vertex(id_) for id_ in self._edges(_PARENTS)]

    def shards(self) -> list[Vertex]:
        """Opens the shards of a group; of any other vertex, itself."""
        info = self.info()
        if info.rows < 0 and info.children > 0:
            return self.children()
        return [self]

    def link(self, child: Vertex | _dcf.VertexID) -> None:
        """Appends a vertex to the children. Edges keep nothing alive."""
        self._link(child)

    def unlink(self, child: Vertex | _dcf.VertexID) -> None:
        """Takes a vertex out of the children."""
        self._unlink(child)

    # ---- The end

    def release(self) -> None:
        """Gives the handle back early; the vertex stays. Doing it twice is fine."""
        self._release()

    def drop(self) -> None:
        """Deletes the vertex in the whole cluster. Batches that were taken of it stay valid."""
        self._drop()

    # ---- Python's and Arrow's protocols

    def _whole(self) -> _dcf.Batch:
        return self.batch() or _dcf.Batch(self.stream())

    def __arrow_c_schema__(self) -> object:
        """The value's schema, for Arrow libraries."""
        return self._whole().__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """The value as one batch, for Arrow libraries."""
        return self._whole().__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The value batch by batch, for Arrow libraries."""
        return self.stream().__arrow_c_stream__(requested_schema)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> numpy.ndarray[Any, Any]:
        """For numpy: one column gives one dimension, several give rows and columns."""
        return self._whole().__array__(dtype, copy)

    def __repr__(self) -> str:
        if self._released:
            return "<dcf.Vertex, released>"
        try:
            return f"<dcf.Vertex {self.name!r} {self.id}>"
        except Error as error:
            return f"<dcf.Vertex, {error.status}>"

    def __reduce__(self) -> Any:
        """Pickles as an address and the id, and attaches to that cluster again: see Worker."""
        from ._worker import attach_vertex

        if self._released:
            raise BadHandleError("the vertex handle was released")
        worker: Worker = self.worker
        if not worker.addresses and self.info().owner == worker.node_id:
            raise TypeError(
                f"{self!r} is private to its worker, which is a guest: nobody else can attach to "
                "it. Open the worker with listen=, or put it at a member: put(..., node=)"
            )
        return attach_vertex, (worker._reachable(), self.id)
