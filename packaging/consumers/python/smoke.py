"""What a Python with nothing but dcf can do: tables, functions, and two workers over TCP."""

import multiprocessing
import sys

import dcf


def serve(pipe):
    """A worker of another process, until it is told to end."""
    with dcf.open(listen="tcp://127.0.0.1:0") as worker:
        worker.put("far", {"x": [1, 2, None], "s": ["a", "b", "c"]})
        pipe.send(worker.addresses)
        pipe.recv()


@dcf.udf
def total(batch):
    """Adds up a column."""
    return sum(batch["x"])


total.merge(sum)


def check():
    """Runs a builtin function and a Python one, here and there."""
    with dcf.open() as worker:
        table = worker.put("near", {"x": [1, 2, 3], "s": ["a", "b", "b"]}, shards=2)
        assert worker.call(dcf.sum("x"), table) == 6
        assert worker.call(total, table) == 6
        grouped = worker.call(dcf.max("x").by("s"), table)
        assert grouped.to_pydict() == {"s": ["a", "b"], "x_max": [1, 3]}
        assert sum(batch.num_rows for batch in table.stream()) == 3
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    with dcf.open(join=mine.recv(), timeout=60) as guest:
        assert guest.call(dcf.sum("x"), "far") == 3
        assert guest.vertex("far").batch()["s"].to_pylist() == ["a", "b", "c"]
    mine.send("enough")
    process.join()
    assert process.exitcode == 0


if __name__ == "__main__":
    check()
    print(f"dcf {dcf.__version__} works in Python {sys.version.split()[0]}")
