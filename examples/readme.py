"""Does what README.md tells its readers: writes its programs, runs its commands, compares.

    python examples/readme.py [--build FOLDER]

A block of python, c or go that begins with a comment of a file's name becomes that file. A block of
`console` is run: each `$ command` has to end with 0 and to print the lines below it, where `...`
stands for anything. A command that ends with `&` goes on until the end, and its lines are awaited.
Blocks of other kinds are for reading. Ports and build folders are replaced by those at hand.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: How long one command may take.
PATIENCE_SECONDS = 600.0

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
_FILE = re.compile(r"(?:#|//|/\*) ([\w.-]+(?:/[\w.-]+)+)(?: \*/)?\n")
_PORT = "127.0.0.1:7411"


class Reader:
    """Somebody who follows the README, in a folder beside the checkout."""

    def __init__(self, folder: Path, build: Path) -> None:
        self._root = self._cwd = folder
        self._running: list[subprocess.Popen[str]] = []
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

    def follow(self, text: str) -> None:
        """Goes through the blocks; an AssertionError says what is not so."""
        for kind, body in _BLOCK.findall(text):
            for old, new in self._replaced.items():
                body = body.replace(old, new)
            file = _FILE.match(body)
            if kind in ("python", "c", "go") and file:
                target = self._root / file[1]
                target.parent.mkdir(exist_ok=True)
                target.write_text(body)
            elif kind == "console":
                for step in re.split(r"^\$ ", body, flags=re.M)[1:]:
                    command, _, expected = step.partition("\n")
                    self._step(command, expected)

    def _step(self, command: str, expected: str) -> None:
        print(f"$ {command}", flush=True)
        if command.startswith("cd "):
            self._cwd = (self._cwd / command[3:]).resolve(strict=True)
            return
        if command.startswith("dcfnode status"):  # its default address is the same
            command += f" tcp://{self._replaced[_PORT]}"
        if command.endswith(" &"):
            said = self._start(command[:-2], expected.count("\n"))
        else:
            done = subprocess.run(  # noqa: S603 - what the README says
                ["bash", "-c", command],  # noqa: S607 - of the PATH, as for a reader
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            assert done.returncode == 0, f"code {done.returncode}: {done.stdout}{done.stderr}"
            said = done.stdout
        pattern = re.escape(expected).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, said, re.S), f"it said:\n{said}instead of:\n{expected}"

    def _start(self, command: str, lines: int) -> str:
        process = subprocess.Popen(  # noqa: S603 - what the README says
            ["bash", "-c", f"exec {command}"],  # noqa: S607 - of the PATH, as for a reader
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
            process.terminate()
            try:
                code = process.wait(PATIENCE_SECONDS)
            finally:
                process.kill()
                assert process.stdout is not None
                process.stdout.close()
            assert code == 0, f"{process.args!r} stopped with code {code}"


def main() -> int:
    """Follows the README; 0: it is right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where dcf was built")
    build = parser.parse_args().build.resolve()
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder).resolve(), build)
        try:
            reader.follow((ROOT / "README.md").read_text())
        except AssertionError as error:
            print(error)
            return 1
        finally:
            reader.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
