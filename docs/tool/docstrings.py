"""Completes what griffe reads of the Python package, for the page of its reference.

The half that is written in C has its types in _dcf.pyi and its words in the extension itself: these
are put together. A field's words are the `#:` line above it. Examples of docstrings, lines that
start with `>>>`, become blocks of code.
"""

from __future__ import annotations

import inspect
import re
from operator import attrgetter
from pathlib import Path
from typing import Any

import dcf
import griffe

_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!$).*)*", re.M)
_ROLE = re.compile(r":\w+:`~?([\w.]+)`")


def markdown(docstring: str) -> str:
    """Gives a docstring as Markdown."""
    text = _ROLE.sub(r"`\1`", docstring)
    return _EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", text)


class Docstrings(griffe.Extension):
    """The extension; mkdocs.yml names it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Takes the words of what is defined in C, and makes all of them Markdown."""
        if obj.docstring is None and obj.path.startswith("dcf._dcf."):
            words = _words(obj.path.removeprefix("dcf._dcf."))
            if words:
                obj.docstring = griffe.Docstring(words, parent=obj)
        if obj.path == "dcf._udf.udf":  # the one object that is used as a function
            obj.docstring = griffe.Docstring(inspect.cleandoc(type(dcf.udf).__doc__), parent=obj)
        if obj.docstring is None and obj.is_attribute and isinstance(obj.filepath, Path):
            above = obj.lines_collection[obj.filepath][(obj.lineno or 1) - 2].strip()
            if above.startswith("#: "):
                obj.docstring = griffe.Docstring(above[3:], parent=obj)
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def _words(path: str) -> str:
    try:
        thing = attrgetter(path)(dcf._dcf)
    except AttributeError:
        return ""
    own = getattr(thing, "__doc__", None)
    return inspect.cleandoc(own) if isinstance(own, str) else ""
