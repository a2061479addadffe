"""libdcf as C projects get it: `make install`, pkg-config, CMake; and dcf as a Go module has it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, environment, outside, run

PREFIX = "/opt/dcf"
SAYS = "hello, installed\n"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make install` took for the root of the system."""
    stage = tmp_path_factory.mktemp("stage")
    run("make", "install", f"DESTDIR={stage}", f"PREFIX={PREFIX}")
    return stage


def needed(program: Path) -> list[str]:
    found = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", program))
    return [name for name in found if name.startswith("libdcf")]


def test_what_is_installed(staged: Path) -> None:
    top = staged / PREFIX.lstrip("/")
    libraries = top / "lib"
    names = {str(file.relative_to(top)) for file in top.rglob("*") if not file.is_dir()}
    (real,) = [name for name in names if re.fullmatch(r"lib/libdcf\.so\.\d+\.\d+\.\d+", name)]
    assert names == {
        real,
        "bin/dcfnode",
        "include/dcf.h",
        "lib/libdcf.a",
        "lib/libdcf.so",
        "lib/libdcf.so.0",
        "lib/pkgconfig/dcf.pc",
        "lib/cmake/dcf/dcf-config.cmake",
        "lib/cmake/dcf/dcf-config-version.cmake",
    }
    for link in ("libdcf.so", "libdcf.so.0"):
        assert (libraries / link).is_symlink()
        assert (libraries / link).resolve() == (top / real).resolve()
    assert "Library soname: [libdcf.so.0]" in run("readelf", "-d", top / real)
    assert not [line for line in names if str(ROOT) in line]
    run(top / "bin" / "dcfnode", "--help")


def test_pkg_config(staged: Path, tmp_path: Path) -> None:
    project = outside("c", tmp_path)
    libraries = staged / PREFIX.lstrip("/") / "lib"
    env = environment(
        PKG_CONFIG_PATH=str(libraries / "pkgconfig"), PKG_CONFIG_SYSROOT_DIR=str(staged)
    )
    run("make", cwd=project, env=env)
    assert needed(project / "hello") == ["libdcf.so.0"]
    assert run(project / "hello", env=environment(LD_LIBRARY_PATH=str(libraries))) == SAYS
    version = run("pkg-config", "--modversion", "dcf", env=env).strip()
    assert (libraries / f"libdcf.so.{version}").is_file()


def test_cmake(staged: Path, tmp_path: Path) -> None:
    project, top = outside("c", tmp_path), staged / PREFIX.lstrip("/")
    run("cmake", "-B", "made", f"-DCMAKE_PREFIX_PATH={top}", cwd=project)
    run("cmake", "--build", "made", cwd=project)
    assert needed(project / "made" / "hello") == ["libdcf.so.0"]
    assert needed(project / "made" / "hello-static") == []
    for program in ("hello", "hello-static"):
        assert run(project / "made" / program) == SAYS


@pytest.mark.parametrize("wanted", ["0.0.9", "0.1", "0.1.0", "0.1.1", "0.2", "1.0"])
def test_versions_that_cmake_may_ask_for(staged: Path, tmp_path: Path, wanted: str) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(version LANGUAGES C)\n"
        f'find_package(dcf {wanted})\nmessage("found: ${{dcf_FOUND}}")\n'
    )
    top = staged / PREFIX.lstrip("/")
    said = run("cmake", "-B", "made", f"-DCMAKE_PREFIX_PATH={top}", cwd=tmp_path)
    fits = "1" if tuple(map(int, wanted.split("."))) <= (0, 1, 0) else "0"
    assert f"found: {fits}\n" in said


def test_uninstall(staged: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(staged, tmp_path / "stage", symlinks=True))
    another = copy / PREFIX.lstrip("/") / "lib" / "other.so"
    another.touch()
    run("make", "uninstall", f"DESTDIR={copy}", f"PREFIX={PREFIX}")
    assert [file for file in copy.rglob("*") if not file.is_dir()] == [another]


def test_go_module(tmp_path: Path) -> None:
    project = outside("go", tmp_path)
    run("go", "mod", "edit", "-replace", f"dcf={ROOT}", cwd=project)
    run("go", "mod", "tidy", cwd=project)
    assert run("go", "run", ".", cwd=project) == "3 rows\n"
