"""Workers: the one door to everything."""

from __future__ import annotations

import atexit
import os
import threading
import time
import warnings
import weakref

from . import _dcf
from ._udf import NamedUDF

TYPE_CHECKING = False  # typing is slow to import, and so is what _future brings
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from ._asyncio import LoopFuture, Loops
    from ._builder import ArrowSchema, Builder
    from ._future import Answer, Completions, Future
    from ._udf import Function
    from ._vertex import Vertex

# How long the interpreter's end waits for calls under way.
_EXIT_SECONDS = 5.0
# What Worker.close waits for calls under way, unless told otherwise.
_CLOSE_SECONDS = 30.0

_ADAPTIVE_SPIN = -1

# How many addresses of a cluster a pickled handle carries: it is enough that one answers.
_PICKLED_ADDRESSES = 8

_open_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class Worker(_dcf.Worker):
    """Holds vertices, runs functions on them, and speaks with other workers; `dcf.open` makes it.

    A context manager. All methods may be called from any thread at the same time.

    It pickles as the addresses of its cluster. Where it is unpickled it is a worker that that
    process has open in the same cluster, or else a guest that joins it and stays until the end.
    """

    def __init__(
        self,
        listen: str | Sequence[str] | None = None,
        join: str | Sequence[str] | None = None,
        *,
        node_id: int = 0,
        memory_limit: int = 0,
        timeout: float | None = None,
        spin: float | None = None,
        shared_memory: bool = True,
        shared_limit: int = 0,
        shared_warm: int = 0,
        insecure: bool = False,
        log: str | None = None,
    ) -> None:
        self._pid = os.getpid()
        self._completions: Completions | None = None
        self._lock = threading.Lock()
        self._loops: Loops | None = None
        self._names: dict[str, NamedUDF] = {}
        spin_ns = _ADAPTIVE_SPIN if spin is None else int(spin * 1e9)
        config = "insecure = true\n" if insecure else ""
        if not shared_memory:
            config += "shared_memory = false\n"
        config += f"shared_limit = {shared_limit:d}\nshared_warm = {shared_warm:d}\n"
        if log is not None:
            config += f'log = "{log}"\n'
        self._open(
            _addresses(listen), _addresses(join), node_id, memory_limit, timeout, spin_ns, config
        )
        _open_workers.add(self)

    # ---- The end

    def close(self, timeout: float | None = _CLOSE_SECONDS) -> None:
        """Stops taking calls, waits for those under way, and ends the rest. Twice is fine.

        Vertices that the worker owns are gone afterwards; batches taken of them stay valid.
        """
        if self.closed:
            return
        _open_workers.discard(self)
        end = None if timeout is None else time.monotonic() + timeout
        if self._completions is not None:
            self._completions.close(timeout)
        if self._loops is not None:
            self._loops.close(_until(end))
        self._close(_until(end))

    async def close_async(self, timeout: float | None = _CLOSE_SECONDS) -> None:
        """Closes the worker like ``close``, while the event loop goes on."""
        from ._asyncio import in_thread

        await in_thread(self.close, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close_async()

    def __del__(self) -> None:
        # A forked child has a copy of the object, but not of the worker behind it.
        if getattr(self, "_pid", None) != os.getpid() or self.closed:
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
        self.close(0)

    # ---- The cluster

    @property
    def addresses(self) -> list[str]:
        """Where the worker listens, with the ports that were chosen.

        >>> with dcf.open(listen="inproc://here") as worker:
        ...     worker.addresses
        ['inproc://here']
        """
        for row in self._nodes().to_pylist():
            if row["self"]:
                return [address for address in row["addresses"].split(",") if address]
        return []

    def nodes(self) -> _dcf.Batch:
        """Gives a table of the workers of the cluster.

        Columns: node, incarnation, self, member, directory, alive, addresses, round_trip_ns.
        """
        return self._nodes()

    def stats(self) -> _dcf.Batch:
        """Gives a table of this worker's counters. Columns: name, peer (0: none), value."""
        return self._stats()

    def vertices(self, prefix: str = "") -> _dcf.Batch:
        """Gives a table of the cluster's vertices whose names start with `prefix`, by name.

        Columns: id, name, kind, owner, version, rows (-1: no value), bytes, children.

        >>> with dcf.open() as worker:
        ...     _ = worker.put("a/1", 1), worker.put("a/2", 2), worker.put("b", 3)
        ...     worker.vertices("a/")["name"].to_pylist()
        ['a/1', 'a/2']
        """
        return self._vertices(prefix)

    # ---- Vertices

    def put(
        self,
        name: str | None,
        value: Any = None,
        *,
        shard_by: str | None = None,
        shards: int = 0,
        node: int = 0,
        replace: bool = False,
        timeout: float | None = None,
    ) -> Vertex:
        """Makes a vertex of a value, or of a table a group of shards.

        `value` is a table of any library with the Arrow PyCapsule interface (pyarrow, polars,
        pandas, duckdb, nanoarrow), a dict of columns, one number or text, or None for no value.
        What has the right layout is not copied: do not write to it later. `name` may be None.
        `shard_by` makes a shard of each distinct value of that column, `shards` so many of about
        equal size; they go round the members of the cluster. `node` says where to put it; 0 is
        here. `replace` replaces the value of an existing vertex.

        >>> with dcf.open() as worker:
        ...     group = worker.put("trips", {"city": ["Oslo", "Rome", "Oslo"]}, shard_by="city")
        ...     [shard.info().rows for shard in group.shards()]
        [2, 1]
        """
        vertex: Vertex = self._put(name, value, shard_by, shards, node, replace, timeout)
        return vertex

    async def put_async(
        self,
        name: str | None,
        value: Any = None,
        *,
        shard_by: str | None = None,
        shards: int = 0,
        node: int = 0,
        replace: bool = False,
        timeout: float | None = None,
    ) -> Vertex:
        """Makes a vertex like ``put``, in a thread, while the event loop goes on."""
        from ._asyncio import in_thread

        return await in_thread(
            self.put,
            name,
            value,
            shard_by=shard_by,
            shards=shards,
            node=node,
            replace=replace,
            timeout=timeout,
        )

    def build(self, schema: ArrowSchema, rows: int) -> Builder:
        """Begins a table of so many rows, to be filled in where it will lie, and then committed.

        `schema` is one of any Arrow library, such as pyarrow or polars. The types that can be built
        are numbers, bool, dates, times, decimals, texts and binary, dictionaries, and of these
        struct, fixed_size_list, list, large_list and map; another one is `UnsupportedError`.

        >>> import pyarrow
        >>> schema = pyarrow.schema({"price": pyarrow.float64(), "city": pyarrow.string()})
        >>> with dcf.open() as worker, worker.build(schema, 3) as builder:
        ...     builder["price"][:] = [2.0, 3.5, 1.0]
        ...     builder["city"].set(["Oslo", None, "Rome"])
        ...     prices = builder.commit("prices")
        ...     worker.call(dcf.sum("price"), prices)
        6.5
        """
        from ._builder import Builder

        return Builder(self, schema, rows)

    def vertex(self, key: str | _dcf.VertexID) -> Vertex:
        """Finds a vertex of the cluster by its name or id. No data travels."""
        vertex: Vertex = self._vertex(key)
        return vertex

    async def vertex_async(self, key: str | _dcf.VertexID) -> Vertex:
        """Finds a vertex like ``vertex``, in a thread, while the event loop goes on."""
        from ._asyncio import in_thread

        return await in_thread(self.vertex, key)

    # ---- Functions and calls

    def register(self, udf: Function) -> None:
        """Makes the function known here, so that calls of other workers find it.

        Calling a function does it, too.
        """
        self._register(udf)

    def submit(
        self,
        udf: Function | str,
        target: Any,
        *,
        arguments: Any = None,
        timeout: float | None = None,
        at_owner: bool = False,
        here: bool = False,
    ) -> Future:
        """Starts a call, as `call` makes it, and gives a future of its result.

        >>> with dcf.open() as worker:
        ...     future = worker.submit(dcf.max("x"), worker.put("t", {"x": [3, 9, 4]}))
        ...     future.result()
        9
        """
        from ._future import Completions, Future

        if self._completions is None:
            with self._lock:
                self._completions = self._completions or Completions()
        future = Future()
        self._start(
            self._completions.queue(self),
            future,
            udf,
            target,
            arguments=arguments,
            timeout=timeout,
            at_owner=at_owner,
            here=here,
        )
        return future

    def measure(
        self,
        udf: Function | str,
        target: Any,
        *,
        arguments: Any = None,
        timeout: float | None = None,
        at_owner: bool = False,
        here: bool = False,
    ) -> Answer:
        """Makes a call like `call` and gives its result with what is known about the call.

        >>> with dcf.open() as worker:
        ...     answer = worker.measure(dcf.count(), worker.put("t", {"x": [3, 9, 4]}))
        ...     answer.value, answer.served_how, answer.bytes_moved
        (3, 'in process', 0)
        """
        value, facts = self._measure(
            udf, target, arguments=arguments, timeout=timeout, at_owner=at_owner, here=here
        )
        from ._future import make_answer

        return make_answer(value, facts)

    # ---- What the C half asks for

    def _place(self) -> tuple[_dcf.Queue, LoopFuture]:
        """Gives the queue of the running event loop, and a future of a call there."""
        if self._loops is None:
            from ._asyncio import Loops

            with self._lock:
                self._loops = self._loops or Loops()
        return self._loops.place(self)

    async def _call_named(self, udf: Function | str, name: str, keywords: Mapping[str, Any]) -> Any:
        """Makes the call of ``call_async`` on a vertex that has to be found first."""
        return await self.call_async(udf, await self.vertex_async(name), **keywords)

    def _named(self, name: str) -> NamedUDF:
        """Gives the function of a name."""
        return self._names.setdefault(name, NamedUDF(name))

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"node {self.node_id}"
        return f"<dcf.Worker, {state}>"

    def __reduce__(self) -> Any:
        """Pickles as the addresses of the cluster: unpickling attaches to it, see `attach`."""
        return attach, (self._reachable(),)

    def _addresses_known(self) -> list[str]:
        return [a for row in self._nodes().to_pylist() for a in row["addresses"].split(",") if a]

    def _reachable(self) -> tuple[str, ...]:
        """Gives addresses where other processes find the cluster, this worker's own first."""
        rows = [row for row in self._nodes().to_pylist() if row["alive"] and row["addresses"]]
        rows.sort(key=lambda row: not row["self"])
        found = [address for row in rows for address in row["addresses"].split(",")]
        if not found:
            raise TypeError(
                "a worker that neither listens nor has joined cannot be pickled, nor can what it "
                "holds: open it with listen=, as in dcf.open(listen='tcp://127.0.0.1:0')"
            )
        return tuple(found[:_PICKLED_ADDRESSES])


def _until(end: float | None) -> float | None:
    """Gives the time left until `end` on the monotonic clock; None: there is no end."""
    return None if end is None else max(end - time.monotonic(), 0)


def _addresses(addresses: str | Sequence[str] | None) -> str:
    if addresses is None or isinstance(addresses, str):
        return addresses or ""
    return ",".join(addresses)


def open(  # noqa: A001 - dcf.open, as in gzip.open
    listen: str | Sequence[str] | None = None,
    join: str | Sequence[str] | None = None,
    *,
    node_id: int = 0,
    memory_limit: int = 0,
    timeout: float | None = None,
    spin: float | None = None,
    shared_memory: bool = True,
    shared_limit: int = 0,
    shared_warm: int = 0,
    insecure: bool = False,
    log: str | None = None,
) -> Worker:
    """Opens a worker: alone in this process, or as part of a cluster.

    `listen` are addresses to serve at, "tcp://127.0.0.1:7411" (port 0: any free one),
    "unix:///run/dcf.sock", "shm:///run/dcf.shm" or "inproc://name"; without one the worker is a
    guest. `join` are addresses of a cluster's workers. `node_id` 0 is chosen. `memory_limit` bounds
    the bytes of vertex data, 0 is half of the machine's memory. `timeout` is in seconds and the
    default of everything that waits, None is 30. `spin` is how long, in seconds, a caller spins
    before it sleeps; None adapts. With `shared_memory` workers of this host and user that meet over
    a socket go on over shared memory. `shared_limit` bounds the bytes of vertex data that they may
    map, 0 is 1 TiB, and `shared_warm` is how many of those get their pages at the start, in the
    background; both are of the process, whose first worker decides. `insecure` allows to listen
    beyond loopback without TLS. `log` writes to stderr from that level on: "debug", "info", "warn"
    or "error".

    >>> with dcf.open() as worker:
    ...     prices = worker.put("prices", {"price": [2.0, 3.5]})
    ...     worker.call(dcf.mean("price"), prices)
    2.75
    """
    return Worker(
        listen,
        join,
        node_id=node_id,
        memory_limit=memory_limit,
        timeout=timeout,
        spin=spin,
        shared_memory=shared_memory,
        shared_limit=shared_limit,
        shared_warm=shared_warm,
        insecure=insecure,
        log=log,
    )


# The guests that `attach` opened, by the addresses that it was given; they stay until the end.
_guests: dict[tuple[str, ...], Worker] = {}
_attaching = threading.Lock()


def attach(addresses: tuple[str, ...]) -> Worker:
    """Gives a worker of the cluster that has one of the addresses; unpickling calls it.

    A worker that this process has open in that cluster, or else a guest that joins it, which later
    calls share and the end of the process closes.
    """
    with _attaching:
        for worker in list(_open_workers):
            if not worker.closed and not set(addresses).isdisjoint(worker._addresses_known()):
                return worker
        guest = _guests[addresses] = open(join=addresses)
        return guest


def attach_vertex(addresses: tuple[str, ...], key: _dcf.VertexID) -> Vertex:
    """Gives a vertex of the cluster that has one of the addresses; unpickling calls it."""
    return attach(addresses).vertex(key)


def _close_all() -> None:
    """At the interpreter's end: no callback may run once Python is gone."""
    for worker in list(_open_workers):
        try:
            worker.close(_EXIT_SECONDS)
        except Exception as error:  # noqa: BLE001 - the next worker is to be closed all the same
            warnings.warn(f"closing {worker!r}: {error}", ResourceWarning, stacklevel=1)
    _dcf.finalize()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_dcf.forked)
