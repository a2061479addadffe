"""The build backend: scikit-build-core, and an sdist that carries the Go sources of libdcf.

libdcf lies outside of this folder, where an sdist cannot reach. So the files that its build reads
are copied to `libdcf/` for as long as the sdist is being made.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from scikit_build_core.build import *  # noqa: F403 - the hooks of a backend are its interface
from scikit_build_core.build import build_sdist as _build_sdist

_HERE = Path(__file__).resolve().parent.parent
_ROOT = _HERE.parent.parent
_STAGE = _HERE / "libdcf"
_KINDS = ("GoFiles", "CgoFiles", "CFiles", "HFiles", "SFiles", "EmbedFiles")
_BESIDE_GO = ("go.mod", "go.sum", "LICENSE", "include/dcf.h", "capi/libdcf.map")


def _sources() -> list[Path]:
    """What `go build ./capi` reads of this module, relative to its root."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    listed = subprocess.run(  # noqa: S603 - Go, on sources of ours
        [go, "list", "-deps", "-json", "./capi"],
        cwd=_ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    files = [Path(name) for name in _BESIDE_GO if (_ROOT / name).exists()]
    decoder, at = json.JSONDecoder(), 0
    while at < len(listed.rstrip()):
        package, at = decoder.raw_decode(listed, at)
        at += 1
        if package.get("Module", {}).get("Main"):
            folder = Path(package["Dir"]).relative_to(_ROOT)
            files += [folder / name for kind in _KINDS for name in package.get(kind) or []]
    return files


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Makes the sdist, with libdcf's sources where CMakeLists.txt looks for them."""
    if not (_ROOT / "include" / "dcf.h").exists():  # an sdist of an sdist has them already
        return _build_sdist(sdist_directory, config_settings)
    shutil.rmtree(_STAGE, ignore_errors=True)
    try:
        for file in _sources():
            target = _STAGE / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(_ROOT / file, target)
        return _build_sdist(sdist_directory, config_settings)
    finally:
        shutil.rmtree(_STAGE, ignore_errors=True)
