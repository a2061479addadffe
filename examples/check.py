"""Runs all examples, as their users do, and compares what they say with what they should.

    python examples/check.py                everything; `make test-examples` does the same
    python examples/check.py tree           the tree in Go, C and Python; or: flights

The Python that runs it needs dcf and examples/flights/requirements.txt. The programs are those
under build/, which `make build` makes. The end is 0 if all went well, else 1.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

EXAMPLES = Path(__file__).resolve().parent
ROOT = EXAMPLES.parent

#: How long one example may take; many times what it needs.
PATIENCE_SECONDS = 1200.0

TREE_SAYS = """\
MaxAdjacentSum 0: 600
MaxAdjacentSum 1: 1305
MaxAdjacentSum 2: 2120
MaxAdjacentSum 3: 2136
SwapLargestAndSmallest: 600 and 1
GraphSum: 2136
GraphSum: 82136
"""


class Check(NamedTuple):
    """A command that has to end with 0 and, where that is given, to say just this."""

    name: str
    command: list[str]
    says: str | None = None


def tree_checks(build: Path) -> list[Check]:
    """The tree in each language, on one worker and on two."""
    programs = build / "examples"
    programs.mkdir(parents=True, exist_ok=True)
    in_go, in_c = str(programs / "tree-go"), str(programs / "tree-c")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    sources = [str(source) for source in sorted((EXAMPLES / "tree" / "c").glob("*.c"))]
    lib = str(build / "lib")
    link = ["-L", lib, "-ldcf", f"-Wl,-rpath,{lib}"]
    checks = [
        Check("build tree, Go", ["go", "build", "-o", in_go, "./examples/tree/go"]),
        Check(
            "build tree, C",
            [*compiler, "-O2", "-Wall", f"-I{build / 'include'}", *sources, *link, "-o", in_c],
        ),
    ]
    in_python = [sys.executable, str(EXAMPLES / "tree" / "python" / "tree.py")]
    for over in ("one", "inproc", "tcp"):
        checks += [
            Check(f"tree, Go, {over}", [in_go, "-over", over], TREE_SAYS),
            Check(f"tree, C, {over}", [in_c, over], TREE_SAYS),
            Check(f"tree, Python, {over}", [*in_python, "--over", over], TREE_SAYS),
        ]
    return checks


def flights_checks(build: Path) -> list[Check]:
    """The flights: their test runs the program in full, and interrupts it at random moments."""
    test = str(EXAMPLES / "flights" / "test_flights.py")
    dcfnode = f"--dcfnode={build / 'bin' / 'dcfnode'}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", dcfnode, test]
    return [Check("flights", command)]


EXAMPLE_CHECKS = {"tree": tree_checks, "flights": flights_checks}


def run(check: Check) -> str:
    """Runs one and gives what was wrong, or nothing."""
    try:
        done = subprocess.run(  # noqa: S603 - the examples
            check.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode != 0:
        return f"it ended with code {done.returncode} and said:\n{done.stdout}{done.stderr}"
    if check.says is not None and done.stdout != check.says:
        compared = difflib.unified_diff(
            check.says.splitlines(), done.stdout.splitlines(), "expected", "said", lineterm=""
        )
        return "\n".join(compared) + (f"\nand to stderr:\n{done.stderr}" if done.stderr else "")
    return ""


def main() -> int:
    """Runs the checks one after the other; 0: all went well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE", help="tree, flights")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where dcf was built")
    options = parser.parse_args()
    unknown = set(options.examples) - EXAMPLE_CHECKS.keys()
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}: {', '.join(EXAMPLE_CHECKS)}")
    failed = []
    for name in options.examples or EXAMPLE_CHECKS:
        for check in EXAMPLE_CHECKS[name](options.build.resolve()):
            print(f"{check.name:<22}", end="", flush=True)
            started = time.monotonic()
            wrong = run(check)
            print(
                f"{'FAILED' if wrong else 'ok':<7}{time.monotonic() - started:6.1f} s", flush=True
            )
            if wrong:
                print(f"    {shlex.join(check.command)}\n{wrong}", flush=True)
                failed.append(check.name)
    print(f"failed: {', '.join(failed)}" if failed else "all examples say what they should")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
