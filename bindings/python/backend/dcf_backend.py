"""The build backend: scikit-build-core, and an sdist that carries the Go sources of libdcf.

libdcf lies outside of this folder, where an sdist cannot reach. So the files that its build reads
are copied to `libdcf/` for as long as the sdist is being made.

Without Go a build ends before it begins, with one line that says what to do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from scikit_build_core.build import *  # noqa: F403 - the hooks of a backend are its interface
from scikit_build_core.build import build_sdist as _build_sdist
from scikit_build_core.build import get_requires_for_build_editable as _requires_for_editable
from scikit_build_core.build import get_requires_for_build_sdist as _requires_for_sdist
from scikit_build_core.build import get_requires_for_build_wheel as _requires_for_wheel

_HERE = Path(__file__).resolve().parent.parent
_ROOT = _HERE.parent.parent
_STAGE = _HERE / "libdcf"
_KINDS = ("GoFiles", "CgoFiles", "CFiles", "HFiles", "SFiles", "EmbedFiles")
_BESIDE_GO = ("go.mod", "go.sum", "LICENSE", "include/dcf.h", "capi/libdcf.map")


def _require_go(because: str) -> None:
    if shutil.which("go") is None:
        raise SystemExit(
            f"dcf: {because} needs Go, and there is no `go` on the PATH: install it "
            "(https://go.dev/dl) and add its bin folder to the PATH, "
            "or set DCF_LIB_DIR to a folder with a libdcf.so"
        )


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Asks for Go first: CMake's word about it would stand among a hundred others."""
    if "DCF_LIB_DIR" not in os.environ:
        _require_go("building")
    return _requires_for_wheel(config_settings)


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    """As for a wheel."""
    if "DCF_LIB_DIR" not in os.environ:
        _require_go("building")
    return _requires_for_editable(config_settings)


def get_requires_for_build_sdist(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Go knows which files libdcf is made of."""
    if _is_checkout():
        _require_go("an sdist")
    return _requires_for_sdist(config_settings)


def _is_checkout() -> bool:
    """An sdist has the sources of libdcf already."""
    return (_ROOT / "include" / "dcf.h").exists()


def _sources() -> list[Path]:
    """What `go build ./capi` reads of this module, relative to its root."""
    listed = subprocess.run(
        ["go", "list", "-deps", "-json", "./capi"],  # noqa: S607 - the PATH's, as CMake takes
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
    if not _is_checkout():
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
