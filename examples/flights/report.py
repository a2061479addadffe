"""What the program says: progress, the table of carriers, and how each answer came about."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import dcf

    from counters import Counters
    from delays import Row

_started = time.monotonic()


class Told(NamedTuple):
    """One way to ask: its answer, and what is known of how it came about."""

    title: str
    rows: dict[str, Row]
    answer: dcf.Answer
    grown: Counters  # what the nodes counted meanwhile
    names: dict[int, str]  # of the nodes, for people


def progress(text: str) -> None:
    """Says what is going on, and when."""
    print(f"[{time.monotonic() - _started:5.1f} s] {text}", flush=True)


def carriers(rows: dict[str, Row], airlines: dict[str, str]) -> str:
    """Gives the table of carriers, the most punctual first."""

    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    def by_delay(item: tuple[str, Row]) -> tuple[bool, float, str]:
        carrier, row = item
        return row.mean_delay is None, row.mean_delay or 0.0, carrier

    lines = [
        f"{'carrier':<8}{'airline':<30}{'departures':>11}{'mean delay':>12}{'worst delay':>13}"
    ]
    for carrier, row in sorted(rows.items(), key=by_delay):
        lines.append(
            f"{carrier:<8}{airlines.get(carrier, '?')[:29]:<30}{row.departures:>11,}"
            f"{number(row.mean_delay, '.1f'):>8} min{number(row.worst_delay, '.0f'):>9} min"
        )
    total = sum(row.departures for row in rows.values())
    lines.append(f"{'':<8}{'all':<30}{total:>11,}")
    return "\n".join(lines)


#: What the figures of `way` are.
EXPLANATION = """\
What ran is what the nodes counted. What travelled is what they sent each other, both ways, over
shared memory where that is said, with the heartbeats and the cluster's notices (under 300 bytes
each) of that time; between pairs that are not named nothing travelled."""

_OVER = {"shm": "shared memory", "tcp": "TCP", "unix": "a Unix socket"}


def way(number: int, told: Told) -> str:
    """Gives what ran where, what travelled and how long it took."""

    def order(node: int) -> tuple[bool, int]:  # members have small ids, and come first
        return told.names[node] == "the client", node

    ran = [
        f"{n} times on {told.names[node]}" if n else f"not on {told.names[node]}"
        for node, n in sorted(told.grown.calculates.items(), key=lambda item: order(item[0]))
    ]
    lines = [f"{number}. By {told.title}", f"     ran        {', '.join(ran)}"]
    head = "travelled"
    for ends in sorted(told.grown.links, key=lambda ends: [order(node) for node in ends]):
        link = told.grown.links[ends]
        if link.frames == 0:
            continue
        between = " - ".join(told.names[node] for node in ends)
        over = _OVER.get(link.over, link.over)
        carried = f"{link.bytes:>12,} bytes {link.frames:>3} frames  over {over}"
        lines.append(f"     {head:<11}{between:<22}{carried}")
        head = ""
    fetched = told.answer.bytes_fetched
    lines.append(
        f"     fetched    {fetched:,} bytes: the shards came to the function"
        if fetched
        else "     fetched    nothing: the function ran beside the shards"
    )
    lines.append(f"     took       {told.answer.seconds * 1e3:.1f} ms")
    return "\n".join(lines)
