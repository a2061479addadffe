"""dcf runs functions where the data is.

A *vertex* is a table with an identity, a *worker* holds vertices and speaks with other workers,
and a *UDF* is a function that goes to the vertices: ``calculate`` runs beside each, ``merge``
folds the parts, and only the answer comes home.

>>> with dcf.open() as worker:
...     prices = worker.put("prices", {"price": [2.0, 3.5]})
...     worker.call(dcf.sum("price"), prices)
5.5
"""

from __future__ import annotations

from . import errors
from ._builder import Bits, Builder, BuilderColumn
from ._builtins import (
    Aggregate,
    Builtin,
    Rows,
    aggregate,
    count,
    filter,  # noqa: A004
    head,
    max,  # noqa: A004
    mean,
    min,  # noqa: A004
    select,
    sum,  # noqa: A004
    variance,
)
from ._dcf import Batch, Column, Context, MergeContext, Stream, VertexID, bind, version
from ._udf import UDF, Function, NativeUDF, udf
from ._vertex import Vertex
from ._worker import Worker, open  # noqa: A004
from .errors import __all__ as _errors

TYPE_CHECKING = False  # typing is slow to import, and so is what the modules below bring
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._cancelled import CancelledError as CancelledError
    from ._future import Answer, Future
    from ._info import VertexInfo
    from .errors import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        """Gives what is imported when it is first asked for, as many programs never do."""
        if name in _errors:
            found = getattr(errors, name)
        elif name in ("Answer", "Future"):
            from . import _future

            found = getattr(_future, name)
        elif name == "VertexInfo":
            from . import _info

            found = _info.VertexInfo
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


def _later(name: str) -> Callable[..., Any]:
    """Gives a function of _arrow, which is imported when it is first called: few programs do."""

    def convert(*args: Any, **kwargs: Any) -> Any:
        from . import _arrow

        return getattr(_arrow, name)(*args, **kwargs)

    return convert


bind(
    make_error=errors.make_error,
    forked_error=errors.ForkedProcessError,
    format_exception=errors.format_exception,
    from_python=_later("from_python"),
    to_python=_later("to_python"),
    to_numpy=_later("to_numpy"),
    make_vertex=Vertex,
)

__version__ = version()

__all__ = [
    "UDF",
    "Aggregate",
    "Answer",
    "Batch",
    "Bits",
    "Builder",
    "BuilderColumn",
    "Builtin",
    "Column",
    "Context",
    "Function",
    "Future",
    "MergeContext",
    "NativeUDF",
    "Rows",
    "Stream",
    "Vertex",
    "VertexID",
    "VertexInfo",
    "Worker",
    "aggregate",
    "count",
    "filter",
    "head",
    "max",
    "mean",
    "min",
    "open",
    "select",
    "sum",
    "udf",
    "variance",
    *_errors,
]
