"""A stack on each database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults.stack import Stack
from tests.postgres_server import binary_folder


@pytest.fixture(params=["sqlite", "postgres"])
def start_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Stack]]:
    """Starts a stack, such as start_stack(workers=1), once for each database."""
    is_postgres = request.param == "postgres"
    if is_postgres:
        try:
            binary_folder()
        except RuntimeError as error:
            pytest.skip(str(error))
    with ExitStack() as stack:

        def start(workers: int = 2) -> Stack:
            folder = tmp_path_factory.mktemp("stack")
            return stack.enter_context(Stack(folder, is_postgres=is_postgres, workers=workers))

        yield start


@pytest.fixture
def stack(start_stack: Callable[..., Stack]) -> Stack:
    """Two workers, a Redis and a database of the test's own."""
    return start_stack()
