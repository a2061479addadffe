"""The Python peer: a worker that does what it is told on its standard input, one line a command,
and answers each with a line. pairs/peers.py says what the commands are.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable

import dcf
import pyarrow as pa

UPDATES = 1
COMMUTATIVE = 2

# ---- Functions


def tally(batch: pa.RecordBatch) -> bytes:
    """The rows of a table, and the nulls of its first column."""
    return struct.pack("<qq", batch.num_rows, batch.column(0).null_count)


def add_up(parts: list[bytes]) -> bytes:
    rows, nulls = zip(*(struct.unpack("<qq", part) for part in parts), strict=True)
    return struct.pack("<qq", sum(rows), sum(nulls))


def tail(batch: pa.RecordBatch) -> pa.RecordBatch:
    """All rows but the first."""
    return batch.slice(1)


def replace(batch: pa.RecordBatch, cx: dcf.Context) -> None:
    """The arguments become the value."""
    cx.set_value(pa.record_batch(cx.arguments))


def fails(batch: dcf.Batch) -> None:
    try:
        deeper()
    except ValueError as error:
        raise RuntimeError("the sky fell") from error


def deeper() -> None:
    raise ValueError("and this is why,\nin Python")


def exits(batch: dcf.Batch) -> None:
    sys.exit("the sky fell")


def interrupts(batch: dcf.Batch) -> None:
    raise KeyboardInterrupt("the sky fell")


def gives_nonsense(batch: dcf.Batch) -> object:
    return object()


def hangs(batch: dcf.Batch, cx: dcf.Context) -> bytes:
    """Hangs until somebody opened the pipe that the arguments name, and closed it."""
    with open(cx.arguments, "rb") as pipe:
        pipe.read()
    return b"released"


def stranger(batch: dcf.Batch) -> None:
    raise RuntimeError("another language's function ran in Python")


FUNCTIONS: dict[str, Callable[..., object]] = {
    "tally": tally,
    "tail": tail,
    "replace": replace,
    "python.raise": fails,
    "python.exit": exits,
    "python.interrupt": interrupts,
    "python.nonsense": gives_nonsense,
    "python.hang": hangs,
    "python.hang_update": hangs,
}

# ---- Tables


def read_table(path: str, start: str, rows: str) -> pa.RecordBatch:
    """Reads rows of an Arrow IPC stream of one batch."""
    with pa.ipc.open_stream(path) as stream:
        return stream.read_next_batch().slice(int(start), int(rows))


def write_table(path: str, table: pa.Table) -> None:
    with pa.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table)


# ---- Commands


class Peer:
    def __init__(self, worker: dcf.Worker) -> None:
        self.worker = worker
        self.udfs: dict[str, dcf.UDF] = {}

    def register(self, name: str, flags: str) -> str:
        made = dcf.udf(
            name=name,
            version="1",
            updates=bool(int(flags) & UPDATES),
            commutative=bool(int(flags) & COMMUTATIVE),
        )(FUNCTIONS.get(name, stranger))
        if name == "tally":
            made.merge(add_up)
        self.worker.register(made)
        self.udfs[name] = made
        return "ok"

    def put(self, name: str, shards: str, *table: str) -> str:
        self.worker.put(name, read_table(*table), shards=int(shards))
        return "ok"

    def set(self, name: str, *table: str) -> str:
        self.worker.vertex(name).set(read_table(*table))
        return "ok"

    def read(self, name: str, path: str) -> str:
        write_table(path, pa.table(self.worker.vertex(name)))
        return "ok"

    def drop(self, name: str) -> str:
        self.worker.vertex(name).drop()
        return "ok"

    def call(self, udf: str, name: str, how: str, timeout: str, path: str, *given: str) -> str:
        options: dict[str, object] = {"timeout": int(timeout) / 1000}
        if how == "queue":
            answer = self.worker.submit(
                self.udfs[udf], name, arguments=arguments(*given), **options
            ).answer()
        else:
            options |= {"here": how == "here", "at_owner": how == "owner"}
            answer = self.worker.measure(
                self.udfs[udf], name, arguments=arguments(*given), **options
            )
        return f"ok {answer.effects} {answer.served_by} {result(answer.value, path)}"

    def close(self) -> str:
        """Closes the worker and says which handles the process still has; another one can tell."""
        self.worker.close()
        del self.worker
        self.udfs.clear()
        with dcf.open() as worker:
            counters = worker.stats().to_pylist()
        handles = [f"{row['name']}={row['value']}" for row in counters]
        return " ".join(["ok", *(word for word in handles if word.startswith("handles."))])


def arguments(kind: str, *words: str) -> object:
    """Reads "bytes" and hexadecimal digits, "table" and a table, or "none"."""
    if kind == "bytes":
        return bytes.fromhex(words[0])
    return read_table(*words) if kind == "table" else None


def result(value: object, path: str) -> str:
    """Says what a call gave; a table goes to the file."""
    if value is None:
        return "none"
    if isinstance(value, bytes):
        return f"bytes {value.hex()}"
    write_table(path, pa.table(value))
    return "table"


def failure(error: dcf.Error) -> str:
    """Says how a command failed. What a failed call did to vertices, Python does not tell."""
    texts = " ".join(text.encode().hex() for text in (error.message, error.detail))
    return f"error {error.status} {error.node} - {texts}"


def main(node: str, *join: str) -> None:
    peer = Peer(dcf.open("tcp://127.0.0.1:0", join, node_id=int(node)))
    print("ok", peer.worker.addresses[0], flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        try:
            answer = getattr(peer, command)(*words)
        except dcf.Error as error:
            answer = failure(error)
        except (SystemExit, KeyboardInterrupt) as error:
            answer = f"raised {error!r}"
        print(answer, flush=True)
        if command == "close":
            return
    sys.exit("nobody said close")


if __name__ == "__main__":
    main(*sys.argv[1:])
