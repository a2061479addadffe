"""The question, in each form: departures, mean and worst departure delay by carrier.

A flight that was cancelled has no departure delay (null), and does not count as a departure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import dcf
import pyarrow
import pyarrow.compute

if TYPE_CHECKING:
    import pandas

#: What the function is called in every process that registers it, and which one it is.
NAME = "flights.delays"
VERSION = "1"

#: How far a mean may lie from pandas', which adds the same numbers in another order.
MEAN_TOLERANCE = 1e-9


class Row(NamedTuple):
    """One carrier's answer; None where it had no departure."""

    departures: int
    mean_delay: float | None
    worst_delay: float | None


# ---- By functions that every node knows ---------------------------------------------


def builtin() -> dcf.Aggregate:
    """The question as one pass of builtin functions."""
    return dcf.aggregate(
        departures=dcf.count("dep_delay"),
        mean_delay=dcf.mean("dep_delay"),
        worst_delay=dcf.max("dep_delay"),
    ).by("carrier")


# ---- By a function of our own --------------------------------------------------------


def calculate(flights: pyarrow.Table) -> pyarrow.Table:
    """Condenses one shard to a row for each carrier; runs beside the shard, where it may."""
    by_carrier = flights.select(["carrier", "dep_delay"]).group_by("carrier")
    part = by_carrier.aggregate(
        [("dep_delay", "count"), ("dep_delay", "sum"), ("dep_delay", "max")]
    )
    names = {"dep_delay_count": "count", "dep_delay_sum": "sum", "dep_delay_max": "max"}
    return part.rename_columns([names.get(name, name) for name in part.column_names])


def merge(parts: list[pyarrow.Table]) -> pyarrow.Table:
    """Folds some parts into one of the same form."""
    by_carrier = pyarrow.concat_tables(parts).group_by("carrier")
    part = by_carrier.aggregate([("count", "sum"), ("sum", "sum"), ("max", "max")])
    return part.rename_columns([name.partition("_")[0] for name in part.column_names])


def finish(part: pyarrow.Table) -> pyarrow.Table:
    """Makes the answer of the last part, once, at the caller: here sums become means."""
    return pyarrow.table(
        {
            "carrier": part["carrier"],
            "departures": part["count"],
            "mean_delay": pyarrow.compute.divide(part["sum"], part["count"]),
            "worst_delay": part["max"],
        }
    )


def function(version: str | None) -> dcf.UDF:
    """Makes a UDF of the three. With a version it is one function in every process that
    registers it; without one it is private to this process.
    """
    udf = dcf.udf(name=NAME, version=version, commutative=True)(calculate)
    udf.merge(merge)
    udf.finish(finish)
    return udf


def warm_up() -> None:
    """Asks the question of no flights. The first use of pyarrow loads much of it, which is better
    done before a worker serves than during its first call.
    """
    nothing = dcf.Batch(
        pyarrow.table(
            {"carrier": pyarrow.array([], "utf8"), "dep_delay": pyarrow.array([], "float64")}
        )
    )
    finish(merge([calculate(pyarrow.table(nothing))]))


# ---- By pandas, to compare with ------------------------------------------------------


def rows_of(answer: dcf.Batch) -> dict[str, Row]:
    """Gives the answer by carrier."""
    return {
        row["carrier"]: Row(row["departures"], row["mean_delay"], row["worst_delay"])
        for row in answer.to_pylist()
    }


def by_pandas(frame: pandas.DataFrame) -> dict[str, Row]:
    """Asks pandas the same of the whole table."""
    delays = frame.groupby("carrier")["dep_delay"]
    return {
        str(row.Index): Row(
            int(row.count_),
            None if math.isnan(row.mean) else float(row.mean),
            None if math.isnan(row.max) else float(row.max),
        )
        for row in delays.agg(count_="count", mean="mean", max="max").itertuples()
    }


def differences(answer: dict[str, Row], truth: dict[str, Row]) -> list[str]:
    """Says where an answer is not the truth, a line each."""
    found = [f"{carrier} is missing" for carrier in sorted(truth.keys() - answer.keys())]
    found += [f"{carrier} is unknown" for carrier in sorted(answer.keys() - truth.keys())]
    for carrier in sorted(truth.keys() & answer.keys()):
        is_, should = answer[carrier], truth[carrier]
        same_mean = is_.mean_delay == should.mean_delay or (
            is_.mean_delay is not None
            and should.mean_delay is not None
            and math.isclose(
                is_.mean_delay,
                should.mean_delay,
                rel_tol=MEAN_TOLERANCE,
                abs_tol=MEAN_TOLERANCE,
            )
        )
        exact = (is_.departures, is_.worst_delay) == (should.departures, should.worst_delay)
        if not exact or not same_mean:
            found.append(f"{carrier} is {is_}, but pandas says {should}")
    return found
