"""Fixtures of the command tests."""

import pytest


@pytest.fixture(autouse=True)
def _clients_are_closed(close_clients: None) -> None:
    """Use `close_clients` in all tests of this folder."""
