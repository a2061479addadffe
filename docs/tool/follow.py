"""Does what a page of the manual tells its reader, and compares what that shows.

The blocks of a page are followed in their order, in an empty folder beside the checkout, which is
called `dcf` there. What happens to a block depends on its language:

- console: each `$ command` runs and has to print the lines below it, where `...` stands for
  anything. One that fails has to be shown to: its errors count as what it printed. A command that
  ends with `&` goes on until `$ kill %1` or the page's end, and its lines are awaited.
- python, c, go, rust, toml: a block that begins with a comment of a file's name becomes that file.
- python, pycon: any other block runs, in one namespace for the page. Where it has `>>>`, what it
  shows is compared.
- sh: what a reader does to a checkout or a system, such as `make run`. It is not run: the shell has
  to understand it, and the targets of make have to exist.
- text: is read.

A block of another language, or of none, is a mistake. Ports, and the folder of what was built, are
replaced by those at hand.
"""

from __future__ import annotations

import doctest
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent

#: How long one command may take.
PATIENCE_SECONDS = 300.0

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_FILE = re.compile(r"(?:#|//|/\*) ([\w.-]+(?:/[\w.-]+)+)(?: \*/)?\n")
_FILES = ("python", "c", "go", "rust", "toml")
_PORT = "127.0.0.1:7411"
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A fenced block: its language, and its text."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """Gives the blocks of a page in their order."""
    found = [Block(*match.groups()) for match in _BLOCK.finditer(page)]
    fences = len(re.findall(r"^\s*```", page, re.M))
    assert fences == 2 * len(found), "a block is indented or not closed: it would not be run"
    return found


class Reader:
    """Somebody who follows a page, in a folder of their own."""

    def __init__(self, folder: Path, build: Path) -> None:
        self._root = self._cwd = folder
        self._running: list[subprocess.Popen[str]] = []
        self._names: dict[str, Any] = {"__name__": "__main__"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = f"127.0.0.1:{free.getsockname()[1]}"
        self._replaced = {
            _PORT: port,
            "../dcf/build/": f"{build}/",
            "$PWD/" + str(build): str(build),
        }
        (folder / "dcf").symlink_to(ROOT)
        path = f"{Path(sys.executable).parent}:{build / 'bin'}:{os.environ['PATH']}"
        # dcfnode's default address is taken from the environment, as any of its settings.
        self._environment = {**os.environ, "PATH": path, "DCF_LISTEN": f"tcp://{port}"}
        # What crates depend on is built once, with those of the checkout.
        self._environment["CARGO_TARGET_DIR"] = str(build / "cargo")

    def follow(self, page: str) -> None:
        """Goes through the blocks; an AssertionError says what is not so."""
        for language, text in blocks(page):
            body = text
            for old, new in self._replaced.items():
                body = body.replace(old, new)
            file = _FILE.match(body)
            if language in _FILES and file:
                target = self._root / file[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(body)
            elif language in ("python", "pycon"):
                self._python(body)
            elif language == "console":
                for step in re.split(r"^\$ ", body, flags=re.M)[1:]:
                    command, _, expected = step.partition("\n")
                    self._step(command, expected)
            elif language == "sh":
                _check_shell(body)
            else:
                assert language == "text", f"nobody runs a block of {language!r}:\n{text}"

    def _python(self, body: str) -> None:
        if ">>>" not in body:
            exec(compile(body, "<page>", "exec"), self._names)
            return
        test = doctest.DocTestParser().get_doctest(body, {}, "page", None, 0)
        test.globs = self._names  # a doctest would work on a copy
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=_FLAGS)
        runner.run(test, out=report.append, clear_globs=False)
        assert not runner.failures, "".join(report)

    def _step(self, command: str, expected: str) -> None:
        print(f"$ {command}", flush=True)
        if command.startswith("cd "):
            self._cwd = (self._cwd / command[3:]).resolve(strict=True)
            return
        if command.startswith("kill %"):
            _stop(self._running[int(command[6:]) - 1])
            return
        if command.startswith("dcfnode status") and "://" not in command:  # its default, too
            command += f" tcp://{self._replaced[_PORT]}"
        if command.endswith(" &"):
            said = self._start(command[:-2], expected.count("\n"))
        else:
            said = self._run(command, expected)
        pattern = re.escape(expected).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, said, re.S), f"it said:\n{said}instead of:\n{expected}"

    def _run(self, command: str, expected: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._cwd,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        said = done.stdout + done.stderr
        assert expected, f"code {done.returncode}: {said}"
        return said

    def _start(self, command: str, lines: int) -> str:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._cwd,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        assert process.stdout is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        said = ""
        for _ in range(lines):
            left = max(deadline - time.monotonic(), 0.0)
            assert select.select([process.stdout], [], [], left)[0], f"it is silent after: {said}"
            said += process.stdout.readline()
        return said

    def stop(self) -> None:
        """Ends what still runs."""
        for process in self._running:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        assert process.stdout is not None
        process.stdout.close()
    assert code == 0, f"{process.args!r} stopped with code {code}"


def _check_shell(body: str) -> None:
    understood = subprocess.run(["bash", "-n"], input=body, text=True, capture_output=True)
    assert understood.returncode == 0, understood.stderr
    rules = "\n".join(path.read_text() for path in [ROOT / "Makefile", *ROOT.glob("*/*.mk")])
    for target in re.findall(r"^\s*(?:\w+=\S+ )*make (?:-\w \S+ )?([\w-]+)", body, re.M):
        assert re.search(rf"^{target}:", rules, re.M), f"there is no make {target}"
