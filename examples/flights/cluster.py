"""Workers in processes of their own that join each other, and their orderly end.

A process here is anything that prints dcfnode's ready line, "listening on ADDRESS node N", once it
serves, and stops on SIGTERM. Nothing outlives this process: see tied.py.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

HERE = Path(__file__).resolve().parent

#: How long a process may take until it serves, and until it has stopped.
READY_SECONDS = 60.0
STOP_SECONDS = 15.0

_READY_LINE = re.compile(rb"listening on (\S+) node (\d+)\n")


class ProcessError(Exception):
    """A process did not start or stop as it should."""


def tied(command: Sequence[str]) -> list[str]:
    """Gives the command that runs `command` for as long as this process lives."""
    return [sys.executable, "-I", "-S", str(HERE / "tied.py"), str(os.getpid()), *command]


class Process:
    """One worker: started at once, in a session of its own, so that Ctrl-C is for us to handle."""

    def __init__(self, command: Sequence[str]) -> None:
        self.address = ""
        self.node = 0
        self._command = list(command)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - has no name, ends with the process
        self._popen = subprocess.Popen(  # noqa: S603 - our own programs
            tied(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )

    def wait_ready(self) -> None:
        """Reads the ready line."""
        assert self._popen.stdout is not None
        deadline = time.monotonic() + READY_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            left = max(deadline - time.monotonic(), 0.0)
            if not select.select([self._popen.stdout], [], [], left)[0]:
                raise ProcessError(self._told(f"does not serve after {READY_SECONDS:.0f} s"))
            read = os.read(self._popen.stdout.fileno(), 4096)
            if not read:
                code = self._popen.wait(STOP_SECONDS)
                raise ProcessError(self._told(f"ended with code {code} before it served"))
            line += read
        ready = _READY_LINE.fullmatch(line)
        if ready is None:
            raise ProcessError(self._told(f"said {line!r} instead of where it listens"))
        self.address, self.node = ready[1].decode(), int(ready[2])

    def ask_to_stop(self) -> None:
        """Lets it finish what it does and end."""
        self._popen.terminate()

    def wait_stopped(self) -> str:
        """Waits for the end, which it enforces; gives what went wrong, or nothing."""
        try:
            code = self._popen.wait(STOP_SECONDS)
            return self._told(f"stopped with code {code}") if code != 0 else ""
        except subprocess.TimeoutExpired:
            return self._told(f"did not stop within {STOP_SECONDS:.0f} s and was killed")
        finally:
            self._popen.kill()
            self._popen.wait()
            assert self._popen.stdout is not None
            self._popen.stdout.close()
            self._log.close()

    def _told(self, what: str) -> str:
        self._log.seek(0)
        log = self._log.read().decode(errors="replace").strip()
        name = f"{' '.join(self._command)} (process {self._popen.pid})"
        return f"{name} {what}" + (f"; its log:\n{log}" if log else "")


class Cluster:
    """Some workers that joined each other; a context manager.

    `commands` start the processes. All but the first get ``--join`` and its address.
    """

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self.processes: list[Process] = []
        self._commands = commands

    @property
    def address(self) -> str:
        """Where to join."""
        return self.processes[0].address

    @property
    def nodes(self) -> list[int]:
        """The node ids, the first node's first."""
        return [process.node for process in self.processes]

    def __enter__(self) -> Self:
        try:
            for command in self._commands:
                join = ["--join", self.address] if self.processes else []
                self.processes.append(Process([*command, *join]))
                self.processes[-1].wait_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        problems = self._stop()
        if problems and error is None:
            raise ProcessError("\n".join(problems))

    def _stop(self) -> list[str]:
        """Stops all, the first last: the others take their leave of it."""
        problems = []
        interrupt = None
        for process in reversed(self.processes):
            process.ask_to_stop()
            try:
                problems.append(process.wait_stopped())
            except KeyboardInterrupt as error:  # it is gone, and so shall be the others
                interrupt = error
        if interrupt is not None:
            raise interrupt
        return [problem for problem in problems if problem]
