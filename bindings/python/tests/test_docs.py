"""Every example in a docstring runs and shows what it says; docs/tool runs those of the README."""

from __future__ import annotations

import doctest
import inspect
import types
from collections.abc import Iterator

import pytest

import dcf

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def documented() -> Iterator[tuple[str, str]]:
    """Whatever the package shows, its classes' own methods included, also those made in C."""
    yield "dcf", dcf.__doc__ or ""
    for name in dcf.__all__:
        thing = getattr(dcf, name)
        yield name, inspect.getdoc(thing) or ""
        if isinstance(thing, type):
            for method, member in vars(thing).items():
                if not method.startswith("_") or method.startswith("__arrow"):
                    yield f"{name}.{method}", getattr(member, "__doc__", None) or ""


DOCUMENTED = dict(documented())


def run(name: str, text: str) -> None:
    test = doctest.DocTestParser().get_doctest(text, {"dcf": dcf}, name, None, 0)
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert not failed, "".join(report)


@pytest.mark.parametrize("name", [n for n, text in DOCUMENTED.items() if ">>>" in text])
def test_the_examples_of(name: str) -> None:
    run(name, inspect.cleandoc(DOCUMENTED[name]))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_there_are_words_about(name: str) -> None:
    thing = getattr(dcf, name, None)
    assert DOCUMENTED[name].strip() or isinstance(thing, types.ModuleType), name
