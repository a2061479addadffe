"""Peers: one worker for each language, in a process of its own, that obeys lines.

A peer is started with its node id and, but for the first, the address of another one. It joins it,
listens on loopback, says where, and then answers each line on its standard input with one:

    register UDF FLAGS                      makes a function known; FLAGS are those of dcf.h
    put VERTEX SHARDS TABLE                 makes a vertex, or, over 1, a group of shards
    set VERTEX TABLE                        replaces its value
    read VERTEX FILE                        writes its value to the file
    call UDF VERTEX HOW MILLISECONDS FILE ARGUMENTS
                                            HOW is any, owner, here, or queue: any, through a queue;
                                            a result that is a table goes to the file
    drop VERTEX
    close                                   closes the worker and ends; the answer has the counters
                                            of handles that are left, where the process has any

TABLE is a file, its first row and how many there are; ARGUMENTS are "none", "bytes" and hexadecimal
digits, or "table" and a TABLE. Answers are

    ok [WORDS]              of call: the effects, the node that served it, and "none", "table", or
                            "bytes" and hexadecimal digits
    error STATUS NODE EFFECTS MESSAGE DETAIL
                            the texts as hexadecimal digits; effects are "-" where a peer cannot say
    raised EXCEPTION        what was raised in the peer instead

Files are Arrow IPC streams, for C the texts of cdata.py.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

import cdata

ROOT = Path(__file__).parent.parent
PROGRAMS = {
    "c": [ROOT / "build/pairs/c"],
    "go": [ROOT / "build/pairs/go"],
    "python": [sys.executable, ROOT / "pairs/python/peer.py"],
    "rust": [ROOT / "build/pairs/rust"],
}
LANGUAGES = tuple(PROGRAMS)
# What a Rust program links to has no place in it; its panics tell where they came from if asked.
ENVIRONMENT = os.environ | {"LD_LIBRARY_PATH": str(ROOT / "build/lib"), "RUST_BACKTRACE": "1"}

# How long a peer may take for an answer, and for its end: far more than it needs.
PATIENCE = 60.0
# The flags of dcf.h.
UPDATES, COMMUTATIVE = 1, 2


class CommandError(Exception):
    """A command that a peer answered with an error."""

    def __init__(self, answer: str) -> None:
        self.status, node, self.effects, message, detail = answer.split(" ")[1:]
        self.node = int(node)
        self.message = bytes.fromhex(message).decode()
        self.detail = bytes.fromhex(detail).decode()
        super().__init__(f"{self.status} on node {node}: {self.message}\n{self.detail}")


class Result(NamedTuple):
    """What a call gave."""

    effects: str
    node: int
    value: bytes | pa.Table | None


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Gives a table of one chunk as the batch that it is."""
    columns = [column.chunk(0) for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


class Peer:
    """One peer. Commands wait for their answers; `send` and `receive` are their halves."""

    def __init__(self, language: str, node: int, folder: Path, join: str | None) -> None:
        self.language, self.node, self.folder = language, node, folder
        self._files = 0
        self._process = subprocess.Popen(
            [*PROGRAMS[language], str(node), *([join] if join else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=ENVIRONMENT,
        )
        self._received = b""
        self.address = self.receive()

    def send(self, *words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write((" ".join(map(str, words)) + "\n").encode())

    def receive(self) -> str:
        """Waits for an answer and gives it without its "ok"; CommandError where it is an error."""
        answer = self._line(time.monotonic() + PATIENCE)
        if answer.startswith("error "):
            raise CommandError(answer)
        assert answer.split(" ")[0] == "ok", answer
        return answer[3:]

    def _line(self, deadline: float) -> str:
        pipe = self._process.stdout
        assert pipe is not None
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(max(0, deadline - time.monotonic())):
                    self.kill()
                    raise TimeoutError(f"the {self.language} peer does not answer")
                chunk = os.read(pipe.fileno(), 1 << 16)
                if not chunk:
                    raise EOFError(f"the {self.language} peer ended with {self._process.wait()}")
                self._received += chunk
        line, self._received = self._received.split(b"\n", 1)
        return line.decode()

    def do(self, *words: object) -> str:
        self.send(*words)
        return self.receive()

    # ---- Tables

    def _file(self) -> Path:
        self._files += 1
        return self.folder / f"{self.language}-{self._files}"

    def _table(self, table: pa.Table, first: int, count: int) -> tuple[object, ...]:
        """Writes a table to a file, and gives the words that name its rows."""
        path = self._file()
        batch = one_batch(table)
        if self.language == "c":
            cdata.write(path, batch)
        else:
            with pa.ipc.new_stream(path, batch.schema) as stream:
                stream.write_batch(batch)
        return path, first, count

    def _load(self, path: Path) -> pa.Table:
        table = cdata.read(path) if self.language == "c" else pa.ipc.open_stream(path).read_all()
        table.validate(full=True)
        path.unlink()
        return table

    # ---- Commands

    def put(self, name: str, table: pa.Table, first: int, count: int, shards: int = 0) -> None:
        self.do("put", name, shards, *self._table(table, first, count))

    def set(self, name: str, table: pa.Table, first: int, count: int) -> None:
        self.do("set", name, *self._table(table, first, count))

    def read(self, name: str) -> pa.Table:
        path = self._file()
        self.do("read", name, path)
        return self._load(path)

    def send_call(
        self,
        udf: str,
        name: str,
        how: str = "any",
        *,
        arguments: bytes | tuple[pa.Table, int, int] | None = None,
        timeout: float = PATIENCE,
    ) -> None:
        self._result = self._file()
        words: tuple[object, ...] = ("none",)
        if isinstance(arguments, bytes):
            words = ("bytes", arguments.hex())
        elif arguments is not None:
            words = ("table", *self._table(*arguments))
        self.send("call", udf, name, how, int(timeout * 1000), self._result, *words)

    def receive_result(self) -> Result:
        effects, node, kind, *rest = self.receive().split(" ")
        if kind == "table":
            return Result(effects, int(node), self._load(self._result))
        return Result(effects, int(node), bytes.fromhex(rest[0]) if rest else None)

    def call(self, *args: Any, **options: Any) -> Result:
        """Makes a call and waits for its result; the parameters are those of send_call."""
        self.send_call(*args, **options)
        return self.receive_result()

    # ---- The end

    def close(self) -> dict[str, int]:
        """Ends the peer, which must go well, and gives the counters of handles that it left."""
        pairs = (word.split("=") for word in self.do("close").split())
        left = {name: int(value) for name, value in pairs}
        code = self._process.wait(PATIENCE)
        assert code == 0, f"the {self.language} peer ended with {code}"
        return left

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, Peer]]:
    """One peer for each language, in one cluster."""
    peers: dict[str, Peer] = {}
    try:
        for node, language in enumerate(LANGUAGES, 1):
            first = next(iter(peers.values()), None)
            peers[language] = Peer(language, node, folder, first.address if first else None)
        yield peers
    finally:
        for peer in peers.values():
            peer.kill()
