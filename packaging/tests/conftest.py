"""What the tests of packages share: commands, folders outside of the checkout, environments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSUMERS = ROOT / "packaging" / "consumers"

#: How long one command may take; many times what it needs.
PATIENCE_SECONDS = 900


def run(*command: str | Path, **options: Any) -> str:
    """Runs a command that has to end well, and gives what it said."""
    done = attempt(*command, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    return done.stdout


def attempt(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command; its output has errors, too."""
    options.setdefault("cwd", ROOT)
    options.setdefault("env", environment())
    return subprocess.run(
        command,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_SECONDS,
        **options,
    )


def environment(**more: str) -> dict[str, str]:
    """This process's, without what make or a virtual environment added."""
    unwanted = ("MAKE", "MFLAGS", "DCF_", "PYTHON", "VIRTUAL_ENV")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | more


def without_go() -> dict[str, str]:
    """An environment with the tools that a build needs, but for Go."""
    found = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    kept = [str(folder) for folder in found if not (folder / "go").exists()]
    made = environment(PATH=os.pathsep.join(kept))
    assert shutil.which("go", path=made["PATH"]) is None
    return made


def outside(consumer: str, folder: Path) -> Path:
    """A copy of a consumer project, far from the checkout."""
    return Path(shutil.copytree(CONSUMERS / consumer, folder / consumer))


def python_in(folder: Path) -> Path:
    """The Python of a fresh virtual environment."""
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin" / "python"


def only(pattern: str) -> Path:
    """The only file in dist/ of that name."""
    (found,) = (ROOT / "dist").glob(pattern)
    return found


@pytest.fixture(scope="session")
def sdist() -> Path:
    return only("dcf-*.tar.gz")


@pytest.fixture(scope="session")
def wheel() -> Path:
    return only("dcf-*.whl")
