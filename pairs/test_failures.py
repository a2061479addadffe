"""A function that fails, panics, raises or hangs, in each language and called from each."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from peers import LANGUAGES, PATIENCE, UPDATES, CommandError, Peer

TABLE = pa.table({"x": [1, 2, None]})


class Failure(NamedTuple):
    """What a failing function says in the first line, after its name, and in all of it."""

    message: str
    whole: tuple[str, ...]


FAILURES = {
    "c.fail": Failure("the sky fell", ("the sky fell\nand this is the rest of the story\nin C",)),
    "c.silent": Failure("the function returned DCF_UDF_FAILED and did not say why", ()),
    "c.long": Failure("the sky fell " * 10, ("the sky fell " * 100,)),
    "go.fail": Failure("the sky fell", ("the sky fell\nand this is why, in Go",)),
    "go.panic": Failure("the function panicked: the sky fell", ("functions.go", "main.deeper(")),
    "go.index": Failure(
        "the function panicked: runtime error: index out of range", ("main.indexes",)
    ),
    "python.raise": Failure(
        "RuntimeError: the sky fell",
        (
            "ValueError: and this is why,\nin Python",
            "The above exception was the direct cause",
            "in deeper",
            'raise RuntimeError("the sky fell") from error',
        ),
    ),
    "python.exit": Failure("SystemExit: the sky fell", ("in exits",)),
    "python.interrupt": Failure("KeyboardInterrupt: the sky fell", ("in interrupts",)),
    "python.nonsense": Failure("TypeError: <class 'object'> is no Arrow data", ("TypeError",)),
    "rust.fail": Failure("the sky fell", ("caused by: an error occurred", "functions::fails")),
    "rust.panic": Failure("panicked at src/functions.rs:", ("the sky fell", "functions::deeper")),
    "rust.payload": Failure("panicked at src/functions.rs:", ("a value that is no text",)),
}
# What Python raises for a program to end is raised by a call that runs it on its own thread, too.
RAISED = {"python.exit": "raised SystemExit(", "python.interrupt": "raised KeyboardInterrupt("}


def language_of(function: str) -> str:
    return function.split(".")[0]


@pytest.fixture(scope="module")
def failing(peers: dict[str, Peer]) -> dict[str, Peer]:
    for peer in peers.values():
        for name in FAILURES:
            peer.do("register", name, 0)
        for language in LANGUAGES:
            peer.do("register", f"{language}.hang", 0)
            peer.do("register", f"{language}.hang_update", UPDATES)
    return peers


@pytest.mark.parametrize("how", ["any", "queue"])
@pytest.mark.parametrize("caller", LANGUAGES)
@pytest.mark.parametrize("function", FAILURES)
def test_failure(failing: dict[str, Peer], function: str, caller: str, how: str) -> None:
    owner, there = failing[language_of(function)], failing[caller]
    name = f"{function}-{caller}-{how}"
    owner.put(name, TABLE, 0, 3)
    expected, here = FAILURES[function], owner is there
    if here and how == "any" and function in RAISED:
        with pytest.raises(AssertionError) as raised:
            there.call(function, name, how)
        assert str(raised.value).startswith(RAISED[function])
    else:
        with pytest.raises(CommandError) as failed:
            there.call(function, name, how)
        error = failed.value
        assert error.status == "DCF_UDF_FAILED"
        assert error.node == (0 if here else owner.node)
        assert error.effects in ("none", "-")
        assert error.message.startswith(f'function "{function}": {expected.message}')
        assert "\n" not in error.message
        whole = f"{error.message}\n{error.detail}"
        assert [text for text in expected.whole if text not in whole] == []
    # Only the call was harmed.
    assert there.call("tally", name).value == owner.call("tally", name).value
    owner.do("drop", name)


# ---- Functions that hang


class Pipe:
    """Where a function hangs: it opens the pipe for reading, and reads until it is closed."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._file = -1
        self._opener = threading.Thread(target=self._open, daemon=True)
        self._opener.start()

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY)  # returns when somebody reads

    def wait(self) -> None:
        """Waits for the function."""
        self._opener.join(PATIENCE)
        assert not self._opener.is_alive(), "the function did not start"

    def close(self) -> None:
        """Lets the function go on, whether or not it was there."""
        if self._opener.is_alive():
            os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
            self._opener.join(PATIENCE)
        os.close(self._file)


@contextlib.contextmanager
def hanging(peers: dict[str, Peer], function: str, folder: Path) -> Iterator[dict[str, Peer]]:
    """Has every language call the function, each on a vertex of its own; gives the callers by
    their vertices once all hang. They are let go at the end.
    """
    owner = peers[language_of(function)]
    callers = {f"{function}-{caller}": peer for caller, peer in peers.items()}
    for name in callers:
        owner.put(name, TABLE, 0, 3)
    with contextlib.ExitStack() as stack:
        pipes = [stack.enter_context(contextlib.closing(Pipe(folder / name))) for name in callers]
        for pipe, (name, caller) in zip(pipes, callers.items(), strict=True):
            path = str(pipe.path).encode()
            caller.send_call(function, name, "queue", arguments=path, timeout=SECONDS)
        for pipe in pipes:
            pipe.wait()
        yield callers


# Time for a call to reach its function, which then hangs for longer.
SECONDS = 5.0


@pytest.mark.parametrize("update", [False, True], ids=["reads", "updates"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_hang(failing: dict[str, Peer], language: str, update: bool, tmp_path: Path) -> None:
    function = f"{language}.hang" + ("_update" if update else "")
    owner = failing[language]
    with hanging(failing, function, tmp_path) as callers:
        for caller in callers.values():
            with pytest.raises(CommandError) as failed:
                caller.receive_result()
            error = failed.value
            assert error.status == "DCF_TIMEOUT", error
            assert f'function "{function}"' in error.message, error
            assert error.effects in ("unknown" if update else "none", "-"), error
        # All still hang, and the worker serves: readers never wait for an update.
        for name, caller in callers.items():
            assert caller.call("tally", name).value == owner.call("tally", name).value
            assert caller.read(name).equals(TABLE)
            assert owner.read(name).equals(TABLE)
    for name, caller in callers.items():
        # An update waits for the one that hung, which had no effects.
        caller.call("replace", name, arguments=(TABLE, 1, 2))
        assert caller.read(name).equals(TABLE.slice(1))
        caller.do("drop", name)
