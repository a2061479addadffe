"""The builtins' builders: what they ask for, and that nodes understand it."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pyarrow as pa
import pytest

import dcf

FRAME = pd.DataFrame(
    {
        "carrier": ["UA", "AA", "UA", "DL", "AA", "UA"],
        "origin": ["EWR", "JFK", "EWR", "JFK", "EWR", "JFK"],
        "delay": [2.0, None, 61.0, -3.0, 10.0, 0.0],
        "distance": [100, 200, 300, 400, 500, 600],
    }
)
TABLE = pa.Table.from_pandas(FRAME)


@pytest.fixture(params=[0, 3])
def flights(request: pytest.FixtureRequest, worker: dcf.Worker) -> dcf.Vertex:
    return worker.put("flights", TABLE, shards=request.param)


@pytest.mark.parametrize(
    ("builtin", "value"),
    [
        (dcf.count(), 6),
        (dcf.count("delay"), 5),
        (dcf.sum("distance"), 2100),
        (dcf.min("delay"), -3.0),
        (dcf.max("distance"), 600),
        (dcf.mean("delay"), 14.0),
        (dcf.variance("distance"), FRAME["distance"].var()),
        (dcf.variance("distance", ddof=0), FRAME["distance"].var(ddof=0)),
        (dcf.sum("distance").where("carrier", "==", "UA"), 1000),
        (dcf.count().where("delay", "is_null"), 1),
        (dcf.count().where("delay", ">", 60), 1),
        (dcf.max("delay").where("distance", "<", 0), None),
    ],
    ids=repr,
)
def test_one_value(flights: dcf.Vertex, builtin: dcf.Builtin, value: object) -> None:
    assert flights.worker.call(builtin, flights) == pytest.approx(value)


def test_groups(flights: dcf.Vertex) -> None:
    worker = flights.worker
    grouped = FRAME.groupby("carrier")
    assert worker.call(dcf.sum("distance").by("carrier"), flights).to_pydict() == {
        "carrier": ["AA", "DL", "UA"],
        "distance_sum": grouped["distance"].sum().tolist(),
    }
    renamed = worker.call(dcf.sum("distance").by("origin", "carrier").named("s"), flights)
    assert renamed.column_names == ["origin", "carrier", "s"]
    assert len(renamed) == 5
    several = dcf.aggregate(
        departures=dcf.count(), mean=dcf.mean("delay"), worst=dcf.max("delay")
    ).by("carrier")
    assert worker.call(several, flights).to_pydict() == {
        "carrier": ["AA", "DL", "UA"],
        "departures": grouped.size().tolist(),
        "mean": grouped["delay"].mean().tolist(),
        "worst": grouped["delay"].max().tolist(),
    }
    alone = worker.call(dcf.aggregate(n=dcf.count(), v=dcf.variance("delay", 0)), flights)
    assert alone.to_pylist() == [{"n": 6, "v": pytest.approx(FRAME["delay"].var(ddof=0))}]


def test_rows_and_columns(flights: dcf.Vertex) -> None:
    worker = flights.worker
    assert worker.call(dcf.head(2), flights).to_pydict()["distance"] == [100, 200]
    assert len(worker.call(dcf.head(), flights)) == 5
    chosen = worker.call(dcf.select("distance", "carrier").head(1), flights)
    assert chosen.to_pylist() == [{"distance": 100, "carrier": "UA"}]
    filtered = dcf.filter("distance", ">=", 500).columns("carrier")
    assert worker.call(filtered, flights).to_pylist() == [{"carrier": "AA"}, {"carrier": "UA"}]


def test_conditions_on_dates(worker: dcf.Worker) -> None:
    days = [dt.datetime(2024, 1, day) for day in (1, 2, 3)]
    vertex = worker.put("days", {"day": days})
    assert worker.call(dcf.count().where("day", ">", days[0]), vertex) == 2


def test_builders_never_change() -> None:
    base = dcf.sum("x")
    assert repr(base.by("k")) == "<dcf builtin sum(column='x', by=['k'])>"
    assert repr(base) == "<dcf builtin sum(column='x')>"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: dcf.sum(5), TypeError, "is str"),
        (lambda: dcf.count().by(), ValueError, "at least one"),
        (lambda: dcf.select(), ValueError, "at least one"),
        (lambda: dcf.count().where("x", "~", 1), ValueError, "no comparison"),
        (lambda: dcf.count().where("x", ">"), ValueError, "needs a value"),
        (lambda: dcf.count().where("x", "is_null", 1), ValueError, "takes no value"),
        (lambda: dcf.filter("x", ">", 1).where("y", ">", 1), ValueError, "takes one"),
        (lambda: dcf.aggregate(), ValueError, "at least one"),
        (lambda: dcf.aggregate(a=5), TypeError, "an aggregate of one column"),
        (lambda: dcf.aggregate(a=dcf.sum("x").by("k")), ValueError, "of the whole"),
    ],
)
def test_mistakes_are_named(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]


def test_what_only_nodes_know_is_refused_by_them(worker: dcf.Worker) -> None:
    vertex = worker.put("t", {"x": [1], "s": ["a"]})
    with pytest.raises(dcf.NotFoundError, match="no_such"):
        worker.call(dcf.sum("no_such"), vertex)
    with pytest.raises(dcf.InvalidArgumentError):
        worker.call(dcf.sum("s"), vertex)
    assert worker.call(dcf.sum("x"), vertex) == 1
