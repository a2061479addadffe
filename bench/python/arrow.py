"""What Arrow's libraries pay to take data of dcf, beside nanoarrow's own."""

from __future__ import annotations

import argparse

import dcf
import measure
import nanoarrow
import numpy
import polars
import pyarrow

ROWS = 8
LARGE_ROWS = 64 << 17  # 64 MiB of float64


def capsule(name: str, rounds: int) -> None:
    """A pair of capsules for a batch of 8 rows, beside nanoarrow's for the same."""
    with dcf.open() as worker:
        batch = worker.put(None, {"value": list(range(ROWS))}).batch()
        assert batch is not None
        floor = nanoarrow.c_array(batch)
        text = "batch.__arrow_c_array__()"
        measure.case(
            name,
            measure.Statement(text, {"batch": batch}),
            measure.Statement(text, {"batch": floor}),
            rounds,
        )


def frame(name: str, _rounds: int) -> None:
    """How much of 64 MiB is not where it was put, in a frame made of a vertex."""
    values = numpy.arange(LARGE_ROWS, dtype=numpy.float64)
    with dcf.open() as worker:
        vertex = worker.put(None, pyarrow.record_batch({"value": values}))
        column = polars.DataFrame(vertex)["value"]
        chunks = [chunk.to_numpy(allow_copy=False) for chunk in column.get_chunks()]
        if sum(map(len, chunks)) != LARGE_ROWS or column.sum() != values.sum():
            raise SystemExit("the frame has other values")
        copied = sum(each.nbytes for each in chunks if not numpy.shares_memory(each, values))
        measure.value(name, copied / 1024, "KiB copied")


CASES = {"arrow/capsule": capsule, "arrow/polars": frame}


def main() -> None:
    """Measures one case and prints its blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True, choices=CASES)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    CASES[options.case](options.case, options.rounds)


if __name__ == "__main__":
    main()
