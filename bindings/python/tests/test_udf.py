"""Python functions on vertices of one worker."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any, Optional, Union

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import dcf

TABLE = {"x": [1, 2, 3], "s": ["a", "b", None]}


# ---- What a function gets ----------------------------------------------------------


VIEWS = [
    (None, "dcf.Batch", lambda value: value["x"].to_pylist()),
    (Any, "dcf.Batch", lambda value: value["x"].to_pylist()),
    (dcf.Batch, "dcf.Batch", lambda value: list(value["x"])),
    (pa.RecordBatch, "pyarrow.RecordBatch", lambda value: value["x"].to_pylist()),
    (pa.Table, "pyarrow.Table", lambda value: value["x"].to_pylist()),
    (pl.DataFrame, "polars.DataFrame", lambda value: value["x"].to_list()),
    (pd.DataFrame, "pandas.DataFrame", lambda value: value["x"].tolist()),
    (dict[str, np.ndarray], "builtins.dict", lambda value: value["x"].tolist()),
    (dict, "builtins.dict", lambda value: value["x"].tolist()),
    (Optional[pa.Table], "pyarrow.Table", lambda value: value["x"].to_pylist()),  # noqa: UP045 - the old spelling
    (pl.DataFrame | None, "polars.DataFrame", lambda value: value["x"].to_list()),
    ("pl.DataFrame | None", "polars.DataFrame", lambda value: value["x"].to_list()),
    ("dict[str, np.ndarray]", "builtins.dict", lambda value: value["x"].tolist()),
]


@pytest.mark.parametrize(("annotation", "kind", "read"), VIEWS, ids=str)
def test_the_annotation_picks_the_view(
    worker: dcf.Worker, annotation: Any, kind: str, read: Any
) -> None:
    seen: list[Any] = []

    def look(value):  # type: ignore[no-untyped-def]
        seen.append(value)

    if annotation is not None:
        look.__annotations__["value"] = annotation
    assert worker.call(dcf.udf(look), worker.put("t", TABLE)) is None
    value = seen[0]
    assert f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}" == kind
    assert read(value) == [1, 2, 3]


def test_one_column_as_an_array(worker: dcf.Worker) -> None:
    @dcf.udf
    def largest(values: np.ndarray) -> int:
        return int(values.max())

    assert worker.call(largest, worker.put("x", {"x": [3, 9]})) == 9


@pytest.mark.parametrize("value", [5, 2.5, True, "text"])
def test_single_values(worker: dcf.Worker, value: Any) -> None:
    def echo(got):  # type: ignore[no-untyped-def]
        assert type(got) is type(value)
        return got

    echo.__annotations__["got"] = type(value)
    result = worker.call(dcf.udf(echo), worker.put("v", value))
    assert result == value
    assert type(result) is type(value)


def test_a_vertex_without_a_value_gives_none(worker: dcf.Worker) -> None:
    @dcf.udf
    def is_none(value: pa.Table) -> bool:
        return value is None

    assert worker.call(is_none, worker.put("v")) is True


def test_views_are_made_once_a_version(worker: dcf.Worker) -> None:
    seen: list[pl.DataFrame] = []

    @dcf.udf
    def one(frame: pl.DataFrame) -> None:
        seen.append(frame)

    @dcf.udf
    def two(frame: pl.DataFrame) -> None:
        seen.append(frame)

    vertex = worker.put("t", TABLE)
    for udf in (one, two, one):
        worker.call(udf, vertex)
    assert seen[0] is seen[1] is seen[2]
    vertex.set({"x": [9]})
    worker.call(one, vertex)
    assert seen[3]["x"].to_list() == [9]


def test_views_of_several_kinds_lie_beside_each_other(worker: dcf.Worker) -> None:
    seen: list[str] = []

    def look(value: Any) -> None:
        seen.append(type(value).__module__.partition(".")[0])

    vertex = worker.put("t", TABLE)
    udfs = []
    for annotation in (pl.DataFrame, pa.Table, pd.DataFrame, dcf.Batch):

        def calculate(value: Any) -> None:
            look(value)

        calculate.__annotations__["value"] = annotation
        udfs.append(dcf.udf(calculate))
    for udf in (*udfs, *udfs):
        worker.call(udf, vertex)
    assert seen == ["polars", "pyarrow", "pandas", "dcf"] * 2


def test_a_cached_view_goes_with_its_version(worker: dcf.Worker) -> None:
    dead = threading.Event()
    seen: list[Any] = []

    @dcf.udf
    def look(frame: pl.DataFrame) -> None:
        seen.append(weakref.ref(frame, lambda _: dead.set()))

    vertex = worker.put("t", TABLE)
    worker.call(look, vertex)
    assert seen[0]() is not None
    for i in range(100_000):  # versions are freed in batches, some time after they were replaced
        vertex.set(i)
        if dead.is_set():
            break
    assert seen[0]() is None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 0, "what it works on"),
        (lambda a, b, c: 0, "what it works on"),
        (lambda a, *, b: 0, "what it works on"),
    ],
)
def test_signatures_that_make_no_sense(worker: dcf.Worker, function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        worker.call(dcf.udf(function), worker.put("v", 1))


def test_annotations_that_make_no_sense(worker: dcf.Worker) -> None:
    def wrong(value: set[int]) -> int:
        return 0

    def unknown(value):  # type: ignore[no-untyped-def]
        return 0

    unknown.__annotations__["value"] = "NoSuchThing"
    vertex = worker.put("v", 1)
    with pytest.raises(TypeError, match="polars.DataFrame"):
        worker.call(dcf.udf(wrong), vertex)
    with pytest.raises(TypeError, match="NoSuchThing"):
        worker.call(dcf.udf(unknown), vertex)
    with pytest.raises(TypeError, match="decorates a function"):
        dcf.udf(5)  # type: ignore[call-overload]


# ---- What a function gives ----------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (None, None),
        (7, 7),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (0.5, 0.5),
        (False, False),
        ("", ""),
        ("æ" * 5000, "æ" * 5000),
        (b"", b""),
        (b"\x00" * 16, b"\x00" * 16),
        (b"x" * 100_000, b"x" * 100_000),
        (np.float64(2.5), 2.5),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.str_("s"), "s"),
    ],
)
def test_single_answers(worker: dcf.Worker, answer: Any, result: Any) -> None:
    got = worker.call(dcf.udf(lambda value: answer), worker.put("v", 1))
    assert got == result
    assert type(got) is type(result)


@pytest.mark.parametrize(
    "answer",
    [
        {"a": [1, 2]},
        pa.table({"a": [1, 2]}),
        pa.record_batch({"a": [1, 2]}),
        pl.DataFrame({"a": [1, 2]}),
        pd.DataFrame({"a": [1, 2]}),
        dcf.Batch({"a": [1, 2]}),
    ],
    ids=lambda answer: type(answer).__module__ + "." + type(answer).__name__,
)
def test_tables(worker: dcf.Worker, answer: Any) -> None:
    result = worker.call(dcf.udf(lambda value: answer), worker.put("v", 1))
    assert isinstance(result, dcf.Batch)
    assert result.to_pydict() == {"a": [1, 2]}


def test_a_table_of_one_value_stays_a_table(worker: dcf.Worker) -> None:
    result = worker.call(dcf.udf(lambda value: {"a": [5]}), worker.put("v", 1))
    assert isinstance(result, dcf.Batch)
    assert result.scalar() == 5


def test_the_value_itself_as_answer_is_shared(worker: dcf.Worker) -> None:
    values = np.arange(1000)
    result = worker.call(dcf.udf(lambda value: value), worker.put("v", {"x": values}))
    assert np.asarray(result["x"]).ctypes.data == values.ctypes.data


@pytest.mark.parametrize("answer", [object(), [1], {1}, 2**64, {"a": [object()]}])
def test_answers_that_nobody_could_read(worker: dcf.Worker, answer: Any) -> None:
    with pytest.raises(dcf.UDFFailedError, match="TypeError|OverflowError"):
        worker.call(dcf.udf(lambda value: answer), worker.put("v", 1))


# ---- Folding -------------------------------------------------------------------------


def test_merge_and_finish(worker: dcf.Worker) -> None:
    @dcf.udf
    def mean(value: dcf.Batch) -> pa.Table:
        return pa.table({"sum": [sum(value["x"])], "count": [len(value)]})

    @mean.merge
    def fold(parts: list[pl.DataFrame]) -> pl.DataFrame:
        assert all(isinstance(part, pl.DataFrame) for part in parts)
        return pl.concat(parts).sum()

    @mean.finish
    def divide(part: pa.Table) -> float:
        row = part.to_pylist()[0]
        return row["sum"] / row["count"]

    group = worker.put("t", {"x": list(range(100))}, shards=7)
    assert worker.call(mean, group) == 49.5
    assert worker.call(mean, group.shards()[:2]) < 49.5


def test_parts_without_merge_come_in_order(worker: dcf.Worker) -> None:
    group = worker.put("t", {"x": list(range(6))}, shards=3)
    assert worker.call(dcf.udf(lambda value: value["x"][0]), group) == [0, 2, 4]
    assert worker.call(dcf.udf(lambda value: b"%d" % value["x"][0]), group) == [b"0", b"2", b"4"]
    tables = worker.call(dcf.udf(lambda value: {"y": list(value["x"])}), group)
    assert [part.to_pydict() for part in tables] == [{"y": [0, 1]}, {"y": [2, 3]}, {"y": [4, 5]}]


def test_builtin_functions_fold(worker: dcf.Worker) -> None:
    largest = dcf.udf(lambda value: max(value["x"]))
    largest.merge(max)
    assert worker.call(largest, worker.put("t", {"x": [4, 8, 1]}, shards=3)) == 8


def test_no_part_is_the_identity(worker: dcf.Worker) -> None:
    @dcf.udf
    def odd(value: dcf.Batch) -> int | None:
        return value["x"][0] if value["x"][0] % 2 else None

    odd.merge(sum)
    assert worker.call(odd, worker.put("t", {"x": [1, 2, 3, 4]}, shards=4)) == 4
    assert worker.call(odd, worker.put("u", {"x": [2]})) is None


def test_the_context_of_a_fold(worker: dcf.Worker) -> None:
    seen: list[Any] = []
    joined = dcf.udf(auxiliary=b"-")(lambda value: value["x"][0])

    @joined.merge
    def join(parts: list[str], cx: dcf.MergeContext) -> str:
        seen.append(cx)
        assert cx.arguments == b"args"
        return cx.auxiliary.decode().join(parts)

    group = worker.put("t", {"x": ["a", "b", "c"]}, shards=3)
    assert worker.call(joined, group, arguments=b"args") == "a-b-c"
    with pytest.raises(RuntimeError, match="ends with its call"):
        _ = seen[0].arguments


def test_the_order_of_definition(worker: dcf.Worker) -> None:
    udf = dcf.udf(lambda value: 1)
    udf.merge(sum)
    with pytest.raises(RuntimeError, match="has a merge already"):
        udf.merge(sum)
    with pytest.raises(TypeError, match="is a function"):
        udf.finish(5)  # type: ignore[arg-type]
    worker.register(udf)
    with pytest.raises(RuntimeError, match="before the first call"):
        udf.finish(int)


# ---- Failures ------------------------------------------------------------------------------


def test_an_exception_keeps_its_traceback(worker: dcf.Worker) -> None:
    @dcf.udf(name="broken")
    def broken(value: int) -> int:
        return {}["no such key"]

    with pytest.raises(dcf.UDFFailedError) as caught:
        worker.call(broken, worker.put("v", 1))
    error = caught.value
    assert error.status == "DCF_UDF_FAILED"
    assert "KeyError: 'no such key'" in error.message
    assert 'return {}["no such key"]' in error.detail
    assert isinstance(error.__cause__, KeyError)
    assert error.__cause__.__traceback__ is not None


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_are_no_errors(worker: dcf.Worker, raised: type[BaseException]) -> None:
    @dcf.udf
    def leave(value: int) -> None:
        raise raised(3)

    vertex = worker.put("v", 1)
    with pytest.raises(raised):
        worker.call(leave, vertex)  # on this thread it goes on as itself
    with pytest.raises(dcf.UDFFailedError, match=raised.__name__):
        worker.submit(leave, vertex).result(60)
    assert worker.call(dcf.count(), vertex) == 1


def test_an_exception_that_cannot_be_shown(worker: dcf.Worker) -> None:
    class HiddenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    @dcf.udf
    def fails(value: int) -> None:
        raise HiddenError

    with pytest.raises(dcf.UDFFailedError):
        worker.call(fails, worker.put("v", 1))


def test_failures_in_merge_and_finish(worker: dcf.Worker) -> None:
    group = worker.put("t", {"x": [1, 2]}, shards=2)
    for role in ("merge", "finish"):
        udf = dcf.udf(lambda value: 1)
        udf.merge(sum) if role == "finish" else None
        getattr(udf, role)(lambda parts: [][1])
        with pytest.raises(dcf.UDFFailedError, match="IndexError"):
            worker.call(udf, group)


def test_calls_that_make_no_sense(worker: dcf.Worker) -> None:
    vertex, count = worker.put("v", 1), dcf.count()
    for call, error, message in (
        (lambda: worker.call(count), TypeError, "a UDF and a target"),
        (lambda: worker.call(count, vertex, 3), TypeError, "a UDF and a target"),
        (lambda: worker.call(len, vertex), TypeError, "@dcf.udf"),
        (lambda: worker.call(count, 5), TypeError, "a call's target"),
        (lambda: worker.call(count, [5]), TypeError, "a Vertex or a VertexID"),
        (lambda: worker.call(count, vertex, nonsense=1), TypeError, "nonsense"),
        (lambda: worker.call(count, vertex, timeout="x"), TypeError, "real number"),
        (lambda: worker.call(count, vertex, arguments=object()), TypeError, "no Arrow data"),
        (lambda: worker.call("no such function", vertex), dcf.NotFoundError, "no such function"),
        (lambda: worker.call(count, "no such vertex"), dcf.NotFoundError, "no such vertex"),
        (lambda: worker.register(len), TypeError, "@dcf.udf"),
    ):
        with pytest.raises(error, match=message):
            call()  # type: ignore[no-untyped-call]


def test_targets(worker: dcf.Worker) -> None:
    vertices = [worker.put(str(i), i) for i in range(40)]
    total = dcf.udf(lambda value: value.scalar())
    total.merge(sum)
    assert worker.call(total, vertices[3]) == 3
    assert worker.call(total, vertices[3].id) == 3
    assert worker.call(total, "3") == 3
    assert worker.call(total, vertices) == worker.call(total, tuple(vertices)) == 780
    assert worker.call(total, [v.id for v in vertices]) == 780
    assert worker.call(total, [vertices[1], vertices[2].id]) == 3
    assert worker.call(total, (v for v in vertices[:3])) == 3


def test_a_call_inside_of_a_call(worker: dcf.Worker) -> None:
    other = worker.put("other", {"x": [1, 2]})

    @dcf.udf
    def outer(value: int) -> int:
        return value + worker.call(dcf.sum("x"), other) + worker.call(inner, other)

    @dcf.udf
    def inner(value: dcf.Batch) -> int:
        return len(value)

    assert worker.call(outer, worker.put("v", 10)) == 15


def test_a_function_is_called_by_its_name(worker: dcf.Worker) -> None:
    udf = dcf.udf(name="doubled")(lambda value: 2 * value.scalar())
    worker.register(udf)
    assert worker.call("doubled", worker.put("v", 4)) == 8
    assert udf.name == "doubled"
    assert repr(udf) == "<dcf UDF 'doubled'>"
    assert udf(dcf.Batch(3)) == 6  # the plain function
    with pytest.raises(dcf.AlreadyExistsError, match="doubled"):
        worker.register(dcf.udf(name="doubled")(lambda value: 0))


def test_one_function_at_many_workers() -> None:
    udf = dcf.udf(lambda value: value.scalar())
    for i in range(5):
        with dcf.open() as worker:
            assert worker.call(udf, worker.put("v", i)) == i
    with dcf.open() as a, dcf.open() as b:
        assert worker.closed
        assert (a.call(udf, a.put("v", 1)), b.call(udf, b.put("v", 2))) == (1, 2)


def test_functions_are_freed_with_their_worker() -> None:
    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    with dcf.open() as worker:
        udf = dcf.udf(lambda value, keep=held: 1)
        worker.call(udf, worker.put("v", 1))
        del udf, held
        gc.collect()
        assert gone() is not None  # the worker may still be asked to run it
    with dcf.open():  # whoever enters the library next drops what was left to it
        pass
    gc.collect()
    assert gone() is None


def test_many_threads(worker: dcf.Worker) -> None:
    group = worker.put("t", {"x": list(range(100))}, shards=5)
    total = dcf.udf(lambda value: sum(value["x"]))
    total.merge(sum)
    results: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: results.extend(worker.call(total, group) for _ in range(50))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [4950] * 400


def test_the_first_call_comes_from_many_threads_at_once(worker: dcf.Worker) -> None:
    vertex = worker.put("v", 1)
    for _ in range(50):
        udf = dcf.udf(lambda value: value.scalar())
        start, results = threading.Barrier(4), []

        def first(udf: dcf.UDF = udf, start: Any = start, results: list[int] = results) -> None:
            start.wait()
            results.append(worker.call(udf, vertex))

        threads = [threading.Thread(target=first) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [1] * 4


def test_calls_leave_no_objects_behind(worker: dcf.Worker) -> None:
    vertex = worker.put("v", TABLE)
    udf = dcf.udf(lambda value, cx: {"y": [cx.id.__str__()]})

    def many() -> int:
        for _ in range(200):
            worker.call(udf, vertex, arguments={"a": 1})
        gc.collect()
        return sys.getallocatedblocks()

    many()
    first = many()
    assert many() - first < 100


def test_union_of_scalars(worker: dcf.Worker) -> None:
    def echo(value: Union[int, float]) -> float:  # noqa: UP007 - the old spelling
        return value

    assert worker.call(dcf.udf(echo), worker.put("v", 2.5)) == 2.5
