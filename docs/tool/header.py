"""Makes the page of the C contract of include/dcf.h.

The header is written to be read, in sections of paragraphs: a comment, and the declarations that it
is about. The page keeps that order. A paragraph of numbers becomes a table, anything else is shown
as it stands, and every name can be linked to: c.md#dcf_call_run.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SECTION = re.compile(r"^/\* ---- (.+?) -+ \*/$", re.M)
_DEFINE = re.compile(r"#define (DCF_\w+)(?:\s+(.+?))?\s*(?:/\*\s*(.+?)\s*\*/)?$")
_NAMES = [
    re.compile(r"^(?:const )?\w+\*? \*?(dcf_\w+)\(", re.M),  # functions
    re.compile(r"^(?:typedef )?struct (dcf_\w+)(?: \{|;)", re.M),
    re.compile(r"^struct (Arrow\w+) \{", re.M),
    re.compile(r"^typedef \w+ \(?\*?(dcf_\w+)", re.M),  # integers and callbacks
    re.compile(r"^#define (DCF_\w+)", re.M),
]
_TERM = re.compile(r"^ {2}(\S(?:.*?\S)?) {2,}(\S.*)$")
_MENTION = re.compile(r"(?<![\w`\[])(dcf_\w+|DCF_[A-Z_0-9]+\w)(?![\w`(])")


class Paragraph(NamedTuple):
    """Some declarations and the comment before them; either may be empty."""

    comment: str
    code: str

    @property
    def names(self) -> list[str]:
        """What it declares, in its order."""
        found = {m.start(): m[1] for pattern in _NAMES for m in pattern.finditer(self.code)}
        return list(dict.fromkeys(found[at] for at in sorted(found)))


def page(header: str) -> str:
    """Gives the header as Markdown, without a title."""
    start = header.index("/*")
    model, rest = _comment(header[start:])
    parts = _SECTION.split(rest)
    # What stands before the first section is guards, includes and the structs of Arrow.
    sections = [("The ABI", _without_guards(parts[0]))]
    sections += list(zip(parts[1::2], parts[2::2], strict=True))
    paragraphs = [(title, list(_paragraphs(text))) for title, text in sections]
    known = {name for _, found in paragraphs for each in found for name in each.names}
    # The words at the top: what they do not indent are titles.
    model = re.sub(r"^(?=\w)", "## ", model.partition("\n")[2].strip("\n"), flags=re.M)
    out = [_prose(model, known)]
    for title, found in paragraphs:
        out.append(f"## {title}")
        out += [_show(each, known) for each in found]
    return "\n\n".join(out) + "\n"


def _without_guards(text: str) -> str:
    text = re.sub(r"^#(?:ifndef|ifdef|endif|include)\b.*\n", "", text, flags=re.M)
    text = text.replace('extern "C" {\n', "").replace("#define DCF_H\n", "")
    return re.sub(r"^#define ARROW_C_\w+_INTERFACE\n", "\n", text, flags=re.M)


def _comment(text: str) -> tuple[str, str]:
    """Splits a comment, without its stars, from what follows it."""
    body, _, rest = text.removeprefix("/*").partition("*/")
    lines = [re.sub(r"^ \*(?: |$)", "", line).rstrip() for line in body.split("\n")]
    return "\n".join(lines).strip(" "), rest.removeprefix("\n")


def _paragraphs(text: str) -> list[Paragraph]:
    text = text.partition("#ifdef __cplusplus")[0]
    text = re.sub(r"^/\* clang-format \w+ \*/\n", "", text, flags=re.M)
    found: list[Paragraph] = []
    comment, code = "", ""
    while text:
        if text.startswith("/*"):
            # A comment after the declarations that it is about, or before the next ones.
            _flush(found, comment, code)
            comment, text = _comment(text)
            code = ""
            continue
        line, _, text = text.partition("\n")
        if line.strip() or _open(code):
            code += line + "\n"
        else:
            _flush(found, comment, code)
            comment, code = "", ""
    _flush(found, comment, code)
    return found


def _open(code: str) -> bool:
    return code.count("{") > code.count("}")


def _flush(found: list[Paragraph], comment: str, code: str) -> None:
    if comment or code:
        found.append(Paragraph(comment.strip(), code.rstrip("\n")))


def _show(paragraph: Paragraph, known: set[str]) -> str:
    """Writes one paragraph; it has its names as a heading, and an anchor for each."""
    out = []
    names = paragraph.names
    if names:
        shown = [name for name in names if not name.startswith("DCF_")] or _constants(names)
        title = ", ".join(f"`{name}`" for name in shown)
        anchors = "".join(f'<a id="{name}"></a>' for name in names)
        out.append(f"### {title} {{ #on-{names[0].lower().replace('_', '-')} }}\n\n{anchors}")
    if paragraph.comment:
        out.append(_prose(paragraph.comment, known))
    code = "\n".join(_declarations(paragraph.code))
    if code:
        out.append(f"```c\n{code}\n```")
    out += _numbers(paragraph.code, known)
    return "\n\n".join(out)


def _constants(names: list[str]) -> list[str]:
    """Two at most as they are, of more what they have in common: DCF_CALL_…"""
    if len(names) <= 2:
        return names
    first, last = min(names), max(names)
    length = next((i for i, c in enumerate(first) if last[i : i + 1] != c), len(first))
    return [first[: first.rfind("_", 0, length) + 1] + "…"]


def _declarations(code: str) -> list[str]:
    """What is no macro: numbers become a table, and initialisers are long."""
    code = re.sub(r"^#define (?:.*\\\n)*.*\n?", "", code, flags=re.M)
    # The words before a macro, inside of a paragraph, are in the table.
    code = re.sub(r"^/\*.*\*/\n(?=\Z)", "", code, flags=re.M)
    return code.rstrip("\n").split("\n") if code.strip() else []


def _numbers(code: str, known: set[str]) -> list[str]:
    """A table of the numbers that macros define, and a line about initialisers."""
    rows, lines = [], []
    for line in code.split("\n"):
        match = _DEFINE.match(line)
        if not match:
            continue
        name, value, meaning = match.groups()
        if name.endswith("_INIT"):
            lines.append(f"Start from `{name}`.")
        else:
            rows.append(f"| `{name}` | `{value}` | {_linked(meaning or '', known)} |")
    if rows:
        lines.insert(0, "\n".join(["| name | value | |", "| --- | --- | --- |", *rows]))
    return lines


def _prose(comment: str, known: set[str]) -> str:
    """Writes a comment: what it indents are terms with their meanings, or a paragraph."""
    out: list[str] = []
    terms: list[list[str]] = []

    def end_terms() -> None:
        if terms:
            rows = [f"| `{term}` | {_linked(text, known)} |" for term, text in terms]
            out.append("\n".join(["", "| | |", "| --- | --- |", *rows, ""]))
            terms.clear()

    for line in comment.split("\n"):
        term = _TERM.match(line)
        if term:
            terms.append([term[1], term[2]])
        elif terms and line.startswith("    "):
            terms[-1][1] += " " + line.strip()
        else:
            end_terms()
            out.append(_linked(line.strip(), known))
    end_terms()
    return "\n".join(out).strip("\n")


def _linked(text: str, known: set[str]) -> str:
    """Text for Markdown, where names of the interface lead to what is said about them."""

    def link(match: re.Match[str]) -> str:
        name = match[1]
        return f"[`{name}`](#{name})" if name in known else f"`{name}`"

    spans = text.split("`")
    for i in range(0, len(spans), 2):  # those between are code already
        plain = re.sub(r"([*|])", r"\\\1", spans[i]).replace("<", "&lt;")
        spans[i] = _MENTION.sub(link, plain)
    return "`".join(spans)
