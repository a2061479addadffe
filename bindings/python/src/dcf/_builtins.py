"""The functions that every node knows: docs/builtins.md has their exact meaning."""

from __future__ import annotations

from . import _dcf
from ._udf import _NAMED, Function

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from typing import Any

_OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "is_null", "is_not_null")
_DEFAULT_HEAD = 5


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is str, not {type(value).__name__}")
    return value


def _condition(column: str, op: str, value: object) -> dict[str, Any]:
    _text(column, "the column of a condition")
    if op not in _OPERATORS:
        raise ValueError(f"{op!r} is no comparison: use one of {', '.join(_OPERATORS)}")
    condition: dict[str, Any] = {"where_column": column, "where_op": op}
    if op.startswith("is_"):
        if value is not None:
            raise ValueError(f"{op} takes no value")
    elif value is None:
        raise ValueError(f"{op} needs a value; to find nulls use 'is_null'")
    else:
        condition["where_value"] = value
    return condition


class Builtin(Function):
    """A function that every node knows, with its arguments. It never changes: each method gives
    a new one.

    >>> delays = {"carrier": ["UA", "AA", "UA"], "dep_delay": [2, None, 61]}
    >>> with dcf.open() as worker:
    ...     flights = worker.put("flights", delays)
    ...     worker.call(dcf.sum("dep_delay"), flights)
    ...     worker.call(dcf.count().where("dep_delay", ">", 60), flights)
    ...     worker.call(dcf.sum("dep_delay").by("carrier"), flights).to_pylist()
    63
    1
    [{'carrier': 'AA', 'dep_delay_sum': 0}, {'carrier': 'UA', 'dep_delay_sum': 63}]
    """

    def __init__(self, name: str, arguments: dict[str, Any]) -> None:
        super().__init__(name, {"kind": _NAMED})
        self._arguments = {k: v for k, v in arguments.items() if v is not None}

    def _with(self, **arguments: Any) -> Any:
        return type(self)(self.name, {**self._arguments, **arguments})

    def where(self, column: str, op: str, value: object = None) -> Any:
        """Chooses rows: only those whose value in `column` compares so with `value` count.

        `op` is ``==  !=  <  <=  >  >=  is_null`` or ``is_not_null``; the last two take no value.
        """
        if "where_column" in self._arguments:
            raise ValueError(f"{self.name} has a condition already, and takes one")
        return self._with(**_condition(column, op, value))

    def _define(self) -> dict[str, Any]:
        return {**super()._define(), "arguments": _dcf.Batch.from_row(self._arguments)}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self._arguments.items())
        return f"<dcf builtin {self.name}({arguments})>"


class Aggregate(Builtin):
    """A builtin that condenses columns: one value, or one row a group."""

    def by(self, *columns: str) -> Aggregate:
        """Groups by these columns: the result is a table in ascending order of the keys."""
        if not columns:
            raise ValueError("by() needs at least one column")
        names = [_text(column, "a column to group by") for column in columns]
        grouped: Aggregate = self._with(by=names)
        return grouped

    def named(self, name: str) -> Aggregate:
        """Names the result's column."""
        renamed: Aggregate = self._with(name=_text(name, "the name of a result"))
        return renamed

    def _define(self) -> dict[str, Any]:
        # One value comes back as a Python value, whatever its column is called.
        alone = "by" not in self._arguments and "aggregates" not in self._arguments
        return {**super()._define(), "scalar": alone}


class Rows(Builtin):
    """A builtin that chooses rows and columns."""

    def columns(self, *columns: str) -> Rows:
        """Chooses these columns, in this order."""
        if not columns:
            raise ValueError("columns() needs at least one column")
        chosen: Rows = self._with(columns=[_text(column, "a column") for column in columns])
        return chosen

    def head(self, n: int = _DEFAULT_HEAD) -> Rows:
        """Gives at most the first `n` rows."""
        shortened: Rows = self._with(n=n)
        return shortened


def count(column: str | None = None) -> Aggregate:
    """Counts rows, or the values of `column` that are not null."""
    return Aggregate("count", {"column": column})


def sum(column: str) -> Aggregate:  # noqa: A001 - dcf.sum, as in polars.sum
    """Adds up a column. Nulls are skipped; the sum of no values is 0."""
    return Aggregate("sum", {"column": _text(column, "the column of sum")})


def min(column: str) -> Aggregate:  # noqa: A001
    """Finds the smallest value of a column; None of no values."""
    return Aggregate("min", {"column": _text(column, "the column of min")})


def max(column: str) -> Aggregate:  # noqa: A001
    """Finds the largest value of a column; None of no values."""
    return Aggregate("max", {"column": _text(column, "the column of max")})


def mean(column: str) -> Aggregate:
    """Gives the mean of a column as float; None of no values."""
    return Aggregate("mean", {"column": _text(column, "the column of mean")})


def variance(column: str, ddof: int = 1) -> Aggregate:
    """Gives the variance of a column; the divisor is the count less `ddof`."""
    return Aggregate("variance", {"column": _text(column, "the column of variance"), "ddof": ddof})


def aggregate(**columns: Aggregate) -> Aggregate:
    """Several aggregates in one pass: each becomes a column of the name that it is given.

    >>> with dcf.open() as worker:
    ...     table = worker.put("table", {"key": ["a", "b", "a"], "x": [1, 2, 3]})
    ...     both = dcf.aggregate(rows=dcf.count(), largest=dcf.max("x")).by("key")
    ...     worker.call(both, table).to_pydict()
    {'key': ['a', 'b'], 'rows': [2, 1], 'largest': [3, 2]}
    """
    if not columns:
        raise ValueError("aggregate() needs at least one aggregate, as in rows=dcf.count()")
    structs = []
    for name, one in columns.items():
        if not isinstance(one, Aggregate) or one.name == "aggregate":
            raise TypeError(f"{name} is an aggregate of one column, not {one!r}")
        taken = {k: v for k, v in one._arguments.items() if k in ("column", "ddof")}
        if set(one._arguments) - {"column", "ddof", "name"}:
            raise ValueError(f"{name}: group and choose rows of the whole: aggregate(...).by(...)")
        structs.append({"function": one.name, **taken, "name": name})
    return Aggregate("aggregate", {"aggregates": structs})


def head(n: int = _DEFAULT_HEAD) -> Rows:
    """Gives the first rows of a table; of a group, shard by shard."""
    return Rows("head", {"n": n})


def select(*columns: str) -> Rows:
    """Gives these columns, in this order."""
    return Rows("select", {}).columns(*columns)


def filter(column: str, op: str, value: object = None) -> Rows:  # noqa: A001
    """Gives the rows whose value in `column` compares so with `value`; see Builtin.where."""
    return Rows("filter", _condition(column, op, value))
