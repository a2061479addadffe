"""How a function's annotations become what it is given: one view a kind of table.

A view is a function of a Batch. Views are made once a vertex's version and kind, and the C half
finds them by the address of the function, so they live as long as the process.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _dcf

if TYPE_CHECKING:
    from collections.abc import Callable


class Signature(NamedTuple):
    """How the C half calls a function: with which view, and whether with a context."""

    function: Callable[..., Any]
    view: Callable[[_dcf.Batch], Any] | None
    wants_context: bool


# ---- The views -----------------------------------------------------------------


def _record_batch(batch: _dcf.Batch) -> Any:
    import pyarrow

    return pyarrow.record_batch(batch)


def _table(batch: _dcf.Batch) -> Any:
    import pyarrow

    return pyarrow.table(batch)


def _polars(batch: _dcf.Batch) -> Any:
    import polars

    return polars.DataFrame(batch)


def _pandas(batch: _dcf.Batch) -> Any:
    import pandas

    from_arrow = getattr(pandas.DataFrame, "from_arrow", None)
    if from_arrow is not None:
        return from_arrow(batch)
    return _table(batch).to_pandas()


def _columns(batch: _dcf.Batch) -> Any:
    import numpy

    return {name: numpy.asarray(batch[i]) for i, name in enumerate(batch.column_names)}


def _array(batch: _dcf.Batch) -> Any:
    import numpy

    return numpy.asarray(batch)


def _scalar(batch: _dcf.Batch) -> Any:
    return batch.scalar()


_WANTED = (
    "dcf.Batch, pyarrow.RecordBatch, pyarrow.Table, polars.DataFrame, pandas.DataFrame, "
    "dict[str, numpy.ndarray], numpy.ndarray, or for a single value int, float, bool or str"
)
_SCALARS = (int, float, bool, str)
_BY_LIBRARY = {
    ("pyarrow", "RecordBatch"): _record_batch,
    ("pyarrow", "Table"): _table,
    ("polars", "DataFrame"): _polars,
    ("pandas", "DataFrame"): _pandas,
    ("numpy", "ndarray"): _array,
}


# ---- From an annotation to its view ------------------------------------------------


def _is_numpy(annotation: Any) -> bool:
    kind = typing.get_origin(annotation) or annotation
    return getattr(kind, "__module__", "").partition(".")[0] == "numpy"


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(annotation) if a is not type(None)]
        if len(rest) == 1:
            return rest[0]
        if rest and all(a in _SCALARS for a in rest):
            return rest[0]
    return annotation


def view_of(annotation: Any, where: str) -> Callable[[_dcf.Batch], Any] | None:
    """Gives the view that an annotation asks for; None is the Batch itself."""
    annotation = _without_none(annotation)
    if annotation in (_dcf.Batch, Any, object, bytes, None, type(None)):
        return None
    if annotation in _SCALARS:
        return _scalar
    origin = typing.get_origin(annotation) or annotation
    if origin in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        args = typing.get_args(annotation)
        if not args or (args[0] is str and _is_numpy(args[1])):
            return _columns
    library = getattr(origin, "__module__", "").partition(".")[0]
    view = _BY_LIBRARY.get((library, getattr(origin, "__name__", "")))
    if view is not None:
        return view
    raise TypeError(
        f"{where} is annotated {annotation!r}, as which a vertex cannot be given: use {_WANTED}"
    )


def _part_annotation(annotation: Any) -> Any:
    """Out of list[X], which is what merge is given, the X."""
    if typing.get_origin(annotation) in (list, collections.abc.Sequence, collections.abc.Iterable):
        return typing.get_args(annotation)[0]
    return Any


def _resolve(annotation: Any, function: Any, names: dict[str, Any], where: str) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        # The same that typing.get_type_hints does, for the one annotation that counts.
        return eval(annotation, getattr(function, "__globals__", {}), names)  # noqa: S307
    except Exception as error:
        raise TypeError(
            f"{where} is annotated {annotation!r}, which means nothing here ({error}): "
            f"use {_WANTED}"
        ) from error


def signature_of(function: Any, role: str, names: dict[str, Any]) -> Signature:
    """Finds out how to call calculate, merge or finish."""
    label = getattr(function, "__qualname__", repr(function))
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin like max, which has no signature to show
        return Signature(function, None, wants_context=False)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    demanded = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(required) > 2 or demanded or not (positional or takes_any):
        raise TypeError(
            f"{role} {label}: a UDF takes what it works on and, if it wants, a dcf.Context, "
            f"not {inspect.signature(function)}"
        )
    if not positional:
        return Signature(function, None, wants_context=False)
    where = f"{role} {label}: parameter {positional[0].name!r}"
    given = positional[0].annotation
    annotation = Any if given is inspect.Parameter.empty else given
    annotation = _resolve(annotation, function, names, where)
    if role == "merge":
        annotation = _part_annotation(annotation)
    return Signature(function, view_of(annotation, where), wants_context=len(required) == 2)
