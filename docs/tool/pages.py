"""What mkdocs does beside rendering: a hook of mkdocs.yml.

- A line `<!-- from: NAME -->` of a page is replaced by what the sources of dcf say: `header` is
  include/dcf.h, `limits` the tables that docs/tool/limits made, `settings` what dcfnode can be
  told. So these parts of the pages cannot be out of date.
- A link to a file of the checkout that is no page is shown as the file's path, and leads to the
  repository where mkdocs.yml names one. A file that is not there is a warning, as a page would be.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import header

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent.parent

_FROM = re.compile(r"^<!-- from: (\w+) -->$", re.M)
_FLAG = re.compile(r" +(?:-h, )?--([\w-]+)(?: (\S+))?  +(.*)", re.S)
_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")

_log = logging.getLogger("mkdocs.plugins.dcf")


def of_header() -> str:
    """Gives the C contract."""
    return header.page((ROOT / "include" / "dcf.h").read_text())


def of_limits() -> str:
    """Gives the tables of limits, which take Go some seconds: `make docs` keeps them in build/."""
    return (ROOT / "build" / "docs" / "limits.md").read_text()


def dcfnode(*arguments: str) -> str:
    """Gives what dcfnode prints."""
    command = [str(ROOT / "build" / "bin" / "dcfnode"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def of_settings() -> str:
    """Gives the flags of dcfnode from its own help, each with its other two names."""
    flags = dcfnode("--help").partition("\nFlags:\n")[2].partition("\n\n")[0]
    rows = ["| flag | environment | in the file | |", "| --- | --- | --- | --- |"]
    # A flag's words go on in the lines below it, which have no flag.
    for entry in re.split(r"\n(?= +(?:-\w, )?--)", "\n" + flags)[1:]:
        flag, value, words = _FLAG.match(entry).groups()
        shown = f"`--{flag} {value}`" if value else f"`--{flag}`"
        meaning = " ".join(words.split())
        if flag in ("help", "print-config", "config"):
            variable = "`DCF_CONFIG`" if flag == "config" else ""
            rows.append(f"| {shown} | {variable} | | {meaning} |")
            continue
        variable = "DCF_" + flag.upper().replace("-", "_")
        rows.append(f"| {shown} | `{variable}` | `{flag}` | {meaning} |")
    return "\n".join(rows)


_SOURCES = {"header": of_header, "limits": of_limits, "settings": of_settings}


def filled(markdown: str) -> str:
    """Gives a page with what its marks stand for."""
    return _FROM.sub(lambda mark: _SOURCES[mark[1]](), markdown)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Completes a page; mkdocs calls it."""
    folder = Path(page.file.abs_src_path).parent

    def link(match: re.Match[str]) -> str:
        text, target, _ = match.groups()
        path = Path(os.path.normpath(folder / target))
        if not path.exists():
            _log.warning("%s: there is no %s", page.file.src_uri, target)
        name = str(path.relative_to(ROOT))
        shown = text if text.strip("`") == name else f"{text} (`{name}`)"
        if config.repo_url:
            return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{name})"
        return shown if shown != name else f"`{name}`"

    return _LINK.sub(link, filled(markdown))
