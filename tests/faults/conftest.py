"""Fixtures that start a stack on each database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults.stack import Stack


@pytest.fixture(params=["sqlite", "postgres"])
def start_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Stack]]:
    """Start stacks, such as start_stack(workers=1). Tests run once for each database."""
    is_postgres = request.param == "postgres"
    with ExitStack() as stack:

        def start(workers: int = 2) -> Stack:
            folder = tmp_path_factory.mktemp("stack")
            return stack.enter_context(Stack(folder, is_postgres=is_postgres, workers=workers))

        yield start


@pytest.fixture
def stack(start_stack: Callable[..., Stack]) -> Stack:
    """A stack with two workers, Redis and a database."""
    return start_stack()
