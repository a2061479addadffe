"""The wheel, the sdist, the checkout and the editable install, each in its own environment."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from conftest import ROOT, attempt, environment, outside, python_in, run, without_go

SOURCES = ROOT / "bindings" / "python"
ONE_LINE = re.compile(r"^.*dcf: .* needs Go, and there is no `go` on the PATH: install it.*$", re.M)


def listed(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return sorted(opened.getnames())


def works(python: Path, folder: Path) -> None:
    said = run(python, outside("python", folder) / "smoke.py", cwd=folder)
    assert f"works in Python {sys.version.split()[0]}" in said


def test_the_wheel(wheel: Path) -> None:
    assert re.fullmatch(r"dcf-[\d.]+-cp310-abi3-manylinux_2_\d+_\w+\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if name.startswith("dcf/")}
    assert {"dcf/_dcf.abi3.so", "dcf/libdcf.so.0", "dcf/py.typed", "dcf/_dcf.pyi"} <= inside
    assert not [name for name in inside if name.endswith((".c", ".h", ".go"))]
    assert [name for name in names if name.endswith("/licenses/LICENSE")]


def test_the_wheel_alone_runs_the_flights(wheel: Path, tmp_path: Path) -> None:
    """A fresh environment has the wheel, and what the example needs beside dcf."""
    example = Path(shutil.copytree(ROOT / "examples" / "flights", tmp_path / "flights"))
    python = python_in(tmp_path / "venv")
    run(python, "-m", "pip", "install", "--quiet", wheel, "-r", example / "requirements.txt")
    dcfnode = ROOT / "build" / "bin" / "dcfnode"
    said = run(python, example / "run.py", "--dcfnode", dcfnode, cwd=tmp_path)
    for question in ("1. By builtin", "2. By a Python function", "3. By the same"):
        assert question in said
    where = run(python, "-c", "import dcf; print(dcf.__file__)", cwd=tmp_path)
    assert where.startswith(str(tmp_path))


def test_the_sdist_builds_where_go_is(sdist: Path, tmp_path: Path) -> None:
    names = listed(sdist)
    assert {Path(name).parts[1] for name in names if len(Path(name).parts) > 1} >= {
        "CMakeLists.txt",
        "LICENSE",
        "PKG-INFO",
        "backend",
        "libdcf",
        "pyproject.toml",
        "src",
    }
    assert not [name for name in names if name.endswith("_test.go")]
    python = python_in(tmp_path / "venv")
    copy = Path(shutil.copy(sdist, tmp_path))
    run(python, "-m", "pip", "install", "--quiet", copy, cwd=tmp_path)
    works(python, tmp_path)


def test_an_sdist_of_the_sdist(sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    run(sys.executable, "-m", "build", "--sdist", unpacked, env=without_go())
    (again,) = (unpacked / "dist").glob("*.tar.gz")
    assert set(listed(again)) == set(listed(sdist))


def test_pip_install_editable(tmp_path: Path) -> None:
    """What is edited is what runs. (All tests of dcf run in an install from the checkout.)"""
    python = python_in(tmp_path / "venv")
    with_lib = environment(DCF_LIB_DIR=str(ROOT / "build" / "lib"))
    run(python, "-m", "pip", "install", "--quiet", "-e", SOURCES, env=with_lib)
    works(python, tmp_path)
    where = run(python, "-c", "import dcf; print(dcf.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(SOURCES / "src")


def test_without_go(sdist: Path, tmp_path: Path) -> None:
    """One line says what to do, whatever is built from whatever."""
    python = python_in(tmp_path / "venv")
    pip = [python, "-m", "pip", "install"]
    for what in ([SOURCES], ["-e", SOURCES], [sdist]):
        ended = attempt(*pip, *what, env=without_go())
        assert ended.returncode != 0
        assert len(ONE_LINE.findall(ended.stdout)) == 1, ended.stdout
        assert "[1 lines of output]" in ended.stdout
        assert "Traceback" not in ended.stdout
    ended = attempt(
        sys.executable, "-m", "build", "--sdist", "-o", tmp_path, SOURCES, env=without_go()
    )
    assert ended.returncode != 0
    assert len(ONE_LINE.findall(ended.stdout)) == 1, ended.stdout
