"""The manual says what is so: its pages are followed, and its lists are whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import dcf
import follow
import pages
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = follow.ROOT
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "bindings" / "python" / "README.md", *DOCS.rglob("*.md")]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[follow.Reader]:
    monkeypatch.chdir(tmp_path)
    reader = follow.Reader(tmp_path.resolve(), ROOT / "build")
    yield reader
    reader.stop()


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in sorted(PAGES)])
def test_what_is_said_in(page: str, reader: follow.Reader) -> None:
    reader.follow((ROOT / page).read_text())


# ---- Lists


def words_of(page: str) -> str:
    return pages.filled((DOCS / page).read_text())


def first_column(page: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", words_of(page), re.M))


def test_the_page_of_c_has_all_of_the_interface() -> None:
    """The lists that the ABI is held to: functions, constants, structs and their fields."""
    exported = re.findall(r"^    (dcf_\w+);$", (ROOT / "capi/libdcf.map").read_text(), re.M)
    listed = (ROOT / "capi/abi/abi.txt").read_text().split("\n")
    names = [line.split()[0] for line in listed if line and "." not in line.split()[0]]
    page = words_of("c.md")
    assert len(exported) > 30
    missing = [name for name in exported + names if f'<a id="{name}"></a>' not in page]
    missing += [name for name in exported if not re.search(rf"\b{name}\(\w", page)]
    fields = [line.split()[0].split(".") for line in listed if "." in line]
    for struct, field in fields:
        body = re.search(rf"struct {struct} \{{(.*?)^\}}", page, re.M | re.S)
        missing += [] if re.search(rf"\b{field}\b", body[1]) else [f"{struct}.{field}"]
    assert not missing


def test_the_page_of_c_keeps_the_words_of_the_header() -> None:
    comments = re.findall(r"/\*(.*?)\*/", (ROOT / "include/dcf.h").read_text(), re.S)
    page = " ".join(re.sub(r"[^\w]", " ", re.sub(r"\]\(#\w+\)", "", words_of("c.md"))).split())
    lost = []
    for comment in comments:
        if comment.startswith((" ----", " clang-format", " ARROW_C", " extern", " DCF_H")):
            continue
        if comment.startswith(" dcf.h"):
            comment = comment.partition("\n")[2]
        words = " ".join(re.sub(r"[^\w]", " ", re.sub(r"^ \*", "", comment, flags=re.M)).split())
        lost += [words] if words not in page else []
    assert not lost


def test_the_page_of_python_has_all_that_the_package_shows() -> None:
    shown = re.findall(r"^::: dcf\.(\w+)$", words_of("python.md"), re.M)
    assert sorted(shown) == sorted(dcf.__all__)


def test_each_status_has_a_place_among_the_errors() -> None:
    header = (ROOT / "include/dcf.h").read_text()
    values = header.partition("typedef int32_t dcf_status;")[2].partition("/* A borrowed")[0]
    statuses = set(re.findall(r"^#define (DCF_\w+)", values, re.M)) - {"DCF_OK"}
    assert set(re.findall(r"^### `(DCF_\w+)`", words_of("errors.md"), re.M)) == statuses
    for name in (name for name in dcf.errors.__all__ if name != "Error"):
        assert f"`dcf.{name}`" in words_of("errors.md")


def test_each_counter_has_a_line() -> None:
    with (
        dcf.open(listen="tcp://127.0.0.1:0") as one,
        dcf.open(listen="tcp://127.0.0.1:0", join=one.addresses) as two,
    ):
        counted = set(two.stats()["name"].to_pylist())
    assert first_column("counters.md") == counted


def test_each_setting_of_dcfnode_has_a_line() -> None:
    page = words_of("dcfnode.md")
    flags = set(re.findall(r"^ +(?:-h, )?--([\w-]+)", pages.dcfnode("--help"), re.M))
    assert set(re.findall(r"^\| `--([\w-]+)[ `]", page, re.M)) == flags
    keys = set(re.findall(r"^([\w-]+) = ", pages.dcfnode("--print-config"), re.M))
    assert set(re.findall(r"^\| [^|]+\| `DCF_\w+` \| `([\w-]+)` \|", page, re.M)) == keys


# ---- The reader sees what is wrong


@pytest.mark.parametrize(
    "page",
    [
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ true\nmore\n```\n",
        "```pycon\n>>> 1 + 1\n3\n```\n",
        "```python\nassert 1 > 2\n```\n",
        "```sh\nmake no-such-target\n```\n",
        "```sh\nif\n```\n",
        "```\nof no language\n```\n",
    ],
)
def test_a_page_that_is_wrong(page: str, reader: follow.Reader) -> None:
    with pytest.raises(AssertionError):
        reader.follow(page)


def test_a_block_that_nobody_would_see() -> None:
    with pytest.raises(AssertionError, match="indented"):
        follow.blocks("- a list\n\n  ```console\n  $ false\n  ```\n")


def test_a_page_that_is_right(reader: follow.Reader) -> None:
    reader.follow(
        "```python\n# hello/say.py\nprint('hi')\n```\n"
        "```console\n$ cd hello\n$ python say.py\nhi\n```\n"
        "```console\n$ ls /nowhere\nls: ... No such file ...\n```\n"
        "```pycon\n>>> x = 2\n```\n```python\nassert x == 2\n```\n"
    )
