"""What the tests of this example share: where dcfnode is, and the seed."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import run


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --seed and --dcfnode."""
    parser.addoption("--seed", type=int, default=None, help="of what is random; printed")
    parser.addoption("--dcfnode", default=None, help="the program; default: of this checkout")


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of what is random."""
    given = request.config.getoption("--seed")
    return random.SystemRandom().randrange(1 << 32) if given is None else int(given)


@pytest.fixture(scope="session")
def dcfnode(request: pytest.FixtureRequest) -> str:
    """The program dcfnode."""
    given = request.config.getoption("--dcfnode")
    return str(run.options_of([] if given is None else ["--dcfnode", given]).dcfnode)
